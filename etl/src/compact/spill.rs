//! Rows that do not fit into memory, on the disk for as long as they are sorted.
//!
//! In come batches in their order; out they come again, one at a time. A run is a stream of Arrow's, compressed: of an
//! open one no more than a batch and a small window are in memory, however many columns there are. Files have no name once
//! they are open, where the system allows for that, so that nothing is left of a run that is killed.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::error::CompactError;

/// Fast: it is read once.
const LEVEL: i32 = 1;

/// 256 KiB: what each open run keeps of what it had.
const WINDOW_LOG: u32 = 18;

/// Where runs are kept.
#[derive(Debug, Clone)]
pub(super) struct Spills {
    folder: PathBuf,
}

impl Spills {
    pub(super) fn new(folder: &Path) -> Spills {
        Spills { folder: folder.to_owned() }
    }

    /// A new file, for reading and writing.
    pub(super) fn file(&self) -> Result<File, CompactError> {
        let path = self.folder.join(format!("iotlake-{}-{:016x}", std::process::id(), fastrand::u64(..)));
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| self.failed(error))?;
        // It lives on until it is closed. A system that does not allow this keeps it: then it is in a temporary folder.
        let _ = fs::remove_file(&path);
        Ok(file)
    }

    pub(super) fn failed(&self, source: io::Error) -> CompactError {
        CompactError::Spill { folder: self.folder.display().to_string(), source }
    }

    /// Begins a run.
    pub(super) fn begin(&self, schema: &SchemaRef) -> Result<Writing, CompactError> {
        let file = self.file()?;
        let mut encoder = Encoder::new(BufWriter::new(file), LEVEL).map_err(|error| self.failed(error))?;
        encoder.window_log(WINDOW_LOG).map_err(|error| self.failed(error))?;
        let writer = StreamWriter::try_new(encoder, schema)?;
        Ok(Writing { writer, spills: self.clone() })
    }
}

/// A run that is being written.
pub(super) struct Writing {
    writer: StreamWriter<Encoder<'static, BufWriter<File>>>,
    spills: Spills,
}

impl Writing {
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        Ok(self.writer.write(batch)?)
    }

    pub(super) fn finish(self) -> Result<Reading, CompactError> {
        let Writing { writer, spills } = self;
        let failed = |error| spills.failed(error);
        let mut file = writer.into_inner()?.finish().map_err(failed)?;
        file.flush().map_err(failed)?;
        let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let decoder = Decoder::new(file).map_err(failed)?;
        Ok(Reading(StreamReader::try_new(decoder, None)?))
    }
}

/// A run that is being read.
pub(super) struct Reading(StreamReader<Decoder<'static, BufReader<File>>>);

impl Reading {
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, CompactError> {
        Ok(self.0.next().transpose()?)
    }
}
