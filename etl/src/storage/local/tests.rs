use std::fs;

use super::*;

fn storage() -> (tempfile::TempDir, LocalStorage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(folder.path()).unwrap().with_durability(Durability::None);
    (folder, storage)
}

fn keys(storage: &LocalStorage, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    storage
        .list(prefix, &mut |meta| {
            keys.push(meta.key);
            Ok(())
        })
        .unwrap();
    keys
}

#[test]
fn conforms() {
    let (_folder, storage) = storage();
    crate::storage::conformance::conformance(&storage);
}

#[test]
fn writes_reach_the_disk_when_asked_to() {
    let (folder, storage) = storage();
    let storage = storage.with_durability(Durability::Fsync);
    assert_eq!(storage.put_if_absent("a/b", b"x").unwrap(), Put::Created);
    assert_eq!(fs::read(folder.path().join("a/b")).unwrap(), b"x");
}

#[test]
fn reading_creates_nothing() {
    let (folder, storage) = storage();
    assert!(storage.head("a").unwrap().is_none());
    assert!(storage.get("a").is_err());
    assert!(keys(&storage, "").is_empty());
    storage.delete("a/b").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn temporary_files_and_locks_are_no_objects() {
    let (folder, storage) = storage();
    storage.put("_iotlake/receipts/t", b"1").unwrap();
    storage.compare_and_swap("_iotlake/receipts/t", Some(b"1"), b"2").unwrap();
    fs::write(folder.path().join("_iotlake/tmp/left-by-a-crash"), b"half").unwrap();
    assert_eq!(keys(&storage, ""), ["_iotlake/receipts/t"]);
    assert_eq!(keys(&storage, "_iotlake/t"), [""; 0]);
    assert!(matches!(storage.get("_iotlake/tmp/left-by-a-crash"), Err(StorageError::InvalidKey { .. })));
    assert_eq!(fs::read_dir(folder.path().join("_iotlake/tmp")).unwrap().count(), 1);
}

#[test]
fn temporary_files_of_a_run_that_was_killed_go_after_a_day() {
    let (folder, storage) = storage();
    storage.put("a", b"1").unwrap();
    let left = |name: &str, hours: u64| {
        let path = folder.path().join("_iotlake/tmp").join(name);
        let file = File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        path
    };
    let (old, young) = (left("1-2-3", 25), left("4-5-6", 23));
    assert_eq!(storage.sweep().unwrap(), ["_iotlake/tmp/1-2-3"]);
    assert!(!old.exists() && young.exists());
    // The next run does it by itself.
    let old = left("1-2-3", 25);
    LocalStorage::open(folder.path()).unwrap().put("b", b"2").unwrap();
    assert!(!old.exists() && young.exists());
    let empty = tempfile::tempdir().unwrap();
    assert!(LocalStorage::open(empty.path()).unwrap().sweep().unwrap().is_empty());
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_lock_that_is_held_for_ever_is_told_of_with_its_holder() {
    let (folder, storage) = storage();
    let storage = storage.with_patience(Duration::from_millis(20));
    storage.put("a", b"1").unwrap();
    let turn = LocalStorage::open(folder.path()).unwrap().take_turn("a").unwrap();
    let error = storage.compare_and_swap("a", Some(b"1"), b"2").unwrap_err();
    let StorageError::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    assert!(error.to_string().ends_with(&format!("by process {}", std::process::id())), "{error}");
    assert_eq!(storage.compare_and_swap("b", None, b"2").unwrap(), Swap::Done, "other keys are free");
    drop(turn);
    assert_eq!(storage.compare_and_swap("a", Some(b"1"), b"2").unwrap(), Swap::Done);
}

#[test]
fn a_root_that_is_no_folder_is_refused() {
    let (folder, storage) = storage();
    storage.put("file", b"").unwrap();
    let open = LocalStorage::open(folder.path().join("file"));
    assert!(matches!(open, Err(StorageError::NotAFolder { .. })));
    let create = LocalStorage::create(folder.path().join("file"));
    assert!(matches!(create, Err(StorageError::NotAFolder { .. })));
    assert!(matches!(LocalStorage::open(folder.path().join("none")), Err(StorageError::NotFound { .. })));
    LocalStorage::create(folder.path().join("new/lake")).unwrap();
}

#[test]
fn keys_cannot_leave_the_folder() {
    let (_folder, storage) = storage();
    for key in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\0b"] {
        assert!(matches!(storage.get(key), Err(StorageError::InvalidKey { .. })), "{key:?}");
        assert!(matches!(storage.put(key, b""), Err(StorageError::InvalidKey { .. })), "{key:?}");
    }
    assert!(keys(&storage, "../").is_empty());
}

#[test]
fn a_source_that_changes_while_it_is_read_fails_whatever_its_length() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("written over", |path| fs::write(path, b"other").unwrap()),
        ("replaced", |path| {
            fs::write(path.with_extension("new"), b"other").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("put aside", |path| fs::rename(path, path.with_extension("old")).unwrap()),
    ];
    for (what, change) in changes {
        let (folder, storage) = storage();
        let path = folder.path().join("a");
        fs::write(&path, b"first").unwrap();
        // So long ago that the clock's grain does not matter.
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let read = |act: &dyn Fn()| {
            let mut body = storage.get_source("a").unwrap();
            let mut bytes = [0; 2];
            body.reader.read_exact(&mut bytes).unwrap();
            act();
            let rest = body.reader.read_to_end(&mut Vec::new());
            rest.map_err(|error| StorageError::from_io("a", error))
        };
        assert_eq!(read(&|| {}).unwrap(), 3, "{what}");
        let error = read(&|| change(&path)).unwrap_err();
        assert!(matches!(error, StorageError::Changed { .. }), "{what}: {error}");
    }
}

#[test]
fn an_object_of_the_lake_that_is_swapped_while_it_is_read_is_the_old_one() {
    let (_folder, storage) = storage();
    storage.put("a", b"first").unwrap();
    let mut body = storage.get("a").unwrap();
    storage.put("a", b"other").unwrap();
    let mut bytes = Vec::new();
    body.reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"first");
}

#[test]
fn an_old_file_moved_over_a_new_one_is_noticed() {
    let (folder, storage) = storage();
    storage.put("a", b"new").unwrap();
    let before = storage.head("a").unwrap().unwrap();
    let old = folder.path().join("old");
    let file = File::create(&old).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::rename(&old, folder.path().join("a")).unwrap();
    let after = storage.head("a").unwrap().unwrap();
    assert!(after.modified >= before.modified);
}

#[cfg(unix)]
mod links {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn are_followed_but_not_round_in_circles() {
        let (folder, storage) = storage();
        storage.put("real/x", b"1").unwrap();
        symlink(folder.path().join("real"), folder.path().join("alias")).unwrap();
        symlink(folder.path(), folder.path().join("real/up")).unwrap();
        symlink(folder.path().join("real/x"), folder.path().join("file")).unwrap();
        symlink("nowhere", folder.path().join("broken")).unwrap();
        assert_eq!(keys(&storage, ""), ["alias/x", "broken", "file", "real/x"]);
        assert_eq!(storage.read("alias/x").unwrap().unwrap(), b"1");
        assert_eq!(storage.uri("alias/x"), storage.uri("real/x"));
        assert!(matches!(storage.get("broken"), Err(StorageError::NotFound { .. })));
    }

    #[test]
    fn do_not_lead_into_a_folder_that_is_left_out() {
        let (folder, storage) = storage();
        storage.put("src/x", b"1").unwrap();
        storage.put("lake/events/y", b"2").unwrap();
        let source = folder.path().join("src");
        symlink(folder.path(), source.join("up")).unwrap();
        symlink(folder.path().join("lake"), source.join("lake")).unwrap();
        symlink(folder.path().join("lake/events/y"), source.join("z")).unwrap();
        let source = LocalStorage::open(source).unwrap();
        assert_eq!(keys(&source, ""), ["lake/events/y", "up/lake/events/y", "x", "z"]);
        let source = source.leaving_out(&folder.path().join("lake"));
        assert_eq!(keys(&source, ""), ["x"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_named_in_the_error() {
        let (folder, storage) = storage();
        fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9.json")), b"{}").unwrap();
        let error = storage.list("", &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("caf\u{fffd}.json"), "{error}");
    }
}
