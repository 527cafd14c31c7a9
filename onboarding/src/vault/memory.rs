//! KMS's promises without KMS, for tests of everything above the port: data keys are kept here, under their contexts,
//! and what is called wrapped is only their number.

use std::sync::Mutex;

use zeroize::Zeroizing;

use super::{Answer, Context, DataKey, Keys};
use crate::error::{Fault, FaultKind};

/// All keys that were made.
#[derive(Default)]
pub struct MemoryKeys {
    made: Mutex<Vec<(Context, Zeroizing<[u8; 32]>)>>,
}

impl std::fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryKeys")
    }
}

impl MemoryKeys {
    /// None yet.
    pub fn new() -> MemoryKeys {
        MemoryKeys::default()
    }
}

impl Keys for MemoryKeys {
    async fn data_key(&self, context: &Context) -> Answer<DataKey> {
        let mut plain = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut plain[..])
            .map_err(|error| Fault::new(FaultKind::Unavailable, "kms:GenerateDataKey", error.to_string()))?;
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.push((context.clone(), plain.clone()));
        Ok(DataKey { plain, wrapped: (made.len() as u64 - 1).to_be_bytes().to_vec() })
    }

    async fn unwrap(&self, wrapped: &[u8], context: &Context) -> Answer<Zeroizing<[u8; 32]>> {
        let number = wrapped.try_into().map(u64::from_be_bytes).ok();
        let made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = number.and_then(|number| made.get(usize::try_from(number).ok()?));
        key.filter(|(of, _)| of == context)
            .map(|(_, key)| key.clone())
            .ok_or_else(|| Fault::new(FaultKind::Unreadable, "kms:Decrypt", "InvalidCiphertextException"))
    }
}
