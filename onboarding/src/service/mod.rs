//! The service: create, get and delete a device, each repeatable, each resumable from wherever a call died.
//!
//! In come requests that are already checked; out come devices or [`Failure`]s. The order of effects is what all rests on:
//! record first (a conditional write), then the thing, a certificate that is inactive, its id and sealed key recorded,
//! attachments, activation, and at last `active` in the record. Deletion is the reverse, in AWS's order.
//!
//! What must stay true: whoever acts on a device holds its record's last stamp, so of two calls one is fenced off at
//! its next write; a call that is fenced off leaves nothing of its own behind; a lease only saves work, it protects
//! nothing.

mod create;
mod delete;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::csr::{Csr, same_key};
use crate::error::{Failure, Fault, FaultKind};
use crate::iot::{Iot, Thing};
use crate::policy;
use crate::record::{Identity, Record, State, StoredKey};
use crate::registry::Registry;
use crate::response::Device;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::telemetry::Log;
use crate::vault::{self, Context, Keys};

pub(crate) use delete::old_policy;

/// Between two looks at a record that another call works on: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(500));

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// One request on its way.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where it is logged.
    pub log: Log,
    /// When an answer has to be there.
    pub deadline: Instant,
}

/// The service over its three ports.
pub struct Service<I, R, K> {
    pub(crate) settings: Settings,
    pub(crate) iot: I,
    pub(crate) registry: R,
    pub(crate) keys: K,
    clock: Clock,
    /// Asked once while the function is warm.
    endpoint: OnceCell<String>,
    /// Whether the shared policy was seen.
    policy_seen: AtomicBool,
}

impl<I, R, K> std::fmt::Debug for Service<I, R, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<I: Iot, R: Registry, K: Keys> Service<I, R, K> {
    /// A service.
    pub fn new(settings: Settings, iot: I, registry: R, keys: K, clock: Clock) -> Service<I, R, K> {
        let endpoint = OnceCell::new();
        Service { settings, iot, registry, keys, clock, endpoint, policy_seen: AtomicBool::new(false) }
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// What is recorded of a device.
    ///
    /// # Errors
    /// [`Failure::Unknown`] if it is not, or not yet, or no longer onboarded.
    pub async fn get(&self, _call: &Call, serial: &str) -> Result<Device, Failure> {
        match self.registry.get(serial).await? {
            Some(record) if record.state == State::Active => self.device(record, None).await,
            _ => Err(Failure::Unknown),
        }
    }

    /// What a client sees of a record; `key` if this call has just made it.
    async fn device(&self, record: Record, key: Option<Secret>) -> Result<Device, Failure> {
        let Some(identity) = record.identity else {
            let what = format!("{}: active without a certificate", record.serial);
            return Err(Failure::Unreadable(Fault::new(FaultKind::Unreadable, "record", what)));
        };
        let private_key = match (key, &identity.key) {
            (Some(key), _) => Some(key),
            (None, StoredKey::Sealed(sealed)) => {
                Some(vault::open(&self.keys, &self.context(&record.serial), &identity.id, sealed).await?)
            }
            (None, StoredKey::Plain(key)) => Some(key.clone()),
            (None, StoredKey::Device | StoredKey::Returned) => None,
        };
        Ok(Device {
            serial: record.serial,
            thing_name: record.thing_name,
            thing_id: record.thing_id,
            certificate_arn: identity.arn,
            certificate_id: identity.id,
            certificate_pem: identity.pem,
            private_key,
            public_key: identity.public_key,
            endpoint: self.endpoint().await?,
        })
    }

    async fn endpoint(&self) -> Result<String, Fault> {
        if let Some(endpoint) = &self.settings.endpoint {
            return Ok(endpoint.clone());
        }
        self.endpoint.get_or_try_init(|| self.iot.endpoint()).await.cloned()
    }

    /// The encryption context of a device's key.
    pub(crate) fn context(&self, serial: &str) -> Context {
        Context { environment: self.settings.environment.clone(), serial: serial.to_owned() }
    }

    /// The record as this call writes it: others are to wait for a while.
    pub(crate) fn leased(&self, call: &Call, record: Record) -> Record {
        let now = self.now();
        let lease = u64::try_from(self.settings.lease.as_millis()).unwrap_or(u64::MAX);
        let attempt = call.log.request_id().to_owned();
        Record { attempt, updated: now, lease_until: now.saturating_add(lease), ..record }
    }

    /// The record as a call leaves it that is done with it.
    pub(crate) fn released(&self, call: &Call, record: Record) -> Record {
        Record { lease_until: 0, ..self.leased(call, record) }
    }

    /// Whether another call seems to be at work on it.
    pub(crate) fn is_held(&self, record: &Record) -> bool {
        record.state != State::Active && record.lease_until > self.now()
    }

    /// Lets the next call go on at once after one that failed.
    async fn give_back(&self, call: &Call, record: &Record) {
        // If this fails as well the lease ends by itself.
        let _ = self.registry.swap(self.released(call, record.clone())).await;
    }

    /// Makes the shared policy if it is missing and if that is allowed: where it is not, the infrastructure made it.
    pub(crate) async fn ensure_policy(&self, call: &Call, thing: &Thing) -> Result<(), Fault> {
        if self.policy_seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let name = &self.settings.policy;
        let ensured = match self.iot.policy(name).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                let prefix = policy::arn_prefix(&thing.arn);
                let document = policy::document(prefix, &self.settings.topic, self.settings.scope);
                self.iot.ensure_policy(name, &document.to_string()).await
            }
            Err(fault) => Err(fault),
        };
        match ensured {
            Err(fault) if fault.kind == FaultKind::Denied => {
                call.log
                    .info("policy-left-to-infrastructure", serde_json::json!({"cause": fault.to_string()}));
            }
            other => other?,
        }
        self.policy_seen.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at the shared policy again next time.
    pub(crate) fn forget_policy(&self) {
        self.policy_seen.store(false, Ordering::Relaxed);
    }
}

/// Whether a certificate that is recorded is an answer to this request.
fn serves(identity: &Identity, csr: Option<&Csr>) -> bool {
    match (&identity.key, csr) {
        (StoredKey::Sealed(_) | StoredKey::Plain(_), None) => true,
        (StoredKey::Device, Some(csr)) => same_key(&csr.public_key, &identity.public_key),
        _ => false,
    }
}

/// Waiting that grows, with jitter, until an answer has to be there.
#[derive(Debug)]
pub(crate) struct Wait {
    next: Duration,
    deadline: Instant,
}

impl Wait {
    pub(crate) fn new(call: &Call) -> Wait {
        Wait { next: PAUSE.0, deadline: call.deadline }
    }

    /// Waits; false if there is no time left for that.
    pub(crate) async fn pause(&mut self) -> bool {
        let mut byte = [0u8; 1];
        // Without a random number the pause is merely not jittered.
        let _ = getrandom::fill(&mut byte);
        let pause = self.next.mul_f64(0.5 + f64::from(byte[0]) / 256.0);
        self.next = (self.next * 2).min(PAUSE.1);
        if Instant::now() + pause >= self.deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}
