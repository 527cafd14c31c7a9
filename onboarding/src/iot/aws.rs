//! IoT Core itself.
//!
//! One call a method, besides the few that look at a conflict. The SDK tries calls again by itself, except for the two
//! that make certificates: a second try after a lost answer would leave a certificate behind, so those are tried again
//! only if IoT Core said that it refused.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_iot::Client;
use aws_sdk_iot::config::retry::RetryConfig;
use aws_sdk_iot::types::{AttributePayload, CertificateStatus};
use aws_smithy_types::DateTime;

use super::{Answer, Certificate, Iot, Issued, Listed, Page, Policy, Status, Thing, bare_host};
use crate::OWNER_ATTRIBUTE;
use crate::aws::fault;
use crate::error::{Fault, FaultKind};
use crate::secret::Secret;

/// Tries of a call that makes a certificate, while it is refused for coming too often.
const ISSUE_ATTEMPTS: u32 = 4;
/// The wait after its first refusal; it doubles.
const ISSUE_WAIT: Duration = Duration::from_millis(200);
/// A policy has at most five versions.
const POLICY_VERSIONS: usize = 5;

/// IoT Core of one account and region.
#[derive(Debug, Clone)]
pub struct AwsIot {
    client: Client,
}

impl AwsIot {
    /// IoT Core as the configuration reaches it.
    pub fn new(config: &aws_config::SdkConfig) -> AwsIot {
        AwsIot { client: Client::new(config) }
    }
}

/// `Ok(None)` for what is not there.
fn found<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// What is gone already counts as done.
fn gone(answer: Answer<()>) -> Answer<()> {
    found(answer).map(|_| ())
}

/// A field that an answer must have.
fn field(operation: &'static str, name: &str, value: Option<&str>) -> Answer<String> {
    value
        .map(str::to_owned)
        .ok_or_else(|| Fault::new(FaultKind::Unreadable, operation, format!("the answer has no {name}")))
}

fn attributes(owner: &str, merge: bool) -> AttributePayload {
    let values = HashMap::from([(OWNER_ATTRIBUTE.to_owned(), owner.to_owned())]);
    AttributePayload::builder().set_attributes(Some(values)).merge(merge).build()
}

fn milliseconds(date: Option<&DateTime>) -> Option<u64> {
    date.and_then(|date| date.to_millis().ok()).and_then(|millis| u64::try_from(millis).ok())
}

fn status(status: Option<&CertificateStatus>) -> Status {
    match status {
        Some(CertificateStatus::Active) => Status::Active,
        Some(CertificateStatus::Inactive) => Status::Inactive,
        _ => Status::Other,
    }
}

/// Tries again what was refused for coming too often, and nothing else.
async fn while_refused<T, F: Future<Output = Answer<T>>>(attempt: impl Fn() -> F) -> Answer<T> {
    let mut wait = ISSUE_WAIT;
    for _ in 1..ISSUE_ATTEMPTS {
        match attempt().await {
            Err(fault) if fault.kind == FaultKind::Throttled => tokio::time::sleep(wait).await,
            answer => return answer,
        }
        wait *= 2;
    }
    attempt().await
}

impl Iot for AwsIot {
    async fn ensure_thing(&self, name: &str, owner: &str) -> Answer<Thing> {
        const OPERATION: &str = "iot:CreateThing";
        let call = self.client.create_thing().thing_name(name).attribute_payload(attributes(owner, false));
        match call.send().await.map_err(|error| fault(OPERATION, &error)) {
            Ok(made) => Ok(Thing {
                name: name.to_owned(),
                id: field(OPERATION, "thingId", made.thing_id())?,
                arn: field(OPERATION, "thingArn", made.thing_arn())?,
                owner: Some(owner.to_owned()),
            }),
            // Ours as well if somebody has given it a further attribute, a type or a group since.
            Err(conflict) if conflict.kind == FaultKind::Conflict => match self.thing(name).await? {
                Some(thing) if thing.owner.as_deref() == Some(owner) => Ok(thing),
                _ => Err(conflict),
            },
            Err(other) => Err(other),
        }
    }

    async fn thing(&self, name: &str) -> Answer<Option<Thing>> {
        const OPERATION: &str = "iot:DescribeThing";
        let call = self.client.describe_thing().thing_name(name).send().await;
        let Some(thing) = found(call.map_err(|error| fault(OPERATION, &error)))? else { return Ok(None) };
        Ok(Some(Thing {
            name: name.to_owned(),
            id: field(OPERATION, "thingId", thing.thing_id())?,
            arn: field(OPERATION, "thingArn", thing.thing_arn())?,
            owner: thing.attributes().and_then(|all| all.get(OWNER_ATTRIBUTE)).cloned(),
        }))
    }

    async fn adopt_thing(&self, name: &str, owner: &str) -> Answer<()> {
        let call = self.client.update_thing().thing_name(name).attribute_payload(attributes(owner, true));
        call.send().await.map(|_| ()).map_err(|error| fault("iot:UpdateThing", &error))
    }

    async fn delete_thing(&self, name: &str) -> Answer<()> {
        let call = self.client.delete_thing().thing_name(name).send().await;
        let answer = gone(call.map(|_| ()).map_err(|error| fault("iot:DeleteThing", &error)));
        // The name is checked long before: the one request that is invalid here is that of a thing in use.
        answer.map_err(|fault| match fault.kind {
            FaultKind::Invalid => Fault { kind: FaultKind::InUse, ..fault },
            _ => fault,
        })
    }

    async fn things(&self, owner: &str, from: Option<String>) -> Answer<Page<String>> {
        let call = self.client.list_things().attribute_name(OWNER_ATTRIBUTE).attribute_value(owner);
        let answer = call.set_next_token(from).max_results(250).send().await;
        let page = answer.map_err(|error| fault("iot:ListThings", &error))?;
        let items = page.things().iter().filter_map(|thing| thing.thing_name()).map(str::to_owned).collect();
        Ok(Page { items, next: page.next_token().map(str::to_owned) })
    }

    async fn principals(&self, thing: &str) -> Answer<Vec<String>> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let call = self.client.list_thing_principals().thing_name(thing).set_next_token(from);
            let answer = call.send().await.map_err(|error| fault("iot:ListThingPrincipals", &error));
            let Some(page) = found(answer)? else { return Ok(all) };
            all.extend_from_slice(page.principals());
            from = page.next_token().map(str::to_owned);
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn create_certificate(&self) -> Answer<Issued> {
        const OPERATION: &str = "iot:CreateKeysAndCertificate";
        let once = aws_sdk_iot::config::Builder::new().retry_config(RetryConfig::disabled());
        let issued = while_refused(|| async {
            // Inactive is what IoT Core makes unless told otherwise.
            let call = self.client.create_keys_and_certificate().customize();
            call.config_override(once.clone()).send().await.map_err(|error| fault(OPERATION, &error))
        })
        .await?;
        let pair = issued.key_pair();
        Ok(Issued {
            certificate: Certificate {
                id: field(OPERATION, "certificateId", issued.certificate_id())?,
                arn: field(OPERATION, "certificateArn", issued.certificate_arn())?,
                pem: field(OPERATION, "certificatePem", issued.certificate_pem())?,
            },
            public_key: field(OPERATION, "public key", pair.and_then(|pair| pair.public_key()))?,
            private_key: Secret::new(field(
                OPERATION,
                "private key",
                pair.and_then(|pair| pair.private_key()),
            )?),
        })
    }

    async fn certify(&self, csr: &str) -> Answer<Certificate> {
        const OPERATION: &str = "iot:CreateCertificateFromCsr";
        let once = aws_sdk_iot::config::Builder::new().retry_config(RetryConfig::disabled());
        let made = while_refused(|| async {
            let call = self.client.create_certificate_from_csr().certificate_signing_request(csr);
            let call = call.customize().config_override(once.clone());
            call.send().await.map_err(|error| fault(OPERATION, &error))
        })
        .await?;
        Ok(Certificate {
            id: field(OPERATION, "certificateId", made.certificate_id())?,
            arn: field(OPERATION, "certificateArn", made.certificate_arn())?,
            pem: field(OPERATION, "certificatePem", made.certificate_pem())?,
        })
    }

    async fn certificate(&self, id: &str) -> Answer<Option<Listed>> {
        const OPERATION: &str = "iot:DescribeCertificate";
        let call = self.client.describe_certificate().certificate_id(id).send().await;
        let Some(answer) = found(call.map_err(|error| fault(OPERATION, &error)))? else { return Ok(None) };
        let Some(described) = answer.certificate_description() else { return Ok(None) };
        Ok(Some(Listed {
            id: id.to_owned(),
            arn: field(OPERATION, "certificateArn", described.certificate_arn())?,
            status: status(described.status()),
            // Without a date it counts as made now, so that nothing happens to it.
            created: milliseconds(described.creation_date()).unwrap_or(u64::MAX),
        }))
    }

    async fn certificates(&self, from: Option<String>) -> Answer<Page<Listed>> {
        const OPERATION: &str = "iot:ListCertificates";
        let call = self.client.list_certificates().page_size(250).set_marker(from).send().await;
        let page = call.map_err(|error| fault(OPERATION, &error))?;
        let mut items = Vec::with_capacity(page.certificates().len());
        for listed in page.certificates() {
            items.push(Listed {
                id: field(OPERATION, "certificateId", listed.certificate_id())?,
                arn: field(OPERATION, "certificateArn", listed.certificate_arn())?,
                status: status(listed.status()),
                created: milliseconds(listed.creation_date()).unwrap_or(u64::MAX),
            });
        }
        Ok(Page { items, next: page.next_marker().map(str::to_owned) })
    }

    async fn set_active(&self, id: &str, active: bool) -> Answer<()> {
        let status = if active { CertificateStatus::Active } else { CertificateStatus::Inactive };
        let call = self.client.update_certificate().certificate_id(id).new_status(status);
        call.send().await.map(|_| ()).map_err(|error| fault("iot:UpdateCertificate", &error))
    }

    async fn delete_certificate(&self, id: &str) -> Answer<()> {
        let call = self.client.delete_certificate().certificate_id(id).send().await;
        gone(call.map(|_| ()).map_err(|error| fault("iot:DeleteCertificate", &error)))
    }

    async fn things_of(&self, arn: &str) -> Answer<Vec<String>> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let call = self.client.list_principal_things().principal(arn).set_next_token(from);
            let answer = call.send().await.map_err(|error| fault("iot:ListPrincipalThings", &error));
            let Some(page) = found(answer)? else { return Ok(all) };
            all.extend_from_slice(page.things());
            from = page.next_token().map(str::to_owned);
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn attach_thing(&self, thing: &str, arn: &str) -> Answer<()> {
        let call = self.client.attach_thing_principal().thing_name(thing).principal(arn).send().await;
        call.map(|_| ()).map_err(|error| fault("iot:AttachThingPrincipal", &error))
    }

    async fn detach_thing(&self, thing: &str, arn: &str) -> Answer<()> {
        let call = self.client.detach_thing_principal().thing_name(thing).principal(arn).send().await;
        gone(call.map(|_| ()).map_err(|error| fault("iot:DetachThingPrincipal", &error)))
    }

    async fn policy(&self, name: &str) -> Answer<Option<Policy>> {
        const OPERATION: &str = "iot:GetPolicy";
        let call = self.client.get_policy().policy_name(name).send().await;
        let Some(policy) = found(call.map_err(|error| fault(OPERATION, &error)))? else { return Ok(None) };
        Ok(Some(Policy {
            arn: field(OPERATION, "policyArn", policy.policy_arn())?,
            document: field(OPERATION, "policyDocument", policy.policy_document())?,
        }))
    }

    async fn ensure_policy(&self, name: &str, document: &str) -> Answer<()> {
        let call = self.client.create_policy().policy_name(name).policy_document(document).send().await;
        match call.map(|_| ()).map_err(|error| fault("iot:CreatePolicy", &error)) {
            Err(fault) if fault.kind == FaultKind::Conflict => Ok(()),
            answer => answer,
        }
    }

    async fn replace_policy(&self, name: &str, document: &str) -> Answer<()> {
        let call = self.client.list_policy_versions().policy_name(name).send().await;
        let listed = call.map_err(|error| fault("iot:ListPolicyVersions", &error))?;
        let versions = listed.policy_versions();
        if versions.len() >= POLICY_VERSIONS {
            let number = |id: Option<&str>| id.and_then(|id| id.parse::<u64>().ok()).unwrap_or(u64::MAX);
            let spare = versions.iter().filter(|version| !version.is_default_version());
            if let Some(oldest) = spare.min_by_key(|version| number(version.version_id())) {
                let call = self.client.delete_policy_version().policy_name(name);
                let call = call.set_policy_version_id(oldest.version_id().map(str::to_owned)).send().await;
                gone(call.map(|_| ()).map_err(|error| fault("iot:DeletePolicyVersion", &error)))?;
            }
        }
        let call = self.client.create_policy_version().policy_name(name).policy_document(document);
        let answer = call.set_as_default(true).send().await;
        answer.map(|_| ()).map_err(|error| fault("iot:CreatePolicyVersion", &error))
    }

    async fn delete_policy(&self, name: &str) -> Answer<()> {
        let call = self.client.delete_policy().policy_name(name).send().await;
        gone(call.map(|_| ()).map_err(|error| fault("iot:DeletePolicy", &error)))
    }

    async fn attached_policies(&self, arn: &str) -> Answer<Vec<String>> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let call = self.client.list_attached_policies().target(arn).set_marker(from);
            let answer = call.send().await.map_err(|error| fault("iot:ListAttachedPolicies", &error));
            let Some(page) = found(answer)? else { return Ok(all) };
            all.extend(page.policies().iter().filter_map(|policy| policy.policy_name()).map(str::to_owned));
            from = page.next_marker().map(str::to_owned);
            if from.is_none() {
                return Ok(all);
            }
        }
    }

    async fn attach_policy(&self, policy: &str, arn: &str) -> Answer<()> {
        let call = self.client.attach_policy().policy_name(policy).target(arn).send().await;
        call.map(|_| ()).map_err(|error| fault("iot:AttachPolicy", &error))
    }

    async fn detach_policy(&self, policy: &str, arn: &str) -> Answer<()> {
        let call = self.client.detach_policy().policy_name(policy).target(arn).send().await;
        gone(call.map(|_| ()).map_err(|error| fault("iot:DetachPolicy", &error)))
    }

    async fn endpoint(&self) -> Answer<String> {
        const OPERATION: &str = "iot:DescribeEndpoint";
        let call = self.client.describe_endpoint().endpoint_type("iot:Data-ATS").send().await;
        let answer = call.map_err(|error| fault(OPERATION, &error))?;
        field(OPERATION, "endpointAddress", answer.endpoint_address())
            .map(|address| bare_host(&address).to_owned())
    }
}
