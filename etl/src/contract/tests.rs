use iotlake_flatten::{Declared, Identity, Kind, Numbers, Path, Schema, Type};
use proptest::prelude::*;

use super::*;

#[test]
fn a_contract_is_what_its_file_says() {
    let text = r#"
numbers = "exact"
part_bytes = "8 MiB"
sort = ["a.b", ["c.d", "e"]]

[[column]]
path = "a.b"
type = "double"
also = ["string", "bigint"]

[[column]]
path = ["c.d", ""]
type = "ignore"
"#;
    let a = Declared { path: Path::dotted("a.b"), ty: Type::Double, also: vec![Kind::String, Kind::Long] };
    let c = Declared { path: Path::new(["c.d", ""]), ty: Type::Ignore, also: vec![] };
    let sort = vec![Path::dotted("a.b"), Path::new(["c.d", "e"])];
    let expected = Contract { numbers: Numbers::Exact, part_bytes: 8 << 20, sort, columns: vec![a, c] };
    assert_eq!(parse("x.toml", text), Ok(expected));
    assert_eq!(parse("x.toml", ""), Ok(Contract::empty()));
    assert_eq!(parse("x.toml", "part_bytes = 65536").unwrap().part_bytes, 65536);
}

#[test]
fn a_mistake_is_shown_where_it_is_with_what_is_allowed() {
    let column = |fields: &str| format!("[[column]]\n{fields}");
    let ab = "[[column]]\npath = \"a.b\"\ntype = \"double\"\n";
    let types = "expected one of double, bigint, boolean, string, json, timestamp";
    for (text, expected) in [
        (column("path = \"a\"\ntype = \"int\""), format!("3:8: unknown type `int`: {types}, ignore")),
        (column("path = \"a\"\ntype = \"json\"\nalso = [\"text\"]"), format!("4:9: unknown type `text`: {types}")),
        (column("path = \"a\"\ntype = \"json\"\nalso = [\"json\"]"), "4:9: path a has a json column already".into()),
        (
            column("path = \"a\"\ntype = \"ignore\"\nalso = [\"json\"]"),
            "4:9: path a is ignored and so has no columns; remove `also`".into(),
        ),
        (column("path = \"a\"\ntyp = \"json\""), "3:1: unknown field `typ`, expected one of `path`, `type`, `also`".into()),
        (column("path = \"a\""), "1:1: missing field `type`".into()),
        (
            column("path = \"a..b\"\ntype = \"json\""),
            "2:8: `a..b` has an empty key; if that is meant, write the path as a list of keys, such as [\"a\", \"\"]"
                .into(),
        ),
        (column("path = []\ntype = \"json\""), "2:8: a path has at least one key".into()),
        (
            column("path = 3\ntype = \"json\""),
            "2:8: expected a text such as \"a.b\" or a list of keys such as [\"a\", \"b\"]".into(),
        ),
        (format!("{ab}{ab}"), "5:8: path a.b is declared twice".into()),
        (
            format!("{ab}{}", column("path = \"a\"\ntype = \"json\"")),
            "5:8: path a cannot be json: a.b below it is declared too".into(),
        ),
        (
            format!("{}\n{ab}", column("path = \"a\"\ntype = \"ignore\"")),
            "5:8: path a.b can have no values: a is declared as ignore, whole".into(),
        ),
        ("numbers = \"float\"".into(), "1:11: unknown `numbers = \"float\"`: expected one of double, exact".into()),
        (
            "part_bytes = \"64 MB\"".into(),
            "1:14: `64 MB` is no size: expected a whole number and one of B, KiB, MiB, GiB, such as \"64 MiB\"".into(),
        ),
        ("sort = [\"a\", \"b\", \"a\"]".into(), "1:19: `sort` names path a twice".into()),
        ("part_bytes = 5".into(), "1:14: `part_bytes` is 5: expected 4 KiB to 1 GiB".into()),
        ("part_bytes = \"99999999999 GiB\"".into(), String::new()),
        ("grün = 1\n".into(), String::new()),
        ("numbers = ".into(), String::new()),
    ] {
        let error = parse("c.toml", &text).expect_err(&text).to_string();
        assert!(error.starts_with("c.toml:") && !error.contains('\n'), "{error}");
        assert!(expected.is_empty() || error == format!("c.toml:{expected}"), "{error}\nexpected {expected}");
    }
}

#[test]
fn the_contracts_that_are_built_in_can_be_read() {
    for name in BUILT_IN {
        let contract = builtin(name).unwrap();
        assert_eq!(parse(name, &to_toml(&contract)), Ok(contract));
    }
    assert_eq!(builtin("default"), Some(Contract::default()));
    assert_eq!(builtin("other"), None);
}

#[test]
fn a_table_becomes_a_contract_for_a_table_with_the_same_columns() {
    let mut schema = Schema::new(builtin("rigado").unwrap());
    for (path, kind) in [
        (Path::dotted("x.y"), Kind::Double),
        (Path::dotted("measurements.history"), Kind::Json),
        (Path::new(["a.b", "grün \"\n"]), Kind::Boolean),
        (Path::dotted("x.y"), Kind::Long),
        (Path::new(["X", "y"]), Kind::Timestamp),
        (Path::dotted("x"), Kind::Json),
        (Path::dotted("list"), Kind::Json),
    ] {
        schema.register(&Identity::new(path, kind));
    }
    let text = table_to_toml(&schema);
    assert!(text.contains("# \"x\" held arrays beside objects"), "{text}");
    let again = Schema::new(parse("t", &text).unwrap());
    let names = |schema: &Schema| {
        let mut names: Vec<_> =
            schema.columns().iter().map(|column| (column.identity.clone(), column.name.clone())).collect();
        names.sort();
        names
    };
    let mut expected = names(&schema);
    expected.retain(|(identity, _)| identity.path != Path::dotted("x"));
    assert_eq!(names(&again), expected);
    assert_eq!(again.contract().columns[0], schema.contract().columns[0]);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        paths in prop::collection::hash_set(prop::collection::vec(".{0,5}", 1..4), 0..6),
        types in prop::collection::vec(0_usize..4, 6),
        mebibytes in 1_u64..1024,
        exact in any::<bool>(),
    ) {
        let types = types.into_iter().map(|i| [Type::Double, Type::Bigint, Type::String, Type::Timestamp][i]);
        let declared = paths.into_iter().zip(types).map(|(keys, ty)| {
            Declared { path: Path::from(keys), ty, also: vec![Kind::Boolean] }
        });
        let declared: Vec<Declared> = declared.collect();
        let contract = Contract {
            numbers: if exact { Numbers::Exact } else { Numbers::Double },
            part_bytes: mebibytes << 20,
            sort: declared.iter().map(|declared| declared.path.clone()).collect(),
            columns: declared,
        };
        prop_assert_eq!(parse("p", &to_toml(&contract)), Ok(contract));
    }
}

#[test]
fn sizes_are_whole_numbers_of_binary_units() {
    assert_eq!(bytes_of("64 MiB"), Some(64 << 20));
    assert_eq!(bytes_of("64MiB"), Some(64 << 20));
    assert_eq!(bytes_of(" 4096 "), Some(4096));
    for text in ["", "MiB", "1.5 MiB", "-1", "1 MB", "99999999999 GiB"] {
        assert_eq!(bytes_of(text), None, "{text}");
    }
}
