//! Reconciliation: what the registry and IoT Core say differently, told and, if asked, put right.
//!
//! In comes `{"reconcile": {"repair": false, "from": null}}`, sent by hand or by a schedule; out comes a [`Report`]. A
//! run that has no time left says so and where to go on.
//!
//! What must stay true: without `repair` nothing changes; a certificate is deleted only if it is inactive, attached to
//! nothing, recorded nowhere and older than an hour, and it is listed before the records are read, so that what a call
//! in between records is seen; a device that somebody deactivated stays so; every change is made under a record's stamp.

use std::collections::{BTreeSet, HashSet};

use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::error::{Failure, Fault};
use crate::iot::{Iot, Listed, Status, certificate_id};
use crate::policy;
use crate::record::{Identity, Record, State, StoredKey};
use crate::registry::{Registry, Write};
use crate::service::{Call, Service};
use crate::vault::Keys;

/// How old what nobody records has to be before it counts as lost, in milliseconds.
pub const LOST_AFTER: u64 = 60 * 60 * 1000;
/// Devices that are looked at together.
const TOGETHER: usize = 8;

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Put right what can be.
    pub repair: bool,
    /// Look at devices after this serial number: `next` of a report that was not complete.
    pub from: Option<String>,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A certificate that a lost answer left. Repair deletes it.
    UnrecordedCertificate,
    /// A thing of ours that no record leads to. Repair deletes it if nothing is attached.
    UnrecordedThing,
    /// A call died an hour ago or more and nobody repeated it. Repair removes the device, which nobody was told of.
    HalfOnboarded,
    /// A deletion died. Repair finishes it.
    HalfDeleted,
    /// The thing is gone. Repair makes it again.
    ThingMissing,
    /// The certificate is gone: the device has to be deleted and onboarded again.
    CertificateMissing,
    /// The certificate was deactivated, which may well be meant.
    CertificateInactive,
    /// The certificate is not attached to the thing. Repair attaches it.
    NotAttached,
    /// The shared policy is not attached to the certificate. Repair attaches it.
    PolicyNotAttached,
    /// Something else is attached to the thing as well.
    ExtraPrincipal,
    /// The quickstart's policy of the device may still exist. Repair deletes it.
    OldPolicyLeft,
    /// The quickstart recorded the device; see `import`.
    NotImported,
    /// There is no shared policy. Repair makes it.
    PolicyMissing,
    /// The shared policy is not the one that the settings mean. Repair replaces it.
    PolicyDiffers,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// What it is.
    pub kind: Kind,
    /// The device, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// The certificate, thing or policy that it is about.
    pub subject: String,
    /// Whether it was put right.
    pub repaired: bool,
    /// Why it was not, if that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether things were to be put right.
    pub repair: bool,
    /// Devices recorded.
    pub devices: usize,
    /// Certificates in the account and region.
    pub certificates: usize,
    /// Things of this environment.
    pub things: usize,
    /// All differences.
    pub drift: Vec<Drift>,
    /// Whether everything was looked at.
    pub complete: bool,
    /// Where to go on otherwise.
    pub next: Option<String>,
}

impl Drift {
    fn new(kind: Kind, serial: Option<&str>, subject: &str) -> Drift {
        let serial_number = serial.map(str::to_owned);
        Drift { kind, serial_number, subject: subject.to_owned(), repaired: false, problem: None }
    }

    /// With what became of the repair: done, not to be done, or failed.
    fn after(mut self, outcome: Result<bool, Failure>) -> Drift {
        match outcome {
            Ok(repaired) => self.repaired = repaired,
            Err(failure) => self.problem = Some(failure.cause().unwrap_or_else(|| failure.to_string())),
        }
        self
    }
}

impl<I: Iot, R: Registry, K: Keys> Service<I, R, K> {
    /// Compares the registry with IoT Core.
    ///
    /// # Errors
    /// If one of the two cannot be listed.
    pub async fn reconcile(&self, call: &Call, options: &Options) -> Result<Report, Failure> {
        // In this order: see above.
        let certificates = self.all_certificates().await?;
        let things = self.all_things().await?;
        let records = self.all_records().await?;

        let mut drift: Vec<_> = self.policy_drift(options, &certificates).await?.into_iter().collect();
        let after = |record: &&Record| options.from.as_ref().is_none_or(|from| record.serial > *from);
        let mut checks = stream::iter(records.iter().filter(after))
            .map(|record| async move {
                if Instant::now() >= call.deadline {
                    return (record, None);
                }
                (record, Some(self.device_drift(call, options, record).await))
            })
            .buffered(TOGETHER);
        let mut last = options.from.clone();
        let mut complete = true;
        while let Some((record, found)) = checks.next().await {
            match found {
                Some(found) if complete => {
                    drift.extend(found?);
                    last = Some(record.serial.clone());
                }
                _ => complete = false,
            }
        }
        if complete {
            complete = self.unrecorded(call, options, &certificates, &things, &records, &mut drift).await?;
        }
        let next = last.filter(|_| !complete);
        let (devices, certificates, things) = (records.len(), certificates.len(), things.len());
        let report = Report { repair: options.repair, devices, certificates, things, drift, complete, next };
        for drift in &report.drift {
            call.log.warn("drift", json!(drift));
        }
        let repaired = report.drift.iter().filter(|drift| drift.repaired).count();
        call.log.info(
            "reconciled",
            json!({"devices": devices, "drift": report.drift.len(), "repaired": repaired, "complete": complete}),
        );
        Ok(report)
    }

    async fn all_certificates(&self) -> Result<Vec<Listed>, Fault> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.iot.certificates(from).await?;
            all.extend(page.items);
            from = page.next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn all_things(&self) -> Result<Vec<String>, Fault> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.iot.things(self.settings.owner(), from).await?;
            all.extend(page.items);
            from = page.next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    /// All records, without their texts: a hundred thousand of them have to fit.
    async fn all_records(&self) -> Result<Vec<Record>, Fault> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.registry.list(from).await?;
            all.extend(page.items.into_iter().map(|mut record| {
                record.identity = record.identity.map(|identity| Identity {
                    pem: String::new(),
                    public_key: String::new(),
                    key: StoredKey::Returned,
                    ..identity
                });
                record
            }));
            from = page.next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn policy_drift(
        &self,
        options: &Options,
        certificates: &[Listed],
    ) -> Result<Option<Drift>, Failure> {
        let name = &self.settings.policy;
        let found = self.iot.policy(name).await?;
        let arn = found.as_ref().map(|policy| &policy.arn);
        // Without a policy or a certificate there is nothing to tell the account from, and nobody to miss it.
        let Some(arn) = arn.or(certificates.first().map(|listed| &listed.arn)) else { return Ok(None) };
        let document = policy::document(policy::arn_prefix(arn), &self.settings.topic, self.settings.scope);
        let (kind, repair) = match &found {
            Some(found) if policy::same(&found.document, &document) => return Ok(None),
            Some(_) => (Kind::PolicyDiffers, true),
            None => (Kind::PolicyMissing, false),
        };
        let text = document.to_string();
        let outcome = match (options.repair, repair) {
            (false, _) => Ok(false),
            (true, true) => self.iot.replace_policy(name, &text).await.map(|()| true),
            (true, false) => self.iot.ensure_policy(name, &text).await.map(|()| true),
        };
        Ok(Some(Drift::new(kind, None, name).after(outcome.map_err(Failure::from))))
    }

    async fn device_drift(
        &self,
        call: &Call,
        options: &Options,
        record: &Record,
    ) -> Result<Vec<Drift>, Failure> {
        let serial = Some(&*record.serial);
        let found = |kind, subject: &str| Drift::new(kind, serial, subject);
        let (mut drift, mut renewed) = (Vec::new(), None);
        let stale = self.now().saturating_sub(record.updated) > LOST_AFTER;
        match record.state {
            _ if self.is_held(record) => return Ok(drift),
            State::Creating if !stale => return Ok(drift),
            State::Creating | State::Deleting => {
                let half = record.state == State::Creating;
                let kind = if half { Kind::HalfOnboarded } else { Kind::HalfDeleted };
                let outcome = if options.repair { self.remove_half(call, record).await } else { Ok(false) };
                return Ok(vec![found(kind, &record.thing_name).after(outcome)]);
            }
            State::Active if record.is_legacy() => {
                return Ok(vec![found(Kind::NotImported, &record.thing_name)]);
            }
            State::Active => {}
        }
        let thing = &record.thing_name;
        if self.iot.thing(thing).await?.is_none() {
            let outcome = if options.repair { self.remake_thing(call, record).await } else { Ok(false) };
            drift.push(found(Kind::ThingMissing, thing).after(outcome));
            // Written anew: what is put right below goes by the new stamp.
            renewed = self.registry.get(&record.serial).await?;
        }
        let record = renewed.as_ref().unwrap_or(record);
        if let Some(identity) = &record.identity {
            match self.iot.certificate(&identity.id).await?.map(|listed| listed.status) {
                None => return Ok(vec![found(Kind::CertificateMissing, &identity.id)]),
                Some(Status::Active) => {}
                Some(_) => drift.push(found(Kind::CertificateInactive, &identity.id)),
            }
            if !self.iot.attached_policies(&identity.arn).await?.contains(&self.settings.policy) {
                let repair = self.iot.attach_policy(&self.settings.policy, &identity.arn);
                let outcome = self.guarded(options, record, repair).await;
                drift.push(found(Kind::PolicyNotAttached, &identity.id).after(outcome));
            }
            let principals = self.iot.principals(thing).await?;
            if !principals.contains(&identity.arn) {
                let repair = self.iot.attach_thing(thing, &identity.arn);
                let outcome = self.guarded(options, record, repair).await;
                drift.push(found(Kind::NotAttached, &identity.id).after(outcome));
            }
            let extra = principals.iter().filter(|arn| **arn != identity.arn);
            drift.extend(extra.map(|arn| found(Kind::ExtraPrincipal, certificate_id(arn))));
        }
        if let Some(policy) = &record.old_policy {
            let outcome = if options.repair { self.drop_old_policy(call, record).await } else { Ok(false) };
            drift.push(found(Kind::OldPolicyLeft, policy).after(outcome));
        }
        Ok(drift)
    }

    /// Puts something right if that is wanted and the record is still the one that was looked at.
    async fn guarded(
        &self,
        options: &Options,
        record: &Record,
        repair: impl Future<Output = Result<(), Fault>>,
    ) -> Result<bool, Failure> {
        if !options.repair || self.current(record).await?.is_none() {
            return Ok(false);
        }
        repair.await?;
        Ok(true)
    }

    /// The whole record, if nobody has written it since.
    async fn current(&self, record: &Record) -> Result<Option<Record>, Failure> {
        Ok(self.registry.get(&record.serial).await?.filter(|current| current.stamp == record.stamp))
    }

    async fn remove_half(&self, call: &Call, record: &Record) -> Result<bool, Failure> {
        match self.current(record).await? {
            Some(current) => self.begin_deletion(call, current).await,
            None => Ok(false),
        }
    }

    async fn remake_thing(&self, call: &Call, record: &Record) -> Result<bool, Failure> {
        let Some(current) = self.current(record).await? else { return Ok(false) };
        let thing = self.iot.ensure_thing(&current.thing_name, self.settings.owner()).await?;
        let renewed = self.released(call, Record { thing_id: thing.id, ..current });
        Ok(matches!(self.registry.swap(renewed).await?, Write::Done(_)))
    }

    /// Deletes the quickstart's policy of a device and forgets it.
    pub(crate) async fn drop_old_policy(&self, call: &Call, record: &Record) -> Result<bool, Failure> {
        let Some(current) = self.current(record).await? else { return Ok(false) };
        if let Some(policy) = &current.old_policy {
            self.iot.delete_policy(policy).await?;
        }
        let without = self.released(call, Record { old_policy: None, ..current });
        Ok(matches!(self.registry.swap(without).await?, Write::Done(_)))
    }

    /// What no record leads to. False if time ran out.
    async fn unrecorded(
        &self,
        call: &Call,
        options: &Options,
        certificates: &[Listed],
        things: &[String],
        records: &[Record],
        drift: &mut Vec<Drift>,
    ) -> Result<bool, Failure> {
        let recorded: HashSet<_> = records
            .iter()
            .filter_map(|record| record.identity.as_ref())
            .map(|identity| &identity.id)
            .collect();
        let old = |listed: &&Listed| self.now().saturating_sub(listed.created) > LOST_AFTER;
        let idle = certificates.iter().filter(|listed| listed.status == Status::Inactive).filter(old);
        for listed in idle.filter(|listed| !recorded.contains(&listed.id)) {
            if Instant::now() >= call.deadline {
                return Ok(false);
            }
            let attached = !self.iot.things_of(&listed.arn).await?.is_empty()
                || !self.iot.attached_policies(&listed.arn).await?.is_empty();
            if !attached {
                // IoT Core refuses if it has been attached or activated since.
                let outcome = match options.repair {
                    true => self.iot.delete_certificate(&listed.id).await.map(|()| true),
                    false => Ok(false),
                };
                let found = Drift::new(Kind::UnrecordedCertificate, None, &listed.id);
                drift.push(found.after(outcome.map_err(Failure::from)));
            }
        }
        let known: BTreeSet<_> = records.iter().map(|record| &record.thing_name).collect();
        for thing in things.iter().filter(|thing| !known.contains(thing)) {
            if Instant::now() >= call.deadline {
                return Ok(false);
            }
            let outcome = if options.repair { self.remove_thing(call, thing).await } else { Ok(false) };
            drift.push(Drift::new(Kind::UnrecordedThing, None, thing).after(outcome));
        }
        Ok(true)
    }

    /// Removes a thing that no record leads to as if its deletion had died: under a record.
    async fn remove_thing(&self, call: &Call, thing: &str) -> Result<bool, Failure> {
        if !self.iot.principals(thing).await?.is_empty() {
            return Ok(false);
        }
        let record = Record { state: State::Deleting, ..Record::new(thing) };
        match self.registry.claim(self.leased(call, record)).await? {
            Write::Done(mut record) => self.dismantle(call, &mut record).await,
            Write::Lost(_) => Ok(false),
        }
    }
}
