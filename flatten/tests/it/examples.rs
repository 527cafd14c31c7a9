//! What the examples print is true.

use parquet::file::reader::{FileReader, SerializedFileReader};

#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../../examples/ndjson_to_parquet.rs"]
mod ndjson_to_parquet;

#[test]
fn ndjson_becomes_a_file_with_all_columns_and_rejects_are_told() {
    let input = b"{\"a\":{\"b\":1}}\nnonsense\n{\"a\":{\"b\":\"x\"},\"c\":true}\n";
    let mut file = Vec::new();
    let (rows, rejects) = ndjson_to_parquet::convert(&input[..], &mut file).unwrap();
    assert_eq!((rows, rejects), (2, vec!["line 2: syntax".to_owned()]));
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let found: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(
        found,
        [
            "{_source: \"stdin\", _record: 1, a.b: 1.0, a.b.string: null, c: null}",
            "{_source: \"stdin\", _record: 3, a.b: null, a.b.string: \"x\", c: true}",
        ]
    );
}
