use super::*;
use crate::error::Hint;
use crate::storage::MemoryStorage;

const SOURCE: &str = "s3://raw/2026/03/01/05/a";

fn ledger() -> (Arc<MemoryStorage>, Ledger) {
    let storage = Arc::new(MemoryStorage::new("lake"));
    (storage.clone(), Ledger::new(storage))
}

fn receipt(source: &str) -> Receipt {
    Receipt {
        format: Receipt::FORMAT,
        source: source.to_owned(),
        etag: None,
        size: 10,
        digest: Digest::of(b"x"),
        layout: 1,
        revision: 0,
        options: ReceiptOptions {
            partition_by: PartitionBy::Arrival,
            hour: KeyPattern::default().hour(source),
            compression: "snappy".to_owned(),
        },
        outputs: vec![Output {
            key: "t/year=2026/month=03/day=01/hour=05/0-0.parquet".to_owned(),
            bytes: 5,
            rows: 1,
            digest: Digest::of(b"y"),
        }],
        rejects: Vec::new(),
        counts: Counts { records: 1, rows: 1, bytes_decoded: 10, ..Counts::default() },
        replaced: Vec::new(),
        given_up: false,
    }
}

#[test]
fn a_source_is_done_once_its_receipt_is_there() {
    let (storage, ledger) = ledger();
    assert_eq!(ledger.head("t", SOURCE).unwrap(), None);
    ledger.put("t", &receipt(SOURCE)).unwrap();
    assert_eq!(ledger.head("t", SOURCE).unwrap(), Some(receipt(SOURCE)));
    assert_eq!(ledger.head("other", SOURCE).unwrap(), None);

    let note = ledger.look("t", SOURCE).unwrap().unwrap();
    let receipt = receipt(SOURCE);
    assert_eq!((note.size, note.etag), (receipt.size, receipt.etag));
    assert_eq!(ledger.look("other", SOURCE).unwrap(), None);
    let key = "_iotlake/receipts/t/2026/03/01/d4a1d5f18929dd7b4a7d5c23a2e2d1ab.json";
    assert_eq!(Ledger::key("t", SOURCE).len(), key.len());
    assert!(storage.head(&Ledger::key("t", SOURCE)).unwrap().is_some());
    assert!(Ledger::key("t", "/data/a.json").starts_with("_iotlake/receipts/t/undated/"));
}

#[test]
fn the_same_again_is_success_and_anything_else_a_conflict() {
    let (_storage, ledger) = ledger();
    ledger.put("t", &receipt(SOURCE)).unwrap();
    ledger.put("t", &receipt(SOURCE)).unwrap();
    let conflict = |changed: Receipt| match ledger.put("t", &changed) {
        Err(LedgerError::Conflict { difference, .. }) => difference,
        other => panic!("{other:?}"),
    };
    assert_eq!(conflict(Receipt { size: 11, ..receipt(SOURCE) }), "its size was 10 and is 11 now");
    let mut changed = receipt(SOURCE);
    changed.options.compression = "zstd".to_owned();
    assert_eq!(conflict(changed), "the compression was \"snappy\" and is \"zstd\" now");
    let mut changed = receipt(SOURCE);
    changed.outputs[0].digest = Digest::of(b"z");
    assert_eq!(conflict(changed), "output t/year=2026/month=03/day=01/hour=05/0-0.parquet is not the same");
    let changed = Receipt { outputs: Vec::new(), ..receipt(SOURCE) };
    assert_eq!(conflict(changed), "there were 1 outputs and are 0 now");
    assert_eq!(ledger.head("t", SOURCE).unwrap(), Some(receipt(SOURCE)), "nothing was changed");
}

#[test]
fn receipts_are_listed_by_day() {
    let (_storage, ledger) = ledger();
    let sources = ["s3://raw/2026/03/02/00/b", SOURCE, "s3://raw/undated"];
    for source in sources {
        ledger.put("t", &receipt(source)).unwrap();
    }
    ledger.put("t2", &receipt(SOURCE)).unwrap();
    let mut seen = Vec::new();
    let visit = |receipt: Receipt| {
        seen.push(receipt.source);
        Ok::<_, LedgerError>(())
    };
    ledger.list("t", visit).unwrap();
    assert_eq!(seen, [SOURCE, "s3://raw/2026/03/02/00/b", "s3://raw/undated"]);
    let stopped = ledger.list("t", |_| Err(LedgerError::Newer { uri: "x".into(), format: 7 }));
    assert!(matches!(stopped, Err(LedgerError::Newer { format: 7, .. })));
}

#[test]
fn what_is_no_receipt_of_the_source_is_an_error() {
    let (storage, ledger) = ledger();
    let key = Ledger::key("t", SOURCE);
    let put = |receipt: &Receipt| storage.put(&key, &serde_json::to_vec(receipt).unwrap()).unwrap();
    put(&receipt("s3://raw/other"));
    assert!(matches!(ledger.head("t", SOURCE), Err(LedgerError::Collision { .. })));
    put(&Receipt { format: 3, ..receipt(SOURCE) });
    assert!(matches!(ledger.head("t", SOURCE), Err(LedgerError::Newer { format: 3, .. })));
    storage.put(&key, b"{\"format\": 1").unwrap();
    let error = ledger.head("t", SOURCE).unwrap_err();
    assert_eq!(error.to_string(), format!("memory://lake/{key}: not a receipt"));
    assert!(error.hint().unwrap().contains("--replace"));
}
