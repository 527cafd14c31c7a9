//! What a file of a lake says of itself: its footer, and what our writers put into it.
//!
//! In come a storage and an object that was listed there; out comes the footer, whose the file is, or which rows and
//! columns it has. A file that is cut off or somebody else's is an answer, with the reason, and no error: only a storage
//! that fails is one. One read is enough for most files.

use iotlake_flatten::{ColumnSummary, TableColumn, metadata};
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataReader};

use crate::storage::{ObjectMeta, Storage, StorageError};

/// Read at once from the end of a file: most footers are shorter.
const TAIL: u64 = 64 << 10;

/// The bytes behind the footer: its length and the magic number.
const TRAILER: u64 = 8;

/// The footer, or why it is none.
pub(crate) fn read(
    storage: &dyn Storage,
    meta: &ObjectMeta,
) -> Result<Result<ParquetMetaData, String>, StorageError> {
    Ok(read_end(storage, &meta.key, meta.size)?.map(|(footer, _)| footer))
}

/// The footer of the file `key` of so many bytes, and the end of the file that was read for it, which mostly is the whole of a
/// small one; or why it is none.
pub(crate) fn read_end(
    storage: &dyn Storage,
    key: &str,
    size: u64,
) -> Result<Result<(ParquetMetaData, Vec<u8>), String>, StorageError> {
    if size < TRAILER + 4 {
        return Ok(Err(format!("is no Parquet file: it has {size} bytes")));
    }
    let mut tail = storage.get_range(key, size.saturating_sub(TAIL)..size)?;
    let Some((_, trailer)) = tail.split_last_chunk::<8>() else {
        return Ok(Err("is no Parquet file".to_owned()));
    };
    if &trailer[4..] != b"PAR1" {
        return Ok(Err("is no Parquet file, or is cut off: it does not end with PAR1".to_owned()));
    }
    let length = u64::from(u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]));
    if length + TRAILER > size {
        return Ok(Err(format!("has a footer of {length} bytes in a file of {size}")));
    }
    if length + TRAILER > TAIL {
        tail = storage.get_range(key, size - TRAILER - length..size)?;
    }
    let end = tail.len() - TRAILER as usize;
    let footer = ParquetMetaDataReader::decode_metadata(&tail[end - length as usize..end]);
    Ok(match footer {
        Ok(footer) => Ok((footer, tail)),
        Err(error) => Err(format!("has a footer that cannot be read: {error}")),
    })
}

/// Whose a file is, by its own metadata.
#[derive(Debug)]
pub(crate) enum Owner {
    /// It is gone: another run was faster.
    Nobody,
    /// It cannot be read, or does not say.
    Unknown,
    /// It names this source.
    Source(String),
}

/// Whose a file is that was there when `meta` was read.
pub(crate) fn owner(storage: &dyn Storage, meta: &ObjectMeta) -> Result<Owner, StorageError> {
    let footer = match read(storage, meta) {
        Err(StorageError::NotFound { .. }) => return Ok(Owner::Nobody),
        Err(StorageError::ShortBody { .. }) => return Ok(Owner::Unknown),
        footer => footer?,
    };
    let source =
        footer.ok().and_then(|footer| said(footer.file_metadata(), metadata::SOURCE).map(str::to_owned));
    Ok(source.map_or(Owner::Unknown, Owner::Source))
}

/// What a data file says of its rows.
#[derive(Debug)]
pub(crate) struct Described {
    /// Its source; of a generation, which has rows of many, a name of its own.
    pub(crate) source: String,
    pub(crate) part: u64,
    /// Its columns of the table's own, in its order.
    pub(crate) columns: Vec<TableColumn>,
    /// What is in all of its columns.
    pub(crate) summary: Vec<ColumnSummary>,
}

/// What a data file says of its rows, or why that cannot be told.
pub(crate) fn described(
    storage: &dyn Storage,
    meta: &ObjectMeta,
) -> Result<Result<Described, String>, StorageError> {
    let footer = match read(storage, meta)? {
        Ok(footer) => footer,
        Err(reason) => return Ok(Err(reason)),
    };
    let file = footer.file_metadata();
    let (source, part) = match said(file, metadata::GENERATION) {
        // Behind all sources: of columns that they have the order is theirs.
        Some(_) => (Some(format!("~{}", meta.key)), Some(0)),
        None => (
            said(file, metadata::SOURCE).map(str::to_owned),
            said(file, metadata::PART).and_then(|part| part.parse().ok()),
        ),
    };
    let columns = said(file, metadata::COLUMNS).and_then(|columns| serde_json::from_str(columns).ok());
    Ok(match (source, part, columns) {
        (Some(source), Some(part), Some(columns)) => {
            Ok(Described { source, part, columns, summary: ColumnSummary::of_footer(&footer) })
        }
        _ => Err("its metadata does not say what iotlake wrote: it is somebody else's".to_owned()),
    })
}

/// What the metadata of a file say under `key`.
pub(crate) fn said<'a>(file: &'a FileMetaData, key: &str) -> Option<&'a str> {
    let pairs = file.key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}
