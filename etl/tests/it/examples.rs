//! The example runs, and what it answers is true.

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};

#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../../examples/parts_in_datafusion.rs"]
mod parts_in_datafusion;

#[test]
fn datafusion_answers_from_record_batches() {
    let input = b"{\"m\":{\"t\":20}}\n{\"m\":{\"t\":22}}\nbroken\n{\"m\":{\"t\":\"n/a\"}}\n";
    let sql = r#"SELECT sum("m.t") AS t, count("m.t.string") AS text, max(_record) AS last FROM events"#;
    let answer = parts_in_datafusion::ask(input, sql).unwrap();
    assert_eq!(answer[0]["t"].as_primitive::<Float64Type>().value(0), 42.0);
    assert_eq!(answer[0]["text"].as_primitive::<Int64Type>().value(0), 1);
    assert_eq!(answer[0]["last"].as_primitive::<Int64Type>().value(0), 4);
}
