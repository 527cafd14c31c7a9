use object_store::ObjectStoreExt;

use super::*;
use crate::error::Hint;
use crate::storage::{Body, MemoryStorage, Put, Swap, Visitor};

const KEY: &str = "t/year=2026/a.parquet";

/// A storage in memory that notes what is asked of it.
#[derive(Debug)]
struct Noting {
    inner: MemoryStorage,
    asked: Mutex<Vec<String>>,
}

impl Noting {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Storage for Noting {
    fn uri(&self, key: &str) -> String {
        self.inner.uri(key)
    }

    fn head(&self, key: &str) -> storage::Result<Option<storage::ObjectMeta>> {
        self.note(format!("head {key}"));
        self.inner.head(key)
    }

    fn get(&self, key: &str) -> storage::Result<Body> {
        self.note(format!("get {key}"));
        self.inner.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> storage::Result<Vec<u8>> {
        self.note(format!("range {key} {}..{}", range.start, range.end));
        self.inner.get_range(key, range)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> storage::Result<()> {
        self.inner.put(key, bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> storage::Result<Put> {
        self.inner.put_if_absent(key, bytes)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> storage::Result<Swap> {
        self.inner.compare_and_swap(key, expected, new)
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> storage::Result<()> {
        self.note(format!("list {prefix}"));
        self.inner.list_while(prefix, visit)
    }

    fn delete(&self, key: &str) -> storage::Result<()> {
        self.inner.delete(key)
    }
}

struct Fixture {
    runtime: tokio::runtime::Runtime,
    storage: Arc<Noting>,
    store: LakeStore,
}

impl Fixture {
    fn new(keys: &[&str]) -> Fixture {
        let storage = Noting { inner: MemoryStorage::new("lake"), asked: Mutex::default() };
        for key in keys {
            storage.put(key, b"0123456789").unwrap();
        }
        let storage = Arc::new(storage);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Fixture { runtime, store: LakeStore::new(storage.clone()), storage }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.storage.asked.lock().unwrap())
    }

    fn list(&self, prefix: Option<&str>) -> Vec<String> {
        let listed = self.store.list(prefix.map(path).as_ref());
        let listed: Vec<_> = self.runtime.block_on(listed.try_collect()).unwrap();
        listed.into_iter().map(|meta: ObjectMeta| meta.location.to_string()).collect()
    }

    fn get(&self, range: Option<GetRange>) -> Result<(Range<u64>, Bytes)> {
        let options = GetOptions { range, ..GetOptions::default() };
        self.runtime.block_on(async {
            let result = self.store.get_opts(&path(KEY), options).await?;
            assert_eq!(result.meta.size, 10);
            Ok((result.range.clone(), result.bytes().await?))
        })
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[test]
fn only_what_is_asked_for_is_read() {
    let fixture = Fixture::new(&[KEY]);
    fixture.list(None);
    fixture.asked();
    for (range, expected, bytes) in [
        (GetRange::Bounded(2..5), 2..5, "234"),
        (GetRange::Bounded(8..50), 8..10, "89"),
        (GetRange::Offset(7), 7..10, "789"),
        (GetRange::Suffix(4), 6..10, "6789"),
        (GetRange::Suffix(40), 0..10, "0123456789"),
    ] {
        let got = fixture.get(Some(range.clone())).unwrap();
        assert_eq!(got, (expected.clone(), Bytes::from(bytes)), "{range}");
        // Its size is known from the listing.
        assert_eq!(fixture.asked(), [format!("range {KEY} {}..{}", expected.start, expected.end)]);
    }
    let far = [1_u64 << 30, (1 << 30) + 2];
    fixture.storage.put("far", &[]).unwrap();
    let ranges = [1..3, 4..6, far[0]..far[1]];
    assert!(fixture.runtime.block_on(fixture.store.get_ranges(&path(KEY), &ranges)).is_err());
    let got = fixture.runtime.block_on(fixture.store.get_ranges(&path(KEY), &ranges[..2])).unwrap();
    assert_eq!(got, ["12", "45"].map(Bytes::from));
    let asked = fixture.asked();
    assert_eq!(asked.last(), Some(&format!("range {KEY} 1..6")), "{asked:?}");
    assert!(asked.iter().all(|what| what.starts_with("range")), "{asked:?}");
    let error = fixture.get(Some(GetRange::Offset(10))).unwrap_err().to_string();
    assert!(error.contains("nothing of bytes=10- lies within its 10 bytes"), "{error}");
}

#[test]
fn an_object_that_was_not_listed_is_asked_for() {
    let fixture = Fixture::new(&[KEY]);
    assert_eq!(fixture.get(Some(GetRange::Bounded(0..2))).unwrap().1, "01");
    assert_eq!(fixture.asked(), [format!("head {KEY}"), format!("range {KEY} 0..2")]);
    assert_eq!(fixture.get(None).unwrap().1, "0123456789");
    let meta = fixture.runtime.block_on(fixture.store.head(&path(KEY))).unwrap();
    assert_eq!((meta.size, meta.e_tag.is_some()), (10, true));
    let missing = fixture.runtime.block_on(fixture.store.head(&path("no/such"))).unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    let options = GetOptions { if_match: Some("another".into()), ..GetOptions::default() };
    let changed = fixture.runtime.block_on(fixture.store.get_opts(&path(KEY), options)).unwrap_err();
    assert!(matches!(changed, Error::Precondition { .. }), "{changed}");
}

#[test]
fn listings_end_at_folders() {
    let fixture = Fixture::new(&["a", "t/x=1/a", "t/x=1/b", "t/x=2/y=1/c", "t/z", "t2/d"]);
    assert_eq!(fixture.list(None).len(), 6);
    assert_eq!(fixture.list(Some("t")), ["t/x=1/a", "t/x=1/b", "t/x=2/y=1/c", "t/z"]);
    assert_eq!(fixture.list(Some("t/x=1")), ["t/x=1/a", "t/x=1/b"]);
    assert_eq!(fixture.list(Some("none")), [""; 0]);
    assert_eq!(fixture.asked(), ["list ", "list t/", "list t/x=1/", "list none/"]);
    let level = |prefix: Option<&str>| {
        let prefix = prefix.map(path);
        let found = fixture.store.list_with_delimiter(prefix.as_ref());
        let found = fixture.runtime.block_on(found).unwrap();
        let objects = found.objects.iter().map(|meta| meta.location.to_string());
        let folders = found.common_prefixes.iter().map(|path| format!("{path}/"));
        objects.chain(folders).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(level(None), "a t/ t2/");
    assert_eq!(level(Some("t")), "t/z t/x=1/ t/x=2/");
    assert_eq!(level(Some("none")), "");
}

#[test]
fn a_listing_that_nobody_reads_to_its_end_ends() {
    let keys: Vec<_> = (0..3 * LISTED_AHEAD).map(|number| format!("t/{number:06}")).collect();
    let fixture = Fixture::new(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let first = fixture.runtime.block_on(async { fixture.store.list(None).try_next().await });
    assert_eq!(first.unwrap().unwrap().location, path("t/000000"));
    // Would wait for ever for a listing that does not end.
    drop(fixture.runtime);
}

#[test]
fn nothing_is_written() {
    let fixture = Fixture::new(&[KEY]);
    let (store, here, there) = (&fixture.store, path(KEY), path("t/b"));
    let is_refused = |error: Error| {
        assert!(matches!(error, Error::NotSupported { .. }), "{error}");
        assert!(error.to_string().contains("a query only reads a lake"), "{error}");
    };
    fixture.runtime.block_on(async {
        is_refused(store.put(&there, "x".into()).await.unwrap_err());
        is_refused(store.put_multipart(&there).await.unwrap_err());
        is_refused(store.delete(&here).await.unwrap_err());
        is_refused(store.copy(&here, &there).await.unwrap_err());
        is_refused(store.rename(&here, &there).await.unwrap_err());
    });
    assert_eq!(fixture.list(None), [KEY]);
}

#[test]
fn what_the_storage_says_gets_through() {
    use crate::query::QueryError;
    use datafusion::error::DataFusionError;

    let fixture = Fixture::new(&[KEY]);
    let ranges = [5..7, 5..15];
    let short = fixture.runtime.block_on(fixture.store.get_ranges(&path(KEY), &ranges)).unwrap_err();
    let said = "memory://lake/t/year=2026/a.parquet: ended after 10 of 15 bytes";
    // As an error, and as the text of one.
    let text = short.to_string();
    // Another file that failed meanwhile takes nothing away.
    let place = path(KEY);
    fixture.runtime.block_on(fixture.store.get_ranges(&place, &[5..7, 6..16])).unwrap_err();
    for error in [
        DataFusionError::ObjectStore(Box::new(short)),
        DataFusionError::ParquetError(Box::new(parquet::errors::ParquetError::General(text))),
    ] {
        let shared = DataFusionError::Shared(Arc::new(error)).context("while reading");
        let error = QueryError::of_execution(shared, &fixture.store);
        assert_eq!(error.to_string(), format!("cannot read the lake: {said}"));
        assert!(error.hint().unwrap().starts_with("run the same command again"), "{error:?}");
    }
    let other = DataFusionError::Execution("something else".into());
    assert!(matches!(QueryError::of_execution(other, &fixture.store), QueryError::Failed(_)));
}
