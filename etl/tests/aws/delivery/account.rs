//! An account as it stands around the engine: raw bucket, queue, dead-letter queue, function, lake.
//!
//! In comes the zip of a function; out comes an account on a server of its own, whose parts are joined as docs/aws.md
//! says, and ways to look at each. Nothing here knows what is in the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use iotlake::aws::Aws;
use iotlake::lake::Lake;
use iotlake::ledger::{LedgerError, Receipt};
use iotlake::location::{CatalogChoice, LazyAws, Location};
use serde_json::{Value, json};

use crate::neighbours::{self, sqs};
use crate::servers::{ACCESS_KEY, ACCOUNT, Kind, REGION, Server, tool};

const FUNCTION: &str = "ingest";

/// How long what is awaited may take, on a machine that is busy compiling.
const PATIENCE: Duration = Duration::from_secs(240);

/// Receives of a message before it is taken for dead. Production has more: docs/aws.md.
const RECEIVES: u32 = 3;

/// An account with a raw bucket, a lake and the function between them.
pub struct Account {
    pub server: Server,
    pub aws: Aws,
    pub raw: String,
    lake: String,
    pub queue: String,
    pub dead: String,
    database: &'static str,
}

impl Account {
    /// An account whose function is made of this zip. Nothing leads to it yet.
    pub fn new(zip: Vec<u8>, database: &'static str, variables: &[(&str, &str)]) -> Account {
        let server = Server::start(Kind::Ministack);
        let aws = server.aws();
        let (raw, lake) = (server.bucket("raw"), server.bucket("lake"));
        let dead = queue(&server, "ingest-dead", &json!({}));
        let redrive =
            json!({"deadLetterTargetArn": queue_arn("ingest-dead"), "maxReceiveCount": RECEIVES.to_string()});
        // In an account it is six times the function's time-out; here what is dead shall be so soon. A message that
        // comes back while it is still being worked on does no harm, which this shows by the way.
        let settings = json!({"VisibilityTimeout": "10", "RedrivePolicy": redrive.to_string()});
        let queue = queue(&server, "ingest", &settings);
        let account = Account { server, aws, raw, lake, queue, dead, database };
        account.create_function(zip, variables);
        account
    }

    fn create_function(&self, zip: Vec<u8>, variables: &[(&str, &str)]) {
        let (lake, catalog) = (format!("s3://{}/iot", self.lake), format!("glue:{}", self.database));
        let own = [("IOTLAKE_LAKE", &*lake), ("IOTLAKE_CATALOG", &*catalog)];
        let variables: BTreeMap<&str, &str> = own.iter().chain(variables).copied().collect();
        neighbours::create_function(&self.server, FUNCTION, &zip, 60, &json!(variables));
    }

    /// Invokes the function; its answer, which must not be an error.
    pub fn invoke(&self, event: &Value) -> Value {
        let (is_well, answer) = neighbours::invoke(&self.server, FUNCTION, event);
        assert!(is_well, "{answer}\n{}", self.server.log());
        answer
    }

    /// Leads from the raw bucket through the queue to the function.
    pub fn connect(&self) {
        let mapping = json!({
            "FunctionName": FUNCTION,
            "EventSourceArn": queue_arn("ingest"),
            "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 1,
            "ScalingConfig": {"MaximumConcurrency": 3},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        });
        neighbours::lambda(&self.server, "2015-03-31/event-source-mappings", &mapping);
        let to_queue = QueueConfiguration::builder()
            .queue_arn(queue_arn("ingest"))
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .unwrap();
        let notification = NotificationConfiguration::builder().queue_configurations(to_queue).build();
        let subscribe = self
            .server
            .aws()
            .s3()
            .put_bucket_notification_configuration()
            .bucket(&self.raw)
            .notification_configuration(notification);
        self.aws.wait(subscribe.send()).unwrap();
    }

    pub fn lake(&self) -> Lake {
        let location: Location = format!("s3://{}/iot", self.lake).parse().unwrap();
        let catalog = CatalogChoice::Glue(self.database.to_owned());
        Lake::open(&location, &catalog, &LazyAws::from(self.aws.clone())).unwrap()
    }

    pub fn receipts(&self, table: &str) -> BTreeMap<String, Receipt> {
        let mut receipts = BTreeMap::new();
        let listed = self.lake().ledger().list(table, |receipt| {
            receipts.insert(receipt.source.clone(), receipt);
            Ok::<_, LedgerError>(())
        });
        listed.unwrap();
        receipts
    }

    /// Messages of a queue: those that wait, and those that are being worked on.
    pub fn messages(&self, queue: &str) -> (u64, u64) {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let ask = json!({"QueueUrl": queue, "AttributeNames": names});
        let answer = sqs(&self.server, "GetQueueAttributes", &ask);
        let number = |name| answer["Attributes"][name].as_str().expect("SQS tells it").parse().unwrap();
        (number(names[0]), number(names[1]))
    }

    pub fn send(&self, body: &str) {
        sqs(&self.server, "SendMessage", &json!({"QueueUrl": self.queue, "MessageBody": body}));
    }

    /// The bodies in the dead-letter queue.
    pub fn dead_letters(&self) -> BTreeSet<String> {
        let receive = json!({"QueueUrl": self.dead, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600});
        let mut bodies = BTreeSet::new();
        loop {
            let answer = sqs(&self.server, "ReceiveMessage", &receive);
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return bodies;
            }
            bodies.extend(messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()));
        }
    }

    /// Waits until `is_so`, and says what `there` is if it never comes to that.
    pub fn wait_until(&self, is_so: impl Fn() -> bool, there: impl Fn() -> String) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "after {PATIENCE:?}: {}\n{}", there(), self.server.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What other readers see in a table.
    pub fn read(&self, table: &str) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/read_glue.py");
        let mut command = Command::new(tool("python"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .arg(script)
            .args([self.database, table, &*self.lake])
            .env("AWS_ENDPOINT_URL", self.server.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY.0)
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{table}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Makes a queue and tells its address.
fn queue(server: &Server, name: &str, attributes: &Value) -> String {
    let created = sqs(server, "CreateQueue", &json!({"QueueName": name, "Attributes": attributes}));
    created["QueueUrl"].as_str().expect("SQS tells it").to_owned()
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}
