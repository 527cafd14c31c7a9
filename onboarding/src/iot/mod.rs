//! The port to IoT Core: things, certificates, policies and what is attached to what.
//!
//! One method, one effect, so that whatever dies between two of them leaves a state that has a name. The service knows
//! only this trait; [`aws`] is IoT Core, [`memory`] the same rules without a network. One suite of tests holds both,
//! and the servers that stand in for AWS, to this text.
//!
//! What must stay true: `ensure_*`, `attach_*`, `detach_*` and `delete_*` may be repeated; what is gone already counts
//! as deleted or detached; a certificate is always made inactive; no fault shows a private key.

pub mod aws;
pub mod memory;

use std::future::Future;

use crate::error::Fault;
use crate::secret::Secret;

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// Its name, which is also its MQTT client id.
    pub name: String,
    /// The id that IoT Core gave it.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Which onboarding service made or imported it, if one did.
    pub owner: Option<String>,
}

/// A certificate, as IoT Core shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-256 of it, in hexadecimal.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Itself, in PEM.
    pub pem: String,
}

/// A certificate with the keys that IoT Core made for it and shows this once.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// The public key, in PEM.
    pub public_key: String,
    /// The private key, in PEM.
    pub private_key: Secret,
}

/// Whether a certificate opens a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// It does not, and is not spoken for in another way.
    Inactive,
    /// Revoked, in transfer, pending activation: somebody's business, not ours.
    Other,
}

/// What is known of a certificate without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: Status,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its ARN.
    pub arn: String,
    /// Its default version, JSON.
    pub document: String,
}

/// A part of a list, and where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// This part.
    pub items: Vec<T>,
    /// What to ask for the next part; nothing at the end.
    pub next: Option<String>,
}

type Answer<T> = Result<T, Fault>;

/// IoT Core, as far as onboarding needs it.
pub trait Iot: Send + Sync + 'static {
    /// Makes the thing, or finds it; [`Conflict`](crate::error::FaultKind::Conflict) if it belongs to nobody or to
    /// another owner.
    fn ensure_thing(&self, name: &str, owner: &str) -> impl Future<Output = Answer<Thing>> + Send;
    /// Looks a thing up.
    fn thing(&self, name: &str) -> impl Future<Output = Answer<Option<Thing>>> + Send;
    /// Writes the owner onto a thing that exists; everything else of it stays.
    fn adopt_thing(&self, name: &str, owner: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Deletes a thing; [`InUse`](crate::error::FaultKind::InUse) while a certificate is attached.
    fn delete_thing(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;
    /// The names of an owner's things.
    fn things(&self, owner: &str, from: Option<String>) -> impl Future<Output = Answer<Page<String>>> + Send;
    /// The ARNs of the certificates that are attached to a thing; none if there is no such thing.
    fn principals(&self, thing: &str) -> impl Future<Output = Answer<Vec<String>>> + Send;

    /// Makes an inactive certificate with new keys. Not repeatable: a lost answer leaves a certificate that nobody
    /// knows of, so nothing may try it again by itself unless it was refused.
    fn create_certificate(&self) -> impl Future<Output = Answer<Issued>> + Send;
    /// Makes an inactive certificate for a signing request; [`Invalid`](crate::error::FaultKind::Invalid) if IoT Core
    /// does not like it. Not repeatable either.
    fn certify(&self, csr: &str) -> impl Future<Output = Answer<Certificate>> + Send;
    /// Looks a certificate up.
    fn certificate(&self, id: &str) -> impl Future<Output = Answer<Option<Listed>>> + Send;
    /// All certificates of the account and region.
    fn certificates(&self, from: Option<String>) -> impl Future<Output = Answer<Page<Listed>>> + Send;
    /// Activates or deactivates; [`NotFound`](crate::error::FaultKind::NotFound) if it is gone.
    fn set_active(&self, id: &str, active: bool) -> impl Future<Output = Answer<()>> + Send;
    /// Deletes a certificate; [`InUse`](crate::error::FaultKind::InUse) while it is active or attached.
    fn delete_certificate(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    /// The names of the things that a certificate is attached to; none if it is gone.
    fn things_of(&self, arn: &str) -> impl Future<Output = Answer<Vec<String>>> + Send;
    /// Attaches a certificate to a thing; [`NotFound`](crate::error::FaultKind::NotFound) if either is missing.
    fn attach_thing(&self, thing: &str, arn: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Detaches a certificate from a thing.
    fn detach_thing(&self, thing: &str, arn: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Looks a policy up.
    fn policy(&self, name: &str) -> impl Future<Output = Answer<Option<Policy>>> + Send;
    /// Makes a policy; one of that name that exists stays as it is.
    fn ensure_policy(&self, name: &str, document: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Gives a policy another document, at once, whoever uses it.
    fn replace_policy(&self, name: &str, document: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Deletes a policy; [`InUse`](crate::error::FaultKind::InUse) while it is attached, or was minutes ago.
    fn delete_policy(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;
    /// The names of the policies attached to a certificate; none if it is gone.
    fn attached_policies(&self, arn: &str) -> impl Future<Output = Answer<Vec<String>>> + Send;
    /// Attaches a policy; [`NotFound`](crate::error::FaultKind::NotFound) if it or the certificate is missing.
    fn attach_policy(&self, policy: &str, arn: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Detaches a policy.
    fn detach_policy(&self, policy: &str, arn: &str) -> impl Future<Output = Answer<()>> + Send;

    /// The account's MQTT host, without scheme or port.
    fn endpoint(&self) -> impl Future<Output = Answer<String>> + Send;
}

/// The id of a certificate, which is the end of its ARN.
pub fn certificate_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The bare host name in what may be a URL or have a port.
pub fn bare_host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let end = rest.find(['/', ':']).unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_bare() {
        for address in ["a.iot.eu-west-1.amazonaws.com", "mqtts://a.iot.eu-west-1.amazonaws.com:8883/x"] {
            assert_eq!(bare_host(address), "a.iot.eu-west-1.amazonaws.com");
        }
    }

    #[test]
    fn a_certificates_id_is_the_end_of_its_arn() {
        assert_eq!(certificate_id("arn:aws:iot:eu-west-1:1:cert/abc"), "abc");
    }
}
