//! A prefix of an S3 bucket as a storage: its promises on three servers, and what it does when S3 does not behave.

mod faults;
mod quirks;

use aws_sdk_s3::primitives::ByteStream;
use iotlake::aws::{Access, Aws, Credentials};
use iotlake::error::Hint;
use iotlake::storage::conformance::conformance;
use iotlake::storage::{Put, S3Storage, Storage, StorageError, Swap};
use serde_json::{Value, json};

use self::quirks::{ListsByFolder, OneWriteAtATime};
use crate::servers::{self, Faults, Kind, Server};

const MIB: usize = 1 << 20;

/// Bytes that differ from place to place.
fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 4);
    for word in 0..count.div_ceil(4) as u32 {
        bytes.extend_from_slice(&word.wrapping_mul(2_654_435_761).to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn storage(server: &Server, purpose: &str) -> S3Storage {
    S3Storage::new(&server.aws(), server.bucket(purpose), "a prefix/x=1")
}

fn keys(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let visit = &mut |meta: iotlake::storage::ObjectMeta| {
        keys.push(meta.key);
        Ok(())
    };
    storage.list(prefix, visit).unwrap();
    keys
}

mod promises {
    use super::*;

    #[test]
    fn ministack_conforms() {
        conformance(&storage(Server::shared(Kind::Ministack), "conformance"));
    }

    #[test]
    fn moto_conforms_when_asked_for_one_write_at_a_time() {
        let server = Server::shared(Kind::Moto);
        let storage = S3Storage::new(&server.aws(), server.bucket("conformance"), "");
        conformance(&OneWriteAtATime::new(storage));
    }

    #[test]
    fn seaweedfs_conforms_but_for_listings() {
        let server = Server::shared(Kind::Seaweedfs);
        conformance(&ListsByFolder::new(storage(server, "conformance"), server.aws()));
    }

    /// What SeaweedFS does is what a directory bucket of S3 does too.
    #[test]
    fn a_listing_out_of_order_is_refused() {
        let storage = storage(Server::shared(Kind::Seaweedfs), "order");
        storage.put("a/x", b"").unwrap();
        storage.put("a-b/x", b"").unwrap();
        let error = storage.list("", &mut |_| Ok(())).unwrap_err();
        let place = format!("s3://{}/a prefix/x=1/a-b/x: ", storage.bucket());
        assert_eq!(
            error.to_string(),
            place + "listed out of order; directory buckets (S3 Express One Zone) cannot be used"
        );
    }

    #[test]
    fn a_prefix_hides_its_neighbours() {
        let server = Server::shared(Kind::Ministack);
        let bucket = server.bucket("neighbours");
        let all = S3Storage::new(&server.aws(), &*bucket, "");
        for key in ["x", "x/a", "x-y/a", "xy", "x/b c+d%20e/ü"] {
            all.put(key, b"1").unwrap();
        }
        let uri = format!("s3://{bucket}/x/");
        let below = S3Storage::parse(&server.aws(), &uri).unwrap();
        assert_eq!(keys(&below, ""), ["a", "b c+d%20e/ü"]);
        assert_eq!(below.uri("b c+d%20e/ü"), format!("s3://{bucket}/x/b c+d%20e/ü"));
        assert_eq!(below.read("b c+d%20e/ü").unwrap().unwrap(), b"1");
    }

    #[test]
    fn notes_are_kept() {
        for kind in [Kind::Ministack, Kind::Moto, Kind::Seaweedfs] {
            let storage = storage(Server::shared(kind), "notes");
            storage.put_noted("a", b"text", "v1 \"note\"").unwrap();
            assert_eq!(storage.head("a").unwrap().unwrap().note.as_deref(), Some("v1 \"note\""), "{kind:?}");
            assert_eq!(storage.get("a").unwrap().meta.note.as_deref(), Some("v1 \"note\""), "{kind:?}");
        }
    }

    #[test]
    fn an_etag_is_that_of_the_content() {
        let storage = storage(Server::shared(Kind::Ministack), "etag");
        storage.put("a", b"text").unwrap();
        let etag = storage.head("a").unwrap().unwrap().etag.unwrap();
        assert_eq!(etag, "1cb251ec0d568de6a929b520c4aed8d1", "the MD5 without quotes");
        let mut listed = None;
        storage
            .list("", &mut |meta| {
                listed = meta.etag;
                Ok(())
            })
            .unwrap();
        assert_eq!(listed.as_ref(), Some(&etag));
    }

    #[test]
    fn folders_of_the_console_are_no_objects() {
        let server = Server::shared(Kind::Ministack);
        let bucket = server.bucket("folders");
        let aws = server.aws();
        for key in ["raw/", "raw/2026/", "raw/2026/a"] {
            let put = aws.s3().put_object().bucket(&bucket).key(key).body(ByteStream::from_static(b""));
            aws.wait(put.send()).unwrap();
        }
        assert_eq!(keys(&S3Storage::new(&aws, &*bucket, "raw"), ""), ["2026/a"]);
    }

    #[test]
    fn listings_go_on_page_after_page() {
        for kind in [Kind::Ministack, Kind::Moto, Kind::Seaweedfs] {
            let storage = storage(Server::shared(kind), "pages");
            let expected: Vec<_> = (0..1_003).map(|number| format!("page/{number:05}")).collect();
            std::thread::scope(|scope| {
                for keys in expected.chunks(300) {
                    let storage = &storage;
                    scope.spawn(move || keys.iter().for_each(|key| storage.put(key, b"").unwrap()));
                }
            });
            assert!(keys(&storage, "page/") == expected, "{kind:?}");
        }
    }
}

mod parts {
    use super::*;

    /// Moto is the one that knows the least size of a part.
    const ALL: [Kind; 3] = [Kind::Ministack, Kind::Moto, Kind::Seaweedfs];

    #[test]
    fn a_large_object_goes_in_parts() {
        let content = bytes(21 * MIB + 5);
        for kind in ALL {
            let storage = storage(Server::shared(kind), "parts");
            storage.put("large", &content).unwrap();
            let meta = storage.head("large").unwrap().unwrap();
            assert!(meta.etag.unwrap().ends_with("-3"), "{kind:?}: 8 + 8 + 5 MiB");
            assert!(storage.read("large").unwrap().unwrap() == content, "{kind:?}");
            assert_eq!(
                storage.get_range("large", 8 * MIB as u64 - 3..8 * MIB as u64 + 3).unwrap(),
                content[8 * MIB - 3..8 * MIB + 3]
            );
        }
    }

    #[test]
    fn what_just_fits_goes_in_one() {
        let storage = storage(Server::shared(Kind::Ministack), "whole");
        storage.put("large", &bytes(16 * MIB)).unwrap();
        assert!(!storage.head("large").unwrap().unwrap().etag.unwrap().contains('-'));
    }

    #[test]
    fn parts_are_conditional_too() {
        let (one, other) = (bytes(17 * MIB), bytes(18 * MIB));
        for kind in ALL {
            let storage = storage(Server::shared(kind), "parts");
            assert_eq!(storage.put_noted("a", &one, "v1").unwrap(), Put::Created, "{kind:?}");
            assert_eq!(storage.put_if_absent("a", &other).unwrap(), Put::AlreadyThere, "{kind:?}");
            let meta = storage.head("a").unwrap().unwrap();
            assert_eq!((meta.size, meta.note.as_deref()), (17 * MIB as u64, Some("v1")), "{kind:?}");
            assert_eq!(
                storage.compare_and_swap("a", Some(&other), &other).unwrap(),
                Swap::Conflict,
                "{kind:?}"
            );
            assert_eq!(storage.compare_and_swap("a", Some(&one), &other).unwrap(), Swap::Done, "{kind:?}");
            assert_eq!(storage.head("a").unwrap().unwrap().size, 18 * MIB as u64, "{kind:?}");
        }
    }

    /// On ministack alone: moto looks and writes in two steps, and so does SeaweedFS when parts are put together, where
    /// two of three writers were told once that they had created it.
    #[test]
    fn of_writers_in_parts_one_creates() {
        let storage = storage(Server::shared(Kind::Ministack), "race");
        let created = std::thread::scope(|scope| {
            let write = |size| storage.put_if_absent("a", &bytes(size * MIB)).unwrap();
            let writers: Vec<_> = (17..20).map(|size| scope.spawn(move || write(size))).collect();
            let puts = writers.into_iter().map(|writer| writer.join().unwrap());
            puts.filter(|put| *put == Put::Created).count()
        });
        assert_eq!(created, 1);
    }

    #[test]
    fn parts_of_what_failed_are_removed() {
        let (storage, faults) = with_faults(Access::default());
        faults
            .rule(&on("CompleteMultipartUpload", json!({"error": {"code": "AccessDenied", "status": 403}})));
        let error = storage.put("a", &bytes(17 * MIB)).unwrap_err();
        assert!(error.to_string().contains("s3:PutObject: permission denied"), "{error}");
        assert_eq!(storage.head("a").unwrap(), None);
        let aws = faults.aws();
        let left = aws.wait(aws.s3().list_multipart_uploads().bucket(storage.bucket()).send()).unwrap();
        assert!(left.uploads().is_empty(), "{left:?}");
    }
}

/// A rule for one operation of S3, by the name that it has there rather than in the proxy.
fn on(operation: &str, mut rule: Value) -> Value {
    rule["service"] = "s3".into();
    rule["operation"] = operation.into();
    if operation == "CompleteMultipartUpload" {
        rule["operation"] = "CreateMultipartUpload".into();
        rule["body"] = operation.into();
    }
    rule
}

/// A storage behind a proxy of its own. What `bounds` says of where and who is not used.
fn with_faults(bounds: Access) -> (S3Storage, Faults) {
    let server = Server::shared(Kind::Ministack);
    let faults = Faults::before(server);
    let there = faults.server().settings();
    let aws = Aws::start_with(Access {
        endpoint: there.endpoint,
        region: there.region,
        credentials: there.credentials,
        ..bounds
    });
    (S3Storage::new(&aws.unwrap(), server.bucket("faults"), "x"), faults)
}

/// The operations that were hit, and how.
fn fired(faults: &Faults) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    faults.fired().iter().map(|event| (text(&event["operation"]), text(&event["action"]))).collect()
}

mod refusals {
    use super::*;

    #[test]
    fn a_bucket_that_is_not_there_is_told() {
        for kind in [Kind::Ministack, Kind::Moto, Kind::Seaweedfs] {
            let storage = S3Storage::new(&Server::shared(kind).aws(), "no-such-bucket", "x");
            let hint = "check the bucket's name and AWS_REGION, or create it; then try again";
            let results = [
                ("s3://no-such-bucket/x/a: s3:GetObject", storage.get("a").map(drop)),
                ("s3://no-such-bucket/x/a: s3:GetObject", storage.read("a").map(drop)),
                ("s3://no-such-bucket/x/a: s3:PutObject", storage.put("a", b"text")),
                ("s3://no-such-bucket/x/a: s3:PutObject", storage.put_if_absent("a", b"text").map(drop)),
                ("s3://no-such-bucket/x/a: s3:PutObject", storage.put("a", &bytes(17 * MIB))),
                ("s3://no-such-bucket/x/: s3:ListBucket", storage.list("", &mut |_| Ok(()))),
            ];
            for (what, result) in results {
                let error = result.expect_err(what);
                assert!(
                    error
                        .to_string()
                        .starts_with(&format!("{what}: there is no such bucket (NoSuchBucket: ")),
                    "{kind:?}: {error}"
                );
                assert_eq!(error.hint(), Some(hint), "{kind:?}");
            }
        }
    }

    /// SeaweedFS is the one that looks at signatures.
    #[test]
    fn wrong_credentials_are_told() {
        let server = Server::shared(Kind::Seaweedfs);
        let bucket = server.bucket("credentials");
        let with = |key: &str, secret: &str| {
            let credentials = Some(Credentials::new(key, secret, None, None, "test"));
            let aws = Aws::start_with(Access { credentials, ..server.settings() }).unwrap();
            S3Storage::new(&aws, &*bucket, "x").put("a", b"text").unwrap_err()
        };
        let (key, secret) = servers::ACCESS_KEY;
        for (error, code) in
            [(with("nobody", secret), "InvalidAccessKeyId"), (with(key, "hunter2"), "SignatureDoesNotMatch")]
        {
            let start =
                format!("s3://{bucket}/x/a: s3:PutObject: the credentials are not accepted ({code}: ");
            assert!(error.to_string().starts_with(&start), "{error}");
            assert!(error.hint().unwrap().starts_with("check the access key, its secret"));
            assert!(
                !error.to_string().contains("hunter2") && !error.to_string().contains("nobody/"),
                "{error}"
            );
        }
    }

    #[test]
    fn no_permission_is_told() {
        let (storage, faults) = with_faults(Access::default());
        faults.rule(&json!({"service": "s3", "error": {"code": "AccessDenied", "status": 403, "message": "Access Denied"}}));
        let uri = storage.uri("a");
        let behind = "; S3 says so too of an object that is not there, if the caller has no s3:ListBucket";
        let get = storage.get("a").unwrap_err();
        assert_eq!(
            get.to_string(),
            format!("{uri}: s3:GetObject: permission denied (AccessDenied: Access Denied{behind})")
        );
        let head = storage.head("a").unwrap_err();
        assert_eq!(head.to_string(), format!("{uri}: s3:GetObject: permission denied (HTTP 403{behind})"));
        let put = storage.put("a", b"text").unwrap_err();
        assert_eq!(
            put.to_string(),
            format!("{uri}: s3:PutObject: permission denied (AccessDenied: Access Denied)")
        );
        let delete = storage.delete("a").unwrap_err();
        assert_eq!(
            delete.to_string(),
            format!("{uri}: s3:DeleteObject: permission denied (AccessDenied: Access Denied)")
        );
        let list = storage.list("", &mut |_| Ok(())).unwrap_err();
        assert_eq!(
            list.to_string(),
            format!("{}: s3:ListBucket: permission denied (AccessDenied: Access Denied)", storage.uri(""))
        );
        assert!(get.hint().unwrap().starts_with("allow the caller this action on this resource"));
        assert_eq!(fired(&faults).len(), 5, "what is denied is not tried again");
    }

    #[test]
    fn nobody_listens_there() {
        let nowhere = Access { attempts: 1, ..servers::settings("http://127.0.0.1:9") };
        let storage = S3Storage::new(&Aws::start_with(nowhere).unwrap(), "bucket", "x");
        let error = storage.get("a").unwrap_err();
        assert!(error.to_string().starts_with("s3://bucket/x/a: s3:GetObject: no answer ("), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
        assert_eq!(
            error.hint(),
            Some("check the network, AWS_REGION and AWS_ENDPOINT_URL; trying again may help")
        );
    }
}
