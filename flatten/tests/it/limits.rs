//! What happens where there is no room: nothing is lost, the order of records does not matter, and columns a table
//! has or declares keep their place.

use std::collections::BTreeMap;
use std::sync::Arc;

use iotlake_flatten::{
    Contract, Identity, Kind, Limits, Options, Path, Schema, SettledPart, TableColumn, Type,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::support::{cells, parts, schema};

fn tight() -> Limits {
    Limits { children: 6, columns: 14, discovered: 1000, ..Limits::default() }
}

/// One part, fitted to a table that then has its new columns.
fn settled(bytes: &[u8], schema: &Schema, limits: Limits) -> (SettledPart, Schema) {
    let options = Options { limits, ..Options::default() };
    let mut all = parts(bytes, usize::MAX, &Arc::new(schema.clone()), options);
    assert_eq!(all.len(), 1);
    let part = all.remove(0);
    let fit = part.fit(schema, &limits);
    let mut grown = schema.clone();
    for identity in &fit.register {
        grown.register(identity);
    }
    assert_eq!(part.fit(&grown, &limits).register, [], "fitted twice, nothing more is new");
    let part = part.settle(&fit);
    assert!(part.columns.iter().all(|column| grown.place(&column.identity).is_some()));
    (part, grown)
}

/// The records as the columns and the overflow of a part tell them, nested again, without nulls.
fn told(part: &SettledPart) -> Vec<Value> {
    let mut records = vec![Value::Object(Map::new()); part.rows as usize];
    for column in &part.columns {
        for (row, text) in cells(&column.cells) {
            let value = match column.identity.kind {
                Kind::String => Value::String(text),
                _ => serde_json::from_str(&text).unwrap(),
            };
            let keys: Vec<&str> = column.identity.path.keys().collect();
            merge(&mut records[row as usize], &keys, value);
        }
    }
    for (row, text) in part.overflow().map(cells).unwrap_or_default() {
        merge(&mut records[row as usize], &[], serde_json::from_str(&text).unwrap());
    }
    records
}

fn merge(into: &mut Value, keys: &[&str], value: Value) {
    match keys.split_first() {
        Some((key, rest)) => {
            let object = into.as_object_mut().expect("a path leads through objects");
            merge(object.entry(*key).or_insert_with(|| Value::Object(Map::new())), rest, value);
        }
        None => match (into, value) {
            (Value::Object(fields), Value::Object(more)) => {
                for (key, value) in more {
                    match fields.get_mut(&key) {
                        Some(there) => merge(there, &[], value),
                        None => drop(fields.insert(key, value)),
                    }
                }
            }
            (into, value) => *into = value,
        },
    }
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let key = "[a-l]";
    let leaf = prop_oneof![
        (-50i64..50).prop_map(Value::from),
        "[a-z]{1,3}".prop_map(Value::String),
        Just(Value::Bool(true)),
        Just(serde_json::json!([1, {"x": "y"}])),
    ];
    let inner = proptest::collection::btree_map("[a-l]", leaf.clone(), 1..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    let deeper = proptest::collection::btree_map("[a-d]", inner.clone(), 1..3)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    (key, prop_oneof![4 => leaf, 2 => inner, 1 => deeper])
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let record = proptest::collection::vec(field(), 1..6);
    let record = record.prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()));
    proptest::collection::vec(record, 1..20)
}

fn bytes_of(records: &[Value]) -> Vec<u8> {
    records.iter().flat_map(|record| format!("{record}\n").into_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_where_columns_run_out(records in records(), more in records()) {
        let empty = schema(&Contract::empty());
        let (part, grown) = settled(&bytes_of(&records), &empty, tight());
        prop_assert_eq!(told(&part), records);
        prop_assert!(grown.columns().len() <= tight().columns);
        let (part, again) = settled(&bytes_of(&more), &grown, tight());
        prop_assert_eq!(told(&part), more);
        prop_assert_eq!(&again.columns()[..grown.columns().len()], grown.columns());
        for object in ["", "a", "b"] {
            let at = if object.is_empty() { Path::root() } else { Path::new([object]) };
            let children: std::collections::BTreeSet<_> = again.columns().iter()
                .filter(|column| column.identity.path.len() > at.len())
                .filter(|column| column.identity.path.keys().zip(at.keys()).all(|(a, b)| a == b))
                .map(|column| column.identity.path.keys().nth(at.len()).unwrap().to_owned())
                .collect();
            prop_assert!(children.len() <= tight().children, "{} children", children.len());
        }
    }

    #[test]
    fn nothing_is_lost_where_even_keys_to_remember_run_out(records in records(), discovered in 1usize..12) {
        let limits = Limits { discovered, ..tight() };
        let empty = schema(&Contract::empty());
        let (part, _) = settled(&bytes_of(&records), &empty, limits);
        prop_assert_eq!(told(&part), records.clone());
        let whole = parts(&bytes_of(&records), usize::MAX, &empty, Options { limits, ..Options::default() });
        for threads in [2, 4] {
            let options = Options { limits, threads, chunk_bytes: 30 };
            prop_assert_eq!(&parts(&bytes_of(&records), 7, &empty, options), &whole);
        }
    }

    #[test]
    fn shuffled_records_give_the_same_schema(records in records(), seed in any::<u64>()) {
        let mut shuffled = records.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        for limits in [Limits::default(), tight()] {
            let empty = schema(&Contract::empty());
            let (_, one) = settled(&bytes_of(&records), &empty, limits);
            let (_, other) = settled(&bytes_of(&shuffled), &empty, limits);
            prop_assert_eq!(one.columns(), other.columns());
        }
    }
}

#[test]
fn three_hundred_children_of_one_object_leave_256_and_one_json_column() {
    let fields: Vec<String> = (0..300).map(|at| format!("\"k{at:03}\":{at}")).collect();
    let text = format!("{{\"o\":{{{}}},\"after\":1}}\n{{\"o\":[1]}}\n", fields.join(","));
    let (part, schema) = settled(text.as_bytes(), &schema(&Contract::empty()), Limits::default());
    assert_eq!(schema.columns().len(), 1 + 1 + 256);
    let json = Identity::new(Path::new(["o"]), Kind::Json);
    assert!(schema.place(&json).is_some());
    let column = part.columns.iter().find(|column| column.identity == json).unwrap();
    let cells = cells(&column.cells);
    assert!(cells[&0].starts_with("{\"k256\":256,\"k257\":257,"), "{}", cells[&0]);
    assert_eq!(cells[&1], "[1]");
    assert_eq!(part.overflow(), None);
}

#[test]
fn numbers_that_fit_no_column_keep_their_digits() {
    let (part, schema) = settled(
        b"{\"n\":9007199254740993}\n{\"n\":1e400}\n{\"n\":0.1}\n{\"n\":9223372036854775808}\n",
        &schema(&Contract::empty()),
        Limits::default(),
    );
    let names: Vec<_> = schema.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["n", "n.long", "n.string"]);
    let column = |kind| crate::support::column(&part, &["n"], kind);
    assert_eq!(column(Kind::Double), BTreeMap::from([(2, "0.1".to_owned())]));
    assert_eq!(column(Kind::Long), BTreeMap::from([(0, "9007199254740993".to_owned())]));
    let texts = [(1, "1e400".to_owned()), (3, "9223372036854775808".to_owned())];
    assert_eq!(column(Kind::String), BTreeMap::from(texts));
}

#[test]
fn names_live_side_by_side() {
    let text = br#"{"Temp":1,"temp":2,"a.b":3,"a":{"b":4},"x":{"string":5},"year":6,"_source":7,"":8,"x y":9,"x_y":10}
{"x":"text","temp":"high"}
"#;
    let (_, schema) = settled(text, &schema(&Contract::empty()), Limits::default());
    let names: Vec<String> = schema.columns().iter().map(|column| column.name.clone()).collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    let plain: Vec<&str> = names.iter().map(String::as_str).filter(|name| !has_hash(name)).collect();
    assert_eq!(plain, ["a.b", "temp", "temp.string", "x", "x.string", "x_y"]);
    assert!(names.iter().any(|name| name.starts_with("year_")));
    assert!(names.iter().any(|name| name.starts_with("_source_")));
    assert_eq!(names.iter().filter(|name| has_hash(name)).count(), 6, "{names:?}");
    let long = "k".repeat(300);
    let mut schema = schema.clone();
    let name = schema.register(&Identity::new(Path::new([long]), Kind::Double)).name.clone();
    assert_eq!(name.len(), 127);
}

#[test]
fn the_exact_lower_case_key_gets_the_plain_name_whatever_sorts_before_it() {
    let named = |text: &str| -> BTreeMap<String, String> {
        let (_, schema) = settled(text.as_bytes(), &schema(&Contract::empty()), Limits::default());
        let named = |column: &TableColumn| (column.identity.path.to_json(), column.name.clone());
        schema.columns().iter().map(named).collect()
    };
    let names = named(r#"{"temperature":1,"Temperature":2,"TEMPERATURE":3,"Zone":{"Id":4},"a":5}"#);
    assert_eq!(names[r#"["temperature"]"#], "temperature");
    assert!(has_hash(&names[r#"["Temperature"]"#]) && has_hash(&names[r#"["TEMPERATURE"]"#]), "{names:?}");
    assert_eq!(names[r#"["Zone","Id"]"#], "zone.id");
    // Also where the exact one is of a kind that sorts behind, and where a dot is in a key.
    let names = named(r#"{"t":{"v":"x"},"T":{"v":1},"T.v":true}"#);
    assert_eq!(names[r#"["t","v"]"#], "t.v");
    // What has no exact one beside it keeps its place and its name.
    let names = named(r#"{"Only":1,"ONLY":2}"#);
    assert_eq!(names[r#"["ONLY"]"#], "only");
}

fn has_hash(name: &str) -> bool {
    let (_, digits) = name.rsplit_once('_').unwrap_or_default();
    let digits = digits.strip_suffix(".string").unwrap_or(digits);
    digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[test]
fn declared_types_send_values_where_they_say() {
    let contract = Contract::empty()
        .declare("i", Type::Bigint)
        .declare("s", Type::String)
        .declare("j", Type::Json)
        .declare("t", Type::Timestamp)
        .declare("g", Type::Ignore)
        .declare("b", Type::Boolean);
    let text = br#"{"i":1,"s":1.50,"j":{"b": [1, 2]},"t":"2026-03-01T09:00:00Z","g":{"x":1},"b":true}
{"i":1.5,"s":true,"j":3,"t":1772355600123,"g":null,"b":"yes"}
{"i":"one","s":[1],"j":"x","t":"yesterday","g":1}
"#;
    let (part, schema) = settled(text, &schema(&contract), Limits::default());
    let names: Vec<_> = schema.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["i", "s", "j", "t", "b", "b.string", "i.double", "i.string", "s.json", "t.string"]);
    let column = |key, kind| crate::support::column(&part, &[key], kind).into_values().collect::<Vec<_>>();
    assert_eq!(column("i", Kind::Long), ["1"]);
    assert_eq!(column("s", Kind::String), ["1.50", "true"]);
    assert_eq!(column("j", Kind::Json), [r#"{"b":[1,2]}"#, "3", r#""x""#]);
    assert_eq!(column("t", Kind::Timestamp), ["1772355600000000", "1772355600123000"]);
    assert_eq!(part.ignored, 2);
}

#[test]
fn a_path_that_is_too_long_is_no_column_and_nothing_of_it_is_lost() {
    let key = |bytes: usize| "k".repeat(bytes);
    let text = format!(
        "{{\"{0}\":{{\"{1}\":1,\"{1}x\":{{\"b\":[2, 3],\"a\":{{}},\"c\":null,\"A\":-0.0}},\"n\":null}},\"z\":true}}\n\
         {{\"z\":false,\"{2}\":{{\"e\":1e400}}}}\n{{\"{2}\":null}}\n{{\"{2}\":7}}\n",
        key(1000),
        key(24),
        key(70_000)
    );
    let (part, table) = settled(text.as_bytes(), &schema(&Contract::empty()), Limits::default());
    let long = Path::new([key(1000)]);
    let expected = [
        Identity::new(long.clone(), Kind::Json),
        Identity::new(long.child(&key(24)), Kind::Double),
        Identity::new(Path::new(["z"]), Kind::Boolean),
    ];
    let found: Vec<Identity> = table.columns().iter().map(|column| column.identity.clone()).collect();
    assert_eq!(found, expected);
    assert!(!part.spilled, "the length of a path depends on nothing");
    let json = crate::support::column(&part, &[&key(1000)], Kind::Json);
    assert_eq!(json, BTreeMap::from([(0, format!("{{\"{}x\":{{\"A\":-0,\"b\":[2,3]}}}}", key(24)))]));
    let rest = part.overflow().map(cells).unwrap();
    let of = |value: &str| format!("{{\"{}\":{value}}}", key(70_000));
    assert_eq!(rest, BTreeMap::from([(1, of("{\"e\":\"1e400\"}")), (3, of("7"))]));
    // However it is cut, and with threads that read it side by side.
    let whole = parts(text.as_bytes(), usize::MAX, &schema(&Contract::empty()), Options::default());
    for (chunk, threads, block) in [(1000, 1, 100), (70_001, 2, 16), (usize::MAX, 4, 50)] {
        let options = Options { threads, chunk_bytes: block, ..Options::default() };
        assert_eq!(parts(text.as_bytes(), chunk, &schema(&Contract::empty()), options), whole);
    }
}

#[test]
fn a_declared_path_has_its_column_however_long_it_is() {
    let long = "k".repeat(5000);
    let contract = Contract::empty().declare(&long, Type::Bigint);
    let text = format!("{{\"{long}\":1,\"{long}x\":2}}\n{{\"{long}\":{{\"a\":3}}}}\n{{\"{long}\":\"s\"}}\n");
    let (part, table) = settled(text.as_bytes(), &schema(&contract), Limits::default());
    assert_eq!(table.columns().len(), 1);
    assert_eq!(crate::support::column(&part, &[&long], Kind::Long), BTreeMap::from([(0, "1".to_owned())]));
    let rest = part.overflow().map(cells).unwrap();
    assert_eq!(rest[&0], format!("{{\"{long}x\":2}}"));
    assert_eq!(rest[&1], format!("{{\"{long}\":{{\"a\":3}}}}"));
    assert_eq!(rest[&2], format!("{{\"{long}\":\"s\"}}"));
}
