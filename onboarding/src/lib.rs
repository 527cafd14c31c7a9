//! A device gets its identity: the Lambda `onboarding`.
//!
//! ```text
//!   API Gateway (payload 1.0, 2.0)        {"reconcile": ..}  {"import": ..}
//!        |                                        |
//!        v                                        v
//!   handler -> request -> service (create | get | delete) | reconcile | import -> response
//!                            |             |             |
//!                         registry        iot          vault          ports: a trait, AWS, memory
//!                         DynamoDB      IoT Core        KMS
//! ```
//!
//! A call writes its intention into the registry before it changes anything ([`record`] has the states), and everything
//! it does then can be done again. So a call that dies anywhere, is repeated, or races another for the same serial
//! number ends in one thing, one active certificate and one attachment; [`reconcile`] finds what a lost answer leaked.
//!
//! Nothing here knows the lake: the crate depends on neither `iotlake` nor `iotlake-flatten`.

pub mod aws;
pub mod csr;
pub mod error;
pub mod handler;
pub mod import;
pub mod iot;
pub mod policy;
pub mod reconcile;
pub mod record;
pub mod registry;
pub mod request;
pub mod response;
pub mod secret;
pub mod service;
pub mod settings;
pub mod telemetry;
pub mod vault;

/// The attribute that marks a thing as ours; its value is the environment.
pub const OWNER_ATTRIBUTE: &str = "iotlake:onboarding";
