//! Errors of the AWS SDK, sorted by what can be done about them.
//!
//! The words come from the services' lists of common errors (S3 *Error responses*, Glue *Common errors*) and, where
//! there is no answer at all, from how the request failed.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::remote::{Fault, RemoteError};

/// What `error` means for `operation` (`s3:GetObject`) on `resource` (`s3://bucket/key`).
pub fn remote<E>(
    operation: &str,
    resource: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
) -> RemoteError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
    let said = error.as_service_error().and_then(ProvideErrorMetadata::message);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let message = match error {
        SdkError::ServiceError(_) => said.map_or_else(|| status_text(status), str::to_owned),
        other => DisplayErrorContext(other).to_string(),
    };
    let fault = match error {
        SdkError::TimeoutError(_) => Fault::Unreachable,
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => undelivered(&message),
        SdkError::ResponseError(_) => Fault::Unreachable,
        _ => answered(code.as_deref(), status, &message),
    };
    let message = match fault {
        // The chain of causes of a connection that failed; its last link says it all.
        Fault::NoCredentials | Fault::Unreachable => brief(&message),
        _ => message,
    };
    RemoteError { operation: operation.to_owned(), resource: resource.into(), code, message, fault }
}

/// A request that never got an answer.
fn undelivered(message: &str) -> Fault {
    let has = |word: &str| message.contains(word);
    if has("Missing Region") || has("missing region") || has("region must be set") {
        Fault::Region
    } else if has("redential") || has("identity") {
        if has("xpired") { Fault::Expired } else { Fault::NoCredentials }
    } else {
        Fault::Unreachable
    }
}

/// A request, or a part of one, that was answered with a refusal.
pub(crate) fn answered(code: Option<&str>, status: Option<u16>, message: &str) -> Fault {
    match code.unwrap_or_default() {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Fault::Expired,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => Fault::Unknown,
        "InvalidSignatureException"
            if message.contains("ignature expired") || message.contains("not yet current") =>
        {
            Fault::Clock
        }
        "InvalidSignatureException" => Fault::Unknown,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Fault::Clock,
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "KMS.AccessDeniedException"
            if !message.contains("Lake Formation") && !message.contains("LakeFormation") =>
        {
            Fault::Denied
        }
        "AccessDenied" | "AccessDeniedException" => Fault::LakeFormation,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            Fault::Region
        }
        "NoSuchBucket" => Fault::NoBucket,
        // Of a table that is missing it is `Table x not found.`, or `Entity Not Found`.
        "EntityNotFoundException" if message.starts_with("Database ") => Fault::NoDatabase,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException" => Fault::Throttled,
        "OperationTimeoutException" | "RequestTimeout" => Fault::Unreachable,
        // Of a part of a request there is no status.
        "InternalFailure" | "InternalError" | "InternalServiceException" => Fault::Service,
        _ => match status {
            Some(301) => Fault::Region,
            Some(403) => Fault::Denied,
            Some(429) => Fault::Throttled,
            Some(500..) => Fault::Service,
            _ => Fault::Request,
        },
    }
}

fn status_text(status: Option<u16>) -> String {
    status.map(|status| format!("HTTP {status}")).unwrap_or_default()
}

/// The message without the SDK's debug output behind it.
fn brief(message: &str) -> String {
    let end = message.find(" (").unwrap_or(message.len());
    message[..end].to_owned()
}
