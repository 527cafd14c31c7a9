//! What needs no server. The promises of a storage are tested in `tests/aws`.

use super::parse;

#[test]
fn a_uri_is_a_bucket_and_a_prefix() {
    assert_eq!(parse("s3://lake").unwrap(), ("lake", ""));
    assert_eq!(parse("s3://lake/").unwrap(), ("lake", ""));
    assert_eq!(parse("s3://lake/a b/c").unwrap(), ("lake", "a b/c"));
    assert_eq!(parse("s3://lake/a%20b/").unwrap(), ("lake", "a%20b"), "nothing is decoded");
    assert_eq!(parse("s3://my.Old_bucket/x").unwrap(), ("my.Old_bucket", "x"));
}

#[test]
fn what_is_no_uri_is_told() {
    let of = |uri| parse(uri).unwrap_err().to_string();
    assert_eq!(of("lake/x"), "`lake/x` is no place in S3: it does not begin with `s3://`");
    assert_eq!(of("s3:///x"), "`s3:///x` is no place in S3: the bucket is missing");
    assert_eq!(of("s3://"), "`s3://` is no place in S3: the bucket is missing");
    assert_eq!(of("s3://ab/x"), "`s3://ab/x` is no place in S3: the name of a bucket has 3 to 63 characters");
    assert_eq!(
        of("s3://my lake/x"),
        "`s3://my lake/x` is no place in S3: the name of a bucket has only letters, digits, `-` and `.`"
    );
    assert_eq!(
        of("s3://lake//x"),
        "`s3://lake//x` is no place in S3: it begins with `/`; keys are relative to the storage"
    );
    assert_eq!(
        of("s3://lake/a/../b"),
        "`s3://lake/a/../b` is no place in S3: it has a component `.` or `..`"
    );
}
