//! A broken record costs itself: what docs/records.md promises of the place where reading goes on.

use iotlake_flatten::{Contract, Options, Reason};
use proptest::prelude::*;

use crate::support::{check_accounts, parts, said, schema};

/// The values of `a` that became rows, and the text and reason of each reject.
fn read(text: &str) -> (Vec<String>, Vec<(&str, Reason)>) {
    let schema = schema(&Contract::empty());
    let whole = parts(text.as_bytes(), usize::MAX, &schema, Options::default());
    check_accounts(&whole, text.as_bytes());
    for chunk in [1, 2, 5] {
        let options = Options { chunk_bytes: 1, ..Options::default() };
        assert_eq!(parts(text.as_bytes(), chunk, &schema, options), whole, "{text} in chunks of {chunk}");
    }
    let said = said(&whole);
    let rows = said.values.into_values().flat_map(|rows| rows.into_values()).collect();
    let rejects = said.rejects.iter();
    let rejects =
        rejects.map(|(_, range, _, reason)| (&text[range.start as usize..range.end as usize], *reason));
    (rows, rejects.collect())
}

#[test]
fn every_example_of_the_document_is_as_it_says() {
    for (text, rows, rejects) in [
        (r#"[{"a":1},{"v":tru},{"a":3}]"#, 2, &[r#"{"v":tru},"#][..]),
        (r#"{"a":1} {"v":tru} {"a":3}"#, 2, &[r#"{"v":tru} "#]),
        (r#"[{"a":1},{"v":tru}]"#, 1, &[r#"{"v":tru}"#]),
        (r#"[{"a":1},{"b":{"c":2},{"a":3}]"#, 2, &[r#"{"b":{"c":2},"#]),
        (r#"[{"a":1},{"b":[2},{"a":3}]"#, 2, &[r#"{"b":[2},"#]),
        (r#"[{"a":1},oops,{"a":3}]"#, 2, &["oops,"]),
        ("{\"v\":tru} sent {\"a\":2}\n{\"a\":3}", 1, &["{\"v\":tru} sent {\"a\":2}\n"]),
        ("{\"a\":\"never ends}\n{\"a\":2}", 1, &["{\"a\":\"never ends}\n"]),
        (r#"[{"a":"never ends},{"a":2},{"a":3}]"#, 0, &[r#"{"a":"never ends},{"a":2},{"a":3}]"#, ""]),
    ] {
        let (found, rejected) = read(text);
        assert_eq!(found.len(), rows, "{text}");
        assert_eq!(rejected.iter().map(|(text, _)| *text).collect::<Vec<_>>(), rejects, "{text}");
    }
}

#[test]
fn objects_inside_a_broken_record_are_no_records() {
    for text in [
        r#"{"v":tru,"a":[{"a":1},{"a":2}]}"#,
        r#"[{"v":tru,"b":{"a":1},"c":[{"a":1},[{"a":1}]]}]"#,
        r#"{"v":tru,"b":"}, {\"a\":1}"}"#,
    ] {
        let (rows, rejects) = read(text);
        assert_eq!((rows.len(), rejects.len()), (0, 1), "{text}: {rows:?}");
    }
}

#[test]
fn records_that_are_too_deep_or_too_large_end_where_they_close() {
    let deep = format!("[{{\"a\":1}},{}1{},{{\"a\":2}}]", "[".repeat(90), "]".repeat(90));
    let (rows, rejects) = read(&deep);
    assert_eq!((rows, rejects.len(), rejects[0].1), (vec!["1".into(), "2".into()], 1, Reason::TooDeep));
    let limits = iotlake_flatten::Limits { record_bytes: 40, ..Default::default() };
    let text = format!("[{{\"a\":1}},{{\"b\":[{}]}}, {{\"a\":2}}]", "\"},{\",".repeat(30) + "1");
    let schema = schema(&Contract::empty());
    for block in [1, 64, 1 << 20] {
        let options = Options { limits, chunk_bytes: block, ..Options::default() };
        let said = said(&parts(text.as_bytes(), 7, &schema, options));
        assert_eq!((said.records, said.rejects.len()), (vec![1, 3], 1));
    }
}

/// A value in which brackets, quotes and line feeds are whole, but which is none.
fn broken() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("tru".to_owned()),
        Just("-".to_owned()),
        Just("01".to_owned()),
        Just("NaN".to_owned()),
        Just("1 2".to_owned()),
        Just("[1,]".to_owned()),
        Just("[1}".to_owned()),
        Just("{\"x\":1".to_owned()),
        Just("{\"x\" 1}".to_owned()),
        Just("\"\\x\"".to_owned()),
        Just("\"\t\"".to_owned()),
        Just("[{\"a\":7},x,{\"a\":8}]".to_owned()),
        Just("\"},{\"\"],[\"".to_owned()),
    ]
}

/// A value of a good record: text that looks like structure, objects in arrays.
fn good() -> impl Strategy<Value = String> {
    prop_oneof![
        (-99i64..99).prop_map(|number| number.to_string()),
        Just("\"}, {\\\"a\\\":1}] [\"".to_owned()),
        Just("[{\"x\":1},{\"x\":[2]}]".to_owned()),
        Just("{\"x\":{\"y\":null}}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Of records in an array, or on one line, those that are broken are lost, and no other.
    #[test]
    fn a_broken_value_costs_its_record_and_no_other(
        values in proptest::collection::vec((good(), proptest::option::weighted(0.3, broken())), 1..12),
        separator in prop_oneof![Just(","), Just(" , "), Just(" "), Just("\t"), Just(""), Just("\n"), Just(",\n  ")],
        in_array in any::<bool>(),
    ) {
        let record = |(at, (good, broken)): (usize, &(String, Option<String>))| match broken {
            None => format!("{{\"n\":{at},\"v\":{good}}}"),
            Some(broken) => format!("{{\"n\":{at},\"v\":{broken},\"w\":{good}}}"),
        };
        let records: Vec<String> = values.iter().enumerate().map(record).collect();
        let text = records.join(separator);
        let text = if in_array { format!("[{text}]") } else { text };
        let schema = schema(&Contract::empty());
        let whole = parts(text.as_bytes(), usize::MAX, &schema, Options::default());
        check_accounts(&whole, text.as_bytes());
        let said = said(&whole);
        let numbers = said.values.iter().find(|(identity, _)| identity.path.to_json() == "[\"n\"]");
        let numbers: Vec<String> = numbers.map(|(_, rows)| rows.values().cloned().collect()).unwrap_or_default();
        let expected: Vec<String> =
            (0..values.len()).filter(|at| values[*at].1.is_none()).map(|at| at.to_string()).collect();
        prop_assert_eq!(&numbers, &expected, "{}", text);
        prop_assert_eq!(said.records.len(), expected.len(), "{}", text);
        // And the array closes.
        prop_assert!(said.rejects.iter().all(|(_, range, _, _)| !range.is_empty()), "{}", text);
    }
}
