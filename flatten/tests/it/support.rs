//! Running the flattener and putting what it says into the reference's terms.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use iotlake_flatten::reference::Said;
use iotlake_flatten::{Cells, Contract, Flattener, Kind, Options, Part, Schema, Values};

/// All parts of a source that is pushed in chunks of `chunk` bytes.
pub fn parts(bytes: &[u8], chunk: usize, schema: &Arc<Schema>, options: Options) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut sink = |part: Part| -> Result<(), Infallible> {
        parts.push(part);
        Ok(())
    };
    let mut flattener = Flattener::new(schema.clone(), options);
    for chunk in bytes.chunks(chunk.max(1)) {
        let Ok(()) = flattener.push(chunk, &mut sink);
    }
    let Ok(()) = flattener.finish(&mut sink);
    parts
}

/// The schema of a table that nothing has been written to.
pub fn schema(contract: &Contract) -> Arc<Schema> {
    Arc::new(Schema::new(contract.clone()))
}

/// A cell as the reference writes it.
pub fn text(cells: &Cells, at: usize) -> String {
    match &cells.values {
        Values::Double(values) => print(values[at]),
        Values::Long(values) => values[at].to_string(),
        Values::Boolean(values) => values[at].to_string(),
        Values::Text(texts) => String::from_utf8(texts.get(at).to_vec()).unwrap(),
    }
}

fn print(double: f64) -> String {
    if double == 0.0 && double.is_sign_negative() {
        "-0".into()
    } else if double.fract() == 0.0 && double.abs() <= 9007199254740992.0 {
        (double as i64).to_string()
    } else {
        serde_json::to_string(&double).unwrap()
    }
}

/// What parts say, joined, in the reference's terms.
pub fn said(parts: &[Part]) -> Said {
    let mut said = Said::default();
    for part in parts {
        assert!(part.rows > 0 || !part.rejects.is_empty(), "a part without a record");
        assert_eq!(part.records.len(), part.rows as usize);
        let base = said.records.len() as u64;
        said.records.extend(&part.records);
        said.ignored += part.ignored;
        for column in &part.columns {
            assert!(!column.cells.is_empty(), "{} is empty", column.identity);
            assert!(column.cells.rows.is_sorted_by(|a, b| a < b), "{} is not in order", column.identity);
            let rows: &mut BTreeMap<u64, String> = said.values.entry(column.identity.clone()).or_default();
            for (at, row) in column.cells.rows.iter().enumerate() {
                assert!(*row < part.rows);
                rows.insert(base + u64::from(*row), text(&column.cells, at));
            }
        }
        for reject in &part.rejects {
            let range = reject.offset..reject.offset + reject.length;
            said.rejects.push((reject.record, range, reject.line, reject.reason));
        }
    }
    said
}

/// Every byte lies in a row's record, in a reject, or is white space, a comma or a bracket of a top-level array; parts
/// join without a gap; records are numbered without one.
pub fn check_accounts(parts: &[Part], bytes: &[u8]) {
    let mut numbers: Vec<u64> = Vec::new();
    let mut end = 0;
    for (at, part) in parts.iter().enumerate() {
        assert_eq!(part.number as usize, at);
        assert_eq!(part.span.start, end, "a gap between parts");
        end = part.span.end;
        numbers.extend(part.records.iter().copied());
        numbers.extend(part.rejects.iter().map(|reject| reject.record));
        for reject in &part.rejects {
            let range = reject.offset as usize..(reject.offset + reject.length) as usize;
            let whole = &bytes[range];
            assert_eq!(reject.sha256[..], <sha2::Sha256 as sha2::Digest>::digest(whole)[..]);
            assert_eq!(reject.bytes, whole[..whole.len().min(iotlake_flatten::KEPT_BYTES)]);
        }
    }
    if !parts.is_empty() {
        assert_eq!(end, bytes.len() as u64);
    }
    numbers.sort_unstable();
    assert!(
        numbers.iter().copied().eq(1..=numbers.len() as u64),
        "records are not numbered from 1 without a gap"
    );
}

/// The values of one column of a settled part as text by row.
pub fn column(part: &Part, path: &[&str], kind: Kind) -> BTreeMap<u32, String> {
    let path = iotlake_flatten::Path::new(path.iter().copied());
    let column =
        part.columns.iter().find(|column| column.identity.path == path && column.identity.kind == kind);
    column.map(|column| cells(&column.cells)).unwrap_or_default()
}

/// Cells as text by row.
pub fn cells(cells: &Cells) -> BTreeMap<u32, String> {
    cells.rows.iter().enumerate().map(|(at, row)| (*row, text(cells, at))).collect()
}
