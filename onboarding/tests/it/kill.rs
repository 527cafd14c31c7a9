//! Killed at every step, then repeated: the matrix.
//!
//! Each operation dies at its n-th call to AWS, before or after that call's effect, for every n that it has; then it is
//! repeated, or another operation comes. What must hold at the end: one thing, one active certificate, one attachment,
//! or nothing at all; a certificate that a lost answer leaked is found by reconciliation and is the only thing found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iotlake_onboarding::csr::Csr;
use iotlake_onboarding::error::Failure;
use iotlake_onboarding::iot::Iot;
use iotlake_onboarding::iot::memory::MemoryIot;
use iotlake_onboarding::reconcile::{Kind as Drift, Options};
use iotlake_onboarding::registry::Registry;
use iotlake_onboarding::registry::memory::MemoryRegistry;
use iotlake_onboarding::response::Device;
use iotlake_onboarding::service::Service;
use iotlake_onboarding::settings::Settings;
use iotlake_onboarding::vault::Keys;
use iotlake_onboarding::vault::kms::KmsKeys;
use iotlake_onboarding::vault::memory::MemoryKeys;

use crate::fuse::{Fuse, Fused, Side};
use crate::servers::{Kind, Server};
use crate::world::{Inventory, World, Written, call, now};

const SERIAL: &str = "DEV_00000001";
/// More than any operation has calls.
const MANY: i64 = 60;

/// What is done to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    CreateOnce,
    CreateFromCsr,
    Delete,
}

/// Real ports, and services over them that die.
struct Ground<I, R, K> {
    iot: Arc<I>,
    registry: Arc<R>,
    keys: Arc<K>,
    settings: Settings,
    once: Settings,
    ahead: Arc<AtomicU64>,
    written: Written,
    csr: Csr,
}

type Mortal<I, R, K> = Service<Fused<I>, Fused<R>, Fused<K>>;

impl<I: Iot, R: Registry, K: Keys> Ground<I, R, K> {
    fn new(iot: I, registry: R, keys: K, kms_key: &str) -> Ground<I, R, K> {
        let variables = |retention: &str| {
            let pairs = [
                ("LAMBDA_ENV", "test"),
                ("ONBOARDING_TABLE_NAME", crate::world::TABLE),
                ("ONBOARDING_KMS_KEY", kms_key),
                ("ONBOARDING_LEASE_MS", "30"),
                ("CREDENTIAL_RETENTION", retention),
            ];
            Settings::read(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
        };
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        let csr = Csr::parse(&parameters.serialize_request(&key).unwrap().pem().unwrap()).unwrap();
        Ground {
            iot: Arc::new(iot),
            registry: Arc::new(registry),
            keys: Arc::new(keys),
            settings: variables("store"),
            once: variables("return-once"),
            ahead: Arc::default(),
            written: Written::default(),
            csr,
        }
    }

    fn service(&self, operation: Operation, fuse: &Fuse) -> Mortal<I, R, K> {
        let settings = if operation == Operation::CreateOnce { &self.once } else { &self.settings };
        let ahead = self.ahead.clone();
        Service::new(
            settings.clone(),
            Fused::new(&self.iot, fuse),
            Fused::new(&self.registry, fuse),
            Fused::new(&self.keys, fuse),
            Arc::new(move || now() + ahead.load(Ordering::Relaxed)),
        )
    }

    async fn perform(&self, operation: Operation, fuse: &Fuse) -> Result<Option<Device>, Failure> {
        let service = self.service(operation, fuse);
        let call = call(&self.written);
        match operation {
            Operation::Create | Operation::CreateOnce => service.create(&call, SERIAL, None).await.map(Some),
            Operation::CreateFromCsr => service.create(&call, SERIAL, Some(&self.csr)).await.map(Some),
            Operation::Delete => service.delete(&call, SERIAL).await.map(|()| None),
        }
    }

    /// Performs it until the fuse blows; the call at which that was, or nothing if it never did.
    async fn kill(&self, operation: Operation, calls: i64, side: Side) -> Option<&'static str> {
        let fuse = Fuse::after(calls, side);
        tokio::select! {
            biased;
            at = fuse.blown() => Some(at),
            done = self.perform(operation, &fuse) => {
                done.unwrap();
                None
            }
        }
    }

    async fn inventory(&self) -> Inventory {
        Inventory::of(&*self.iot, &*self.registry).await
    }

    /// How many certificates there are that no record leads to: what a lost answer leaked, at most one.
    async fn unrecorded(&self) -> usize {
        let found = self.inventory().await;
        let recorded = |id: &str| {
            let identities = found.records.iter().filter_map(|record| record.identity.as_ref());
            identities.map(|identity| &*identity.id).any(|known| known == id)
        };
        let count = found.certificates.iter().filter(|(id, _, _)| !recorded(id)).count();
        assert!(count <= 1, "{found:#?}");
        count
    }

    /// Two hours later, repairs; the kinds of what was found.
    async fn reconcile(&self) -> Vec<Drift> {
        self.ahead.store(2 * 60 * 60 * 1000, Ordering::Relaxed);
        let service = self.service(Operation::Create, &Fuse::none());
        let options = Options { repair: true, from: None };
        let report = service.reconcile(&call(&self.written), &options).await.unwrap();
        self.ahead.store(0, Ordering::Relaxed);
        assert!(report.complete);
        assert!(report.drift.iter().all(|drift| drift.repaired), "{report:#?}");
        report.drift.iter().map(|drift| drift.kind).collect()
    }

    /// One row of the matrix: `first` dies at every call there is, then comes `second`.
    async fn row(&self, first: Operation, second: Operation) -> Vec<String> {
        let mut cells = Vec::new();
        for side in [Side::Before, Side::After] {
            for calls in 0..MANY {
                if first == Operation::Delete {
                    self.perform(Operation::Create, &Fuse::none()).await.unwrap();
                }
                let Some(at) = self.kill(first, calls, side).await else {
                    self.perform(Operation::Delete, &Fuse::none()).await.unwrap();
                    break;
                };
                let cell = format!("{first:?} dies {side:?} {at}, then {second:?}");
                let leaked = self.unrecorded().await;
                assert!(leaked == 0 || matches!(at, "create_certificate" | "certify" | "swap"), "{cell}");
                let device = self.perform(second, &Fuse::none()).await;
                let device =
                    device.unwrap_or_else(|failure| panic!("{cell}: {failure} {:?}", failure.cause()));
                let found = self.reconcile().await;
                assert_eq!(found, vec![Drift::UnrecordedCertificate; leaked], "{cell}");
                match device {
                    Some(device) => self.check(first, second, &device, &cell).await,
                    None => self.inventory().await.assert_empty(),
                }
                self.perform(Operation::Delete, &Fuse::none()).await.unwrap();
                self.inventory().await.assert_empty();
                cells.push(cell);
            }
        }
        cells
    }

    async fn check(&self, first: Operation, second: Operation, device: &Device, cell: &str) {
        let id = self.inventory().await.assert_one(SERIAL);
        assert_eq!(device.certificate_id, id, "{cell}");
        match second {
            Operation::CreateFromCsr => assert_eq!(device.private_key, None, "{cell}"),
            Operation::Create => assert!(device.private_key.is_some(), "{cell}"),
            // If it died after the last effect, then with the key: the next call cannot have it.
            _ if first == second => {}
            _ => assert!(device.private_key.is_some(), "{cell}"),
        }
        let again = self.perform(second, &Fuse::none()).await.unwrap().unwrap();
        let told = second != Operation::CreateOnce;
        assert_eq!(again.certificate_id, id, "{cell}");
        assert_eq!(again.private_key, device.private_key.clone().filter(|_| told), "{cell}");
    }

    async fn matrix(&self) {
        use Operation::{Create, CreateFromCsr, CreateOnce, Delete};
        let rows = [
            (Create, Create),
            (CreateOnce, CreateOnce),
            (CreateFromCsr, CreateFromCsr),
            (Create, Delete),
            (CreateFromCsr, Delete),
            (Delete, Delete),
            (Delete, Create),
        ];
        let mut cells = 0;
        for (first, second) in rows {
            let row = self.row(first, second).await;
            println!("{first:?} killed, then {second:?}: {} points, all as they should be", row.len());
            cells += row.len();
        }
        println!("{cells} points");
        assert!(cells > 100, "{cells}");
        assert!(!self.written.text().contains("PRIVATE KEY"));
    }
}

#[tokio::test]
async fn memory() {
    let iot = MemoryIot::new();
    iot.set_now(now());
    Ground::new(iot, MemoryRegistry::new(), MemoryKeys::new(), "k").matrix().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let keys = KmsKeys::new(&world.config().await, &world.kms_key);
    Ground::new(world.iot().await, world.registry().await, keys, &world.kms_key).matrix().await;
}

/// A call that died and was never repeated.
#[tokio::test]
async fn what_nobody_repeats_is_reconciled() {
    let iot = MemoryIot::new();
    iot.set_now(now());
    let ground = Ground::new(iot, MemoryRegistry::new(), MemoryKeys::new(), "k");
    for side in [Side::Before, Side::After] {
        for first in [Operation::Create, Operation::Delete] {
            for calls in 0..MANY {
                if first == Operation::Delete {
                    ground.perform(Operation::Create, &Fuse::none()).await.unwrap();
                }
                let Some(at) = ground.kill(first, calls, side).await else {
                    ground.perform(Operation::Delete, &Fuse::none()).await.unwrap();
                    break;
                };
                ground.reconcile().await;
                let found = ground.inventory().await;
                let untouched = found.records.iter().all(|record| record.state.as_str() == "active");
                assert!(untouched, "{first:?} dies {side:?} {at}: {found:#?}");
                match found.records.len() {
                    0 => found.assert_empty(),
                    _ => drop(found.assert_one(SERIAL)),
                }
                ground.perform(Operation::Delete, &Fuse::none()).await.unwrap();
            }
        }
    }
}
