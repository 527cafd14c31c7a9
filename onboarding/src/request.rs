//! HTTP requests, as API Gateway puts them to a Lambda: payload 1.0 and 2.0.
//!
//! In comes an event, out comes a [`Request`] or the [`Failure`] that answers it. What must stay true: nothing of an
//! event can make this panic; the id is checked here and nowhere else; headers are not read, so that no token can get
//! anywhere (who may call is the authorizer's business).

use base64::Engine;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::csr::Csr;
use crate::error::Failure;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Onboard, with the device's own key if it sent a signing request.
    Create {
        /// The device.
        serial: String,
        /// Its signing request.
        csr: Option<Csr>,
    },
    /// Tell what is recorded.
    Get {
        /// The device.
        serial: String,
    },
    /// Remove.
    Delete {
        /// The device.
        serial: String,
    },
    /// A browser asks what it may send.
    Preflight,
}

impl Request {
    /// The word for logs and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Request::Create { .. } => "create",
            Request::Get { .. } => "get",
            Request::Delete { .. } => "delete",
            Request::Preflight => "preflight",
        }
    }

    /// The device, if the request is about one.
    pub fn serial(&self) -> Option<&str> {
        match self {
            Request::Create { serial, .. } | Request::Get { serial } | Request::Delete { serial } => {
                Some(serial)
            }
            Request::Preflight => None,
        }
    }
}

/// IoT's rule for names of things.
pub fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(legal)
}

/// Whether an event is an HTTP request of either form.
pub fn is_http(event: &Value) -> bool {
    method(event).is_some()
}

/// Whether an HTTP request is one of payload 2.0.
pub fn is_payload_2(event: &Value) -> bool {
    event["requestContext"]["http"]["method"].is_string()
}

fn method(event: &Value) -> Option<&str> {
    let new = &event["requestContext"]["http"]["method"];
    new.as_str().or_else(|| event["httpMethod"].as_str())
}

/// Reads an event.
///
/// # Errors
/// The answer to what cannot be read.
pub fn parse(event: &Value) -> Result<Request, Failure> {
    let method = method(event).unwrap_or_default();
    // A preflight is answered wherever it is sent: the browser asks before it knows more.
    if method == "OPTIONS" {
        return Ok(Request::Preflight);
    }
    let id = id(event)?;
    if !matches!(method, "POST" | "GET" | "DELETE") {
        return Err(Failure::Method);
    }
    let serial = if is_name(&id) { id } else { return Err(Failure::Serial) };
    match method {
        "GET" => Ok(Request::Get { serial }),
        "DELETE" => Ok(Request::Delete { serial }),
        _ => Ok(Request::Create { serial, csr: csr(event)? }),
    }
}

/// The last part of `/onboard/{id}`, decoded. The path decides and not `pathParameters`, for that is what both forms,
/// every stage and every local server agree on.
fn id(event: &Value) -> Result<String, Failure> {
    let path = event["rawPath"].as_str().or_else(|| event["path"].as_str()).unwrap_or_default();
    let stage = event["requestContext"]["stage"].as_str().unwrap_or_default();
    let inner = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage)).unwrap_or_default();
    let inner = if !stage.is_empty() && inner.starts_with('/') { inner } else { path };
    let id = inner.strip_prefix("/onboard/").ok_or(Failure::Route)?;
    let id = id.strip_suffix('/').unwrap_or(id);
    if id.is_empty() || id.contains('/') {
        return Err(Failure::Route);
    }
    // What is not UTF-8 is no name either.
    percent_decode_str(id).decode_utf8().map(|id| id.into_owned()).map_err(|_| Failure::Serial)
}

fn csr(event: &Value) -> Result<Option<Csr>, Failure> {
    let Some(body) = event["body"].as_str() else { return Ok(None) };
    let decoded;
    let text = if event["isBase64Encoded"].as_bool() == Some(true) {
        let bytes = base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| Failure::Body)?;
        decoded = String::from_utf8(bytes).map_err(|_| Failure::Body)?;
        &decoded
    } else {
        body
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::Object(fields)) => match fields.get("csr") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(csr)) => Csr::parse(csr).map(Some),
            Some(_) => Err(Failure::Csr("it is not a string".into())),
        },
        _ => Err(Failure::Body),
    }
}

#[cfg(test)]
mod tests;
