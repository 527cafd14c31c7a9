//! KMS: `GenerateDataKey` and `Decrypt`, one call each.

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use zeroize::{Zeroize, Zeroizing};

use super::{Answer, Context, DataKey, Keys};
use crate::aws::fault;
use crate::error::{Fault, FaultKind};

/// A key of KMS.
#[derive(Debug, Clone)]
pub struct KmsKeys {
    client: Client,
    /// Id, ARN or alias.
    key: String,
}

impl KmsKeys {
    /// The key of that id, ARN or alias.
    pub fn new(config: &aws_config::SdkConfig, key: &str) -> KmsKeys {
        KmsKeys { client: Client::new(config), key: key.to_owned() }
    }
}

/// Moves 256 bits out of an answer and wipes the answer.
fn bits(operation: &'static str, plain: Option<Blob>) -> Answer<Zeroizing<[u8; 32]>> {
    let mut bytes = plain.map(Blob::into_inner).unwrap_or_default();
    let key = <[u8; 32]>::try_from(&bytes[..]).map(Zeroizing::new);
    bytes.zeroize();
    key.map_err(|_| Fault::new(FaultKind::Unreadable, operation, "the data key does not have 256 bits"))
}

impl Keys for KmsKeys {
    async fn data_key(&self, context: &Context) -> Answer<DataKey> {
        const OPERATION: &str = "kms:GenerateDataKey";
        let mut call = self.client.generate_data_key().key_id(&self.key).key_spec(DataKeySpec::Aes256);
        for (name, value) in context.pairs() {
            call = call.encryption_context(name, value);
        }
        let answer = call.send().await.map_err(|error| fault(OPERATION, &error))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        Ok(DataKey { plain: bits(OPERATION, answer.plaintext)?, wrapped })
    }

    async fn unwrap(&self, wrapped: &[u8], context: &Context) -> Answer<Zeroizing<[u8; 32]>> {
        const OPERATION: &str = "kms:Decrypt";
        // Naming the key refuses a text that was wrapped by somebody else's.
        let mut call = self.client.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(wrapped));
        for (name, value) in context.pairs() {
            call = call.encryption_context(name, value);
        }
        let answer = call.send().await.map_err(|error| fault(OPERATION, &error))?;
        bits(OPERATION, answer.plaintext)
    }
}
