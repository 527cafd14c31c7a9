//! Signing requests: what is refused before IoT Core is asked.
//!
//! In comes what a client wrote into `csr`; out comes the request, checked, with the public key that it is for. What
//! must stay true: what passes here IoT Core takes (its limits: 4,096 bytes, RSA of at least 2,048 bits, NIST P-256,
//! P-384 and P-521), and whoever sent it has the private key, for the request is signed with it.

use std::borrow::Cow;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::error::Failure;

const LONGEST: usize = 4096;
const SHORTEST_RSA: usize = 2048;

/// A signing request that may be sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// Itself, in PEM.
    pub pem: String,
    /// Its public key, in PEM.
    pub public_key: String,
}

impl Csr {
    /// Checks a signing request.
    ///
    /// # Errors
    /// [`Failure::Csr`] with what is wrong.
    pub fn parse(text: &str) -> Result<Csr, Failure> {
        let wrong = |what: &'static str| Failure::Csr(Cow::Borrowed(what));
        if text.len() > LONGEST {
            return Err(wrong("it is longer than 4096 bytes"));
        }
        let (rest, pem) = parse_x509_pem(text.trim().as_bytes()).map_err(|_| wrong("it is not PEM"))?;
        if !matches!(&*pem.label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") || !rest.is_empty() {
            return Err(wrong("it is not one PEM block CERTIFICATE REQUEST"));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(&pem.contents).map_err(|_| wrong("it is not PKCS #10"))?;
        if !rest.is_empty() {
            return Err(wrong("there are extra bytes after it"));
        }
        let spki = &request.certification_request_info.subject_pki;
        match spki.parsed() {
            Ok(PublicKey::RSA(key)) if key.key_size() >= SHORTEST_RSA => {}
            Ok(PublicKey::RSA(_)) => return Err(wrong("its RSA key has fewer than 2048 bits")),
            Ok(PublicKey::EC(point)) if matches!(point.key_size(), 256 | 384 | 521..=528) => {}
            _ => return Err(wrong("its key is neither RSA nor on P-256, P-384 or P-521")),
        }
        request.verify_signature().map_err(|_| wrong("its signature does not match its key"))?;
        let public_key = encode("PUBLIC KEY", spki.raw);
        Ok(Csr { pem: encode("CERTIFICATE REQUEST", &pem.contents), public_key })
    }
}

/// PEM, in lines of 64 characters.
fn encode(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for start in (0..text.len()).step_by(64) {
        pem.push_str(&text[start..text.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// Whether two public keys in PEM are the same, whatever their line ends.
pub fn same_key(left: &str, right: &str) -> bool {
    let der = |text: &str| Pem::iter_from_buffer(text.as_bytes()).next()?.ok().map(|pem| pem.contents);
    der(left).is_some_and(|left| der(right).is_some_and(|right| left == right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        (parameters.serialize_request(&key).unwrap().pem().unwrap(), key.public_key_pem())
    }

    #[test]
    fn a_request_with_a_curve_of_nist_passes() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let (pem, public_key) = request(algorithm);
            let csr = Csr::parse(&pem).unwrap();
            assert!(same_key(&csr.public_key, &public_key));
            assert_eq!(Csr::parse(&csr.pem).unwrap(), csr);
            assert_eq!(Csr::parse(&pem.replace('\n', "\r\n")).unwrap(), csr);
        }
    }

    #[test]
    fn what_iot_core_refuses_is_refused_here() {
        let (pem, public_key) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let edwards = request(&rcgen::PKCS_ED25519).0;
        let cut = pem[..pem.len() / 2].to_owned();
        let two = format!("{pem}{pem}");
        for text in ["", "x", &public_key, &edwards, &cut, &two, &"x".repeat(5000)] {
            assert!(matches!(Csr::parse(text), Err(Failure::Csr(_))), "{text}");
        }
    }

    #[test]
    fn a_request_for_a_key_that_the_sender_lacks_is_refused() {
        let (pem, _) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let der = Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap().contents;
        let mut forged = der.clone();
        // The last bytes are the signature's.
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let failure = Csr::parse(&encode("CERTIFICATE REQUEST", &forged)).unwrap_err();
        assert!(failure.to_string().contains("signature"), "{failure}");
    }

    #[test]
    fn keys_are_compared_by_what_they_are() {
        let (_, key) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (_, other) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(same_key(&key, &key.replace('\n', "\r\n")));
        assert!(!same_key(&key, &other) && !same_key("", ""));
    }
}
