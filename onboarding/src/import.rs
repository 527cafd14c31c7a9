//! The quickstart's devices, adopted.
//!
//! In comes `{"import": {"table": null, "apply": false, "erase": false}}`: the quickstart's table if it is not this
//! service's own, whether to act, and whether to remove the private keys from the other table. Out comes a [`Report`].
//!
//! What must stay true: without `apply` nothing changes; a device that is connected stays so, for the shared policy is
//! attached before the old one is detached, the certificate is not touched and the thing only gains a mark; the record
//! is written after what it says is true, so that an import that died is simply run again; one device that cannot be
//! adopted does not stop the others.

use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::error::Failure;
use crate::iot::{Iot, Thing};
use crate::record::{Identity, Record, State, StoredKey};
use crate::registry::{Registry, Write};
use crate::service::{Call, Service, old_policy};
use crate::settings::Retention;
use crate::vault::{self, Keys};

/// Devices that are adopted together.
const TOGETHER: usize = 4;

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The quickstart's table, with the same keys; without it the service's own.
    pub table: Option<String>,
    /// Act, and not only tell what would be done.
    pub apply: bool,
    /// Remove the private keys from the other table, device by device, once they are safe here.
    pub erase: bool,
}

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It could be adopted.
    Ready,
    /// It was adopted.
    Imported,
    /// It was adopted earlier.
    Already,
    /// It was not; the reason is beside it.
    Failed,
}

/// A device and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// The device.
    pub serial_number: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed, or what is still to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether it was to be done.
    pub applied: bool,
    /// Every device that was looked at.
    pub devices: Vec<Adopted>,
    /// Whether that is all of them; otherwise send the event again.
    pub complete: bool,
}

/// Why a device is not adopted.
enum Refusal {
    /// Something is not as the quickstart left it.
    Reason(String),
    /// AWS failed.
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Failure(error.into())
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Reason(reason.into()))
}

impl<I: Iot, R: Registry, K: Keys> Service<I, R, K> {
    /// Adopts the quickstart's devices.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn import(&self, call: &Call, options: &Options) -> Result<Report, Failure> {
        let own = &self.settings.table.name;
        let table = options.table.as_ref().unwrap_or(own);
        let foreign = (table != own).then_some(&**table);
        let mut report = Report { applied: options.apply, devices: Vec::new(), complete: true };
        let mut from = None;
        loop {
            let page = self.registry.quickstart(table, from).await?;
            let adopting = page.items.into_iter().map(|record| self.adopt(call, options, foreign, record));
            let mut adopting = stream::iter(adopting).buffered(TOGETHER);
            while let Some(adopted) = adopting.next().await {
                call.log.info("import", json!(adopted));
                report.devices.push(adopted);
            }
            from = page.next;
            if from.is_none() {
                return Ok(report);
            }
            if Instant::now() >= call.deadline {
                report.complete = false;
                return Ok(report);
            }
        }
    }

    async fn adopt(&self, call: &Call, options: &Options, foreign: Option<&str>, old: Record) -> Adopted {
        let serial_number = old.serial.clone();
        let (outcome, detail) = match self.try_adopt(call, options, foreign, old).await {
            Ok((outcome, detail)) => (outcome, detail),
            Err(Refusal::Reason(reason)) => (Outcome::Failed, Some(reason)),
            Err(Refusal::Failure(failure)) => {
                (Outcome::Failed, Some(failure.cause().unwrap_or_else(|| failure.to_string())))
            }
        };
        Adopted { serial_number, outcome, detail }
    }

    async fn try_adopt(
        &self,
        call: &Call,
        options: &Options,
        foreign: Option<&str>,
        old: Record,
    ) -> Result<(Outcome, Option<String>), Refusal> {
        let Some(identity) = old.identity.clone() else { return refuse("it has no certificate") };
        let thing = self.check(&old, &identity).await?;
        let ours = match foreign {
            Some(_) => self.registry.get(&old.serial).await?.filter(|record| !record.is_legacy()),
            None => None,
        };
        if let Some(ours) = &ours
            && ours.identity.as_ref().map(|identity| &identity.id) != Some(&identity.id)
        {
            return refuse("it is onboarded here with another certificate");
        }
        if !options.apply {
            return Ok((if ours.is_some() { Outcome::Already } else { Outcome::Ready }, None));
        }
        let policy = old_policy(&old.thing_name);
        self.ensure_policy(call, &thing).await?;
        self.iot.attach_policy(&self.settings.policy, &identity.arn).await?;
        if thing.owner.is_none() {
            self.iot.adopt_thing(&thing.name, self.settings.owner()).await?;
        }
        self.iot.detach_policy(&policy, &identity.arn).await?;
        let (outcome, record) = match ours {
            Some(ours) => (Outcome::Already, ours),
            None => {
                let sealed = self.sealed(&old.serial, identity).await?;
                let new = Record {
                    state: State::Active,
                    thing_id: thing.id,
                    identity: Some(sealed),
                    old_policy: Some(policy),
                    ..old
                };
                let new = self.released(call, new);
                let write = match foreign {
                    Some(_) => self.registry.claim(new).await?,
                    None => self.registry.swap(new).await?,
                };
                match write {
                    Write::Done(record) => (Outcome::Imported, *record),
                    Write::Lost(_) => return refuse("its record changed meanwhile: import again"),
                }
            }
        };
        if let (Some(table), true) = (foreign, options.erase) {
            self.registry.erase_key(table, &record.serial).await?;
        }
        let detail = match self.drop_old_policy(call, &record).await {
            Err(failure) => {
                let cause = failure.cause().unwrap_or_else(|| failure.to_string());
                Some(format!("its old policy is still there; reconcile with repair deletes it: {cause}"))
            }
            Ok(_) => None,
        };
        Ok((outcome, detail))
    }

    /// Whether a device is as the quickstart left it.
    async fn check(&self, old: &Record, identity: &Identity) -> Result<Thing, Refusal> {
        let Some(thing) = self.iot.thing(&old.thing_name).await? else {
            return refuse("its thing does not exist");
        };
        if let Some(owner) = thing.owner.as_deref().filter(|owner| *owner != self.settings.owner()) {
            return refuse(format!("its thing belongs to {owner}"));
        }
        if self.iot.certificate(&identity.id).await?.is_none() {
            return refuse("its certificate does not exist");
        }
        if !self.iot.principals(&old.thing_name).await?.contains(&identity.arn) {
            return refuse("its certificate is not attached to its thing");
        }
        Ok(thing)
    }

    /// With the private key as this service keeps it.
    async fn sealed(&self, serial: &str, identity: Identity) -> Result<Identity, Failure> {
        let key = match (&identity.key, self.settings.retention) {
            (StoredKey::Plain(key), Retention::Store) => {
                let context = self.context(serial);
                let data_key = self.keys.data_key(&context).await?;
                StoredKey::Sealed(vault::seal(&data_key, &context, &identity.id, key)?)
            }
            (StoredKey::Plain(_), Retention::ReturnOnce) => StoredKey::Returned,
            (other, _) => other.clone(),
        };
        Ok(Identity { key, ..identity })
    }
}
