//! What the quickstart left behind: a record with its key in the clear, a thing, an active certificate, and a policy of
//! its own.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use iotlake_onboarding::iot::Iot;
use iotlake_onboarding::record::{Identity, Record, State, StoredKey};
use iotlake_onboarding::secret::Secret;

use crate::world::World;

/// The policy that it made.
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// A record as the quickstart wrote them.
pub fn record(serial: &str) -> Record {
    let identity = Identity {
        id: format!("{serial}-certificate"),
        arn: format!("arn:aws:iot:eu-west-1:123456789012:cert/{serial}-certificate"),
        pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        public_key: "-----BEGIN PUBLIC KEY-----\n".to_owned(),
        key: StoredKey::Plain(Secret::new(format!("-----BEGIN RSA PRIVATE KEY-----\n{serial}\n"))),
    };
    Record {
        state: State::Active,
        thing_id: "old-id".to_owned(),
        identity: Some(identity),
        ..Record::new(serial)
    }
}

/// Writes a record as the quickstart did: all attributes are strings, and there are no others.
pub async fn put(world: &World, table: &str, record: &Record) {
    let identity = record.identity.as_ref().expect("the quickstart's records have one");
    let StoredKey::Plain(key) = &identity.key else { panic!("the quickstart's keys are in the clear") };
    let attributes = [
        ("deviceGroup", "rigado_quickstart"),
        ("serialNumber", &record.serial),
        ("deviceName", &record.thing_name),
        ("thingId", &record.thing_id),
        ("certificateArn", &identity.arn),
        ("certificateId", &identity.id),
        ("certificatePem", &identity.pem),
        ("privateKey", key.expose()),
        ("publicKey", &identity.public_key),
    ];
    let item: HashMap<_, _> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .collect();
    let client = aws_sdk_dynamodb::Client::new(&world.config().await);
    client.put_item().table_name(table).set_item(Some(item)).send().await.expect("the record is written");
}

/// Makes a device as the quickstart did, all of it, and tells its record.
pub async fn onboard(iot: &impl Iot, sdk: &aws_sdk_iot::Client, serial: &str) -> Record {
    let made = sdk.create_thing().thing_name(serial).send().await.expect("a thing");
    let issued = iot.create_certificate().await.unwrap();
    let certificate = issued.certificate;
    iot.set_active(&certificate.id, true).await.unwrap();
    let policy = format!("{serial}Policy");
    iot.ensure_policy(&policy, POLICY).await.unwrap();
    iot.attach_policy(&policy, &certificate.arn).await.unwrap();
    iot.attach_thing(serial, &certificate.arn).await.unwrap();
    let identity = Identity {
        id: certificate.id,
        arn: certificate.arn,
        pem: certificate.pem,
        public_key: issued.public_key,
        key: StoredKey::Plain(issued.private_key),
    };
    let thing_id = made.thing_id().expect("a thing has an id").to_owned();
    Record { state: State::Active, thing_id, identity: Some(identity), ..Record::new(serial) }
}
