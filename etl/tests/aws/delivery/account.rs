//! An account as it stands around the engine: raw bucket, queue, dead-letter queue, function, lake.
//!
//! In comes the zip of a function; out comes an account on a server of its own, whose parts are joined as docs/aws.md
//! says, and ways to look at each. Nothing here knows what is in the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Architecture, Environment, FunctionCode, FunctionResponseType, Runtime, ScalingConfig,
};
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use iotlake::aws::{Aws, Credentials};
use iotlake::lake::Lake;
use iotlake::ledger::{LedgerError, Receipt};
use iotlake::location::{CatalogChoice, LazyAws, Location};
use serde_json::{Value, json};

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
    sqs: aws_sdk_sqs::Client,
    lambda: aws_sdk_lambda::Client,
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
        let config = config(&aws, &server);
        let (sqs, lambda) = (aws_sdk_sqs::Client::new(&config), aws_sdk_lambda::Client::new(&config));
        let (raw, lake) = (server.bucket("raw"), server.bucket("lake"));
        let dead = queue(&aws, &sqs, "ingest-dead", &[]);
        let redrive =
            json!({"deadLetterTargetArn": queue_arn("ingest-dead"), "maxReceiveCount": RECEIVES.to_string()});
        // In an account it is six times the function's time-out; here what is dead shall be so soon. A message that
        // comes back while it is still being worked on does no harm, which this shows by the way.
        let settings = [
            (QueueAttributeName::VisibilityTimeout, "10".to_owned()),
            (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        ];
        let queue = queue(&aws, &sqs, "ingest", &settings);
        let account = Account { server, aws, sqs, lambda, raw, lake, queue, dead, database };
        account.create_function(zip, variables);
        account
    }

    fn create_function(&self, zip: Vec<u8>, variables: &[(&str, &str)]) {
        let (lake, catalog) = (format!("s3://{}/iot", self.lake), format!("glue:{}", self.database));
        let own = [("IOTLAKE_LAKE", &*lake), ("IOTLAKE_CATALOG", &*catalog)];
        let variables =
            own.iter().chain(variables).map(|(name, value)| (name.to_string(), value.to_string()));
        let create = self
            .lambda
            .create_function()
            .function_name(FUNCTION)
            .runtime(Runtime::from("provided.al2023"))
            .architectures(Architecture::X8664)
            .handler("bootstrap")
            .role(format!("arn:aws:iam::{ACCOUNT}:role/ingest"))
            .memory_size(512)
            .timeout(60)
            .environment(Environment::builder().set_variables(Some(variables.collect())).build())
            .code(FunctionCode::builder().zip_file(Blob::new(zip)).build());
        self.aws.wait(create.send()).unwrap_or_else(|error| panic!("{error:?}\n{}", self.server.log()));
    }

    /// Invokes the function; its answer, which must not be an error.
    pub fn invoke(&self, event: &Value) -> Value {
        let payload = Blob::new(event.to_string());
        let invoke = self.lambda.invoke().function_name(FUNCTION).payload(payload).send();
        let answer = self.aws.wait(invoke).unwrap_or_else(|error| panic!("{error:?}\n{}", self.server.log()));
        let text = answer.payload().map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
        let text = text.unwrap_or_default();
        assert_eq!(answer.function_error(), None, "{text}\n{}", self.server.log());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Leads from the raw bucket through the queue to the function.
    pub fn connect(&self) {
        let mapping = self
            .lambda
            .create_event_source_mapping()
            .function_name(FUNCTION)
            .event_source_arn(queue_arn("ingest"))
            .batch_size(10)
            .maximum_batching_window_in_seconds(1)
            .scaling_config(ScalingConfig::builder().maximum_concurrency(3).build())
            .function_response_types(FunctionResponseType::ReportBatchItemFailures);
        self.aws.wait(mapping.send()).unwrap();
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
        let (waiting, taken) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let ask = self.sqs.get_queue_attributes().queue_url(queue);
        let ask = ask.attribute_names(waiting.clone()).attribute_names(taken.clone());
        let answer = self.aws.wait(ask.send()).unwrap();
        let number = |name| answer.attributes().unwrap()[&name].parse().unwrap();
        (number(waiting), number(taken))
    }

    pub fn send(&self, body: &str) {
        self.aws.wait(self.sqs.send_message().queue_url(&self.queue).message_body(body).send()).unwrap();
    }

    /// The bodies in the dead-letter queue.
    pub fn dead_letters(&self) -> BTreeSet<String> {
        let mut bodies = BTreeSet::new();
        loop {
            let receive = self
                .sqs
                .receive_message()
                .queue_url(&self.dead)
                .max_number_of_messages(10)
                .visibility_timeout(600);
            let answer = self.aws.wait(receive.send()).unwrap();
            if answer.messages().is_empty() {
                return bodies;
            }
            bodies.extend(answer.messages().iter().map(|message| message.body().unwrap().to_owned()));
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

/// As the engine itself reaches the server, for services it does not use.
fn config(aws: &Aws, server: &Server) -> SdkConfig {
    let load = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(server.endpoint())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY.0, ACCESS_KEY.1, None, None, "test"))
        .load();
    aws.wait(load)
}

fn queue(
    aws: &Aws,
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    attributes: &[(QueueAttributeName, String)],
) -> String {
    let attributes = attributes.iter().cloned().collect();
    let created = aws.wait(sqs.create_queue().queue_name(name).set_attributes(Some(attributes)).send());
    created.unwrap().queue_url().unwrap().to_owned()
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}
