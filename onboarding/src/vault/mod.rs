//! Private keys at rest: envelope encryption under a key of KMS.
//!
//! In comes a private key with the device it belongs to; out comes a text for the registry:
//! `v1.<wrapped data key>.<nonce>.<ciphertext>`, each in base64. Each private key has a data key of its own, which KMS
//! makes and wraps under an encryption context that names the device, so that CloudTrail tells whose key was opened
//! and a policy of the KMS key can tell who may. AES-256-GCM binds the ciphertext to the device and its certificate.
//!
//! What must stay true: data keys exist in the clear only for the moment of use and are wiped; a text that was copied
//! to another device, or to another certificate of the same device, does not open.

pub mod kms;
pub mod memory;

use std::future::Future;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::error::{Fault, FaultKind};
use crate::secret::Secret;

const VERSION: &str = "v1";
const NONCE: usize = 12;

/// Whose key it is: the encryption context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The environment, `LAMBDA_ENV`.
    pub environment: String,
    /// The device.
    pub serial: String,
}

impl Context {
    /// The pairs that KMS sees.
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [
            ("purpose", "iotlake device key"),
            ("environment", &self.environment),
            ("serialNumber", &self.serial),
        ]
    }

    /// What the ciphertext is bound to.
    fn bound(&self, certificate: &str) -> String {
        format!("{}\n{}\n{certificate}", self.environment, self.serial)
    }
}

/// A data key, in the clear and wrapped.
pub struct DataKey {
    /// 256 bits.
    pub plain: Zeroizing<[u8; 32]>,
    /// The same as only KMS can read it.
    pub wrapped: Vec<u8>,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

type Answer<T> = Result<T, Fault>;

/// Who makes and unwraps data keys.
pub trait Keys: Send + Sync + 'static {
    /// A new data key.
    fn data_key(&self, context: &Context) -> impl Future<Output = Answer<DataKey>> + Send;
    /// Reads a wrapped one; [`Unreadable`](FaultKind::Unreadable) under another context.
    fn unwrap(
        &self,
        wrapped: &[u8],
        context: &Context,
    ) -> impl Future<Output = Answer<Zeroizing<[u8; 32]>>> + Send;
}

/// Encrypts the private key of a device's certificate.
///
/// # Errors
/// If the operating system has no random numbers.
pub fn seal(key: &DataKey, context: &Context, certificate: &str, secret: &Secret) -> Answer<String> {
    let mut nonce = [0u8; NONCE];
    getrandom::fill(&mut nonce).map_err(|error| unreadable(&error.to_string()))?;
    let bound = context.bound(certificate);
    let payload = Payload { msg: secret.expose().as_bytes(), aad: bound.as_bytes() };
    let cipher = Aes256Gcm::new_from_slice(&*key.plain).map_err(|_| unreadable("the data key's length"))?;
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), payload).map_err(|_| unreadable("encryption"))?;
    let [wrapped, nonce, sealed] =
        [&key.wrapped[..], &nonce, &sealed].map(|part| STANDARD_NO_PAD.encode(part));
    Ok(format!("{VERSION}.{wrapped}.{nonce}.{sealed}"))
}

/// Decrypts what [`seal`] made.
///
/// # Errors
/// Those of KMS; [`Unreadable`](FaultKind::Unreadable) if the text is damaged or another device's.
pub async fn open<K: Keys>(keys: &K, context: &Context, certificate: &str, sealed: &str) -> Answer<Secret> {
    let parts: Vec<&str> = sealed.split('.').collect();
    let [VERSION, wrapped, nonce, sealed] = parts[..] else {
        return Err(unreadable("the sealed key has an unknown format"));
    };
    let decode = |part| STANDARD_NO_PAD.decode(part).map_err(|_| unreadable("the sealed key is not base64"));
    let (wrapped, nonce, sealed) = (decode(wrapped)?, decode(nonce)?, decode(sealed)?);
    if nonce.len() != NONCE {
        return Err(unreadable("the sealed key has an unknown nonce"));
    }
    let plain = keys.unwrap(&wrapped, context).await?;
    let bound = context.bound(certificate);
    let cipher = Aes256Gcm::new_from_slice(&*plain).map_err(|_| unreadable("the data key's length"))?;
    let payload = Payload { msg: &sealed, aad: bound.as_bytes() };
    let opened = cipher.decrypt(Nonce::from_slice(&nonce), payload);
    let opened =
        opened.map_err(|_| unreadable("the sealed key was made for another device or is damaged"))?;
    String::from_utf8(opened).map(Secret::new).map_err(|_| unreadable("the sealed key is not text"))
}

fn unreadable(what: &str) -> Fault {
    Fault::new(FaultKind::Unreadable, "vault", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::memory::MemoryKeys;

    fn context(serial: &str) -> Context {
        Context { environment: "test".to_owned(), serial: serial.to_owned() }
    }

    #[tokio::test]
    async fn opens_for_its_device_and_certificate_alone() {
        let keys = MemoryKeys::new();
        let secret = Secret::new("-----BEGIN RSA PRIVATE KEY-----");
        let key = keys.data_key(&context("a")).await.unwrap();
        let sealed = seal(&key, &context("a"), "c1", &secret).unwrap();
        assert!(!sealed.contains("PRIVATE"));
        assert_eq!(open(&keys, &context("a"), "c1", &sealed).await.unwrap(), secret);
        for (serial, certificate) in [("b", "c1"), ("a", "c2")] {
            let fault = open(&keys, &context(serial), certificate, &sealed).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Unreadable);
        }
    }

    #[tokio::test]
    async fn damage_is_told_from_absence() {
        let keys = MemoryKeys::new();
        let key = keys.data_key(&context("a")).await.unwrap();
        let sealed = seal(&key, &context("a"), "c1", &Secret::new("x")).unwrap();
        for damaged in ["", "v1", "v2.a.b.c", &sealed[..sealed.len() - 2], &sealed.replace("v1.", "v1.!")] {
            let fault = open(&keys, &context("a"), "c1", damaged).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Unreadable, "{damaged}");
        }
    }
}
