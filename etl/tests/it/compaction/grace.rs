//! How long what was superseded stays for those who read it.

use iotlake::remove::{self, Which};
use iotlake::storage::LocalStorage;

use super::*;

#[test]
fn superseded_files_stay_for_as_long_as_they_may_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::create_local(folder.path()).unwrap();
    run(&lake, &sources(&["a", "b"], 1), &by_arrival());
    let options = CompactOptions { grace: Duration::from_secs(3600), ..at_once() };
    let compactor = Compactor::new(&lake, &options);
    compactor.partition(TABLE, hour()).unwrap();
    let now = SystemTime::now();
    assert_eq!(compactor.sweep(TABLE, hour(), now).unwrap(), Swept { files: 0, bytes: 0, kept: 2 });
    run(&lake, &sources(&["c"], 1), &by_arrival());
    compactor.partition(TABLE, hour()).unwrap();
    // Two sources of the first generation, its file, and the source of the second.
    assert_eq!(compactor.sweep(TABLE, hour(), now).unwrap(), Swept { files: 0, bytes: 0, kept: 4 });
    let swept = compactor.sweep(TABLE, hour(), now + Duration::from_secs(3700)).unwrap();
    assert_eq!((swept.files, swept.kept), (4, 0));
    assert_eq!(seen(&lake).len(), 9);
    assert_sound(&lake, "swept");
    assert_eq!(Generations::new(&*lake.storage).numbers(TABLE, hour()).unwrap().newest(), 2);
}

#[test]
fn whoever_reads_where_the_catalog_said_until_now_has_the_grace_too() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(MemoryCatalog::new());
    let lake = Lake::new(Arc::new(LocalStorage::create(folder.path()).unwrap()), catalog.clone());
    run(&lake, &sources(&["a", "b"], 1), &by_arrival());
    let options = CompactOptions { grace: Duration::from_secs(3600), ..at_once() };
    Compactor::new(&lake, &options).partition(TABLE, hour()).unwrap();
    // As if that run had been killed in front of its last effect, and nobody had come since.
    catalog.relocate(&TableName::rows(TABLE), hour(), &hour().folder()).unwrap();
    let later = SystemTime::now() + Duration::from_secs(3700);
    let next = Compactor::new(&lake, &options);
    assert_eq!(next.partition(TABLE, hour()).unwrap(), Outcome::Nothing { waiting: 0 });
    let location = catalog.location(&TableName::rows(TABLE), hour()).unwrap().unwrap();
    assert!(location.contains("/g1-"), "{location}");
    assert_eq!(next.sweep(TABLE, hour(), later).unwrap(), Swept { files: 0, bytes: 0, kept: 2 });
    let swept = Compactor::new(&lake, &options).sweep(TABLE, hour(), later).unwrap();
    assert_eq!((swept.files, swept.kept), (2, 0));
    assert_eq!(seen(&lake).len(), 6);
}

#[test]
fn what_a_run_that_was_killed_has_made_goes_though_there_is_nothing_to_compact_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::create_local(folder.path()).unwrap();
    run(&lake, &sources(&["a", "b"], 1), &by_arrival());
    let options = at_once();
    let compactor = Compactor::new(&lake, &options);
    compactor.partition(TABLE, hour()).unwrap();
    // As if it had been killed in front of its manifest.
    let manifest = Generations::manifest_key(TABLE, hour(), 1);
    lake.storage.delete(&manifest).unwrap();
    lake.storage.put(&manifest.replace(".json", ".begun"), b"{}\n").unwrap();
    let leaving = remove::find(&lake, TABLE, Which::Source("s3://raw/2026/03/01/09/b")).unwrap();
    remove::remove(&lake, &leaving).unwrap();
    let made = |lake: &Lake| contents(&*lake.storage).into_keys().filter(|key| key.contains("%39")).count();
    // The removal has taken the number, for somebody may be at it: what was made there lost it.
    assert_eq!(made(&lake), 1);
    assert_eq!(compactor.sweep(TABLE, hour(), SystemTime::now()).unwrap().files, 1);

    run(&lake, &sources(&["c"], 1), &by_arrival());
    compactor.partition(TABLE, hour()).unwrap();
    lake.storage.delete(&Generations::manifest_key(TABLE, hour(), 2)).unwrap();
    let begun = Generations::manifest_key(TABLE, hour(), 2).replace(".json", ".begun");
    lake.storage.put(&begun, b"{}\n").unwrap();
    assert_eq!(compactor.sweep(TABLE, hour(), SystemTime::now()).unwrap().files, 0, "somebody may be at it");
    assert_eq!(made(&lake), 1);
    let later = SystemTime::now() + Duration::from_secs(25 * 60 * 60);
    compactor.sweep(TABLE, hour(), later).unwrap();
    assert_eq!(seen(&lake).len(), 6);
    assert_eq!(survey(&lake, TABLE).unwrap()[0].generation, 2, "the number is taken");
    assert_swept(&Arc::new(copy_of(&lake)), "swept");
}

fn copy_of(lake: &Lake) -> MemoryStorage {
    let copy = MemoryStorage::new("lake");
    contents(&*lake.storage).into_iter().for_each(|(key, bytes)| copy.put(&key, &bytes).unwrap());
    copy
}
