//! Servers that stand in for AWS, and other programs, started by the tests that need them.
//!
//! Out comes the address of a server that answers. What must stay true: a server listens on 127.0.0.1 alone and on a
//! port that nobody else is given; it ends with its [`Server`], and with the test process however that ends (its keeper waits for
//! the end of a pipe that only this process holds); it sees none of this machine's own settings of AWS.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use iotlake_fixtures::Port;
use serde_json::Value;
use tempfile::TempDir;

/// The region of every server.
pub const REGION: &str = "eu-west-1";

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

/// Starts ministack so that whatever it opens is opened on 127.0.0.1: its MQTT listener has no setting for that.
const LOCAL_MINISTACK: &str = "
import asyncio.base_events as loops
create = loops.BaseEventLoop.create_server
async def local(self, factory, host=None, *rest, **named):
    if named.get('sock') is None:
        host = '127.0.0.1'
    return await create(self, factory, host, *rest, **named)
loops.BaseEventLoop.create_server = local
import sys
sys.argv = ['ministack']
from ministack.app import main
main()
";

/// A program that can stand in for AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ministack: the whole stack.
    Ministack,
    /// moto: a second opinion.
    Moto,
}

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    process: Process,
}

impl Server {
    /// The one server of its kind that the tests of this process share. Use an account that no other test uses.
    pub fn shared(kind: Kind) -> &'static Server {
        static SHARED: [OnceLock<Server>; 2] = [const { OnceLock::new() }; 2];
        SHARED[kind as usize].get_or_init(|| Server::start(kind))
    }

    /// A server of one's own.
    pub fn start(kind: Kind) -> Server {
        let process = match kind {
            Kind::Ministack => start("ministack", |port, command| {
                command.arg(tool("ministack"));
                ministack(port, command).env("IOT_MTLS_ENABLED", "0");
                "/_ministack/health"
            }),
            Kind::Moto => start("moto", |port, command| {
                command.arg(tool("moto_server")).args(["-H", "127.0.0.1", "-p", &port.to_string()]);
                "/moto-api/data.json"
            }),
        };
        let (endpoint, process) = process;
        Server { endpoint, process }
    }

    /// A ministack of one's own whose MQTT broker listens with mutual TLS; its port is beside it.
    pub fn with_broker() -> (Server, u16) {
        let port = Port::reserve();
        let broker = port.number();
        let (endpoint, mut process) = start("ministack", |port, command| {
            command.arg(tool("python")).args(["-c", LOCAL_MINISTACK]);
            ministack(port, command)
                .env("IOT_MTLS_ENABLED", "1")
                .env("IOT_MTLS_PORT", broker.to_string())
                .env("IOT_MQTT_PORT", broker.to_string());
            "/_ministack/health"
        });
        process.ports.push(port);
        (Server { endpoint, process }, broker)
    }

    /// Its address, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What the server has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn ministack(port: u16, command: &mut Command) -> &mut Command {
    command
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("MINISTACK_ACCOUNT_ID", "123456789012")
        .env("MINISTACK_REGION", REGION)
        // Its Lambda functions take the address from here.
        .env("AWS_ENDPOINT_URL", endpoint(port))
        .env("SFTP_ENABLED", "0")
}

/// A proxy before a server that answers in its place as the rules say.
#[derive(Debug)]
pub struct Faults {
    endpoint: String,
    process: Process,
}

impl Faults {
    /// A proxy before `upstream` that as yet lets everything through.
    pub fn before(upstream: &Server) -> Faults {
        let (endpoint, process) = start("microburst", |port, command| {
            command.arg(tool("microburst")).args(["--host", "127.0.0.1", "--no-resign"]);
            command.args(["--upstream", upstream.endpoint(), "--port", &port.to_string()]);
            "/_microburst/health"
        });
        Faults { endpoint, process }
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Replaces the rules; of those that match a request the first one holds. In a rule
    /// - what is hit: `service`, `operation` (`CreateThing`), `resource` (a part of the path);
    /// - how often: `times`, `sequence` (`{"fail": 1, "pass": 2}`), `probability`;
    /// - what happens: `error` (`{"code": "ThrottlingException", "status": 429}`), `timeout_ms`, `reset`,
    ///   `response` (`{"abort_frac": 0.3}`: it had its effect, the answer breaks off).
    pub fn rules(&self, rules: &[Value]) {
        let url = format!("{}/_microburst/rules", self.endpoint);
        let answer = ureq::post(&url).send_json(rules);
        answer.unwrap_or_else(|error| panic!("{rules:?}: {error}\n{}", self.process.log()));
    }

    /// What the proxy did instead of forwarding, oldest first: `{"service", "operation", "action", ...}`.
    pub fn fired(&self) -> Vec<Value> {
        let url = format!("{}/_microburst/fired?limit=10000", self.endpoint);
        ureq::get(&url).call().expect("the proxy answers").body_mut().read_json().expect("a list of events")
    }
}

/// Starts the program that `arrange` writes into the command for a port, and waits until the path that it tells
/// answers there; without a path, until the port takes connections.
pub fn start(name: &str, arrange: impl FnOnce(u16, &mut Command) -> &'static str) -> (String, Process) {
    let port = Port::reserve();
    let mut path = "";
    let mut process = Process::run(name, |command| {
        path = arrange(port.number(), command);
    });
    if let Err(reason) = process.answers(port.number(), path) {
        panic!("{name}: {reason}; it printed\n{}", process.log());
    }
    let endpoint = endpoint(port.number());
    process.ports.push(port);
    (endpoint, process)
}

/// Takes this machine's own settings of AWS out of a command's environment.
pub fn without_aws(command: &mut Command) -> &mut Command {
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(variable);
    }
    command
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// A program of the Python environment that `make venv` makes.
pub fn tool(name: &str) -> PathBuf {
    let path = root().join(".venv-aws/bin").join(name);
    assert!(path.exists(), "{} is not there: run `make venv`", path.display());
    path
}

/// A program under its keeper.
#[derive(Debug)]
pub struct Process {
    keeper: Child,
    folder: TempDir,
    /// Given back after the keeper has ended.
    ports: Vec<Port>,
}

impl Process {
    /// Starts what the command's arguments say, under the keeper that the command is.
    fn spawn(mut command: Command, folder: TempDir) -> Process {
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        let errors = log.try_clone().expect("a second handle");
        let keeper = command.stdin(Stdio::piped()).stdout(log).stderr(errors).spawn();
        Process { keeper: keeper.expect("the Python of `make venv` starts"), folder, ports: Vec::new() }
    }

    /// Runs a program that listens nowhere.
    pub fn run(name: &str, arrange: impl FnOnce(&mut Command)) -> Process {
        let folder = tempfile::Builder::new().prefix(name).tempdir().expect("a folder for temporary files");
        let mut command = Command::new(tool("python"));
        command.args(["-c", KEEPER]).arg(folder.path()).current_dir(folder.path());
        without_aws(&mut command);
        arrange(&mut command);
        Process::spawn(command, folder)
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has answered on a path, or has opened its port.
    fn answers(&mut self, port: u16, path: &str) -> Result<(), String> {
        let deadline = Instant::now() + START;
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into();
        loop {
            let answer = if path.is_empty() {
                TcpStream::connect(("127.0.0.1", port)).map(|_| ()).map_err(|error| error.to_string())
            } else {
                let url = format!("{}{path}", endpoint(port));
                agent.get(&url).call().map(|_| ()).map_err(|error| error.to_string())
            };
            let Err(why) = answer else { return Ok(()) };
            if let Some(status) = self.ended() {
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("no answer in {START:?}: {why}"));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for a text in what it prints.
    pub fn prints(&mut self, text: &str) {
        let deadline = Instant::now() + START;
        while !self.log().contains(text) {
            assert!(self.ended().is_none() && Instant::now() < deadline, "no {text} in\n{}", self.log());
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
