//! A service over an account of its own, and a look at what is in that account.
//!
//! Each [`World`] is one account of a server: both ministack and the ports' clients tell accounts apart by the access
//! key. What must stay true: a world sees nothing of another; what it writes into its log is kept, for the scan.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use iotlake_onboarding::iot::Iot;
use iotlake_onboarding::iot::aws::AwsIot;
use iotlake_onboarding::record::Record;
use iotlake_onboarding::registry::Registry;
use iotlake_onboarding::registry::dynamodb::DynamoRegistry;
use iotlake_onboarding::service::{Call, Clock, Service};
use iotlake_onboarding::settings::{Settings, Table};
use iotlake_onboarding::telemetry::{Log, Sink};
use iotlake_onboarding::vault::kms::KmsKeys;
use tokio::time::Instant;

use crate::servers::{REGION, Server};

/// The service as it is deployed.
pub type AwsService = Service<AwsIot, DynamoRegistry, KmsKeys>;

/// An account, or what stands for one.
#[derive(Debug, Clone)]
pub struct World {
    /// Where its services answer.
    pub endpoint: String,
    /// Its number, which is also the access key.
    pub account: String,
    /// The KMS key.
    pub kms_key: String,
    /// All that was written.
    pub written: Written,
    /// What its clock is ahead, in milliseconds.
    pub ahead: Arc<AtomicU64>,
}

/// The name of every world's table.
pub const TABLE: &str = "devices";

/// What was written into a log.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl World {
    /// An account that no other test has, with a table and a KMS key.
    pub async fn new(server: &Server) -> World {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(200_000_000_000);
        let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        World::of(server, &account).await
    }

    /// The account of that number, with a table and a KMS key.
    pub async fn of(server: &Server, account: &str) -> World {
        let mut world = World {
            endpoint: server.endpoint().to_owned(),
            account: account.to_owned(),
            kms_key: String::new(),
            written: Written::default(),
            ahead: Arc::default(),
        };
        let config = world.config().await;
        let kms = aws_sdk_kms::Client::new(&config);
        let made =
            kms.create_key().send().await.unwrap_or_else(|error| panic!("{error:?}\n{}", server.log()));
        world.kms_key = made.key_metadata().expect("a key has metadata").key_id().to_owned();
        world.make_table(TABLE).await;
        world
    }

    /// The same account through another address.
    pub fn through(&self, endpoint: &str) -> World {
        World { endpoint: endpoint.to_owned(), ..self.clone() }
    }

    pub async fn make_table(&self, name: &str) {
        let client = aws_sdk_dynamodb::Client::new(&self.config().await);
        let mut call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        for (key, kind) in [("deviceGroup", KeyType::Hash), ("serialNumber", KeyType::Range)] {
            let schema = KeySchemaElement::builder().attribute_name(key).key_type(kind).build().unwrap();
            let text = AttributeDefinition::builder().attribute_name(key);
            let text = text.attribute_type(ScalarAttributeType::S).build().unwrap();
            call = call.key_schema(schema).attribute_definitions(text);
        }
        call.send().await.expect("a table");
    }

    /// How clients reach it.
    pub async fn config(&self) -> SdkConfig {
        iotlake_onboarding::aws::loader()
            .endpoint_url(&self.endpoint)
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(&self.account, "test", None, None, "test"))
            .load()
            .await
    }

    /// The variables of a function in it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LAMBDA_ENV", "test"),
            ("ONBOARDING_TABLE_NAME", TABLE),
            ("ONBOARDING_KMS_KEY", &self.kms_key),
            ("ONBOARDING_LEASE_MS", "400"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Its settings with further variables.
    pub fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::read(self.variables().into_iter().chain(more)).unwrap()
    }

    /// The service as it is deployed, with further variables.
    pub async fn service(&self, more: &[(&str, &str)]) -> AwsService {
        let config = self.config().await;
        let settings = self.settings(more);
        let registry = DynamoRegistry::new(&config, settings.table.clone());
        let keys = KmsKeys::new(&config, &self.kms_key);
        Service::new(settings, AwsIot::new(&config), registry, keys, self.clock())
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        let ahead = self.ahead.clone();
        Arc::new(move || now() + ahead.load(Ordering::Relaxed))
    }

    /// Its IoT Core.
    pub async fn iot(&self) -> AwsIot {
        AwsIot::new(&self.config().await)
    }

    /// Its registry.
    pub async fn registry(&self) -> DynamoRegistry {
        DynamoRegistry::new(&self.config().await, self.table())
    }

    pub fn table(&self) -> Table {
        self.settings(&[]).table
    }

    /// A request with enough time.
    pub fn call(&self) -> Call {
        call(&self.written)
    }
}

/// A request with enough time that writes into a log.
pub fn call(written: &Written) -> Call {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let id = format!("request-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
    let log = Log::new(Sink::new(written.clone()), "test", &id, None);
    Call { log, deadline: Instant::now() + Duration::from_secs(60) }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// What is in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Names of things, each with the ids of the certificates attached.
    pub things: Vec<(String, Vec<String>)>,
    /// Ids of certificates, each with whether it is active and its policies.
    pub certificates: Vec<(String, bool, Vec<String>)>,
    /// Records.
    pub records: Vec<Record>,
}

impl Inventory {
    /// All of it.
    pub async fn of(iot: &impl Iot, registry: &impl Registry) -> Inventory {
        let (mut things, mut certificates, mut records) = (Vec::new(), Vec::new(), Vec::new());
        let mut from = None;
        loop {
            let page = iot.things("test", from).await.unwrap();
            for name in page.items {
                let arns = iot.principals(&name).await.unwrap();
                let ids = arns.iter().map(|arn| iotlake_onboarding::iot::certificate_id(arn).to_owned());
                things.push((name, ids.collect()));
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        loop {
            let page = iot.certificates(from).await.unwrap();
            for listed in page.items {
                let active = listed.status == iotlake_onboarding::iot::Status::Active;
                certificates.push((listed.id, active, iot.attached_policies(&listed.arn).await.unwrap()));
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        loop {
            let page = registry.list(from).await.unwrap();
            records.extend(page.items);
            from = page.next;
            if from.is_none() {
                return Inventory { things, certificates, records };
            }
        }
    }

    /// One device, entirely onboarded, and nothing else; the id of its certificate.
    pub fn assert_one(&self, serial: &str) -> String {
        let [record] = &self.records[..] else { panic!("{serial}: {self:#?}") };
        assert_eq!((&*record.serial, record.state.as_str()), (serial, "active"), "{self:#?}");
        let id = record.identity.as_ref().expect("an active device has a certificate").id.clone();
        assert_eq!(self.things, [(serial.to_owned(), vec![id.clone()])], "{self:#?}");
        let policies = vec!["iotlake-device-test".to_owned()];
        assert_eq!(self.certificates, [(id.clone(), true, policies)], "{self:#?}");
        id
    }

    /// Nothing at all.
    pub fn assert_empty(&self) {
        let nothing = Inventory { things: vec![], certificates: vec![], records: vec![] };
        assert_eq!(*self, nothing);
    }
}
