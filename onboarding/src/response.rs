//! HTTP responses: the quickstart's envelope, field for field.
//!
//! In comes a device, nothing, or a [`Failure`]; out comes what API Gateway takes for payload 1.0 and 2.0 alike. What
//! must stay true: every response, errors and preflights included, has the CORS headers, and every one but a preflight
//! the whole envelope, with empty strings where there is nothing.

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::secret::Secret;

/// A device that is onboarded, as its client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The serial number.
    pub serial: String,
    /// The thing's name.
    pub thing_name: String,
    /// The thing's id.
    pub thing_id: String,
    /// The certificate's ARN.
    pub certificate_arn: String,
    /// The certificate's id.
    pub certificate_id: String,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// The private key, in PEM, where the service has it.
    pub private_key: Option<Secret>,
    /// The public key, in PEM.
    pub public_key: String,
    /// The host to connect to.
    pub endpoint: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    serial_number: &'a str,
    device_name: &'a str,
    thing_id: &'a str,
    credential: Credential<'a>,
    mqtt_endpoint: &'a str,
    error: Error<'a>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Credential<'a> {
    certificate_arn: &'a str,
    certificate_id: &'a str,
    certificate_pem: &'a str,
    private_key: &'a str,
    public_key: &'a str,
}

#[derive(Serialize, Default)]
struct Error<'a> {
    code: &'a str,
    msg: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// A device.
pub fn device(device: &Device) -> Value {
    let envelope = Envelope {
        serial_number: &device.serial,
        device_name: &device.thing_name,
        thing_id: &device.thing_id,
        credential: Credential {
            certificate_arn: &device.certificate_arn,
            certificate_id: &device.certificate_id,
            certificate_pem: &device.certificate_pem,
            private_key: device.private_key.as_ref().map_or("", Secret::expose),
            public_key: &device.public_key,
        },
        mqtt_endpoint: &device.endpoint,
        error: Error::default(),
    };
    respond(200, &envelope, None)
}

/// A device that is gone.
pub fn empty() -> Value {
    respond(200, &Envelope::default(), None)
}

/// A failure.
pub fn failure(failure: &Failure) -> Value {
    let (kind, _) = failure.class();
    let (code, msg) = (failure.code(), failure.to_string());
    let error = Error { code: &code, msg: &msg, kind: kind.as_str() };
    let mut response =
        respond(failure.status(), &Envelope { error, ..Envelope::default() }, failure.retry_after());
    if *failure == Failure::Method {
        response["headers"]["Allow"] = json!("POST, GET, DELETE, OPTIONS");
    }
    response
}

/// The answer to a preflight.
pub fn preflight() -> Value {
    answer(204, cors(), "")
}

/// For a browser `*` does not stand for `Authorization`, which has to be named.
fn cors() -> Value {
    json!({
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET, DELETE, PUT, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, *",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": "3600",
    })
}

fn respond(status: u16, envelope: &Envelope<'_>, retry_after: Option<u32>) -> Value {
    let mut headers = cors();
    headers["Content-Type"] = json!("application/json");
    // A private key has no business in a cache.
    headers["Cache-Control"] = json!("no-store");
    if let Some(seconds) = retry_after {
        headers["Retry-After"] = json!(seconds.to_string());
    }
    // Strings alone: this cannot fail.
    let body = serde_json::to_string(envelope).unwrap_or_default();
    answer(status, headers, &body)
}

/// With the field that payload 1.0 has and some readers of 2.0 insist on.
fn answer(status: u16, headers: Value, body: &str) -> Value {
    json!({
        "statusCode": status, "headers": headers, "multiValueHeaders": {}, "body": body, "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quickstart's shape, from its documentation, in its order.
    const SHAPE: &str = concat!(
        r#"{"serialNumber":"","deviceName":"","thingId":"","credential":{"certificateArn":"","#,
        r#""certificateId":"","certificatePem":"","privateKey":"","publicKey":""},"#,
        r#""mqttEndpoint":"","error":{"code":"","msg":"","type":""}}"#
    );

    #[test]
    fn field_for_field() {
        assert_eq!(empty()["body"], SHAPE);
    }

    #[test]
    fn every_response_has_cors_and_an_envelope() {
        for response in Failure::all().iter().map(failure).chain([empty(), preflight()]) {
            assert_eq!(response["headers"]["Access-Control-Allow-Origin"], "*", "{response}");
            let allowed = response["headers"]["Access-Control-Allow-Headers"].as_str().unwrap();
            assert!(allowed.contains("Authorization"));
        }
    }

    #[test]
    fn a_failure_fills_the_error_and_nothing_else() {
        let response = failure(&Failure::Unknown);
        assert_eq!(response["statusCode"], 404);
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "FUNCTIONAL_ERROR_1");
        assert_eq!(body["error"]["type"], "FUNCTIONAL_ERROR");
        assert_eq!(body["thingId"], "");
    }

    #[test]
    fn what_passes_by_itself_says_when() {
        for failing in Failure::all() {
            let response = failure(&failing);
            let says = response["headers"]["Retry-After"].is_string();
            assert_eq!(says, matches!(failing.status(), 429 | 503), "{failing}");
        }
    }
}
