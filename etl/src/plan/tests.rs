use super::*;
use crate::error::Hint;
use crate::storage::MemoryStorage;

fn storage(keys: &[&str]) -> MemoryStorage {
    let storage = MemoryStorage::new("raw");
    for key in keys {
        storage.put(key, b"{}").unwrap();
    }
    storage
}

fn identities(plan: &Plan) -> Vec<&str> {
    plan.sources.iter().map(|source| source.name.as_str()).collect()
}

fn everything() -> Selection {
    Selection::Folder(String::new())
}

#[test]
fn hidden_names_are_left_out_and_counted() {
    let storage = storage(&[
        "2026/03/01/05/b",
        "2026/03/01/05/a",
        "2026/03/01/05/.part",
        "_iotlake/receipts/x",
        "2026/03/01/05/_SUCCESS",
    ]);
    let plan = plan(&storage, &everything(), &PlanOptions::default()).unwrap();
    assert_eq!(identities(&plan), ["memory://raw/2026/03/01/05/a", "memory://raw/2026/03/01/05/b"]);
    assert_eq!((plan.hidden, plan.bytes), (3, 4));
    assert_eq!(plan.sources[0].hour, Partition::new(2026, 3, 1, 5));
}

#[test]
fn until_is_exclusive() {
    let storage = storage(&["2026/02/28/23/a", "2026/03/01/00/b", "2026/03/01/23/c", "2026/03/02/00/d"]);
    let options = PlanOptions {
        since: Some("2026-03-01".parse().unwrap()),
        until: Some("2026-03-02".parse().unwrap()),
        ..PlanOptions::default()
    };
    let plan = plan(&storage, &everything(), &options).unwrap();
    assert_eq!(identities(&plan), ["memory://raw/2026/03/01/00/b", "memory://raw/2026/03/01/23/c"]);
    assert_eq!(plan.outside, 2);
}

#[test]
fn keys_without_an_hour_stop_a_run_that_needs_it() {
    let storage = storage(&["a.json", "b.json", "c.json", "d.json", "2026/03/01/05/e"]);
    let error = plan(&storage, &everything(), &PlanOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "4 of 5 sources have no hour in the key, such as memory://raw/a.json, memory://raw/b.json, \
         memory://raw/c.json"
    );
    assert!(error.hint().unwrap().contains("--partition-by event:PATH"));

    let by_event = PlanOptions { partition_by: "event:ts".parse().unwrap(), ..PlanOptions::default() };
    assert_eq!(plan(&storage, &everything(), &by_event).unwrap().sources.len(), 5);
    let since = PlanOptions { since: Some("2026-03-01".parse().unwrap()), ..by_event };
    assert!(matches!(plan(&storage, &everything(), &since), Err(PlanError::NoHour { count: 4, .. })));
}

#[test]
fn a_copy_has_the_identity_of_what_it_was_copied_from() {
    let storage = storage(&["copy/2026/03/01/05/a"]);
    let known_as = |uri: &str| PlanOptions { known_as: Some(uri.to_owned()), ..PlanOptions::default() };
    let source_name = |selection: &Selection, uri: &str| {
        plan(&storage, selection, &known_as(uri)).unwrap().sources.remove(0).name
    };
    let folder = Selection::Folder("copy/".into());
    assert_eq!(source_name(&folder, "s3://raw"), "s3://raw/2026/03/01/05/a");
    assert_eq!(source_name(&folder, "s3://raw/"), "s3://raw/2026/03/01/05/a");
    let object = Selection::Object("copy/2026/03/01/05/a".into());
    assert_eq!(source_name(&object, "s3://raw/2026/03/01/05/"), "s3://raw/2026/03/01/05/a");
    assert_eq!(source_name(&object, "s3://raw/2026/03/01/05/other"), "s3://raw/2026/03/01/05/other");
}

#[test]
fn what_cannot_be_where_a_source_came_from_is_refused() {
    for uri in [
        "",
        " ",
        "\t",
        "s3://",
        "S3://",
        "s3://x",
        "gs://",
        " s3://raw",
        "s3://raw ",
        "a\nb",
        "s3://raw/a//b",
    ] {
        assert!(check_known_as(uri).is_err(), "{uri:?}");
    }
    for uri in ["s3://raw", "s3://raw/", "s3://raw/2026/03/01/05/a", "gs://raw", "/mnt/raw", "the old server"]
    {
        assert_eq!(check_known_as(uri), Ok(()), "{uri:?}");
    }
}

#[test]
fn a_source_that_is_missing_or_empty_is_an_error() {
    let storage = storage(&["_only/hidden"]);
    let error = plan(&storage, &everything(), &PlanOptions::default()).unwrap_err();
    assert!(matches!(error, PlanError::Empty { hidden: 1, .. }), "{error}");
    let error = plan(&storage, &Selection::Object("none".into()), &PlanOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "source memory://raw/none: no such file or folder");
    assert!(matches!(open_local("/no/such/folder"), Err(PlanError::Missing { .. })));
}

#[test]
fn local_identities_do_not_depend_on_where_the_run_began() {
    let folder = tempfile::tempdir().unwrap();
    let hour = folder.path().join("raw/2026/03/01/05");
    std::fs::create_dir_all(&hour).unwrap();
    std::fs::write(hour.join("a"), b"{}").unwrap();
    let expected = std::fs::canonicalize(hour.join("a")).unwrap();
    for start in ["raw", "raw/2026/03", "raw/../raw", "raw/2026/03/01/05/a"] {
        let (storage, selection) = open_local(folder.path().join(start)).unwrap();
        let plan = plan(&storage, &selection, &PlanOptions::default()).unwrap();
        assert_eq!(identities(&plan), [expected.to_str().unwrap()], "{start}");
        assert_eq!(plan.sources[0].hour, Partition::new(2026, 3, 1, 5));
    }
}

#[cfg(unix)]
#[test]
fn one_file_under_two_names_is_ingested_once() {
    let folder = tempfile::tempdir().unwrap();
    let hour = folder.path().join("2026/03/01/05");
    std::fs::create_dir_all(&hour).unwrap();
    std::fs::write(hour.join("a"), b"{}").unwrap();
    std::os::unix::fs::symlink(hour.join("a"), hour.join("b")).unwrap();
    let (storage, selection) = open_local(folder.path()).unwrap();
    let plan = plan(&storage, &selection, &PlanOptions::default()).unwrap();
    assert_eq!((plan.sources.len(), plan.links), (1, 1));
}
