//! A page that is served to the browser of this machine, and newer facts when it asks for them.
//!
//! In comes a way to look at the lake; out go answers on 127.0.0.1, at a port that was free. What must stay true: who asks
//! gets facts that were not gathered before it asked, and however many ask at once, one gathers at a time; nobody but a page
//! of this address is answered, so that no other site in the same browser can read the lake through a name of its own.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use iotlake::report::{Facts, Liveness, page};

use super::exit::{Failure, Outcome, print};

/// The most bytes of a request that are read.
const REQUEST: usize = 16 << 10;

/// How long a connection may say nothing: browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at the lake.
type Look<'a> = &'a (dyn Fn() -> Result<Facts, Failure> + Sync);

/// Serves until the program is stopped.
pub fn serve(look: Look<'_>) -> Outcome {
    // Before anybody is told where to look: what is wrong with the command shows here.
    let first = look()?;
    let cannot = |error: io::Error| Failure::new(format!("--serve: cannot listen on 127.0.0.1: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let server = &Server { look, address, newest: Mutex::new((Instant::now(), first)) };
    print(&format!("http://{address}/  (Ctrl-C ends it)\n"))?;
    std::thread::scope(|threads| {
        loop {
            // One that is gone already is nothing to stop for.
            let Ok((stream, _)) = listener.accept() else { continue };
            threads.spawn(move || server.answer(stream));
        }
    })
}

struct Server<'a> {
    look: Look<'a>,
    address: SocketAddr,
    /// The newest facts, and when they were begun to be gathered.
    newest: Mutex<(Instant, Facts)>,
}

/// An answer to a request.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", body: format!("{body}\n") }
    }
}

impl Server<'_> {
    fn answer(&self, mut stream: TcpStream) {
        let asked = Instant::now();
        // Who does not ask, or does not listen, gets no answer.
        let patience = Some(PATIENCE);
        if stream.set_read_timeout(patience).and(stream.set_write_timeout(patience)).is_err() {
            return;
        }
        let Some(request) = read(&mut stream) else { return };
        let Answer { status, kind, body } = self.answer_to(&request, asked);
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\ncross-origin-resource-policy: same-origin\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    fn answer_to(&self, request: &str, asked: Instant) -> Answer {
        let mut lines = request.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let host =
            lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let port = self.address.port();
        let ours = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        if host.is_none_or(|(_, host)| !ours.iter().any(|ours| ours == host.trim())) {
            return Answer::text("403 Forbidden", "this is for a browser of this machine");
        }
        if method != "GET" {
            return Answer::text("405 Method Not Allowed", "only GET is answered");
        }
        match path {
            "/" => self.newer(asked, "text/html; charset=utf-8", |facts| page(facts, Liveness::Served)),
            "/facts.json" => self.newer(asked, "application/json", Facts::to_json),
            _ => Answer::text("404 Not Found", "there are / and /facts.json"),
        }
    }

    /// Facts that were gathered after `asked`.
    fn newer(&self, asked: Instant, kind: &'static str, show: impl Fn(&Facts) -> String) -> Answer {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.0 < asked {
            let begun = Instant::now();
            match (self.look)() {
                Ok(facts) => *newest = (begun, facts),
                Err(failure) => {
                    failure.print();
                    let failure = failure.as_json();
                    let message = failure["message"].as_str().unwrap_or_default();
                    return Answer::text("500 Internal Server Error", message);
                }
            }
        }
        Answer { status: "200 OK", kind, body: show(&newest.1) }
    }
}

/// The head of a request; `None` if none comes, or too much.
fn read(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&piece[..length]);
        if head.len() > REQUEST {
            return None;
        }
    }
    String::from_utf8(head).ok()
}
