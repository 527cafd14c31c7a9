//! What the registry knows of one device: the state machine's memory.
//!
//! ```text
//!            POST: put if absent            certificate, its id and its key recorded        attached, activated
//!   nothing ---------------------> creating ---------------------------------------> creating ------------> active
//!      ^                              |                                                  |                     |
//!      |          DELETE              v                                                  v                     |
//!      +---------------------------- deleting <---------------------------------------------------------------+
//! ```
//!
//! What must stay true: every write names the stamp that it read and leaves a new one, so that of two writers one wins,
//! also if the record was deleted and made anew in between; a lease only tells others to wait, and nothing breaks when
//! it ends too early.

use crate::secret::Secret;

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A call is making it, or died while it did.
    Creating,
    /// It can publish.
    Active,
    /// A call is removing it, or died while it did.
    Deleting,
}

impl State {
    /// As the registry writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Creating => "creating",
            State::Active => "active",
            State::Deleting => "deleting",
        }
    }

    /// The reverse of [`State::as_str`].
    pub fn parse(text: &str) -> Option<State> {
        [State::Creating, State::Active, State::Deleting].into_iter().find(|state| state.as_str() == text)
    }
}

/// Where the private key of a device's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredKey {
    /// Here, encrypted: see [`crate::vault`].
    Sealed(String),
    /// On the device, which sent a signing request.
    Device,
    /// Wherever the answer to the POST went, which was the only one to hold it.
    Returned,
    /// Here, in the clear, as the quickstart left it; `import` encrypts it.
    Plain(Secret),
}

/// A device's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate's id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Itself, in PEM.
    pub pem: String,
    /// Its public key, in PEM.
    pub public_key: String,
    /// Its private key.
    pub key: StoredKey,
}

/// A value that changes with every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(pub String);

impl Stamp {
    /// One that was never used.
    pub fn fresh() -> Stamp {
        let mut bytes = [0u8; 16];
        // Without random numbers there is no safe way to go on; the operating system always has some.
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        Stamp(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What is recorded of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The id in the path.
    pub serial: String,
    /// The thing's name: the serial number, unless the quickstart chose another.
    pub thing_name: String,
    /// How far it has come.
    pub state: State,
    /// Of the last write; absent in a record that the quickstart wrote.
    pub stamp: Option<Stamp>,
    /// The request that wrote last.
    pub attempt: String,
    /// Until when others should wait, in milliseconds since 1970.
    pub lease_until: u64,
    /// When it was written last, in milliseconds since 1970.
    pub updated: u64,
    /// The thing's id, once it is known.
    pub thing_id: String,
    /// The certificate, once there is one.
    pub identity: Option<Identity>,
    /// The quickstart's policy of this device alone, while it may still exist.
    pub old_policy: Option<String>,
}

impl Record {
    /// The record of a device nothing has been done for yet.
    pub fn new(serial: &str) -> Record {
        Record {
            serial: serial.to_owned(),
            thing_name: serial.to_owned(),
            state: State::Creating,
            stamp: None,
            attempt: String::new(),
            lease_until: 0,
            updated: 0,
            thing_id: String::new(),
            identity: None,
            old_policy: None,
        }
    }

    /// Whether the quickstart wrote it.
    pub fn is_legacy(&self) -> bool {
        self.stamp.is_none()
    }
}
