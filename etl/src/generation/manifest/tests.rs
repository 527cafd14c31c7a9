use proptest::prelude::*;

use super::*;
use crate::place::FileName;

fn partition() -> Partition {
    Partition::new(2026, 3, 1, 8).expect("an hour")
}

fn fresh(hash: u32, part: u32, rows: u64) -> Output {
    let name = FileName { hash: format!("{hash:032x}"), part, revision: 0 };
    let key = Place { side: Side::Rows, partition: partition(), name }.key("t");
    Output { key, bytes: rows * 10, rows, digest: format!("{rows:032x}") }
}

fn made(number: u32, rows: &[u64], files: usize) -> Manifest {
    let contains: Vec<_> = (0..).zip(rows).map(|(hash, rows)| fresh(hash, hash % 3, *rows)).collect();
    let mut manifest = Manifest {
        format: FORMAT,
        table: "t".to_owned(),
        partition: partition(),
        number,
        previous: (number > 1).then(|| "0".repeat(32)),
        writer: "iotlake".to_owned(),
        options: GenerationOptions {
            sort: vec![Path::dotted("a.b"), Path::new(["c.d"])],
            compression: "snappy".to_owned(),
            columns: 7,
            file_bytes: 1 << 27,
        },
        folder: None,
        contains,
        outputs: Vec::new(),
        removed: BTreeMap::new(),
    };
    let folder = Folder { partition: partition(), number, plan: manifest.plan() };
    manifest.folder = Some(folder.name());
    let mut left = rows_of(&manifest.contains);
    for part in 0..files {
        let rows = if part + 1 == files { left } else { left / 2 };
        left -= rows;
        manifest.outputs.push(Output { key: folder.key("t", part), bytes: 9, rows, digest: "1".repeat(32) });
    }
    manifest
}

fn read(manifest: &Manifest) -> Result<Manifest, String> {
    let bytes = manifest.to_bytes();
    Manifest::parse("m", "t", partition(), manifest.number, &bytes).map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        rows in prop::collection::vec(1_u64..1_000_000, 1..20),
        files in 1_usize..5,
        number in 1_u32..9,
        removed in 0_u64..9,
    ) {
        let mut manifest = made(number, &rows, files);
        prop_assert_eq!(read(&manifest), Ok(manifest.clone()));
        // The plan is of what goes in, not of what comes out.
        let plan = manifest.plan();
        manifest.outputs[0].digest = "2".repeat(32);
        prop_assert_eq!(manifest.plan(), plan.clone());
        manifest.removed.insert(Cause::Replaced, removed);
        prop_assert_eq!(read(&manifest), Ok(manifest.clone()));
        prop_assert_ne!(manifest.plan(), plan);
        prop_assert_eq!(manifest.sources().len(), rows.len());
    }

    #[test]
    fn a_byte_that_is_another_one_is_never_another_manifest_of_so_many_rows(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let manifest = made(3, &[7, 9, 11], 2);
        let mut bytes = manifest.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = Manifest::parse("m", "t", partition(), 3, &bytes) {
            prop_assert_eq!(rows_of(&other.contains), rows_of(&other.outputs));
            prop_assert_eq!((&*other.table, other.partition, other.number), ("t", partition(), 3));
        }
    }
}

#[test]
fn a_manifest_that_does_not_agree_with_itself_or_its_place_is_damaged() {
    let whole = || made(2, &[5, 6], 2);
    let changed = |change: fn(&mut Manifest)| {
        let mut manifest = whole();
        change(&mut manifest);
        read(&manifest).expect_err("it is damaged")
    };
    let begin = "m: not the manifest of a generation: ";
    let errors = [
        (changed(|m| m.outputs[1].rows += 1), "the files of sources have 11 rows, and it shows 12"),
        (changed(|m| m.contains.swap(0, 1)), "`contains` is not in the order of its keys"),
        (changed(|m| m.outputs.push(m.outputs[1].clone())), "`outputs` is not in the order of its keys"),
        (changed(|m| m.previous = None), "number 2 does not go with what it says of the one before"),
        (
            changed(|m| m.folder = Some("g3-00c0ffee00c0ffee".into())),
            "`g3-00c0ffee00c0ffee` is no folder of this generation or of one before it",
        ),
        (
            changed(|m| m.contains[0].key = "t/x.parquet".into()),
            "t/x.parquet is no file of a source in this partition",
        ),
        (changed(|m| m.outputs[0].key = "t/x.parquet".into()), "t/x.parquet does not lie in its folder"),
        (changed(|m| m.table = "u".into()), "it is number 2 of 2026-03-01T08 of table `u`"),
    ];
    for (error, expected) in errors {
        assert_eq!(error, format!("{begin}{expected}"));
    }
    assert!(changed(|m| m.folder = None).contains("does not lie in its folder"));
    assert!(changed(|m| m.format = 2).starts_with("m: written by a newer iotlake (format 2"));
    let unknown =
        String::from_utf8(whole().to_bytes()).unwrap().replacen("\"format\"", "\"more\": 1, \"format\"", 1);
    let error = Manifest::parse("m", "t", partition(), 2, unknown.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("unknown field `more`"), "{error}");
}
