//! How others see the way of a source: what is read, what the time is spent on, and whether to stop.

use std::io::Read;

use iotlake_flatten::Part;

/// Watches the way of a source.
pub trait Watch: Sync {
    /// So many more bytes of the source, as stored, were read.
    fn read(&self, _stored_bytes: u64) {}

    /// What was done until now is over, and this begins.
    fn enter(&self, _stage: Stage) {}

    /// A part was read; it is not written yet.
    fn part(&self, _part: &Part) {}

    /// Whether to stop: what is being written is finished, then the source ends in
    /// [`super::PipelineError::Stopped`].
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
impl Watch for () {}

/// What the time of a source is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking for a receipt.
    Ledger,
    /// Fetching, decoding and flattening, which go on together.
    Read,
    /// Asking the catalog for columns.
    Resolve,
    /// Making Parquet of columns.
    Encode,
    /// Writing files.
    Write,
    /// Making partitions known.
    Register,
    /// Writing the receipt.
    Receipt,
}

/// A reader whose bytes are counted.
pub(super) struct Counted<'a> {
    pub(super) inner: Box<dyn Read + Send>,
    pub(super) watch: &'a dyn Watch,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.watch.read(count as u64);
        Ok(count)
    }
}
