use super::*;

fn s3(text: &str) -> S3Location {
    match Location::parse(text).unwrap() {
        Location::S3(location) => location,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    Location::parse(text).unwrap_err().to_string()
}

#[test]
fn a_path_is_a_path_whatever_is_in_it() {
    for path in ["lake", "./s3", "/data/a b", "C:/x", "a:b", "ünï/1", "-", "s3", "raw/s3:/x", "a//b"] {
        assert_eq!(Location::parse(path), Ok(Location::Local(path.into())), "{path}");
        assert_eq!(Location::parse(path).unwrap().to_string(), path);
    }
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"s3://\xff".to_vec());
    assert_eq!(Location::parse(name.clone()), Ok(Location::Local(name.into())));
}

#[test]
fn s3_has_a_bucket_and_a_key_that_may_be_a_folder() {
    for (text, bucket, key, prefix, object) in [
        ("s3://lake", "lake", "", "", None),
        ("s3://lake/", "lake", "", "", None),
        ("S3://lake/a", "lake", "a", "a", Some(("", "a"))),
        ("s3://my.bucket-1/raw/2026/", "my.bucket-1", "raw/2026/", "raw/2026", None),
        (
            "s3://lake/raw/a=1/b c*.json",
            "lake",
            "raw/a=1/b c*.json",
            "raw/a=1/b c*.json",
            Some(("raw/a=1", "b c*.json")),
        ),
    ] {
        let location = s3(text);
        assert_eq!((&*location.bucket, &*location.key), (bucket, key), "{text}");
        assert_eq!((location.prefix(), location.object()), (prefix, object), "{text}");
        let shown = Location::S3(location.clone()).to_string();
        assert_eq!(s3(&shown), location, "{shown}");
    }
}

#[test]
fn what_is_neither_says_what_to_write() {
    assert_eq!(refusal(""), "expected a path or s3://bucket/prefix");
    assert_eq!(
        refusal("gs://bucket/lake"),
        "`gs:` is not supported: give a local path or s3://bucket/prefix; for a local copy, `backfill --as URI` says \
         where it came from"
    );
    assert_eq!(refusal("s3a://lake/x"), "write it as s3://lake/x");
    assert_eq!(refusal("s3:/lake/x"), "write it as s3://lake/x");
    assert_eq!(refusal("s3:lake"), "write it as s3://lake");
    assert_eq!(refusal("file:///data/x"), "write it as a path: /data/x");
    assert_eq!(refusal("s3://"), "`` cannot be a bucket: write s3://bucket/prefix");
    assert_eq!(refusal("s3:///x"), "`` cannot be a bucket: write s3://bucket/prefix");
    assert_eq!(refusal("s3://my bucket/x"), "`my bucket` cannot be a bucket: write s3://bucket/prefix");
    assert_eq!(refusal("s3://lake/a//b"), "the key `a//b` cannot be used: it has an empty component (`//`)");
    assert_eq!(refusal("s3://lake//"), "the key `/` cannot be used: it is empty");
    assert_eq!(refusal("s3://lake/../b"), "the key `../b` cannot be used: it has a component `.` or `..`");
}

#[test]
fn folders_contain_by_whole_components() {
    let contains = |outer: &str, inner: &str| s3(outer).contains(&s3(inner));
    assert!(contains("s3://lake", "s3://lake/raw"));
    assert!(contains("s3://lake/raw", "s3://lake/raw/"));
    assert!(contains("s3://lake/raw/", "s3://lake/raw/2026/a"));
    assert!(!contains("s3://lake/raw", "s3://lake/raw2"));
    assert!(!contains("s3://lake/raw/a", "s3://lake/raw"));
    assert!(!contains("s3://lake", "s3://other/raw"));
}

#[test]
fn a_catalog_is_embedded_or_a_database_of_glue() {
    let parse = |text: &str| text.parse::<CatalogChoice>();
    assert_eq!(parse("embedded"), Ok(CatalogChoice::Embedded));
    for name in ["iot", "iot_lake", "iot-lake", "1"] {
        let text = format!("glue:{name}");
        assert_eq!(parse(&text), Ok(CatalogChoice::Glue(name.to_owned())));
        assert_eq!(parse(&text).unwrap().to_string(), text);
    }
    let refusal = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        refusal("hive"),
        "`hive` is no catalog: write `embedded`, or `glue:` and the name of a database, such as glue:iot"
    );
    assert_eq!(refusal("glue"), refusal("hive").replace("hive", "glue"));
    assert!(refusal("glue:").contains("at least one character"));
    assert_eq!(
        refusal("glue:IoT Lake"),
        "`IoT Lake` cannot be a database: only a-z, 0-9, `_` and `-` are allowed; `iot_lake` would do"
    );
    assert!(refusal(&format!("glue:{}", "x".repeat(256))).contains("256 bytes"));
}
