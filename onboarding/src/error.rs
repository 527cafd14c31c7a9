//! What can go wrong, told twice: once for the caller, once for the log.
//!
//! In come [`Fault`]s, which is what a port says of a call to AWS that failed, sorted by what can be done about it;
//! out comes a [`Failure`]: an HTTP status, the quickstart's `error.type` and `error.code`, a message that is safe to
//! show, and a cause that only the log sees.
//!
//! What must stay true: codes never change their meaning (README.md lists them); neither text ever holds a key, a
//! body of an answer or a request; every failure that passes by itself says when to try again.

use std::borrow::Cow;

/// What can be done about a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// What the call is about does not exist.
    NotFound,
    /// It exists already, and is not ours.
    Conflict,
    /// It cannot be deleted yet: something is attached to it, or it is active.
    InUse,
    /// Too many calls: later.
    Throttled,
    /// No answer, or a server's error: whether the call had an effect is unknown.
    Unavailable,
    /// Not allowed: somebody has to grant a permission.
    Denied,
    /// The request is wrong.
    Invalid,
    /// What came back is not what was agreed upon.
    Unreadable,
}

/// A call of a port that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct Fault {
    /// What can be done about it.
    pub kind: FaultKind,
    /// The call, such as `iot:CreateThing`.
    pub operation: &'static str,
    /// The service's code and message, for the log.
    pub cause: String,
}

impl Fault {
    /// A fault of `operation`.
    pub fn new(kind: FaultKind, operation: &'static str, cause: impl Into<String>) -> Fault {
        Fault { kind, operation, cause: cause.into() }
    }
}

/// The quickstart's `error.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// The request is wrong.
    Validation,
    /// The request is right, and the state of things forbids it.
    Functional,
    /// Neither; the service or what it depends on failed.
    Technical,
}

impl ErrorType {
    /// As it is written in the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Validation => "VALIDATION_ERROR",
            ErrorType::Functional => "FUNCTIONAL_ERROR",
            ErrorType::Technical => "TECHNICAL_ERROR",
        }
    }
}

/// A request that cannot be answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The id in the path breaks IoT's rule for names.
    #[error("the serial number must be 1 to 128 characters from a-z, A-Z, 0-9, ':', '_' and '-'")]
    Serial,
    /// The body is neither empty nor a JSON object.
    #[error(
        "the body must be empty or a JSON object such as {{\"csr\": \"-----BEGIN CERTIFICATE REQUEST-----...\"}}"
    )]
    Body,
    /// The signing request is unusable.
    #[error("the certificate signing request cannot be used: {0}")]
    Csr(Cow<'static, str>),
    /// No such path.
    #[error("there is no such path: use /onboard/{{id}}")]
    Route,
    /// The path exists, the method does not.
    #[error("this method is not supported: use POST, GET or DELETE")]
    Method,
    /// GET of a device that is not onboarded.
    #[error("the device is not onboarded")]
    Unknown,
    /// A thing of this name exists which this service did not make.
    #[error(
        "a thing with this name exists that was not made by this service; import it or choose another serial number"
    )]
    Foreign,
    /// Onboarded with another key than that of the signing request.
    #[error("the device is onboarded with another key; delete it first to give it a new one")]
    OtherKey,
    /// AWS asks to be called less often.
    #[error("too many requests at the moment; try again later")]
    Throttled(Fault),
    /// AWS does not answer, or not in time.
    #[error("a service that this one depends on is not available at the moment; try again later")]
    Unavailable(Fault),
    /// Another call for the same device is under way.
    #[error("another request for this device is under way; try again")]
    Busy,
    /// A permission is missing.
    #[error("the service lacks a permission; the operator finds the cause in the log")]
    Denied(Fault),
    /// The stored key cannot be opened.
    #[error("the record of the device cannot be read; the operator finds the cause in the log")]
    Unreadable(Fault),
    /// Anything else.
    #[error("the service failed; the operator finds the cause in the log")]
    Internal(String),
}

impl Failure {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Failure::Serial | Failure::Body | Failure::Csr(_) => 400,
            Failure::Route | Failure::Unknown => 404,
            Failure::Method => 405,
            Failure::Foreign | Failure::OtherKey => 409,
            Failure::Throttled(_) => 429,
            Failure::Unavailable(_) | Failure::Busy => 503,
            Failure::Denied(_) | Failure::Unreadable(_) | Failure::Internal(_) => 500,
        }
    }

    /// The type, and the number within it.
    pub fn class(&self) -> (ErrorType, u8) {
        match self {
            Failure::Serial => (ErrorType::Validation, 1),
            Failure::Body => (ErrorType::Validation, 2),
            Failure::Csr(_) => (ErrorType::Validation, 3),
            Failure::Route => (ErrorType::Validation, 4),
            Failure::Method => (ErrorType::Validation, 5),
            Failure::Unknown => (ErrorType::Functional, 1),
            Failure::Foreign => (ErrorType::Functional, 2),
            Failure::OtherKey => (ErrorType::Functional, 3),
            Failure::Throttled(_) => (ErrorType::Technical, 1),
            Failure::Unavailable(_) => (ErrorType::Technical, 2),
            Failure::Busy => (ErrorType::Technical, 3),
            Failure::Denied(_) => (ErrorType::Technical, 4),
            Failure::Unreadable(_) => (ErrorType::Technical, 5),
            Failure::Internal(_) => (ErrorType::Technical, 6),
        }
    }

    /// The envelope's `error.code`, such as `VALIDATION_ERROR_1`.
    pub fn code(&self) -> String {
        let (kind, number) = self.class();
        format!("{}_{number}", kind.as_str())
    }

    /// After how many seconds to try again, where that helps.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Failure::Throttled(_) | Failure::Unavailable(_) => Some(5),
            Failure::Busy => Some(1),
            _ => None,
        }
    }

    /// What the log sees beside the message.
    pub fn cause(&self) -> Option<String> {
        match self {
            Failure::Throttled(fault)
            | Failure::Unavailable(fault)
            | Failure::Denied(fault)
            | Failure::Unreadable(fault) => Some(fault.to_string()),
            Failure::Internal(cause) => Some(cause.clone()),
            _ => None,
        }
    }

    /// Every failure once, as the table of codes in README.md has them.
    pub fn all() -> Vec<Failure> {
        let fault = || Fault::new(FaultKind::Invalid, "", "");
        vec![
            Failure::Serial,
            Failure::Body,
            Failure::Csr(Cow::Borrowed("...")),
            Failure::Route,
            Failure::Method,
            Failure::Unknown,
            Failure::Foreign,
            Failure::OtherKey,
            Failure::Throttled(fault()),
            Failure::Unavailable(fault()),
            Failure::Busy,
            Failure::Denied(fault()),
            Failure::Unreadable(fault()),
            Failure::Internal(String::new()),
        ]
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        match fault.kind {
            FaultKind::Throttled => Failure::Throttled(fault),
            FaultKind::Unavailable | FaultKind::InUse => Failure::Unavailable(fault),
            FaultKind::Denied => Failure::Denied(fault),
            FaultKind::Unreadable => Failure::Unreadable(fault),
            FaultKind::NotFound | FaultKind::Conflict | FaultKind::Invalid => {
                Failure::Internal(fault.to_string())
            }
        }
    }
}
