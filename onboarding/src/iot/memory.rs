//! IoT Core's rules without a network, for tests of everything above the port.
//!
//! It refuses what IoT Core refuses: deleting an active or attached certificate, deleting a thing or a policy in use,
//! attaching what does not exist. Keys and certificates are texts that say what they are; nothing here can connect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use super::{Answer, Certificate, Iot, Issued, Listed, Page, Policy, Status, Thing};
use crate::error::{Fault, FaultKind};
use crate::secret::Secret;

const ARNS: &str = "arn:aws:iot:eu-west-1:123456789012";
/// Items of a page, few enough that tests turn pages.
const PAGE: usize = 3;

/// An account.
#[derive(Debug, Default)]
pub struct MemoryIot {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    things: BTreeMap<String, (Thing, BTreeSet<String>)>,
    certificates: BTreeMap<String, Listed>,
    policies: BTreeMap<String, String>,
    /// Policy and ARN of the certificate.
    attached: BTreeSet<(String, String)>,
    made: u64,
    now: u64,
}

impl MemoryIot {
    /// An empty account.
    pub fn new() -> MemoryIot {
        MemoryIot::default()
    }

    /// Sets the time that new certificates carry, in milliseconds since 1970.
    pub fn set_now(&self, now: u64) {
        self.state().now = now;
    }

    /// Makes a thing as somebody else would.
    pub fn foreign_thing(&self, name: &str) {
        self.state().make_thing(name, None);
    }

    /// How many things and certificates there are.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.things.len(), state.certificates.len())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics elsewhere leaves nothing half-done here.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn refuse<T>(kind: FaultKind, operation: &'static str) -> Answer<T> {
    Err(Fault::new(kind, operation, format!("{kind:?}")))
}

fn page<T: Clone>(all: Vec<(String, T)>, from: Option<String>) -> Page<T> {
    let mut rest = all.into_iter().filter(|(key, _)| from.as_ref().is_none_or(|from| key > from));
    let part: Vec<_> = rest.by_ref().take(PAGE).collect();
    let more = rest.next().is_some();
    let next = part.last().filter(|_| more).map(|(key, _)| key.clone());
    Page { items: part.into_iter().map(|(_, item)| item).collect(), next }
}

impl State {
    fn make_thing(&mut self, name: &str, owner: Option<&str>) -> Thing {
        self.made += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.made);
        let arn = format!("{ARNS}:thing/{name}");
        let thing = Thing { name: name.to_owned(), id, arn, owner: owner.map(str::to_owned) };
        self.things.insert(name.to_owned(), (thing.clone(), BTreeSet::new()));
        thing
    }

    fn issue(&mut self) -> Certificate {
        self.made += 1;
        let id = format!("{:064x}", self.made);
        let arn = format!("{ARNS}:cert/{id}");
        let listed = Listed { id: id.clone(), arn: arn.clone(), status: Status::Inactive, created: self.now };
        self.certificates.insert(id.clone(), listed);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{id}\n-----END CERTIFICATE-----\n");
        Certificate { id, arn, pem }
    }

    fn has_certificate(&self, arn: &str) -> bool {
        self.certificates.contains_key(super::certificate_id(arn))
    }

    fn things_of(&self, arn: &str) -> Vec<String> {
        let holders = self.things.iter().filter(|(_, (_, principals))| principals.contains(arn));
        holders.map(|(name, _)| name.clone()).collect()
    }
}

impl Iot for MemoryIot {
    async fn ensure_thing(&self, name: &str, owner: &str) -> Answer<Thing> {
        let mut state = self.state();
        match state.things.get(name) {
            None => Ok(state.make_thing(name, Some(owner))),
            Some((thing, _)) if thing.owner.as_deref() == Some(owner) => Ok(thing.clone()),
            Some(_) => refuse(FaultKind::Conflict, "iot:CreateThing"),
        }
    }

    async fn thing(&self, name: &str) -> Answer<Option<Thing>> {
        Ok(self.state().things.get(name).map(|(thing, _)| thing.clone()))
    }

    async fn adopt_thing(&self, name: &str, owner: &str) -> Answer<()> {
        match self.state().things.get_mut(name) {
            Some((thing, _)) => {
                thing.owner = Some(owner.to_owned());
                Ok(())
            }
            None => refuse(FaultKind::NotFound, "iot:UpdateThing"),
        }
    }

    async fn delete_thing(&self, name: &str) -> Answer<()> {
        let mut state = self.state();
        match state.things.get(name) {
            Some((_, principals)) if !principals.is_empty() => refuse(FaultKind::InUse, "iot:DeleteThing"),
            _ => {
                state.things.remove(name);
                Ok(())
            }
        }
    }

    async fn things(&self, owner: &str, from: Option<String>) -> Answer<Page<String>> {
        let state = self.state();
        let ours = state.things.values().filter(|(thing, _)| thing.owner.as_deref() == Some(owner));
        Ok(page(ours.map(|(thing, _)| (thing.name.clone(), thing.name.clone())).collect(), from))
    }

    async fn principals(&self, thing: &str) -> Answer<Vec<String>> {
        let state = self.state();
        Ok(state.things.get(thing).map(|(_, all)| all.iter().cloned().collect()).unwrap_or_default())
    }

    async fn create_certificate(&self) -> Answer<Issued> {
        let certificate = self.state().issue();
        let id = &certificate.id;
        let key =
            |kind: &str| format!("-----BEGIN {kind} KEY-----\n{kind} of {id}\n-----END {kind} KEY-----\n");
        let (public_key, private_key) = (key("PUBLIC"), Secret::new(key("RSA PRIVATE")));
        Ok(Issued { certificate, public_key, private_key })
    }

    async fn certify(&self, csr: &str) -> Answer<Certificate> {
        if !csr.contains("CERTIFICATE REQUEST") {
            return refuse(FaultKind::Invalid, "iot:CreateCertificateFromCsr");
        }
        Ok(self.state().issue())
    }

    async fn certificate(&self, id: &str) -> Answer<Option<Listed>> {
        Ok(self.state().certificates.get(id).cloned())
    }

    async fn certificates(&self, from: Option<String>) -> Answer<Page<Listed>> {
        let state = self.state();
        let all = state.certificates.iter().map(|(id, listed)| (id.clone(), listed.clone()));
        Ok(page(all.collect(), from))
    }

    async fn set_active(&self, id: &str, active: bool) -> Answer<()> {
        match self.state().certificates.get_mut(id) {
            Some(listed) => {
                listed.status = if active { Status::Active } else { Status::Inactive };
                Ok(())
            }
            None => refuse(FaultKind::NotFound, "iot:UpdateCertificate"),
        }
    }

    async fn delete_certificate(&self, id: &str) -> Answer<()> {
        let mut state = self.state();
        let Some(listed) = state.certificates.get(id) else { return Ok(()) };
        let has_policy = state.attached.iter().any(|(_, arn)| *arn == listed.arn);
        if listed.status == Status::Active || has_policy || !state.things_of(&listed.arn).is_empty() {
            return refuse(FaultKind::InUse, "iot:DeleteCertificate");
        }
        state.certificates.remove(id);
        Ok(())
    }

    async fn things_of(&self, arn: &str) -> Answer<Vec<String>> {
        Ok(self.state().things_of(arn))
    }

    async fn attach_thing(&self, thing: &str, arn: &str) -> Answer<()> {
        let mut state = self.state();
        let exists = state.has_certificate(arn);
        match state.things.get_mut(thing) {
            Some((_, principals)) if exists => {
                principals.insert(arn.to_owned());
                Ok(())
            }
            _ => refuse(FaultKind::NotFound, "iot:AttachThingPrincipal"),
        }
    }

    async fn detach_thing(&self, thing: &str, arn: &str) -> Answer<()> {
        if let Some((_, principals)) = self.state().things.get_mut(thing) {
            principals.remove(arn);
        }
        Ok(())
    }

    async fn policy(&self, name: &str) -> Answer<Option<Policy>> {
        let document = self.state().policies.get(name).cloned();
        Ok(document.map(|document| Policy { arn: format!("{ARNS}:policy/{name}"), document }))
    }

    async fn ensure_policy(&self, name: &str, document: &str) -> Answer<()> {
        self.state().policies.entry(name.to_owned()).or_insert_with(|| document.to_owned());
        Ok(())
    }

    async fn replace_policy(&self, name: &str, document: &str) -> Answer<()> {
        match self.state().policies.get_mut(name) {
            Some(current) => {
                document.clone_into(current);
                Ok(())
            }
            None => refuse(FaultKind::NotFound, "iot:CreatePolicyVersion"),
        }
    }

    async fn delete_policy(&self, name: &str) -> Answer<()> {
        let mut state = self.state();
        if state.attached.iter().any(|(policy, _)| policy == name) {
            return refuse(FaultKind::InUse, "iot:DeletePolicy");
        }
        state.policies.remove(name);
        Ok(())
    }

    async fn attached_policies(&self, arn: &str) -> Answer<Vec<String>> {
        let state = self.state();
        Ok(state.attached.iter().filter(|(_, to)| to == arn).map(|(policy, _)| policy.clone()).collect())
    }

    async fn attach_policy(&self, policy: &str, arn: &str) -> Answer<()> {
        let mut state = self.state();
        if !state.policies.contains_key(policy) || !state.has_certificate(arn) {
            return refuse(FaultKind::NotFound, "iot:AttachPolicy");
        }
        state.attached.insert((policy.to_owned(), arn.to_owned()));
        Ok(())
    }

    async fn detach_policy(&self, policy: &str, arn: &str) -> Answer<()> {
        self.state().attached.remove(&(policy.to_owned(), arn.to_owned()));
        Ok(())
    }

    async fn endpoint(&self) -> Answer<String> {
        Ok("memory-ats.iot.eu-west-1.amazonaws.com".to_owned())
    }
}
