//! POST: from nothing, or from wherever an earlier call died, to one active certificate that is attached to one thing.
//!
//! What must stay true: no certificate is attached or activated before its id is recorded; a private key that nobody
//! was told (its call died before it answered, under `return-once`) is never activated by a later call, which makes a
//! new certificate instead.

use serde_json::json;

use super::{Call, Service, Wait, serves};
use crate::csr::{Csr, same_key};
use crate::error::{Failure, Fault, FaultKind};
use crate::iot::{Certificate, Iot};
use crate::record::{Identity, Record, State, StoredKey};
use crate::registry::{Registry, Write};
use crate::response::Device;
use crate::secret::Secret;
use crate::settings::Retention;
use crate::vault::{self, Keys};

/// How often a part that vanishes under our hands is made again before that counts as a failure.
const ROUNDS: usize = 3;

/// What became of the work on a record.
enum Built {
    /// It is done.
    Device(Box<Device>),
    /// Another call has taken over: look again.
    Fenced,
}

impl<I: Iot, R: Registry, K: Keys> Service<I, R, K> {
    /// Onboards a device, or finds it onboarded.
    ///
    /// # Errors
    /// [`Failure::Foreign`], [`Failure::OtherKey`], [`Failure::Csr`], [`Failure::Busy`], or that AWS failed.
    pub async fn create(&self, call: &Call, serial: &str, csr: Option<&Csr>) -> Result<Device, Failure> {
        let mut wait = Wait::new(call);
        loop {
            let mut record = match self.registry.claim(self.leased(call, Record::new(serial))).await? {
                Write::Done(record) => *record,
                Write::Lost(Some(held)) if held.state == State::Active => {
                    return self.existing(*held, csr).await;
                }
                Write::Lost(Some(held)) if !self.is_held(&held) => match self.take_over(call, *held).await? {
                    Some(record) => record,
                    None => continue,
                },
                Write::Lost(_) if wait.pause().await => continue,
                Write::Lost(_) => return Err(Failure::Busy),
            };
            match self.build(call, &mut record, csr).await {
                Ok(Built::Device(device)) => return Ok(*device),
                Ok(Built::Fenced) if wait.pause().await => {}
                Ok(Built::Fenced) => return Err(Failure::Busy),
                Err(failure) => {
                    self.give_back(call, &record).await;
                    return Err(failure);
                }
            }
        }
    }

    async fn existing(&self, record: Record, csr: Option<&Csr>) -> Result<Device, Failure> {
        let recorded = record.identity.as_ref().map(|identity| &*identity.public_key);
        if csr.is_some_and(|csr| !recorded.is_some_and(|recorded| same_key(&csr.public_key, recorded))) {
            return Err(Failure::OtherKey);
        }
        self.device(record, None).await
    }

    /// Goes on where a call died. Nothing if there is nothing to go on with: look again.
    async fn take_over(&self, call: &Call, held: Record) -> Result<Option<Record>, Failure> {
        let (state, before) = (held.state, held.attempt.clone());
        let Write::Done(mut record) = self.registry.swap(self.leased(call, held)).await? else {
            return Ok(None);
        };
        let fields = json!({"serialNumber": record.serial, "state": state.as_str(), "before": before});
        call.log.warn("resumed", fields);
        if state == State::Deleting {
            self.dismantle(call, &mut record).await?;
            return Ok(None);
        }
        Ok(Some(*record))
    }

    async fn build(&self, call: &Call, record: &mut Record, csr: Option<&Csr>) -> Result<Built, Failure> {
        // Asked before there is a key that only this call can tell.
        self.endpoint().await?;
        let mut key = None;
        let mut issued = false;
        for _ in 0..ROUNDS {
            let thing = match self.iot.ensure_thing(&record.thing_name, self.settings.owner()).await {
                Ok(thing) => thing,
                Err(fault) if fault.kind == FaultKind::Conflict => return self.foreign(record).await,
                Err(fault) => return Err(fault.into()),
            };
            record.thing_id.clone_from(&thing.id);
            self.ensure_policy(call, &thing).await?;
            if let Some(identity) = record.identity.take_if(|identity| !issued && !serves(identity, csr)) {
                call.log.warn("certificate-replaced", json!({"certificateId": identity.id}));
                self.delete_certificate(call, &record.thing_name, &identity.id, &identity.arn).await?;
            }
            if record.identity.is_none() {
                match self.issue(call, record, csr).await? {
                    Some(new) => (key, issued) = (new, true),
                    None => return Ok(Built::Fenced),
                }
            }
            let Some(identity) = &record.identity else { continue };
            match self.attach(&record.thing_name, identity).await {
                Ok(()) => return self.activated(call, record, key).await,
                // Something vanished: by hand, by another call's deletion, by another environment's reconciliation.
                Err(fault) if fault.kind == FaultKind::NotFound => {
                    self.forget_policy();
                    if self.iot.certificate(&identity.id).await?.is_none() {
                        record.identity = None;
                    }
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        let what = format!("{}: what was attached kept vanishing", record.serial);
        Err(Failure::Unavailable(Fault::new(FaultKind::Unavailable, "iot:AttachThingPrincipal", what)))
    }

    /// Leaves no record of a device that could not be begun.
    async fn foreign(&self, record: &Record) -> Result<Built, Failure> {
        if record.identity.is_none() {
            self.registry.remove(&record.serial, record.stamp.as_ref()).await?;
        }
        Err(Failure::Foreign)
    }

    async fn attach(&self, thing: &str, identity: &Identity) -> Result<(), Fault> {
        self.iot.attach_policy(&self.settings.policy, &identity.arn).await?;
        self.iot.attach_thing(thing, &identity.arn).await?;
        self.iot.set_active(&identity.id, true).await
    }

    async fn activated(
        &self,
        call: &Call,
        record: &mut Record,
        key: Option<Secret>,
    ) -> Result<Built, Failure> {
        let active = Record { state: State::Active, ..record.clone() };
        match self.registry.swap(self.released(call, active)).await? {
            Write::Done(written) => {
                *record = *written;
                let id = record.identity.as_ref().map(|identity| &identity.id);
                call.log.info("onboarded", json!({"serialNumber": record.serial, "certificateId": id}));
                Ok(Built::Device(Box::new(self.device(record.clone(), key).await?)))
            }
            Write::Lost(_) => Ok(Built::Fenced),
        }
    }

    /// Makes a certificate and records it. The key, where it is ours to tell; nothing at all if fenced off.
    async fn issue(
        &self,
        call: &Call,
        record: &mut Record,
        csr: Option<&Csr>,
    ) -> Result<Option<Option<Secret>>, Failure> {
        let context = self.context(&record.serial);
        let (identity, key) = match (csr, self.settings.retention) {
            (Some(csr), _) => (self.certify(call, record, csr).await?, None),
            (None, Retention::ReturnOnce) => {
                let new = self.iot.create_certificate().await?;
                (identity(new.certificate, new.public_key, StoredKey::Returned), Some(new.private_key))
            }
            (None, Retention::Store) => {
                // First the key to seal with: without it a certificate would be made in vain.
                let data_key = self.keys.data_key(&context).await?;
                let new = self.iot.create_certificate().await?;
                let sealed = vault::seal(&data_key, &context, &new.certificate.id, &new.private_key)?;
                let stored = StoredKey::Sealed(sealed);
                (identity(new.certificate, new.public_key, stored), Some(new.private_key))
            }
        };
        let id = identity.id.clone();
        let with_identity = Record { identity: Some(identity), ..record.clone() };
        match self.registry.swap(self.leased(call, with_identity)).await? {
            Write::Done(written) => {
                *record = *written;
                Ok(Some(key))
            }
            Write::Lost(_) => {
                // Ours alone, inactive and attached to nothing.
                if let Err(fault) = self.iot.delete_certificate(&id).await {
                    let fields = json!({"certificateId": id, "cause": fault.to_string()});
                    call.log.warn("certificate-leaked", fields);
                }
                Ok(None)
            }
        }
    }

    /// A certificate for a device's own key. If IoT Core refuses the request nothing stays behind.
    async fn certify(&self, call: &Call, record: &mut Record, csr: &Csr) -> Result<Identity, Failure> {
        match self.iot.certify(&csr.pem).await {
            Ok(certificate) => Ok(identity(certificate, csr.public_key.clone(), StoredKey::Device)),
            Err(fault) if fault.kind == FaultKind::Invalid => {
                call.log.warn("csr-refused", json!({"cause": fault.to_string()}));
                let deleting = Record { state: State::Deleting, ..record.clone() };
                if let Write::Done(written) = self.registry.swap(self.leased(call, deleting)).await? {
                    *record = *written;
                    self.dismantle(call, record).await?;
                }
                Err(Failure::Csr("AWS IoT Core refuses it".into()))
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

fn identity(certificate: Certificate, public_key: String, key: StoredKey) -> Identity {
    let Certificate { id, arn, pem } = certificate;
    Identity { id, arn, pem, public_key, key }
}
