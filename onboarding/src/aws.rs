//! The way to AWS: how its services are reached, and what their errors mean.
//!
//! In come the usual variables of a Lambda (region, credentials, `AWS_ENDPOINT_URL`); out come clients, and a
//! [`Fault`] for each error of the SDK.
//!
//! What must stay true: every call ends well within the half minute that API Gateway waits; throttled calls are tried
//! again more slowly; a fault holds the service's code and message and never the body of an answer, for that of
//! `CreateKeysAndCertificate` is a private key (so: no `{:?}` of an `SdkError` anywhere).

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{Fault, FaultKind};

/// Tries of one call. With the waits between them they take some seconds, a small part of API Gateway's patience.
const ATTEMPTS: u32 = 5;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one try may take.
const ATTEMPT: Duration = Duration::from_secs(6);
/// How long all tries of one call may take.
const OPERATION: Duration = Duration::from_secs(15);

/// A loader with this service's retries, time-outs and TLS, to which a test adds an address and a caller.
pub fn loader() -> ConfigLoader {
    let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        // Not the adaptive mode: it queues calls before they are sent, and a client waits for each of them.
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_WAIT))
        .timeout_config(timeouts)
}

/// The configuration of the function's own environment.
pub async fn config() -> SdkConfig {
    loader().load().await
}

/// What `error` of `operation` (`iot:CreateThing`) means.
pub fn fault<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let Some(refusal) = error.as_service_error() else {
        // An answer that cannot be read counts as none; its parser's words could quote it, so only its kind is told.
        let cause = match error {
            SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
            SdkError::DispatchFailure(failure) => {
                failure.as_connector_error().map_or_else(String::new, |error| chain(error))
            }
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
            _ => "no answer".to_owned(),
        };
        return Fault::new(FaultKind::Unavailable, operation, cause);
    };
    let code = refusal.code().unwrap_or_default();
    let message = refusal.message().unwrap_or_default();
    let status_text = status.map(|status| format!("HTTP {status}")).unwrap_or_default();
    Fault::new(kind(code, status), operation, format!("{code} {message} {status_text}").trim().to_owned())
}

/// The services' lists of errors, by what can be done about them.
fn kind(code: &str, status: Option<u16>) -> FaultKind {
    match code {
        "ResourceNotFoundException" | "NotFoundException" => FaultKind::NotFound,
        "ResourceAlreadyExistsException" | "ConflictException" => FaultKind::Conflict,
        "DeleteConflictException" | "CertificateStateException" => FaultKind::InUse,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException" => FaultKind::Throttled,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId" => FaultKind::Denied,
        "InvalidCiphertextException" | "IncorrectKeyException" => FaultKind::Unreadable,
        _ => match status {
            Some(429) => FaultKind::Throttled,
            Some(401 | 403) => FaultKind::Denied,
            Some(404) => FaultKind::NotFound,
            Some(500..) | None => FaultKind::Unavailable,
            _ => FaultKind::Invalid,
        },
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_can_be_done() {
        assert_eq!(kind("ThrottlingException", Some(400)), FaultKind::Throttled);
        assert_eq!(kind("DeleteConflictException", Some(409)), FaultKind::InUse);
        assert_eq!(kind("InternalFailureException", Some(500)), FaultKind::Unavailable);
        assert_eq!(kind("Whatever", Some(403)), FaultKind::Denied);
        assert_eq!(kind("InvalidRequestException", Some(400)), FaultKind::Invalid);
    }
}
