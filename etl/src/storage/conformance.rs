//! What every storage must do, as a test that any implementation can be put through.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Put, Storage, StorageError, Swap};

/// Puts `storage` through its paces. It must be empty, and is not empty afterwards.
///
/// # Panics
/// With a message that says which promise is broken.
pub fn conformance(storage: &dyn Storage) {
    absent(storage);
    objects(storage);
    notes(storage);
    ranges(storage);
    names(storage);
    listing(storage);
    one_of_many_creates(storage);
    swaps(storage);
    no_update_is_lost(storage);
    large(storage);
}

fn absent(storage: &dyn Storage) {
    assert_eq!(storage.head("none/such").unwrap(), None);
    assert_eq!(storage.read("none/such").unwrap(), None);
    assert!(matches!(storage.get("none/such"), Err(StorageError::NotFound { .. })));
    assert!(matches!(storage.get_range("none/such", 0..1), Err(StorageError::NotFound { .. })));
    storage.delete("none/such").expect("deleting what is not there succeeds");
    assert_eq!(keys(storage, ""), [""; 0], "the storage has to be empty");
    assert!(matches!(storage.put("../up", b""), Err(StorageError::InvalidKey { .. })));
    let error = storage.get("none/such").unwrap_err().to_string();
    assert!(error.contains(&storage.uri("none/such")), "`{error}` does not name the object");
}

fn objects(storage: &dyn Storage) {
    storage.put("objects/a", b"one").unwrap();
    storage.put("objects/a", b"second").unwrap();
    assert_eq!(storage.read("objects/a").unwrap().unwrap(), b"second");
    let head = storage.head("objects/a").unwrap().expect("it was just written");
    assert_eq!((head.key.as_str(), head.size), ("objects/a", 6));
    assert_eq!(storage.get("objects/a").unwrap().meta, head);

    assert_eq!(storage.put_if_absent("objects/a", b"third").unwrap(), Put::AlreadyThere);
    assert_eq!(storage.read("objects/a").unwrap().unwrap(), b"second");

    assert_eq!(storage.put_if_absent("objects/empty", b"").unwrap(), Put::Created);
    assert_eq!(storage.head("objects/empty").unwrap().unwrap().size, 0);
    assert_eq!(storage.read("objects/empty").unwrap().unwrap(), b"");

    // A folder is no object.
    assert_eq!(storage.head("objects").unwrap(), None);
    assert!(matches!(storage.get("objects"), Err(StorageError::NotFound { .. })));
    assert_eq!(storage.head("objects/a/below").unwrap(), None);

    storage.delete("objects/a").unwrap();
    storage.delete("objects/a").expect("deleting twice succeeds");
    assert_eq!(storage.head("objects/a").unwrap(), None);
    assert_eq!(storage.put_if_absent("objects/a", b"fourth").unwrap(), Put::Created);
}

fn notes(storage: &dyn Storage) {
    assert_eq!(storage.put_noted("notes/a", b"text", "v1 \"note\"").unwrap(), Put::Created);
    assert_eq!(storage.put_noted("notes/a", b"other", "v2").unwrap(), Put::AlreadyThere);
    assert_eq!(storage.read("notes/a").unwrap().unwrap(), b"text");
    let note = storage.head("notes/a").unwrap().unwrap().note;
    assert!(note.is_none() || note.as_deref() == Some("v1 \"note\""), "{note:?}");
    storage.put_if_absent("notes/b", b"text").unwrap();
    assert_eq!(storage.head("notes/b").unwrap().unwrap().note, None);
}

fn ranges(storage: &dyn Storage) {
    storage.put("ranges/x", b"0123456789").unwrap();
    assert_eq!(storage.get_range("ranges/x", 0..10).unwrap(), b"0123456789");
    assert_eq!(storage.get_range("ranges/x", 3..5).unwrap(), b"34");
    assert_eq!(storage.get_range("ranges/x", 4..4).unwrap(), b"");
    let beyond = storage.get_range("ranges/x", 8..11);
    assert!(matches!(beyond, Err(StorageError::ShortBody { expected: 11, got: 10, .. })), "{beyond:?}");
}

fn names(storage: &dyn Storage) {
    let odd = ["a b", "a+b", "a%20b", "year=2026", "grün/日本", "a&b?c#d", "..a", "a'b\"c", "a\\b"];
    for name in odd {
        let key = format!("names/{name}");
        storage.put(&key, name.as_bytes()).unwrap();
        assert_eq!(storage.read(&key).unwrap().unwrap(), name.as_bytes(), "{key}");
        assert!(storage.uri(&key).ends_with(&key), "{key}");
    }
    let mut expected: Vec<_> = odd.iter().map(|name| format!("names/{name}")).collect();
    expected.sort();
    assert_eq!(keys(storage, "names/"), expected);
}

fn listing(storage: &dyn Storage) {
    let all = ["l/a", "l/a.b", "l/a/b", "l/a/c/d", "l/a0", "l/b/a", "l/b=1/x", "lm"];
    for key in all.iter().rev() {
        // A file system cannot have both `l/a` and `l/a/b`; the others come in an order that tempts to mistakes.
        if *key != "l/a" {
            storage.put(key, key.as_bytes()).unwrap();
        }
    }
    assert_eq!(keys(storage, "l"), &all[1..]);
    assert_eq!(keys(storage, "l/a"), &all[1..5]);
    assert_eq!(keys(storage, "l/a/"), ["l/a/b", "l/a/c/d"]);
    assert_eq!(keys(storage, "l/a/c/d"), ["l/a/c/d"]);
    assert_eq!(keys(storage, "l/b"), ["l/b/a", "l/b=1/x"]);
    assert_eq!(keys(storage, "l/none"), [""; 0]);

    let mut seen = 0;
    let stopped = storage.list("l/", &mut |meta| {
        seen += 1;
        storage.read(&meta.key).expect("a visitor may use the storage");
        Err(StorageError::NotFound { uri: meta.key })
    });
    assert!(matches!(stopped, Err(StorageError::NotFound { .. })));
    assert_eq!(seen, 1, "the visitor's error ends the listing");

    let mut seen = Vec::new();
    let enough = storage.list_while("l/", &mut |meta| {
        seen.push(meta.key);
        Ok(if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    enough.expect("to have seen enough is no error");
    assert_eq!(seen, ["l/a.b", "l/a/b", "l/a/c/d"], "a listing ends where its visitor has seen enough");
}

fn one_of_many_creates(storage: &dyn Storage) {
    for round in 0..20 {
        let key = format!("race/{round}/x");
        let created = AtomicUsize::new(0);
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let (key, created) = (&key, &created);
                scope.spawn(move || {
                    let put = storage.put_if_absent(key, &[writer; 100]).unwrap();
                    let seen = storage.read(key).unwrap().expect("after a put there is an object");
                    assert_eq!(seen, [seen[0]; 100], "an object is never a mixture");
                    if put == Put::Created {
                        assert_eq!(seen[0], writer, "who created it finds its own bytes");
                        created.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(created.into_inner(), 1, "exactly one writer creates {key}");
    }
}

fn swaps(storage: &dyn Storage) {
    let swap =
        |expected: Option<&[u8]>, new: &[u8]| storage.compare_and_swap("swap/x", expected, new).unwrap();
    assert_eq!(swap(Some(b"0"), b"1"), Swap::Conflict, "nothing is there yet");
    assert_eq!(swap(None, b"1"), Swap::Done);
    assert_eq!(swap(None, b"2"), Swap::Conflict);
    assert_eq!(swap(Some(b"0"), b"2"), Swap::Conflict);
    assert_eq!(swap(Some(b"1"), b"2"), Swap::Done);
    assert_eq!(storage.read("swap/x").unwrap().unwrap(), b"2");
}

fn no_update_is_lost(storage: &dyn Storage) {
    let increment = || loop {
        let old = storage.read("swap/counter").unwrap();
        let count: u32 = old.as_deref().map_or(0, |text| std::str::from_utf8(text).unwrap().parse().unwrap());
        let new = (count + 1).to_string();
        if storage.compare_and_swap("swap/counter", old.as_deref(), new.as_bytes()).unwrap() == Swap::Done {
            break;
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| increment()));
        }
    });
    assert_eq!(storage.read("swap/counter").unwrap().unwrap(), b"400");
}

fn large(storage: &dyn Storage) {
    let bytes: Vec<u8> =
        (0..20_u32 << 18).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    storage.put("large/x", &bytes).unwrap();
    let mut body = storage.get("large/x").unwrap();
    assert_eq!(body.meta.size, bytes.len() as u64);
    let mut back = Vec::new();
    body.reader.read_to_end(&mut back).unwrap();
    assert!(back == bytes, "20 MB came back changed");
    assert_eq!(
        storage.get_range("large/x", 10 << 20..(10 << 20) + 5).unwrap(),
        &bytes[10 << 20..(10 << 20) + 5]
    );
}

fn keys(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    storage
        .list(prefix, &mut |meta| {
            keys.push(meta.key);
            Ok(())
        })
        .unwrap();
    keys
}
