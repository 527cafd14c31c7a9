//! The real program `ingest` as a function: workers under a Runtime API that others wrote, and invocations of them.
//!
//! In come the variables of a function and a number of workers; out come answers, and every line that the workers
//! printed. Each worker takes one invocation at a time, as in Lambda. Workers end with their [`Function`].

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::servers::{self, ACCESS_KEY, REGION, Server, tool};

/// How long an invocation may take on a machine that is busy: longer than a client waits for one try of a request that
/// hangs, for which there are tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// A function with a number of workers.
#[derive(Debug)]
pub struct Function {
    api: Server,
    variables: Vec<(String, String)>,
    workers: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    process: Child,
    output: tempfile::NamedTempFile,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Function {
    /// A function with `workers` workers that reaches AWS at `endpoint`.
    pub fn start(endpoint: &str, variables: &[(&str, &str)], workers: usize) -> Function {
        let mut all: Vec<(String, String)> = vec![
            ("AWS_ENDPOINT_URL".into(), endpoint.into()),
            ("AWS_REGION".into(), REGION.into()),
            ("AWS_ACCESS_KEY_ID".into(), ACCESS_KEY.0.into()),
            ("AWS_SECRET_ACCESS_KEY".into(), ACCESS_KEY.1.into()),
        ];
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let api = servers::start("cargo-lambda", |port, command| {
            let folder = command.get_current_dir().expect("every server has a folder").to_owned();
            // It wants to stand in some package, of which it then builds nothing.
            fs::create_dir(folder.join("src")).expect("the folder is ours");
            File::create(folder.join("src/main.rs")).expect("the folder is ours");
            let manifest =
                "[package]\nname = \"none\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
            fs::write(folder.join("Cargo.toml"), manifest).expect("the folder is ours");
            command.arg(tool("cargo-lambda")).args(["lambda", "watch", "--only-lambda-apis"]);
            command.args(["-A", "127.0.0.1", "-P", &port.to_string()]);
            // It takes no GET there, and says so.
            "/2015-03-31/functions/_/invocations"
        });
        let function = Function { api, variables: all, workers: Mutex::default() };
        for _ in 0..workers {
            function.add_worker();
        }
        function
    }

    /// Starts one more worker; its process id.
    pub fn add_worker(&self) -> u32 {
        let output = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ingest"));
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", format!("{}/.rt", self.api.endpoint()))
            .env("AWS_LAMBDA_FUNCTION_NAME", "_")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.reopen().expect("a second handle"))
            .stderr(output.reopen().expect("a third handle"));
        let process = command.spawn().expect("the program was built for this test");
        let id = process.id();
        self.workers.lock().unwrap().push(Worker { process, output });
        id
    }

    /// Ends a worker at once, as an operating system does that runs out of memory.
    pub fn kill(&self, id: u32) {
        let mut workers = self.workers.lock().unwrap();
        let worker =
            workers.iter_mut().find(|worker| worker.process.id() == id).expect("it was started here");
        worker.process.kill().expect("it is our child");
        worker.process.wait().expect("it is our child");
    }

    /// Invokes the function: its answer, or its error.
    pub fn invoke(&self, event: &Value) -> Result<Value, Value> {
        post(&self.url(), event)
    }

    /// Invokes it where nobody will answer.
    pub fn invoke_in_vain(&self, event: &Value) {
        let (url, event) = (self.url(), event.clone());
        thread::spawn(move || post(&url, &event));
    }

    fn url(&self) -> String {
        format!("{}/2015-03-31/functions/_/invocations", self.api.endpoint())
    }

    /// Invokes it where it must succeed.
    #[track_caller]
    pub fn ask(&self, event: &Value) -> Value {
        self.invoke(event).unwrap_or_else(|error| panic!("{error}\n{}", self.text()))
    }

    /// Hands `messages` to the function in batches of ten, several at a time, and again what it reports as failed,
    /// until nothing fails any more.
    pub fn deliver(&self, messages: &[Value], at_once: usize) {
        let mut due: Vec<Value> = messages.to_vec();
        for received in 1.. {
            let batches: Vec<&[Value]> = due.chunks(10).collect();
            let next = AtomicUsize::new(0);
            let failed = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for _ in 0..at_once {
                    scope.spawn(|| {
                        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                            failed.lock().unwrap().extend(self.deliver_batch(batch));
                        }
                    });
                }
            });
            due = failed.into_inner().unwrap();
            if due.is_empty() {
                return;
            }
            assert!(received < 10, "{} messages fail for ever:\n{}", due.len(), self.text());
        }
    }

    /// The messages of one batch that failed.
    pub fn deliver_batch(&self, messages: &[Value]) -> Vec<Value> {
        let answer = match self.invoke(&json!({"Records": messages})) {
            Ok(answer) => answer,
            // A batch without an answer is delivered again whole.
            Err(_) => return messages.to_vec(),
        };
        let failures = answer["batchItemFailures"].as_array().expect("a batch is answered with failures");
        let is_failed = |message: &&Value| {
            failures.iter().any(|failure| failure["itemIdentifier"] == message["messageId"])
        };
        messages.iter().filter(is_failed).cloned().collect()
    }

    /// Everything that the workers printed.
    pub fn text(&self) -> String {
        let workers = self.workers.lock().unwrap();
        workers.iter().map(|worker| fs::read_to_string(worker.output.path()).unwrap_or_default()).collect()
    }

    /// The lines that are JSON.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        BufReader::new(text.as_bytes())
            .lines()
            .filter_map(|line| serde_json::from_str(&line.ok()?).ok())
            .collect()
    }

    /// The lines about the object `source`.
    pub fn about(&self, source: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["source"] == source).collect()
    }

    /// The sum of a metric over all invocations.
    pub fn metric(&self, name: &str) -> u64 {
        let lines = self.lines();
        let lines = lines.iter().filter(|line| line.get("_aws").is_some());
        lines.map(|line| line[name].as_u64().unwrap_or_else(|| panic!("{line} lacks {name}"))).sum()
    }

    /// Waits until a worker has printed a line that `is_it` likes.
    pub fn wait_for_line(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines().into_iter().find(&is_it) {
                return line;
            }
            assert!(Instant::now() < deadline, "it was never printed; there is\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn post(url: &str, event: &Value) -> Result<Value, Value> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.build().into();
    let mut answer = match agent.post(url).send_json(event) {
        Ok(answer) => answer,
        Err(error) => return Err(json!({"errorType": "NoAnswer", "errorMessage": error.to_string()})),
    };
    let body: Value = answer.body_mut().read_json().expect("answers are JSON");
    let is_error = answer.status() != 200 || body.get("errorMessage").is_some();
    if is_error { Err(body) } else { Ok(body) }
}

/// A message of SQS with S3's notification that `key` has landed in `bucket`.
pub fn message(id: &str, bucket: &str, key: &str, size: u64, etag: &str) -> Value {
    json!({
        "messageId": id,
        "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": notification(bucket, key, size, etag).to_string(),
    })
}

/// S3's notification, with the key encoded as S3 does.
pub fn notification(bucket: &str, key: &str, size: u64, etag: &str) -> Value {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'*' | b'/' => {
            (byte as char).to_string()
        }
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-03-01T09:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": key.bytes().map(encode).collect::<String>(), "size": size, "eTag": etag},
        },
    }]})
}
