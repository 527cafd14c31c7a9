//! Servers that stand in for AWS, started by the tests that need them.
//!
//! Out comes the address of a server that answers. What must stay true: a server listens on 127.0.0.1 alone and on a
//! port that nobody else is given; it ends with its [`Server`], and with the test process however that ends (its keeper waits for
//! the end of a pipe that only this process holds); it sees none of this machine's own settings of AWS; and nothing
//! here changes the environment of the test process, which all tests share.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use iotlake::aws::{Access, Aws, Credentials};
use iotlake_fixtures::Port;
use serde_json::Value;
use tempfile::TempDir;

/// The region of every server.
pub const REGION: &str = "eu-west-1";

/// The account of every server.
pub const ACCOUNT: &str = "123456789012";

/// The key and the secret that every server takes.
pub const ACCESS_KEY: (&str, &str) = ("test", "test");

/// How long a server may take to answer for the first time, on a machine that is busy with much else.
const START: Duration = Duration::from_secs(240);

/// Between two looks at something that is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs a program until it ends or this side's end of the pipe is closed, then ends it with all that it started. Its first
/// argument is a folder of the program's own, for its temporary files, which goes in the end: a server that tests share is
/// never dropped. The program may run elsewhere, as cargo-lambda does, in the sources.
const KEEPER: &str = "
import os, shutil, signal, subprocess, sys, threading
folder = sys.argv[1]
temporary = os.path.join(folder, 'tmp')
os.mkdir(temporary)
environment = dict(os.environ, TMPDIR=temporary)
child = subprocess.Popen(
    sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True, env=environment)
# A signal to the whole group, as of `timeout`, ends the test; its end closes the pipe.
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(name, lambda *_: None)
closed = threading.Event()
def ended():
    status = child.wait()
    if not closed.is_set():
        os._exit(status if status >= 0 else 128 - status)
threading.Thread(target=ended, daemon=True).start()
try:
    sys.stdin.buffer.read()
finally:
    closed.set()
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    shutil.rmtree(folder, ignore_errors=True)
";

/// A program that can stand in for AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ministack: the whole stack.
    Ministack,
    /// moto: a second opinion on S3 and Glue.
    Moto,
    /// SeaweedFS: an S3 that is nobody's emulator.
    Seaweedfs,
}

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    aws: OnceLock<Aws>,
    process: Process,
    /// Given back after the process has ended.
    ports: Vec<Port>,
}

impl Server {
    /// The one server of its kind that the tests of this process share. Use names that no other test uses.
    pub fn shared(kind: Kind) -> &'static Server {
        static SHARED: [OnceLock<Server>; 3] = [const { OnceLock::new() }; 3];
        SHARED[kind as usize].get_or_init(|| Server::start(kind))
    }

    /// A server of one's own.
    pub fn start(kind: Kind) -> Server {
        Server::start_with(kind, &[])
    }

    /// A server of one's own with further variables in its environment.
    pub fn start_with(kind: Kind, environment: &[(&str, &str)]) -> Server {
        match kind {
            Kind::Ministack => ministack(environment),
            Kind::Moto => moto(environment),
            Kind::Seaweedfs => seaweedfs(environment),
        }
    }

    /// Its address, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A way to it.
    pub fn aws(&self) -> Aws {
        let start = || Aws::start_with(self.settings()).expect("a thread for the runtime");
        self.aws.get_or_init(start).clone()
    }

    /// What [`Server::aws`] is made of, for tests that need other bounds.
    pub fn settings(&self) -> Access {
        settings(&self.endpoint)
    }

    /// Makes a bucket that no other test has and tells its name, which begins with `purpose`.
    pub fn bucket(&self, purpose: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let bucket = format!("{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let aws = self.aws();
        let here = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(REGION))
            .build();
        let create = aws.s3().create_bucket().bucket(&bucket).create_bucket_configuration(here);
        aws.wait(create.send()).unwrap_or_else(|error| panic!("{bucket}: {error:?}\n{}", self.log()));
        bucket
    }

    /// What the server has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// How a client reaches `endpoint`: with the credentials that every server takes, and nothing from the environment.
pub fn settings(endpoint: &str) -> Access {
    Access {
        endpoint: Some(endpoint.to_owned()),
        region: Some(REGION.to_owned()),
        credentials: Some(Credentials::new(ACCESS_KEY.0, ACCESS_KEY.1, None, None, "test")),
        ..Access::default()
    }
}

fn ministack(environment: &[(&str, &str)]) -> Server {
    start("ministack", |port, command| {
        command
            .arg(tool("ministack"))
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
            .env("MINISTACK_REGION", REGION)
            // Its Lambda functions take the address from here.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("ATHENA_ENGINE", "duckdb")
            // Both would listen on every interface.
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0")
            .envs(environment.iter().copied());
        "/_ministack/health"
    })
}

fn moto(environment: &[(&str, &str)]) -> Server {
    start("moto", |port, command| {
        command
            .arg(tool("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .envs(environment.iter().copied());
        "/moto-api/data.json"
    })
}

fn seaweedfs(environment: &[(&str, &str)]) -> Server {
    let mut inner = Vec::new();
    let mut server = start("seaweedfs", |port, command| {
        let folder = command.get_current_dir().expect("every server has a folder").to_owned();
        let (key, secret) = ACCESS_KEY;
        let identities = serde_json::json!({"identities": [{
            "name": "test",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(folder.join("s3.json"), identities.to_string()).expect("the folder is ours");
        fs::create_dir_all(folder.join("data")).expect("the folder is ours");
        command.arg(tool("weed")).args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.args([
            "-s3",
            "-s3.config=s3.json",
            "-s3.autoCreateBucket=false",
            "-filer",
            "-master.telemetry=false",
        ]);
        // Every bucket takes a few volumes; they are sparse files. By default it writes nothing any more, and answers with
        // InternalError, when a hundredth of the disk is free, which may be far more than the tests take.
        command.args(["-volume.max=400", "-master.volumeSizeLimitMB=64", "-volume.minFreeSpace=64MiB"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]).arg(format!("-s3.port={port}"));
        let names = [
            "s3.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
        ];
        for name in names {
            let port = Port::reserve();
            command.arg(format!("-{name}={}", port.number()));
            inner.push(port);
        }
        command.envs(environment.iter().copied());
        "/healthz"
    });
    server.ports.append(&mut inner);
    server
}

/// A proxy before a server that answers in its place as the rules say.
#[derive(Debug)]
pub struct Faults {
    server: Server,
}

impl Faults {
    /// A proxy before `upstream` that as yet lets everything through.
    pub fn before(upstream: &Server) -> Faults {
        let server = start("microburst", |port, command| {
            command.arg(tool("microburst")).args(["--host", "127.0.0.1", "--no-resign"]);
            command.args(["--upstream", upstream.endpoint(), "--port", &port.to_string()]);
            "/_microburst/health"
        });
        Faults { server }
    }

    /// The proxy as a server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A way to the server behind the proxy.
    pub fn aws(&self) -> Aws {
        self.server.aws()
    }

    /// Adds a rule; of those that match a request the first one holds. In a rule
    /// - what is hit: `service`, `operation` (`GetObject`), `resource` (of S3 the bucket), `headers`, `body`;
    /// - how often: `times`, `sequence` (`{"fail": 1, "pass": 2}`), `probability`;
    /// - what happens: `error` (`{"code": "SlowDown", "status": 503}`), `timeout_ms`, `reset`, `latency`,
    ///   `response` (`{"abort_frac": 0.3}`), `request` (`{"cut_upload": {"after_frac": 0.5}}`).
    pub fn rule(&self, rule: &Value) {
        let url = format!("{}/_microburst/rules", self.server.endpoint());
        let answer = ureq::patch(&url).send_json(serde_json::json!([rule]));
        answer.unwrap_or_else(|error| panic!("{rule}: {error}\n{}", self.server.log()));
    }

    /// Removes all rules.
    pub fn clear(&self) {
        let url = format!("{}/_microburst/rules", self.server.endpoint());
        ureq::post(&url).send_json(serde_json::json!([])).expect("the proxy answers");
    }

    /// What the proxy did instead of forwarding, oldest first: `{"service", "operation", "action", ...}`.
    pub fn fired(&self) -> Vec<Value> {
        let url = format!("{}/_microburst/fired?limit=10000", self.server.endpoint());
        ureq::get(&url).call().expect("the proxy answers").body_mut().read_json().expect("a list of events")
    }
}

/// Starts the program that `arrange` writes into the command for a port, and waits until the path that it tells
/// answers there.
pub fn start(name: &str, arrange: impl FnOnce(u16, &mut Command) -> &'static str) -> Server {
    let port = Port::reserve();
    let endpoint = format!("http://127.0.0.1:{}", port.number());
    let folder = tempfile::Builder::new().prefix(name).tempdir().expect("a folder for temporary files");
    let mut command = Command::new(tool("python"));
    command.args(["-c", KEEPER]).arg(folder.path()).current_dir(folder.path());
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(variable);
    }
    let path = arrange(port.number(), &mut command);
    let mut process = Process::spawn(command, folder);
    if let Err(reason) = process.answers(&format!("{endpoint}{path}")) {
        panic!("{name}: {reason}; it printed\n{}", process.log());
    }
    Server { endpoint, aws: OnceLock::new(), process, ports: vec![port] }
}

/// A program of the Python environment that `make venv` makes.
pub fn tool(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let path = root.join(".venv-aws/bin").join(name);
    assert!(path.exists(), "{} is not there: run `make venv`", path.display());
    path
}

/// A program under its keeper.
#[derive(Debug)]
struct Process {
    keeper: Child,
    folder: TempDir,
}

impl Process {
    fn spawn(mut command: Command, folder: TempDir) -> Process {
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        let errors = log.try_clone().expect("a second handle");
        // In a group of its own: what kills the whole group of the tests must not kill the keeper before its servers.
        let keeper = command.process_group(0).stdin(Stdio::piped()).stdout(log).stderr(errors).spawn();
        Process { keeper: keeper.expect("the Python of `make venv` starts"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until `url` answers, if only that this cannot be asked there.
    fn answers(&mut self, url: &str) -> Result<(), String> {
        let deadline = Instant::now() + START;
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5)));
        let agent: ureq::Agent = config.http_status_as_error(false).build().into();
        loop {
            let why = match agent.get(url).call() {
                Ok(answer) if !answer.status().is_server_error() => return Ok(()),
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.ended() {
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("no answer from {url} in {START:?}: {why}"));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.keeper.try_wait().expect("the keeper is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper has nothing to do but to kill and to end.
        let _ = self.keeper.wait();
    }
}
