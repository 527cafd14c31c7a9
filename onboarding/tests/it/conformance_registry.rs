//! The ports `Registry` and `Keys`: one suite each, against memory, ministack and moto.

use iotlake_onboarding::error::FaultKind;
use iotlake_onboarding::record::{Identity, Record, Stamp, State, StoredKey};
use iotlake_onboarding::registry::memory::MemoryRegistry;
use iotlake_onboarding::registry::{Registry, Write};
use iotlake_onboarding::secret::Secret;
use iotlake_onboarding::vault::kms::KmsKeys;
use iotlake_onboarding::vault::memory::MemoryKeys;
use iotlake_onboarding::vault::{Context, Keys};

use crate::quickstart;
use crate::servers::{Kind, Server};
use crate::world::World;

#[tokio::test]
async fn memory() {
    let registry = MemoryRegistry::new();
    suite(&registry).await;
    registry.put_quickstart(None, quickstart::record("old"));
    registry.put_quickstart(Some("other"), quickstart::record("older"));
    quickstart_suite(&registry).await;
    keys(&MemoryKeys::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack() {
    against(Server::shared(Kind::Ministack)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    against(&Server::start(Kind::Moto)).await;
}

async fn against(server: &Server) {
    let world = World::new(server).await;
    let registry = world.registry().await;
    suite(&registry).await;
    quickstart::put(&world, crate::world::TABLE, &quickstart::record("old")).await;
    world.make_table("other").await;
    quickstart::put(&world, "other", &quickstart::record("older")).await;
    quickstart_suite(&registry).await;
    keys(&KmsKeys::new(&world.config().await, &world.kms_key)).await;
}

fn done(write: Write) -> Record {
    match write {
        Write::Done(record) => *record,
        Write::Lost(held) => panic!("lost to {held:?}"),
    }
}

fn lost(write: Write) -> Option<Record> {
    match write {
        Write::Done(record) => panic!("{record:?} was written"),
        Write::Lost(held) => held.map(|held| *held),
    }
}

async fn suite(registry: &impl Registry) {
    assert_eq!(registry.get("a").await.unwrap(), None);
    let unknown = Record { stamp: Some(Stamp::fresh()), ..Record::new("a") };
    assert_eq!(lost(registry.swap(unknown).await.unwrap()), None);
    assert_eq!(lost(registry.swap(Record::new("a")).await.unwrap()), None, "no record is no old record");
    assert!(registry.remove("a", Some(&Stamp::fresh())).await.unwrap(), "none is there");

    let first = done(registry.claim(Record { lease_until: 7, ..Record::new("a") }).await.unwrap());
    assert_eq!(registry.get("a").await.unwrap(), Some(first.clone()));
    assert_eq!(lost(registry.claim(Record::new("a")).await.unwrap()), Some(first.clone()));

    // Every field comes back.
    let identity = |key| {
        let text = str::to_owned;
        Some(Identity { id: text("i"), arn: text("arn"), pem: text("pem"), public_key: text("pub"), key })
    };
    let mut last = first.clone();
    for key in [StoredKey::Sealed("v1.x".to_owned()), StoredKey::Device, StoredKey::Returned] {
        let full = Record {
            thing_name: "thing".to_owned(),
            state: State::Deleting,
            attempt: "r1".to_owned(),
            updated: 9,
            thing_id: "id".to_owned(),
            identity: identity(key),
            old_policy: Some("thingPolicy".to_owned()),
            ..last.clone()
        };
        let written = done(registry.swap(full.clone()).await.unwrap());
        assert_ne!(written.stamp, last.stamp, "every write leaves a new stamp");
        assert_eq!(Record { stamp: None, ..written.clone() }, Record { stamp: None, ..full });
        assert_eq!(registry.get("a").await.unwrap(), Some(written.clone()));
        last = written;
    }

    // Fenced off by the stamp, also if the record was made anew in between.
    assert_eq!(lost(registry.swap(first.clone()).await.unwrap()), Some(last.clone()));
    assert!(!registry.remove("a", first.stamp.as_ref()).await.unwrap());
    assert!(registry.remove("a", last.stamp.as_ref()).await.unwrap());
    let anew = done(registry.claim(Record::new("a")).await.unwrap());
    assert_eq!(lost(registry.swap(last).await.unwrap()), Some(anew.clone()));
    assert!(registry.remove("a", anew.stamp.as_ref()).await.unwrap());

    for serial in ["s4", "s1", "s3", "s2"] {
        done(registry.claim(Record::new(serial)).await.unwrap());
    }
    let (mut serials, mut from) = (Vec::new(), None);
    loop {
        let page = registry.list(from).await.unwrap();
        serials.extend(page.items.into_iter().map(|record| record.serial));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(serials, ["s1", "s2", "s3", "s4"]);
}

/// With the quickstart's record `old` in the table and `older` in the table `other`.
async fn quickstart_suite(registry: &impl Registry) {
    let old = registry.get("old").await.unwrap().unwrap();
    assert!(old.is_legacy());
    assert_eq!(old, quickstart::record("old"));
    assert_eq!(lost(registry.claim(Record::new("old")).await.unwrap()), Some(old.clone()));
    let taken = done(registry.swap(old.clone()).await.unwrap());
    assert!(!taken.is_legacy());
    let held = lost(registry.swap(old).await.unwrap()).unwrap();
    assert_eq!(held.stamp, taken.stamp);

    let page = registry.quickstart("other", None).await.unwrap();
    assert_eq!(page.items, [quickstart::record("older")]);
    for _ in 0..2 {
        registry.erase_key("other", "older").await.unwrap();
    }
    registry.erase_key("other", "nobody").await.unwrap();
    let page = registry.quickstart("other", None).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].identity.as_ref().unwrap().key, StoredKey::Returned);
}

async fn keys(keys: &impl Keys) {
    let context = |serial: &str| Context { environment: "test".to_owned(), serial: serial.to_owned() };
    let key = keys.data_key(&context("a")).await.unwrap();
    let other = keys.data_key(&context("a")).await.unwrap();
    assert!(key.plain != other.plain, "every key is new");
    assert!(!key.wrapped.windows(32).any(|part| part == &key.plain[..]));
    assert!(!format!("{key:?}").contains(&format!("{:?}", &key.plain[..4])));
    assert!(keys.unwrap(&key.wrapped, &context("a")).await.unwrap() == key.plain);
    let fault = keys.unwrap(&key.wrapped, &context("b")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreadable, "{fault}");
    let secret = Secret::new("x");
    assert_eq!(secret.expose(), "x");
}
