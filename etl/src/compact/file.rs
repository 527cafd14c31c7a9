//! One file of rows that is to be read: its footer, and its batches.
//!
//! In comes a file as a receipt or a manifest names it; out comes what its footer says and, later, its rows. A file is read
//! whole, and is what its digest says or an error: small ones into memory, others by way of the disk. What must stay true:
//! no row is handed out of a file that is not the one that was named.

use std::fs::File as Disk;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::error::CompactError;
use super::spill::Spills;
use crate::digest::Digest;
use crate::footer;
use crate::ledger::Output;
use crate::storage::{Storage, StorageError};

/// Files up to this size are read into memory.
const SMALL: u64 = 8 << 20;

/// A file, with what its footer says.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) output: Output,
    pub(super) footer: Arc<ParquetMetaData>,
    /// All of it, where the first look had that already.
    whole: Option<Bytes>,
}

impl File {
    /// The footer of a file that has so many bytes, and the end of the file that was read for it.
    pub(super) fn look(
        storage: &dyn Storage,
        key: &str,
        size: u64,
    ) -> Result<(Arc<ParquetMetaData>, Bytes), CompactError> {
        let (footer, end) = footer::read_end(storage, key, size)?
            .map_err(|reason| CompactError::Damaged { uri: storage.uri(key), reason })?;
        Ok((Arc::new(footer), Bytes::from(end)))
    }

    /// The file that is named so.
    pub(super) fn open(storage: &dyn Storage, output: Output, keeps: &mut u64) -> Result<File, CompactError> {
        let (footer, tail) = File::look(storage, &output.key, output.bytes)?;
        Ok(File::of(output, footer, tail, keeps))
    }

    /// The same after it was looked at; it keeps its bytes if these are all and `keeps` allows for them.
    pub(super) fn of(output: Output, footer: Arc<ParquetMetaData>, tail: Bytes, keeps: &mut u64) -> File {
        let is_whole = tail.len() as u64 == output.bytes && output.bytes <= *keeps;
        if is_whole {
            *keeps -= output.bytes;
        }
        File { output, footer, whole: is_whole.then_some(tail) }
    }

    /// Its rows, in batches of up to `rows`.
    pub(super) fn read(
        &self,
        storage: &dyn Storage,
        spills: &Spills,
        rows: usize,
    ) -> Result<ParquetRecordBatchReader, CompactError> {
        let Output { key, bytes, digest, .. } = &self.output;
        let failed = |source| CompactError::Parquet { uri: storage.uri(key), source };
        let (content, found) = match &self.whole {
            Some(whole) => (Content::Memory(whole.clone()), Digest::of(whole)),
            None if *bytes <= SMALL => {
                let gone = || StorageError::NotFound { uri: storage.uri(key) };
                let whole = storage.read(key)?.ok_or_else(gone)?;
                let found = Digest::of(&whole);
                (Content::Memory(Bytes::from(whole)), found)
            }
            None => self.bring(storage, spills)?,
        };
        if found != *digest {
            let reason = format!("its digest is {found}, not {digest}");
            return Err(CompactError::Damaged { uri: storage.uri(key), reason });
        }
        let metadata = ArrowReaderMetadata::try_new(self.footer.clone(), ArrowReaderOptions::new());
        let metadata = metadata.map_err(failed)?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(content, metadata)
            .with_batch_size(rows)
            .build()
            .map_err(failed)
    }

    /// Brings it to the disk.
    fn bring(&self, storage: &dyn Storage, spills: &Spills) -> Result<(Content, String), CompactError> {
        let key = &self.output.key;
        let mut body = storage.get(key)?;
        let mut file = spills.file()?;
        let (mut digest, mut piece) = (Digest::new(), vec![0; 256 << 10]);
        loop {
            let length = match body.reader.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StorageError::from_io(storage.uri(key), error).into()),
            };
            digest.update(&piece[..length]);
            file.write_all(&piece[..length]).map_err(|error| spills.failed(error))?;
        }
        Ok((Content::Disk(Arc::new(file)), digest.finish()))
    }
}

/// The bytes of a file.
enum Content {
    Memory(Bytes),
    Disk(Arc<Disk>),
}

impl Length for Content {
    fn len(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(file) => Length::len(&**file),
        }
    }
}

impl ChunkReader for Content {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Box<dyn Read>, ParquetError> {
        Ok(match self {
            Content::Memory(bytes) => Box::new(bytes.get_read(start)?),
            Content::Disk(file) => Box::new(file.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Content::Memory(bytes) => bytes.get_bytes(start, length),
            Content::Disk(file) => file.get_bytes(start, length),
        }
    }
}
