//! What a service over a network answered instead of doing what it was asked to.
//!
//! In comes an operation, the resource it was for and what came back; out comes an error that names both, sorted by
//! what the caller can do about it: whom to ask for which permission, which setting to change, whether trying again
//! can help. Nothing here knows a particular service.

use std::fmt;

use crate::error::Hint;

/// A request that a service did not grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    /// The operation, in the words of the service's permissions, such as `s3:GetObject` or `glue:UpdateTable`.
    pub operation: String,
    /// What it was for: a URI, or the name of a table and its database.
    pub resource: String,
    /// The service's own word for what is wrong, such as `AccessDenied`.
    pub code: Option<String>,
    /// What the service, or the library that speaks to it, said.
    pub message: String,
    /// By what can be done about it.
    pub fault: Fault,
}

/// What can be done about a request that was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No credentials were found, or they are incomplete.
    NoCredentials,
    /// The credentials have expired.
    Expired,
    /// The service does not know the credentials, or their signature is wrong.
    Unknown,
    /// The caller may not do this.
    Denied,
    /// The caller may do this in IAM, but Lake Formation says no.
    LakeFormation,
    /// The clocks of the caller and of the service differ.
    Clock,
    /// The resource is in another region.
    Region,
    /// There is no such bucket.
    NoBucket,
    /// There is no such database.
    NoDatabase,
    /// Too many requests, even after trying again.
    Throttled,
    /// The service cannot be reached, or did not answer in time.
    Unreachable,
    /// The service failed.
    Service,
    /// The request itself is wrong.
    Request,
}

impl RemoteError {
    /// Whether the same request may succeed later though nobody changes anything.
    pub fn can_retry(&self) -> bool {
        matches!(self.fault, Fault::Throttled | Fault::Unreachable | Fault::Service)
    }

    /// What [`Fault`] means, as the middle of a sentence.
    fn meaning(&self) -> &'static str {
        match self.fault {
            Fault::NoCredentials => "no credentials",
            Fault::Expired => "the credentials have expired",
            Fault::Unknown => "the credentials are not accepted",
            Fault::Denied => "permission denied",
            Fault::LakeFormation => "Lake Formation does not permit it",
            Fault::Clock => "the clocks differ",
            Fault::Region => "it is in another region",
            Fault::NoBucket => "there is no such bucket",
            Fault::NoDatabase => "there is no such database",
            Fault::Throttled => "too many requests",
            Fault::Unreachable => "no answer",
            Fault::Service => "the service failed",
            Fault::Request => "refused",
        }
    }
}

impl Hint for RemoteError {
    fn hint(&self) -> Option<&str> {
        Some(match self.fault {
            Fault::NoCredentials => {
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached; \
                 trying again does not help"
            }
            Fault::Expired => "obtain new credentials, such as with `aws sso login`, then try again",
            Fault::Unknown => {
                "check the access key, its secret and, for temporary ones, AWS_SESSION_TOKEN; \
                 trying again does not help"
            }
            Fault::Denied => {
                "allow the caller this action on this resource, in its own policy and in that of the bucket or key; \
                 trying again does not help until then"
            }
            Fault::LakeFormation => {
                "grant the caller in Lake Formation CREATE_TABLE on the database, ALTER and DESCRIBE on the table and \
                 DATA_LOCATION_ACCESS on its location; trying again does not help until then"
            }
            Fault::Clock => "set this machine's clock; trying again does not help until then",
            Fault::Region => {
                "set AWS_REGION to the region of the resource; trying again does not help until then"
            }
            Fault::NoBucket => "check the bucket's name and AWS_REGION, or create it; then try again",
            Fault::NoDatabase => {
                "check the database's name and AWS_REGION, or let it be made: an `init` event and \
                 `iotlake backfill --create-database` make it"
            }
            Fault::Throttled => "try again later, or with fewer writers at a time",
            Fault::Unreachable => "check the network, AWS_REGION and AWS_ENDPOINT_URL; trying again may help",
            Fault::Service => "try again later",
            Fault::Request => return None,
        })
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RemoteError { operation, resource, code, message, .. } = self;
        write!(f, "{resource}: {operation}: {}", self.meaning())?;
        match code {
            Some(code) if message.is_empty() => write!(f, " ({code})"),
            Some(code) => write!(f, " ({code}: {message})"),
            None if message.is_empty() => Ok(()),
            None => write!(f, " ({message})"),
        }
    }
}

impl std::error::Error for RemoteError {}
