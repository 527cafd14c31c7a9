//! The port `Iot`: one suite, against memory, ministack and moto.
//!
//! moto takes a second `CreateThing` for a new thing whatever is in the way, and does not know `Conflict`: there the
//! check of a foreign thing is left out.

use std::collections::BTreeSet;

use iotlake_onboarding::error::FaultKind;
use iotlake_onboarding::iot::memory::MemoryIot;
use iotlake_onboarding::iot::{Iot, Page, Status, certificate_id};

use crate::servers::{Kind, Server};
use crate::world::{World, now};

const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
const OTHER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

#[tokio::test]
async fn memory() {
    let iot = MemoryIot::new();
    iot.set_now(now());
    suite(&iot, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    suite(&world.iot().await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    // Its accounts are one.
    let server = Server::start(Kind::Moto);
    let world = World::new(&server).await;
    suite(&world.iot().await, false).await;
}

async fn suite(iot: &impl Iot, tells_foreign: bool) {
    things(iot, tells_foreign).await;
    certificates(iot).await;
    signing_requests(iot).await;
    attachments(iot).await;
    policies(iot).await;
    let host = iot.endpoint().await.unwrap();
    assert!(!host.is_empty() && !host.contains([':', '/']), "{host}");
}

async fn things(iot: &impl Iot, tells_foreign: bool) {
    let made = iot.ensure_thing("a:1", "test").await.unwrap();
    assert_eq!((&*made.name, made.owner.as_deref()), ("a:1", Some("test")));
    assert!(made.arn.ends_with(":thing/a:1"), "{}", made.arn);
    assert!(!made.id.is_empty());
    if tells_foreign {
        assert_eq!(iot.ensure_thing("a:1", "test").await.unwrap(), made);
        let fault = iot.ensure_thing("a:1", "other").await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Conflict);
        assert_eq!(iot.thing("a:1").await.unwrap(), Some(made));
    }
    assert_eq!(iot.thing("nobody").await.unwrap(), None);
    assert_eq!(iot.principals("nobody").await.unwrap(), Vec::<String>::new());

    for name in ["b", "c", "d", "e"] {
        iot.ensure_thing(name, "many").await.unwrap();
    }
    assert_eq!(all(async |from| iot.things("many", from).await.unwrap()).await.len(), 4);
    iot.adopt_thing("e", "few").await.unwrap();
    assert_eq!(all(async |from| iot.things("many", from).await.unwrap()).await.len(), 3);
    assert_eq!(iot.thing("e").await.unwrap().unwrap().owner.as_deref(), Some("few"));
    assert_eq!(iot.adopt_thing("nobody", "x").await.unwrap_err().kind, FaultKind::NotFound);

    for name in ["a:1", "b", "c", "d", "e", "e", "nobody"] {
        iot.delete_thing(name).await.unwrap();
        assert_eq!(iot.thing(name).await.unwrap(), None);
    }
}

async fn certificates(iot: &impl Iot) {
    let mut ids = BTreeSet::new();
    for _ in 0..4 {
        let issued = iot.create_certificate().await.unwrap();
        assert!(issued.certificate.pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(issued.public_key.starts_with("-----BEGIN PUBLIC KEY-----"));
        assert!(issued.private_key.expose().contains("PRIVATE KEY-----"));
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
        assert_eq!(certificate_id(&issued.certificate.arn), issued.certificate.id);
        ids.insert(issued.certificate.id);
    }
    assert_eq!(ids.len(), 4);
    for id in &ids {
        let described = iot.certificate(id).await.unwrap().unwrap();
        assert_eq!(described.status, Status::Inactive, "certificates are made inactive");
        assert!(described.created.abs_diff(now()) < 120_000, "{}", described.created);
    }
    let listed = all(async |from| iot.certificates(from).await.unwrap()).await;
    let listed: BTreeSet<_> = listed.into_iter().map(|listed| listed.id).collect();
    assert_eq!(listed, ids);

    for id in &ids {
        iot.set_active(id, true).await.unwrap();
        iot.set_active(id, true).await.unwrap();
        assert_eq!(iot.certificate(id).await.unwrap().unwrap().status, Status::Active);
        assert_eq!(iot.delete_certificate(id).await.unwrap_err().kind, FaultKind::InUse);
        iot.set_active(id, false).await.unwrap();
        iot.delete_certificate(id).await.unwrap();
        iot.delete_certificate(id).await.unwrap();
        assert_eq!(iot.certificate(id).await.unwrap(), None);
        assert_eq!(iot.set_active(id, true).await.unwrap_err().kind, FaultKind::NotFound);
    }
}

async fn signing_requests(iot: &impl Iot) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    let csr = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let first = iot.certify(&csr).await.unwrap();
    assert_eq!(iot.certificate(&first.id).await.unwrap().unwrap().status, Status::Inactive);
    iot.delete_certificate(&first.id).await.unwrap();
}

async fn attachments(iot: &impl Iot) {
    let certificate = iot.create_certificate().await.unwrap().certificate;
    let (id, arn) = (&*certificate.id, &*certificate.arn);
    iot.ensure_thing("t", "test").await.unwrap();
    iot.ensure_policy("p", DOCUMENT).await.unwrap();
    for _ in 0..2 {
        iot.attach_thing("t", arn).await.unwrap();
        iot.attach_policy("p", arn).await.unwrap();
    }
    assert_eq!(iot.principals("t").await.unwrap(), [arn]);
    assert_eq!(iot.things_of(arn).await.unwrap(), ["t"]);
    assert_eq!(iot.attached_policies(arn).await.unwrap(), ["p"]);
    assert_eq!(iot.delete_thing("t").await.unwrap_err().kind, FaultKind::InUse);
    assert_eq!(iot.delete_policy("p").await.unwrap_err().kind, FaultKind::InUse);
    assert_eq!(iot.delete_certificate(id).await.unwrap_err().kind, FaultKind::InUse);
    iot.detach_thing("t", arn).await.unwrap();
    assert_eq!(iot.delete_certificate(id).await.unwrap_err().kind, FaultKind::InUse);
    for _ in 0..2 {
        iot.detach_thing("t", arn).await.unwrap();
        iot.detach_policy("p", arn).await.unwrap();
    }
    assert_eq!(iot.attach_thing("nobody", arn).await.unwrap_err().kind, FaultKind::NotFound);
    assert_eq!(iot.attach_policy("nothing", arn).await.unwrap_err().kind, FaultKind::NotFound);
    iot.delete_certificate(id).await.unwrap();
    assert_eq!(iot.attach_thing("t", arn).await.unwrap_err().kind, FaultKind::NotFound);
    assert_eq!(iot.attach_policy("p", arn).await.unwrap_err().kind, FaultKind::NotFound);
    iot.detach_thing("t", arn).await.unwrap();
    iot.detach_policy("p", arn).await.unwrap();
    iot.detach_policy("nothing", arn).await.unwrap();
    assert_eq!(iot.things_of(arn).await.unwrap(), Vec::<String>::new());
    assert_eq!(iot.attached_policies(arn).await.unwrap(), Vec::<String>::new());
    iot.delete_thing("t").await.unwrap();
    iot.delete_policy("p").await.unwrap();
}

async fn policies(iot: &impl Iot) {
    assert_eq!(iot.policy("q").await.unwrap(), None);
    iot.ensure_policy("q", DOCUMENT).await.unwrap();
    iot.ensure_policy("q", OTHER).await.unwrap();
    let found = iot.policy("q").await.unwrap().unwrap();
    assert_eq!(found.document, DOCUMENT, "one that exists stays");
    assert!(found.arn.ends_with(":policy/q"), "{}", found.arn);
    // More often than a policy has versions.
    for round in 0..7 {
        let document = if round % 2 == 0 { OTHER } else { DOCUMENT };
        iot.replace_policy("q", document).await.unwrap();
        assert_eq!(iot.policy("q").await.unwrap().unwrap().document, document);
    }
    assert_eq!(iot.replace_policy("nothing", OTHER).await.unwrap_err().kind, FaultKind::NotFound);
}

/// All pages.
async fn all<T>(page: impl AsyncFn(Option<String>) -> Page<T>) -> Vec<T> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let part = page(from).await;
        all.extend(part.items);
        from = part.next;
        if from.is_none() {
            return all;
        }
    }
}
