//! One source into one Parquet file, without a lake.
//!
//! In comes a source, plain or compressed; out come a file with a row group for each part and, if there are any, a file
//! of rejects. A Parquet file has one list of columns for all of its row groups, so the list has to be known before the
//! first: a source that can be read twice is read once for its columns ([`discover`]) and once for its rows
//! ([`convert`]); one that cannot has the columns of its first part, or of its contract alone, and every other field goes
//! to `_overflow`.
//!
//! What must stay true: nothing is lost, `records = rows + rejected`; memory is that of one part, whatever the source.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use iotlake_flatten::{
    Compression, EncodeError, Encoder, FileWriter, Flattener, Limits, Options, Part, Schema, SettledPart,
};

use crate::decode::{self, Damage, DecodeError, Decoder, Known, Stored, Unreadable};
use crate::error::Hint;
use crate::pipeline::Counts;

/// How a source is converted.
#[derive(Debug, Clone, Copy)]
pub struct ConvertOptions<'a> {
    /// What `_source` says.
    pub source: &'a str,
    /// How the files are compressed.
    pub compression: Compression,
    /// Threads that parse; more than 1 work in rayon's current pool.
    pub threads: usize,
    /// Most bytes that the source may decode to.
    pub output_limit: u64,
    /// Bounds on records, parts and columns.
    pub limits: Limits,
}

/// The columns of a file, fixed before its first row.
#[derive(Debug)]
pub struct Columns {
    /// The schema with which records are read: what was declared.
    declared: Schema,
    /// Every column of the file.
    pub schema: Schema,
    /// Whether there is a column `_overflow`.
    pub overflow: bool,
    /// The digest of the source they were found in; `None` if they were declared.
    digest: Option<String>,
    /// Where that source is damaged: rows are only taken from before.
    damage: Option<Damage>,
    /// Whether the first part may still add its own.
    is_open: bool,
}

/// What came of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Accounts.
    pub counts: Counts,
    /// Number of rejects by reason.
    pub rejects_by_reason: BTreeMap<&'static str, u64>,
}

/// Why a source was not converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The source cannot be read or decoded.
    #[error("cannot read {source_name}")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        source: DecodeError,
    },
    /// The compressed stream is damaged. [`discover`] with this damage keeps what lies before it.
    #[error("{source_name}: {}", damage.error)]
    Damaged {
        /// The source.
        source_name: String,
        /// Where.
        damage: Damage,
    },
    /// The source was not the same when it was read the second time.
    #[error("{source_name}: changed while it was being converted")]
    Changed {
        /// The source.
        source_name: String,
    },
    /// The file could not be encoded or written.
    #[error("cannot write the file")]
    Encode(#[from] EncodeError),
    /// The file for rejects could not be made.
    #[error("cannot write the file of rejects")]
    Rejects(#[source] io::Error),
    /// Records do not add up to rows and rejects.
    #[error("accounts do not balance: {records} records, {rows} rows, {rejected} rejects")]
    Unbalanced {
        /// Records.
        records: u64,
        /// Rows.
        rows: u64,
        /// Rejects.
        rejected: u64,
    },
}

impl Hint for ConvertError {
    fn hint(&self) -> Option<&str> {
        match self {
            ConvertError::Source { source, .. } => source.hint(),
            ConvertError::Damaged { damage, .. } => damage.error.hint(),
            ConvertError::Changed { .. } => {
                Some("wait until its writer is done, then run the same command again")
            }
            ConvertError::Unbalanced { .. } => {
                Some("this is a bug in iotlake; please report it with the source")
            }
            ConvertError::Encode(_) | ConvertError::Rejects(_) => None,
        }
    }
}

impl Columns {
    /// Those of `declared`, and `_overflow` for all other fields: for a source that can be read only once, and a contract
    /// that is complete.
    pub fn declared(declared: Schema) -> Columns {
        Columns {
            schema: declared.clone(),
            declared,
            overflow: true,
            digest: None,
            damage: None,
            is_open: false,
        }
    }

    /// Those of `declared` and of the first part, and `_overflow` for what comes only later: for a source that can be
    /// read only once, and of which nothing is known.
    pub fn of_first_part(declared: Schema) -> Columns {
        Columns { is_open: true, ..Columns::declared(declared) }
    }
}

/// Reads a source for its columns: those of `declared`, then every other one in the order of a table. Of a source that
/// is known to be damaged, only what was verified before that is read, here and by [`convert`].
///
/// # Errors
/// [`ConvertError::Damaged`] if it is and that was not known; [`ConvertError::Source`].
pub fn discover(
    source: impl Read,
    declared: Schema,
    damage: Option<Damage>,
    settings: &ConvertOptions<'_>,
) -> Result<Columns, ConvertError> {
    let mut schema = declared.clone();
    let mut overflow = false;
    let mut sink = |part: Part, _is_all: bool| -> Result<SettledPart, ConvertError> {
        let fit = part.fit(&schema, &settings.limits);
        for identity in &fit.register {
            schema.register(identity);
        }
        let part = part.settle(&fit);
        overflow |= part.overflow().is_some();
        Ok(part)
    };
    let known = damage.as_ref().map_or(Known::Nothing, Known::Damaged);
    let stored = read(source, &declared, known, settings, &mut sink)?;
    Ok(Columns { declared, schema, overflow, digest: Some(stored.digest), damage, is_open: false })
}

/// Writes the rows of a source to `out`, and its rejects, if there are any, to what `rejects` opens.
///
/// # Errors
/// See [`ConvertError`]. What was written until then is not a file.
pub fn convert<W: Write + Send, R: Write + Send>(
    source: impl Read,
    mut columns: Columns,
    settings: &ConvertOptions<'_>,
    out: W,
    mut rejects: impl FnMut() -> io::Result<R>,
) -> Result<Converted, ConvertError> {
    let encoder = Encoder {
        source: settings.source,
        options: "{}",
        receipt: None,
        compression: settings.compression,
        parallel: false,
    };
    let declared = columns.declared.clone();
    let (damage, digest) = (columns.damage.take(), columns.digest.take());
    let mut out = Some(out);
    let mut open_rows = |columns: &Columns| {
        let out = out.take().expect("the file is opened once");
        FileWriter::new(encoder, out, &columns.schema, columns.overflow)
    };
    let mut rows_file: Option<FileWriter<'_, W>> = None;
    let mut rejects_file: Option<FileWriter<'_, R>> = None;
    // Nothing registers any more: what has no column goes to the overflow of its object.
    let closed = Limits { columns: 0, ..settings.limits };
    let mut counts = Counts::default();
    let mut rejects_by_reason = BTreeMap::new();
    let mut sink = |part: Part, is_all: bool| -> Result<SettledPart, ConvertError> {
        let last_row = part.records.last().copied().unwrap_or(0);
        let last_reject = part.rejects.last().map_or(0, |reject| reject.record);
        counts.records = counts.records.max(last_row).max(last_reject);
        counts.rows += u64::from(part.rows);
        counts.rejected += part.rejects.len() as u64;
        counts.ignored += part.ignored;
        for reject in &part.rejects {
            *rejects_by_reason.entry(reject.reason.code()).or_default() += 1;
        }
        let is_open = std::mem::take(&mut columns.is_open);
        let fit = part.fit(&columns.schema, if is_open { &settings.limits } else { &closed });
        for identity in &fit.register {
            columns.schema.register(identity);
        }
        let part = part.settle(&fit);
        if is_open {
            // Of parts that come later nothing is known.
            columns.overflow = !is_all || part.overflow().is_some();
        }
        let file = match &mut rows_file {
            Some(file) => file,
            None => rows_file.insert(open_rows(&columns)?),
        };
        file.push(&part)?;
        if !part.rejects.is_empty() {
            let file = match &mut rejects_file {
                Some(file) => file,
                None => {
                    let out = rejects().map_err(ConvertError::Rejects)?;
                    rejects_file.insert(FileWriter::rejects(encoder, out)?)
                }
            };
            file.push(&part)?;
        }
        Ok(part)
    };
    let known = match (&damage, &digest) {
        (Some(damage), _) => Known::Damaged(damage),
        (None, Some(digest)) => Known::Whole(digest),
        (None, None) => Known::Nothing,
    };
    let stored = read(source, &declared, known, settings, &mut sink)?;
    let Counts { records, rows, rejected, .. } = counts;
    if !counts.balances() {
        return Err(ConvertError::Unbalanced { records, rows, rejected });
    }
    let rows_file = match rows_file {
        Some(file) => file,
        None => {
            columns.overflow &= !columns.is_open;
            open_rows(&columns)?
        }
    };
    rows_file.finish()?.flush().map_err(|error| EncodeError::Parquet(error.into()))?;
    if let Some(file) = rejects_file {
        file.finish()?.flush().map_err(ConvertError::Rejects)?;
    }
    let (bytes_stored, bytes_decoded) = (stored.size, stored.decoded);
    let new_columns = (columns.schema.columns().len() - declared.columns().len()) as u64;
    let counts = Counts { bytes_stored, bytes_decoded, new_columns, ..counts };
    Ok(Converted { counts, rejects_by_reason })
}

/// Hands every part of a source to `sink`; what the source was.
fn read(
    source: impl Read,
    declared: &Schema,
    known: Known<'_>,
    settings: &ConvertOptions<'_>,
    sink: &mut impl FnMut(Part, bool) -> Result<SettledPart, ConvertError>,
) -> Result<Stored, ConvertError> {
    let source_name = || settings.source.to_owned();
    let failed = |error| match error {
        DecodeError::Changed => ConvertError::Changed { source_name: source_name() },
        error => ConvertError::Source { source_name: source_name(), source: error },
    };
    let mut decoder = Decoder::new(source, settings.output_limit);
    let options = Options { threads: settings.threads, limits: settings.limits, ..Options::default() };
    let flattener = Flattener::new(Arc::new(declared.clone()), options);
    let spares = flattener.spares();
    let sink = &mut |part: Part, is_all: bool| -> Result<(), ConvertError> {
        spares.give_back(sink(part, is_all)?);
        Ok(())
    };
    // A file that was begun is thrown away if the source turns out to be damaged, so that nothing has to be looked
    // through beforehand.
    match decode::parts(&mut decoder, flattener, known, None, sink) {
        Ok(()) => decoder.finish().map_err(failed),
        Err(Unreadable::Damaged(damage)) => Err(ConvertError::Damaged { source_name: source_name(), damage }),
        Err(Unreadable::Failed(error)) => Err(failed(error)),
        Err(Unreadable::Caller(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use iotlake_flatten::Contract;

    use super::*;

    #[test]
    fn what_comes_only_later_goes_to_the_overflow() {
        let first = "{\"a\":1}\n".repeat(1000);
        let settings = ConvertOptions {
            source: "-",
            compression: Compression::Snappy,
            threads: 1,
            output_limit: u64::MAX,
            limits: Limits::default(),
        };
        let columns = |text: &str| {
            let declared = Schema::new(Contract { part_bytes: 4096, ..Contract::empty() });
            let mut out = Vec::new();
            let no_rejects = || -> io::Result<Vec<u8>> { panic!("there are none") };
            let converted =
                convert(text.as_bytes(), Columns::of_first_part(declared), &settings, &mut out, no_rejects);
            let counts = converted.unwrap().counts;
            assert_eq!(counts.records, text.lines().count() as u64);
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
                bytes::Bytes::from(out),
            );
            let names: Vec<_> =
                reader.unwrap().schema().fields().iter().map(|field| field.name().clone()).collect();
            names.join(" ")
        };
        assert_eq!(columns("{\"a\":1}\n{\"b\":2}\n"), "_source _record a b");
        assert_eq!(columns(&(first + "{\"b\":2}\n")), "_source _record _overflow a");
        assert_eq!(columns(""), "_source _record");
    }
}
