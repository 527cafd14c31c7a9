//! DELETE: from wherever a device is to nothing, in AWS's order.
//!
//! Policy off, thing off, certificate inactive, certificate gone, thing gone, record gone: the record is the last, so
//! that a deletion that died is found. A device that is not recorded is deleted already, and says so with success: the
//! repetition of a DELETE whose answer was lost must not look like a failure.
//!
//! What must stay true: what is gone counts as done; detaching takes IoT Core seconds to believe, so a refusal to
//! delete is waited out; nothing is deleted that the record, or the thing itself, does not lead to.

use serde_json::json;

use super::{Call, Service, Wait};
use crate::error::{Failure, Fault, FaultKind};
use crate::iot::Iot;
use crate::record::{Record, State};
use crate::registry::{Registry, Write};
use crate::vault::Keys;

impl<I: Iot, R: Registry, K: Keys> Service<I, R, K> {
    /// Removes a device.
    ///
    /// # Errors
    /// [`Failure::Busy`], or that AWS failed; then the next DELETE or POST goes on from there.
    pub async fn delete(&self, call: &Call, serial: &str) -> Result<(), Failure> {
        let mut wait = Wait::new(call);
        loop {
            let Some(held) = self.registry.get(serial).await? else { return Ok(()) };
            if !self.is_held(&held) && self.begin_deletion(call, held).await? {
                return Ok(());
            }
            if !wait.pause().await {
                return Err(Failure::Busy);
            }
        }
    }

    /// Takes a record and removes what it stands for; false if another call was faster.
    pub(crate) async fn begin_deletion(&self, call: &Call, held: Record) -> Result<bool, Failure> {
        let old_policy = match held.is_legacy() {
            true => Some(old_policy(&held.thing_name)),
            false => held.old_policy.clone(),
        };
        let deleting = Record { state: State::Deleting, old_policy, ..held };
        match self.registry.swap(self.leased(call, deleting)).await? {
            Write::Done(mut record) => self.dismantle(call, &mut record).await,
            Write::Lost(_) => Ok(false),
        }
    }

    /// Removes what a record stands for, and the record; false if another call took over.
    pub(crate) async fn dismantle(&self, call: &Call, record: &mut Record) -> Result<bool, Failure> {
        let mut wait = Wait::new(call);
        loop {
            match self.take_apart(call, record).await {
                Ok(()) => break,
                Err(fault) if fault.kind == FaultKind::InUse && wait.pause().await => {
                    match self.registry.swap(self.leased(call, record.clone())).await? {
                        Write::Done(written) => *record = *written,
                        Write::Lost(_) => return Ok(false),
                    }
                }
                Err(fault) => {
                    self.give_back(call, record).await;
                    return Err(fault.into());
                }
            }
        }
        let removed = self.registry.remove(&record.serial, record.stamp.as_ref()).await?;
        if removed {
            let id = record.identity.as_ref().map(|identity| &identity.id);
            call.log.info("deleted", json!({"serialNumber": record.serial, "certificateId": id}));
        }
        Ok(removed)
    }

    async fn take_apart(&self, call: &Call, record: &Record) -> Result<(), Fault> {
        let thing = &record.thing_name;
        if let Some(identity) = &record.identity {
            self.delete_certificate(call, thing, &identity.id, &identity.arn).await?;
        }
        match self.iot.delete_thing(thing).await {
            Err(fault) if fault.kind == FaultKind::InUse => {
                // Somebody attached more. That is theirs to keep, but not to this device, which ends here.
                for arn in self.iot.principals(thing).await? {
                    call.log.warn("detached-unrecorded", json!({"thing": thing, "principal": arn}));
                    self.iot.detach_thing(thing, &arn).await?;
                }
                self.iot.delete_thing(thing).await?;
            }
            other => other?,
        }
        let Some(policy) = &record.old_policy else { return Ok(()) };
        match self.iot.delete_policy(policy).await {
            // IoT Core believes up to five minutes that it is attached: too long to wait for.
            Err(fault) if matches!(fault.kind, FaultKind::InUse | FaultKind::Denied) => {
                call.log.warn("policy-left", json!({"policy": policy, "cause": fault.to_string()}));
                Ok(())
            }
            other => other,
        }
    }

    /// Detaches, deactivates and deletes a certificate, however much of that is done already.
    pub(crate) async fn delete_certificate(
        &self,
        call: &Call,
        thing: &str,
        id: &str,
        arn: &str,
    ) -> Result<(), Fault> {
        self.iot.detach_policy(&self.settings.policy, arn).await?;
        self.iot.detach_thing(thing, arn).await?;
        match self.iot.set_active(id, false).await {
            Err(fault) if fault.kind == FaultKind::NotFound => return Ok(()),
            other => other?,
        }
        match self.iot.delete_certificate(id).await {
            Err(fault) if fault.kind == FaultKind::InUse => {}
            other => return other,
        }
        // More is attached than we attached.
        for policy in self.iot.attached_policies(arn).await? {
            call.log.info("detached-policy", json!({"policy": policy, "certificateId": id}));
            self.iot.detach_policy(&policy, arn).await?;
        }
        for thing in self.iot.things_of(arn).await? {
            self.iot.detach_thing(&thing, arn).await?;
        }
        match self.iot.set_active(id, false).await {
            Err(fault) if fault.kind == FaultKind::NotFound => return Ok(()),
            other => other?,
        }
        self.iot.delete_certificate(id).await
    }
}

/// The policy that the quickstart made for a thing.
pub(crate) fn old_policy(thing: &str) -> String {
    format!("{thing}Policy")
}
