//! Reconciliation and import, against ministack.

use std::sync::atomic::Ordering;

use iotlake_onboarding::error::Failure;
use iotlake_onboarding::import::{self, Outcome};
use iotlake_onboarding::iot::{Iot, Status};
use iotlake_onboarding::reconcile::{Kind as Drift, Options, Report};
use iotlake_onboarding::record::StoredKey;
use iotlake_onboarding::registry::Registry;
use iotlake_onboarding::secret::Secret;

use crate::quickstart;
use crate::servers::{Kind, Server};
use crate::world::{Inventory, TABLE, World};

const HOUR: u64 = 60 * 60 * 1000;

async fn reconcile(world: &World, repair: bool) -> Report {
    let options = Options { repair, from: None };
    let report = world.service(&[]).await.reconcile(&world.call(), &options).await.unwrap();
    assert!(report.complete);
    report
}

fn kinds(report: &Report) -> Vec<Drift> {
    let mut kinds: Vec<_> = report.drift.iter().map(|drift| drift.kind).collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_lost_is_deleted() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let (iot, service) = (world.iot().await, world.service(&[]).await);
    let device = service.create(&world.call(), "d", None).await.unwrap();
    let lost = iot.create_certificate().await.unwrap().certificate;
    let active = iot.create_certificate().await.unwrap().certificate;
    iot.set_active(&active.id, true).await.unwrap();
    let attached = iot.create_certificate().await.unwrap().certificate;
    iot.attach_thing("d", &attached.arn).await.unwrap();
    let permitted = iot.create_certificate().await.unwrap().certificate;
    iot.attach_policy("iotlake-device-test", &permitted.arn).await.unwrap();

    // Young: it may belong to a call that is under way.
    assert_eq!(kinds(&reconcile(&world, true).await), [Drift::ExtraPrincipal]);
    world.ahead.store(HOUR + 60_000, Ordering::Relaxed);
    let told = reconcile(&world, false).await;
    assert_eq!(kinds(&told), [Drift::UnrecordedCertificate, Drift::ExtraPrincipal]);
    assert!(told.drift.iter().all(|drift| !drift.repaired));
    assert!(iot.certificate(&lost.id).await.unwrap().is_some(), "told is not done");

    let done = reconcile(&world, true).await;
    assert_eq!(done.drift.iter().filter(|drift| drift.repaired).count(), 1);
    assert_eq!(iot.certificate(&lost.id).await.unwrap(), None);
    for kept in [&active.id, &attached.id, &permitted.id, &device.certificate_id] {
        assert!(iot.certificate(kept).await.unwrap().is_some(), "{kept}");
    }
    assert_eq!(kinds(&reconcile(&world, true).await), [Drift::ExtraPrincipal]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_put_right_or_told() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let (iot, service) = (world.iot().await, world.service(&[]).await);
    let mut devices = Vec::new();
    for serial in ["a", "b", "c", "d"] {
        devices.push(service.create(&world.call(), serial, None).await.unwrap());
    }
    let [a, b, c, d] = &devices[..] else { unreachable!() };
    iot.detach_policy("iotlake-device-test", &a.certificate_arn).await.unwrap();
    iot.detach_thing("b", &b.certificate_arn).await.unwrap();
    iot.delete_thing("b").await.unwrap();
    iot.set_active(&c.certificate_id, false).await.unwrap();
    iot.set_active(&d.certificate_id, false).await.unwrap();
    iot.detach_thing("d", &d.certificate_arn).await.unwrap();
    iot.detach_policy("iotlake-device-test", &d.certificate_arn).await.unwrap();
    iot.delete_certificate(&d.certificate_id).await.unwrap();
    iot.ensure_thing("orphan", "test").await.unwrap();
    iot.replace_policy("iotlake-device-test", r#"{"Version":"2012-10-17","Statement":[]}"#).await.unwrap();

    let expected = [
        Drift::UnrecordedThing,
        Drift::ThingMissing,
        Drift::CertificateMissing,
        Drift::CertificateInactive,
        Drift::NotAttached,
        Drift::PolicyNotAttached,
        Drift::PolicyDiffers,
    ];
    assert_eq!(kinds(&reconcile(&world, false).await), expected);
    reconcile(&world, true).await;
    // A device that was deactivated stays so, and a certificate that is gone cannot be made again.
    assert_eq!(
        kinds(&reconcile(&world, true).await),
        [Drift::CertificateMissing, Drift::CertificateInactive]
    );
    assert_eq!(iot.certificate(&c.certificate_id).await.unwrap().unwrap().status, Status::Inactive);
    let again = service.get(&world.call(), "b").await.unwrap();
    assert_eq!(iot.thing("b").await.unwrap().unwrap().id, again.thing_id);
    assert_eq!(iot.principals("b").await.unwrap(), std::slice::from_ref(&b.certificate_arn));
    for serial in ["a", "b", "c", "d"] {
        service.delete(&world.call(), serial).await.unwrap();
    }
    Inventory::of(&iot, &world.registry().await).await.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstarts_devices_work_before_and_after_their_import() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let (iot, service, registry) = (world.iot().await, world.service(&[]).await, world.registry().await);
    let sdk = aws_sdk_iot::Client::new(&world.config().await);
    for serial in ["q1", "q2", "gone"] {
        let record = quickstart::onboard(&iot, &sdk, serial).await;
        quickstart::put(&world, TABLE, &record).await;
    }
    // Its thing was deleted by hand.
    let gone = registry.get("gone").await.unwrap().unwrap().identity.unwrap();
    iot.detach_thing("gone", &gone.arn).await.unwrap();
    iot.delete_thing("gone").await.unwrap();

    let before = service.get(&world.call(), "q1").await.unwrap();
    assert!(before.private_key.is_some());
    assert_eq!(service.create(&world.call(), "q1", None).await.unwrap(), before);

    let options = import::Options::default();
    let told = service.import(&world.call(), &options).await.unwrap();
    let outcomes: Vec<_> = told.devices.iter().map(|device| device.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Ready, Outcome::Ready]);
    assert!(registry.get("q1").await.unwrap().unwrap().is_legacy(), "told is not done");

    let options = import::Options { apply: true, ..options };
    let done = service.import(&world.call(), &options).await.unwrap();
    let outcomes: Vec<_> = done.devices.iter().map(|device| device.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Imported, Outcome::Imported], "{done:#?}");
    for serial in ["q1", "q2"] {
        let record = registry.get(serial).await.unwrap().unwrap();
        let identity = record.identity.unwrap();
        assert!(matches!(identity.key, StoredKey::Sealed(_)));
        assert_eq!(iot.attached_policies(&identity.arn).await.unwrap(), ["iotlake-device-test"]);
        assert_eq!(iot.certificate(&identity.id).await.unwrap().unwrap().status, Status::Active);
        assert_eq!(iot.principals(serial).await.unwrap(), [identity.arn]);
        assert_eq!(iot.policy(&format!("{serial}Policy")).await.unwrap(), None);
    }
    assert_eq!(service.get(&world.call(), "q1").await.unwrap(), before, "its clients see no difference");
    let raw =
        aws_sdk_dynamodb::Client::new(&world.config().await).scan().table_name(TABLE).send().await.unwrap();
    let clear = raw.items().iter().filter(|item| format!("{item:?}").contains("PRIVATE KEY"));
    assert_eq!(clear.count(), 1, "only that of the device which could not be imported");

    let again = service.import(&world.call(), &options).await.unwrap();
    assert_eq!(again.devices.len(), 1);
    for serial in ["q1", "q2", "gone"] {
        service.delete(&world.call(), serial).await.unwrap();
    }
    Inventory::of(&iot, &registry).await.assert_empty();
    assert_eq!(iot.policy("gonePolicy").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_is_read_and_its_keys_erased_if_asked() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let (iot, service) = (world.iot().await, world.service(&[]).await);
    let sdk = aws_sdk_iot::Client::new(&world.config().await);
    world.make_table("quickstart").await;
    let record = quickstart::onboard(&iot, &sdk, "q").await;
    quickstart::put(&world, "quickstart", &record).await;
    let table = Some("quickstart".to_owned());
    let options = import::Options { table, apply: true, erase: false };
    let done = service.import(&world.call(), &options).await.unwrap();
    assert_eq!(done.devices[0].outcome, Outcome::Imported, "{done:#?}");
    let erasing = import::Options { erase: true, ..options };
    let again = service.import(&world.call(), &erasing).await.unwrap();
    assert_eq!(again.devices[0].outcome, Outcome::Already, "{again:#?}");
    let left = world.registry().await.quickstart("quickstart", None).await.unwrap();
    assert_eq!(left.items[0].identity.as_ref().unwrap().key, StoredKey::Returned);
    let StoredKey::Plain(key) = record.identity.unwrap().key else { unreachable!() };
    assert_eq!(service.get(&world.call(), "q").await.unwrap().private_key, Some(key));
}

/// Everything that the service writes while all of this happens, and what lies in the table.
#[tokio::test(flavor = "multi_thread")]
async fn no_private_key_is_written_anywhere() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let (iot, service) = (world.iot().await, world.service(&[]).await);
    let sdk = aws_sdk_iot::Client::new(&world.config().await);
    let record = quickstart::onboard(&iot, &sdk, "q").await;
    let StoredKey::Plain(old) = record.identity.clone().unwrap().key else { unreachable!() };
    quickstart::put(&world, TABLE, &record).await;
    let mut keys: Vec<Secret> = vec![old];
    for serial in ["s1", "s2"] {
        keys.extend(service.create(&world.call(), serial, None).await.unwrap().private_key);
        keys.extend(service.get(&world.call(), serial).await.unwrap().private_key);
    }
    let once = world.service(&[("CREDENTIAL_RETENTION", "return-once")]).await;
    let device = once.create(&world.call(), "once", None).await.unwrap();
    assert_eq!(once.get(&world.call(), "once").await.unwrap().private_key, None);
    assert!(!format!("{device:?} {record:?}").contains("PRIVATE"));
    keys.extend(device.private_key);
    let options = import::Options { apply: true, ..Default::default() };
    service.import(&world.call(), &options).await.unwrap();
    // A sealed key of another device does not open, and the failure does not show it.
    let registry = world.registry().await;
    let (mut one, two) =
        (registry.get("s1").await.unwrap().unwrap(), registry.get("s2").await.unwrap().unwrap());
    one.identity.as_mut().unwrap().key = two.identity.unwrap().key;
    registry.swap(one).await.unwrap();
    let failure = service.get(&world.call(), "s1").await.unwrap_err();
    assert!(matches!(failure, Failure::Unreadable(_)), "{failure} {:?}", failure.cause());
    reconcile(&world, true).await;

    let rows =
        aws_sdk_dynamodb::Client::new(&world.config().await).scan().table_name(TABLE).send().await.unwrap();
    let written =
        format!("{} {:?} {failure} {failure:?} {:?}", world.written.text(), rows.items(), failure.cause());
    assert_eq!(keys.len(), 6);
    for key in &keys {
        assert!(key.expose().contains("PRIVATE KEY-----"));
        let lines = key.expose().lines().filter(|line| line.len() > 20);
        for line in lines {
            assert!(!written.contains(line), "a line of a private key was written");
        }
    }
    println!("{} bytes scanned for {} keys", written.len(), keys.len());
}
