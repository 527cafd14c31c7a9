//! A text that is shown to nobody by accident.
//!
//! In comes a private key, out comes a value whose `Debug` says only that it is there, whose memory is wiped when it is
//! dropped, and which is read in one way, [`Secret::expose`], that is easy to search for.

use std::fmt;

use zeroize::Zeroizing;

/// A private key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text. Only the answer to the device's own request and the encryption may ask for it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Secret::new("-----BEGIN")), "Secret(redacted)");
    }
}
