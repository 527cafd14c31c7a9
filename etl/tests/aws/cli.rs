//! The command line as somebody with a bucket runs it: the real program, with nothing but an address and credentials in
//! its environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use iotlake::catalog::{Catalog, GlueCatalog, TableName};
use iotlake::storage::{LocalStorage, S3Storage, Storage};
use serde_json::{Value, json};

use crate::servers::{ACCESS_KEY, Faults, Kind, REGION, Server};

/// What a command printed and how it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ended(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "{word}\n{}{}", self.out, self.err);
        }
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// Runs `iotlake` with words separated by spaces, in an environment that knows `server` and nothing else of AWS.
fn iotlake(server: &Server, words: &str) -> Ran {
    run(server, &words.split(' ').collect::<Vec<_>>())
}

fn run(server: &Server, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotlake"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // A profile of whoever runs the tests says nothing here.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sample").canonicalize().unwrap()
}

/// The committed sample below `raw/` of a new bucket.
fn upload_sample(server: &Server) -> String {
    let bucket = server.bucket("raw");
    let raw = S3Storage::new(&server.aws(), &*bucket, "raw");
    for (key, bytes) in contents(&LocalStorage::open(sample()).unwrap()) {
        raw.put(&key, &bytes).unwrap();
    }
    bucket
}

fn contents(storage: &dyn Storage) -> BTreeMap<String, Vec<u8>> {
    let mut keys = Vec::new();
    let visit = &mut |meta: iotlake::storage::ObjectMeta| {
        keys.push(meta.key);
        Ok(())
    };
    storage.list("", visit).unwrap();
    keys.into_iter().map(|key| (key.clone(), storage.read(&key).unwrap().unwrap())).collect()
}

fn on_s3_and_glue(kind: Kind, database: &str) {
    let server = Server::shared(kind);
    let bucket = server.bucket("lake");
    let source = sample();
    let source = source.to_str().unwrap();
    let lake = format!("--lake s3://{bucket}/iot --catalog glue:{database}");
    let backfill = format!("backfill {source} {lake} --contract rigado --as s3://elsewhere/raw");

    let missing = iotlake(server, &backfill).ended(1);
    missing.says(&["there is no such database", "--create-database"]);
    let first = iotlake(server, &format!("{backfill} --create-database")).ended(3);
    first.says(&[
        "960 records = 950 rows + 10 rejected   (12 sources: 12 done, 0 already done, 0 failed)",
        &format!("iotlake query {lake} "),
    ]);
    let second = iotlake(server, &backfill).ended(0);
    second.says(&[
        "nothing to do: all sources were ingested before",
        "(12 sources: 0 done, 12 already done, 0 failed)",
    ]);
    iotlake(server, &format!("audit {lake} --bytes"))
        .ended(0)
        .says(&["950 rows, 10 rejected", "no findings"]);

    // Glue tells the same table as documents beside a local lake do.
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().to_str().unwrap();
    let same = format!("backfill {source} --lake {local} --contract rigado --as s3://elsewhere/raw");
    iotlake(server, &same).ended(3);
    for name in ["events", "events_rigado"] {
        let remote = iotlake(server, &format!("schema {name} {lake}")).ended(0);
        let embedded = iotlake(server, &format!("schema {name} --lake {local}")).ended(0);
        assert_eq!(remote.out, embedded.out);
    }
    iotlake(server, &format!("schema events_rigado {lake} --sql")).ended(0).says(&["FROM \"events\""]);
    let storage = S3Storage::new(&server.aws(), &*bucket, "iot");
    let (remote, mut embedded) = (contents(&storage), contents(&LocalStorage::open(local).unwrap()));
    embedded.retain(|key, _| !key.starts_with("_iotlake/catalog/"));
    assert!(remote == embedded, "{:?}\n{:?}", remote.keys(), embedded.keys());

    if cfg!(feature = "query") {
        let lake: Vec<_> = lake.split(' ').collect();
        let ask =
            |sql: &str| run(server, &[&["query", "--format", "csv", sql], &*lake].concat()).ended(0).out;
        assert_eq!(ask("SELECT count(*) AS n FROM events"), "n\r\n950\r\n");
        assert_eq!(ask("SELECT count(*) AS n FROM events_rejects"), "n\r\n10\r\n");
        let hours = "SELECT hour, count(*) AS n FROM events_rigado WHERE hour < '10' GROUP BY 1 ORDER BY 1";
        assert_eq!(ask(hours).lines().count(), 3);
    }
}

#[test]
fn a_lake_on_s3_and_glue_is_the_same_as_a_local_one_by_ministack() {
    on_s3_and_glue(Kind::Ministack, "cli_ministack");
}

#[test]
fn a_lake_on_s3_and_glue_is_the_same_as_a_local_one_by_moto() {
    on_s3_and_glue(Kind::Moto, "cli_moto");
}

/// By moto: ministack knows no `UpdatePartition`.
#[test]
fn hours_are_compacted_as_beside_a_local_lake_and_athena_is_told_where_they_lie() {
    let server = Server::shared(Kind::Moto);
    let bucket = server.bucket("lake");
    let source = sample();
    let backfill = format!("backfill {} --contract rigado --as s3://elsewhere/raw", source.display());
    let lake = format!("--lake s3://{bucket}/iot --catalog glue:cli_compacted");
    iotlake(server, &format!("{backfill} {lake} --create-database")).ended(3);
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().to_str().unwrap();
    iotlake(server, &format!("{backfill} --lake {local}")).ended(3);

    let compacted = iotlake(server, &format!("compact {lake} --grace 0")).ended(0);
    compacted.says(&["events: 6 of 6 partitions compacted: 12 files", "became 6 files", "of 950 rows"]);
    iotlake(server, &format!("compact --lake {local} --grace 0 --quiet")).ended(0);
    let storage = S3Storage::new(&server.aws(), &*bucket, "iot");
    let (remote, mut embedded) = (contents(&storage), contents(&LocalStorage::open(local).unwrap()));
    embedded.retain(|key, _| !key.starts_with("_iotlake/catalog/"));
    assert!(remote == embedded, "{:?}\n{:?}", remote.keys(), embedded.keys());
    iotlake(server, &format!("audit {lake} --bytes")).ended(0).says(&[
        "950 rows, 10 rejected",
        "no findings",
        "6 partitions compacted\n",
    ]);

    let catalog = GlueCatalog::new(&server.aws(), "cli_compacted", &format!("s3://{bucket}/iot"));
    let rows = TableName::rows("events");
    for partition in catalog.partitions(&rows).unwrap() {
        let location = catalog.location(&rows, partition).unwrap().unwrap();
        let files = remote.keys().filter(|key| key.starts_with(&format!("events/{location}/"))).count();
        assert_eq!(files, 1, "{location}");
        assert!(location.starts_with(&partition.folder_aside()), "{location}");
    }
    if cfg!(feature = "query") {
        let lake: Vec<_> = lake.split(' ').collect();
        let sql = "SELECT count(*) AS n FROM events WHERE hour = '08' OR hour > '08'";
        let answer = run(server, &[&["query", "--format", "csv", sql], &*lake].concat()).ended(0);
        assert_eq!(answer.out, "n\r\n950\r\n");
    }
}

#[test]
fn sources_and_lake_on_s3_need_no_glue() {
    let server = Server::shared(Kind::Ministack);
    let raw = upload_sample(server);
    let bucket = server.bucket("lake");
    let lake = format!("--lake s3://{bucket}");
    // One object, then a folder of it, then all: identities do not depend on where a run began.
    let object = contents(&S3Storage::new(&server.aws(), &*raw, "raw")).into_keys().next().unwrap();
    let one = iotlake(server, &format!("backfill s3://{raw}/raw/{object} {lake} --json"));
    assert_eq!(one.json()["sources"]["done"], 1, "{}", one.err);
    let year = iotlake(server, &format!("backfill s3://{raw}/raw/2026/ {lake} --json"));
    let expected = json!([11, 1, 0]);
    let sources = |ran: &Ran| {
        let report = ran.json();
        json!([report["sources"]["done"], report["sources"]["already_done"], report["sources"]["failed"]])
    };
    assert_eq!(sources(&year), expected, "{}", year.err);
    let all = iotlake(server, &format!("backfill s3://{raw}/raw {lake} --json --jobs 8")).ended(0);
    assert_eq!(sources(&all), json!([0, 12, 0]));
    iotlake(server, &format!("audit {lake} --bytes"))
        .ended(0)
        .says(&["950 rows, 10 rejected", "no findings"]);

    // As if it had been ingested from a local copy; receipts note the versions that S3 has and folders have not.
    let folder = tempfile::tempdir().unwrap();
    let (source, local) = (sample(), folder.path().to_str().unwrap());
    iotlake(server, &format!("backfill {} --lake {local} --as s3://{raw}/raw", source.display())).ended(3);
    let is_file = |key: &String, _: &mut Vec<u8>| key.ends_with(".parquet");
    let mut remote = contents(&S3Storage::new(&server.aws(), &*bucket, ""));
    let mut embedded = contents(&LocalStorage::open(local).unwrap());
    remote.retain(is_file);
    embedded.retain(is_file);
    assert!(remote == embedded, "{:?}\n{:?}", remote.keys(), embedded.keys());

    let out = folder.path().join("one.parquet");
    let convert = iotlake(server, &format!("convert s3://{raw}/raw/{object} {}", out.display()));
    assert!(matches!(convert.code, 0 | 3) && out.exists(), "{}", convert.err);
    iotlake(server, &format!("convert s3://{raw}/raw {}", folder.path().join("x.parquet").display()))
        .ended(1)
        .says(&["no such object", "a whole prefix is for `iotlake backfill`"]);
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::shared(Kind::Ministack);
    let bucket = server.bucket("lake");
    let empty = iotlake(server, &format!("backfill s3://{bucket}/raw --lake s3://{bucket}/lake")).ended(1);
    empty
        .says(&[&format!("source s3://{bucket}/raw/: the folder holds no files"), "check bucket and prefix"]);
    let sample = sample();
    for words in [
        format!("backfill {} --lake s3://no-such-bucket-of-ours/lake", sample.display()),
        format!("backfill s3://no-such-bucket-of-ours/raw --lake s3://{bucket}/lake"),
        "audit --lake s3://no-such-bucket-of-ours".to_owned(),
        "schema --lake s3://no-such-bucket-of-ours".to_owned(),
    ] {
        iotlake(server, &words).ended(1).says(&["there is no such bucket", "hint: check the bucket's name"]);
    }
    assert!(contents(&S3Storage::new(&server.aws(), &*bucket, "")).is_empty());
}

#[test]
fn one_source_that_is_denied_does_not_stop_the_others() {
    let upstream = Server::shared(Kind::Ministack);
    let raw = upload_sample(upstream);
    let bucket = upstream.bucket("lake");
    let faults = Faults::before(upstream);
    let server = faults.server();
    let lake = format!("--lake s3://{bucket} --catalog glue:cli_faults");
    let backfill = format!("backfill s3://{raw}/raw {lake} --create-database --json");
    let keys = contents(&S3Storage::new(&upstream.aws(), &*raw, "raw"));
    let denied = json!({"code": "AccessDenied", "status": 403});
    faults.rule(
        &json!({"service": "s3", "operation": "GetObject", "resource": raw, "times": 1, "error": denied}),
    );
    let first = iotlake(server, &backfill).ended(1);
    let report = first.json();
    let sources = &report["sources"];
    assert_eq!((&sources["done"], &sources["failed"]), (&json!(11), &json!(1)), "{}", first.err);
    let failure = &report["failures"][0];
    let source = failure["source"].as_str().unwrap();
    assert!(keys.contains_key(source.strip_prefix(&format!("s3://{raw}/raw/")).unwrap()), "{source}");
    assert!(failure["hint"].as_str().unwrap().contains("allow the caller this action"), "{failure}");
    first.says(&["s3:GetObject: permission denied", "hint: allow the caller this action"]);

    // Throttled is not failed: the client waits and tries again.
    faults.clear();
    let slow = json!({"code": "SlowDown", "status": 503});
    faults.rule(
        &json!({"service": "s3", "operation": "GetObject", "resource": raw, "times": 2, "error": slow}),
    );
    let second = iotlake(server, &backfill).json();
    assert_eq!((&second["sources"]["done"], &second["sources"]["already_done"]), (&json!(1), &json!(11)));
    assert!(!faults.fired().is_empty());
    faults.clear();
    iotlake(server, &format!("audit {lake}")).ended(0);

    if cfg!(feature = "query") {
        // Glue still answers, so that it is a file that cannot be read.
        faults.rule(&json!({"service": "s3", "operation": "GetObject", "resource": bucket, "error": denied}));
        let lake: Vec<_> = lake.split(' ').collect();
        let query = run(server, &[&["query", "SELECT count(ts) FROM events"], &*lake].concat()).ended(1);
        query.says(&[
            "cannot read the lake: s3://",
            "s3:GetObject: permission denied",
            "hint: allow the caller",
        ]);
    }
}

#[test]
fn a_copy_of_what_was_ingested_from_s3_is_noticed() {
    let server = Server::shared(Kind::Ministack);
    let raw = upload_sample(server);
    let bucket = server.bucket("lake");
    iotlake(server, &format!("backfill s3://{raw}/raw --lake s3://{bucket} --quiet")).ended(3);
    let sample = sample();
    let copy = iotlake(server, &format!("backfill {} --lake s3://{bucket}", sample.display())).ended(1);
    copy.says(&[
        "looks as if it was ingested before",
        &format!("hint: if it is a copy, say where it came from: --as s3://{raw}/raw"),
    ]);
    let said =
        iotlake(server, &format!("backfill {} --lake s3://{bucket} --as s3://{raw}/raw", sample.display()));
    said.ended(0).says(&["nothing to do"]);
}

#[test]
fn a_watch_into_a_lake_on_s3_begins_with_one_listing_of_receipts() {
    let upstream = Server::shared(Kind::Ministack);
    let bucket = upstream.bucket("lake");
    let faults = Faults::before(upstream);
    let watch =
        format!("watch {} --lake s3://{bucket} --once --settle 0 --jobs 1 --json", sample().display());
    let sources = |ran: &Ran| -> Value {
        let totals: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
        json!([totals["sources"]["done"], totals["sources"]["already_done"]])
    };
    let first = iotlake(faults.server(), &watch).ended(3);
    assert_eq!(sources(&first), json!([12, 0]));
    // Whoever asks for one source, asks first for the metadata of its receipt.
    let denied = json!({"code": "AccessDenied", "status": 403});
    faults.rule(&json!({"service": "s3", "operation": "HeadObject", "resource": bucket, "error": denied}));
    let again = iotlake(faults.server(), &watch).ended(0);
    assert_eq!(sources(&again), json!([0, 12]));
    assert!(faults.fired().is_empty());
}
