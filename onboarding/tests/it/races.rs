//! Many at once, and the whole fleet.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use iotlake_onboarding::csr::Csr;
use iotlake_onboarding::error::Failure;
use serde_json::json;

use crate::servers::{Faults, Kind, Server};
use crate::world::{Inventory, World};

async fn inventory(world: &World) -> Inventory {
    Inventory::of(&world.iot().await, &world.registry().await).await
}

/// Each POST has a service of its own, as concurrent invocations have.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_posts_of_one_serial_make_one_device() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                let service = world.service(&[("ONBOARDING_LEASE_MS", "5000")]).await;
                service.create(&world.call(), "one", None).await
            })
        })
        .collect();
    let mut devices = Vec::new();
    for task in tasks {
        devices.push(task.await.unwrap().unwrap());
    }
    let id = inventory(&world).await.assert_one("one");
    assert_eq!(devices.len(), 50);
    assert!(devices.iter().all(|device| *device == devices[0]), "one device, one key, for all");
    assert_eq!(devices[0].certificate_id, id);
}

/// A lease that ends at once protects nothing: then the stamps alone have to.
#[tokio::test(flavor = "multi_thread")]
async fn races_without_a_lease_are_decided_by_the_stamps() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    for round in 0..3 {
        let serial = format!("race-{round}");
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let (world, serial) = (world.clone(), serial.clone());
                tokio::spawn(async move {
                    let service = world.service(&[("ONBOARDING_LEASE_MS", "1")]).await;
                    match number % 4 {
                        3 => service.delete(&world.call(), &serial).await,
                        _ => service.create(&world.call(), &serial, None).await.map(|_| ()),
                    }
                })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) | Err(Failure::Busy | Failure::Unavailable(_)) => {}
                Err(failure) => panic!("{failure} {:?}", failure.cause()),
            }
        }
        // Whatever the order was, the next POST ends in one device, and nothing else is left.
        let service = world.service(&[]).await;
        let device = service.create(&world.call(), &serial, None).await.unwrap();
        assert_eq!(inventory(&world).await.assert_one(&serial), device.certificate_id);
        service.delete(&world.call(), &serial).await.unwrap();
        inventory(&world).await.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_devices_leave_nothing() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let service = Arc::new(world.service(&[]).await);
    let serials: Vec<_> = (0..500).map(|number| format!("DEV_{number:08}")).collect();
    let onboarded: Vec<_> = stream::iter(&serials)
        .map(|serial| {
            let (service, world) = (service.clone(), world.clone());
            async move {
                until_available(async || service.create(&world.call(), serial, None).await)
                    .await
                    .certificate_id
            }
        })
        .buffered(16)
        .collect()
        .await;
    let all = inventory(&world).await;
    assert_eq!((all.things.len(), all.certificates.len(), all.records.len()), (500, 500, 500));
    assert!(all.certificates.iter().all(|(id, active, _)| *active && onboarded.contains(id)));
    let report = until_available(async || service.reconcile(&world.call(), &Default::default()).await).await;
    assert!(report.complete && report.drift.is_empty(), "{report:#?}");
    stream::iter(&serials)
        .for_each_concurrent(16, |serial| {
            let (service, world) = (service.clone(), world.clone());
            async move { until_available(async || service.delete(&world.call(), serial).await).await }
        })
        .await;
    inventory(&world).await.assert_empty();
}

/// What a client does that is told to come back: a busy machine may not answer in time, and no test is about that.
async fn until_available<T>(call: impl AsyncFn() -> Result<T, Failure>) -> T {
    for _ in 0..20 {
        match call().await {
            Err(Failure::Busy | Failure::Unavailable(_)) => {}
            other => return other.unwrap(),
        }
    }
    panic!("it was never available")
}

/// Throttled everywhere, once each; and answers that break off, which the SDK may or may not try again.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_lost_answers_are_survived() {
    let server = Server::shared(Kind::Ministack);
    let world = World::new(server).await;
    let faults = Faults::before(server);
    let shaky = world.through(faults.endpoint());
    let operations = [
        "CreateThing",
        "GetPolicy",
        "CreatePolicy",
        "GenerateDataKey",
        "CreateKeysAndCertificate",
        "PutItem",
        "AttachPolicy",
        "AttachThingPrincipal",
        "UpdateCertificate",
        "DetachPolicy",
        "DetachThingPrincipal",
        "DeleteCertificate",
        "DeleteThing",
        "DeleteItem",
    ];
    for operation in operations {
        let throttled = json!({"operation": operation, "times": 1, "error": {"code": "ThrottlingException", "status": 400}});
        let reset = json!({"operation": operation, "times": 1, "reset": true});
        let cut = json!({"operation": operation, "times": 1, "response": {"abort_frac": 0.3}});
        for rule in [throttled, reset, cut] {
            faults.rules(std::slice::from_ref(&rule));
            let service = shaky.service(&[]).await;
            let mut tries = 0;
            let device = loop {
                tries += 1;
                match service.create(&shaky.call(), "shaky", None).await {
                    Ok(device) => break device,
                    Err(Failure::Unavailable(_) | Failure::Throttled(_)) if tries < 3 => {}
                    Err(failure) => panic!("{rule}: {failure} {:?}", failure.cause()),
                }
            };
            world.ahead.store(2 * 60 * 60 * 1000, std::sync::atomic::Ordering::Relaxed);
            let repair = iotlake_onboarding::reconcile::Options { repair: true, from: None };
            let report = world.service(&[]).await.reconcile(&world.call(), &repair).await.unwrap();
            world.ahead.store(0, std::sync::atomic::Ordering::Relaxed);
            let leaks = usize::from(operation == "CreateKeysAndCertificate" && rule["response"].is_object());
            assert_eq!(
                report.drift.len(),
                leaks,
                "{rule}: {report:?} {:?}",
                faults.fired().iter().rev().take(3).map(|e| e.to_string()).collect::<Vec<_>>()
            );
            assert_eq!(inventory(&world).await.assert_one("shaky"), device.certificate_id, "{rule}");
            let mut tries = 0;
            while let Err(failure) = service.delete(&shaky.call(), "shaky").await {
                tries += 1;
                assert!(tries < 3, "{rule}: {failure} {:?}", failure.cause());
            }
            inventory(&world).await.assert_empty();
        }
    }
    println!("{} faults fired", faults.fired().len());
    assert!(faults.fired().len() >= operations.len(), "{:#?}", faults.fired());
    assert!(!world.written.text().contains("PRIVATE"), "an answer that broke off is not quoted");
}

/// A device that sent a signing request keeps its key, and another's request does not replace it.
#[tokio::test(flavor = "multi_thread")]
async fn a_signing_request_is_for_one_key() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let service = world.service(&[]).await;
    let csr = || {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        Csr::parse(&parameters.serialize_request(&key).unwrap().pem().unwrap()).unwrap()
    };
    let (mine, other) = (csr(), csr());
    let device = service.create(&world.call(), "d", Some(&mine)).await.unwrap();
    assert_eq!((device.private_key.clone(), &device.public_key), (None, &mine.public_key));
    assert_eq!(service.create(&world.call(), "d", Some(&mine)).await.unwrap(), device);
    assert_eq!(service.create(&world.call(), "d", None).await.unwrap(), device);
    assert_eq!(service.create(&world.call(), "d", Some(&other)).await.unwrap_err(), Failure::OtherKey);
    assert_eq!(service.get(&world.call(), "d").await.unwrap(), device);
    inventory(&world).await.assert_one("d");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_thing_is_left_alone() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let sdk = aws_sdk_iot::Client::new(&world.config().await);
    sdk.create_thing().thing_name("theirs").send().await.unwrap();
    let service = world.service(&[]).await;
    for _ in 0..2 {
        assert_eq!(service.create(&world.call(), "theirs", None).await.unwrap_err(), Failure::Foreign);
    }
    assert_eq!(service.get(&world.call(), "theirs").await.unwrap_err(), Failure::Unknown);
    service.delete(&world.call(), "theirs").await.unwrap();
    inventory(&world).await.assert_empty();
    assert!(sdk.describe_thing().thing_name("theirs").send().await.is_ok());
}
