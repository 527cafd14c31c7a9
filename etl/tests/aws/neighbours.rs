//! The services beside the engine, SQS and Lambda, asked as their protocols are written down.
//!
//! In comes a call by its name with its members as JSON; out comes the answer as JSON. The SDKs for both would be two of
//! the largest crates of the whole build, for a dozen calls that only tests make. Nothing is signed: a stand-in reads
//! from the `Authorization` header which service is meant, and believes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::servers::{ACCESS_KEY, ACCOUNT, REGION, Server};

/// Asks SQS; see its API reference for the operations. The answer is `null` where there is none.
pub fn sqs(server: &Server, operation: &str, members: &Value) -> Value {
    let request = ureq::post(server.endpoint())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AmazonSQS.{operation}"));
    let answer = request.header("authorization", scope("sqs")).send(&*members.to_string());
    let mut answer = answer.unwrap_or_else(|error| panic!("{operation}: {error}\n{}", server.log()));
    read(&mut answer)
}

/// Makes a function of a zip, in the account's role `ingest`.
pub fn create_function(server: &Server, name: &str, zip: &[u8], timeout: u64, variables: &Value) {
    let members = json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Architectures": ["x86_64"],
        "Handler": "bootstrap",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/ingest"),
        "MemorySize": 512,
        "Timeout": timeout,
        "Environment": {"Variables": variables},
        "Code": {"ZipFile": STANDARD.encode(zip)},
    });
    lambda(server, "2015-03-31/functions", &members);
}

/// Posts to a resource of Lambda.
pub fn lambda(server: &Server, resource: &str, members: &Value) -> Value {
    read(&mut post(server, resource, members))
}

/// Invokes a function and waits for it: whether it ended well, and what it answered.
pub fn invoke(server: &Server, function: &str, event: &Value) -> (bool, Value) {
    let mut answer = post(server, &format!("2015-03-31/functions/{function}/invocations"), event);
    let is_well = !answer.headers().contains_key("x-amz-function-error");
    (is_well, read(&mut answer))
}

fn post(server: &Server, resource: &str, members: &Value) -> ureq::http::Response<ureq::Body> {
    let request = ureq::post(format!("{}/{resource}", server.endpoint()));
    let answer = request.header("authorization", scope("lambda")).send_json(members);
    answer.unwrap_or_else(|error| panic!("{resource}: {error}\n{}", server.log()))
}

fn read(answer: &mut ureq::http::Response<ureq::Body>) -> Value {
    let text = answer.body_mut().read_to_string().expect("an answer of a stand-in is text");
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a signed request says of itself, without a signature.
fn scope(service: &str) -> String {
    let (key, _) = ACCESS_KEY;
    let credential = format!("{key}/20260101/{REGION}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none")
}
