//! One Parquet file of a whole source: a row group for each part, under columns that were fixed before the first.
//!
//! In come settled parts, one after the other; out go the bytes of one file, to any writer, a row group at a time. A
//! Parquet file has one list of columns, so the list has to be known up front: from a contract, or from a first pass
//! over the source. A column that a part does not fill is null in its row group.
//!
//! What must stay true: no value of a part is left out (a part with a column that the file has not is an error); only
//! one part is ever in memory.

use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::Field;
use parquet::file::writer::SerializedFileWriter;

use super::{EncodeError, Encoder, Source, has_pages, of_own, overflow};
use crate::column::Cells;
use crate::layout::OVERFLOW;
use crate::part::{Part, SettledPart};
use crate::path::{Identity, Kind, Path};
use crate::schema::{Schema, TableColumn};

/// Writes parts as the row groups of one file.
///
/// All columns have to be known when it is opened, since a Parquet file says them once. With [`Encoder`] each part
/// becomes a file of its own and may bring columns.
///
/// ```
/// use std::sync::Arc;
/// use iotlake_flatten::{Compression, Contract, Encoder, FileWriter, Flattener, Limits, Options, Part, Schema, Type};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let contract = Contract::empty().declare("t", Type::Double);
/// let schema = Schema::new(contract);
/// let mut parts: Vec<Part> = Vec::new();
/// let mut sink = |part| -> Result<(), std::convert::Infallible> { parts.push(part); Ok(()) };
/// let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
/// flattener.push(b"{\"t\":19.5}{\"t\":20,\"other\":true}", &mut sink)?;
/// flattener.finish(&mut sink)?;
///
/// let encoder =
///     Encoder { source: "stdin", options: "{}", receipt: None, compression: Compression::Zstd, parallel: false };
/// let mut file = FileWriter::new(encoder, Vec::new(), &schema, true)?;
/// // No column more than there are: `other` goes to `_overflow`.
/// let closed = Limits { columns: 0, ..Limits::default() };
/// for part in parts {
///     let fit = part.fit(&schema, &closed);
///     file.push(&part.settle(&fit))?;
/// }
/// assert!(file.finish()?.ends_with(b"PAR1"));
/// # Ok(())
/// # }
/// ```
pub struct FileWriter<'a, W: Write + Send> {
    encoder: Encoder<'a>,
    file: SerializedFileWriter<W>,
    content: Content,
    /// Whether row groups have page indexes: either all have or none, as the first asks for it. `None` before that.
    is_indexed: Option<bool>,
    /// No cells, of every kind, for columns that a part does not have.
    empty: Vec<(Kind, Cells)>,
}

enum Content {
    Rows { columns: Vec<TableColumn>, has_overflow: bool },
    Rejects,
}

impl<'a, W: Write + Send> FileWriter<'a, W> {
    /// A file for the rows of parts that are settled against `schema`, with all of its columns. Where `has_overflow` is
    /// false there is no column `_overflow`, and a part that needs it is an error.
    ///
    /// # Errors
    /// If `out` does not take the first bytes.
    pub fn new(
        encoder: Encoder<'a>,
        out: W,
        schema: &Schema,
        has_overflow: bool,
    ) -> Result<Self, EncodeError> {
        let columns = schema.columns().to_vec();
        let described = serde_json::to_string(&columns).expect("columns are JSON");
        let mut fields = fields_of(&encoder.lineage(std::iter::empty()));
        if has_overflow {
            fields.push(overflow());
        }
        fields.extend(columns.iter().map(of_own));
        FileWriter::open(encoder, out, fields, described, Content::Rows { columns, has_overflow })
    }

    /// A file for the rejects of parts; its columns are those of [`Encoder::encode_rejects`].
    ///
    /// # Errors
    /// If `out` does not take the first bytes.
    pub fn rejects(encoder: Encoder<'a>, out: W) -> Result<Self, EncodeError> {
        let fields = fields_of(&encoder.reject_columns(&Part::default()));
        FileWriter::open(encoder, out, fields, "[]".to_owned(), Content::Rejects)
    }

    fn open(
        encoder: Encoder<'a>,
        out: W,
        fields: Vec<Arc<Field>>,
        described: String,
        content: Content,
    ) -> Result<Self, EncodeError> {
        let file = encoder.open(out, fields, &[], described)?;
        let empty = Kind::ALL.map(|kind| (kind, Cells::new(kind))).to_vec();
        Ok(FileWriter { encoder, file, content, is_indexed: None, empty })
    }

    /// Appends the rows, or the rejects, of a settled part as one row group; a part without any adds nothing.
    ///
    /// # Errors
    /// [`EncodeError::NotRegistered`] if the part has a column that the file has not, or if `out` fails.
    pub fn push(&mut self, part: &SettledPart) -> Result<(), EncodeError> {
        let (ready, rows) = match &self.content {
            Content::Rows { columns, has_overflow } => {
                let columns = columns_of(&self.encoder, &self.empty, part, columns, *has_overflow)?;
                (columns, part.rows as usize)
            }
            Content::Rejects => (self.encoder.reject_columns(part), part.rejects.len()),
        };
        if rows == 0 {
            return Ok(());
        }
        let is_indexed = *self.is_indexed.get_or_insert_with(|| has_pages(&ready, rows));
        self.encoder.write_row_group(&mut self.file, &ready, rows, is_indexed)
    }

    /// Writes the footer and gives the writer back.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(self) -> Result<W, EncodeError> {
        Ok(self.file.into_inner()?)
    }
}

/// The part's columns in the file's order, with those of `empty` in the gaps.
fn columns_of<'p>(
    encoder: &'p Encoder<'_>,
    empty: &'p [(Kind, Cells)],
    part: &'p SettledPart,
    columns: &'p [TableColumn],
    has_overflow: bool,
) -> Result<Vec<Source<'p>>, EncodeError> {
    let empty = |kind: Kind| &empty.iter().find(|(of, _)| *of == kind).expect("every kind is there").1;
    let mut ready = encoder.lineage(part.records.iter().map(|record| *record as i64));
    match part.overflow() {
        cells if has_overflow => {
            ready.push(Source::of_cells(overflow(), cells.unwrap_or(empty(Kind::Json))));
        }
        Some(_) => return Err(EncodeError::NotRegistered(Identity::new(Path::new([OVERFLOW]), Kind::Json))),
        None => {}
    }
    let mut filled = 0;
    for column in columns {
        let identity = &column.identity;
        let found = part.columns.binary_search_by(|column| column.identity.cmp(identity));
        let cells = found.map_or_else(|_| empty(identity.kind), |at| &part.columns[at].cells);
        filled += usize::from(found.is_ok());
        ready.push(Source::of_cells(of_own(column), cells));
    }
    let is_known = |identity: &Identity| columns.iter().any(|column| column.identity == *identity);
    match part.columns.iter().find(|column| filled < part.columns.len() && !is_known(&column.identity)) {
        Some(column) => Err(EncodeError::NotRegistered(column.identity.clone())),
        None => Ok(ready),
    }
}

fn fields_of(columns: &[Source<'_>]) -> Vec<Arc<Field>> {
    columns.iter().map(|column| column.field().clone()).collect()
}

impl<W: Write + Send> std::fmt::Debug for FileWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::{Compression, Contract, Flattener, Limits, Options};

    const ENCODER: Encoder<'static> = Encoder {
        source: "s",
        options: "{}",
        receipt: None,
        compression: Compression::Snappy,
        parallel: false,
    };

    fn parts(schema: &Schema, text: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut sink = |part| -> Result<(), std::convert::Infallible> {
            parts.push(part);
            Ok(())
        };
        let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
        flattener.push(text.as_bytes(), &mut sink).unwrap();
        flattener.finish(&mut sink).unwrap();
        parts
    }

    fn rows(bytes: Vec<u8>) -> (usize, Vec<String>) {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        (reader.num_row_groups(), rows)
    }

    #[test]
    fn parts_become_row_groups_and_what_they_lack_is_null() {
        let contract = Contract { part_bytes: 20, ..Contract::empty() };
        let mut schema = Schema::new(contract);
        let parts = parts(&schema, "{\"a\":1,\"b\":\"x\"}     \n{\"b\":\"y\"}nonsense");
        let mut settle = |part: Part| {
            let fit = part.fit(&schema, &Limits::default());
            fit.register.iter().for_each(|identity| _ = schema.register(identity));
            part.settle(&fit)
        };
        let parts: Vec<SettledPart> = parts.into_iter().map(&mut settle).collect();
        let mut file = FileWriter::new(ENCODER, Vec::new(), &schema, false).unwrap();
        let mut rejects = FileWriter::rejects(ENCODER, Vec::new()).unwrap();
        for part in &parts {
            file.push(part).unwrap();
            rejects.push(part).unwrap();
        }
        let (groups, found) = rows(file.finish().unwrap());
        assert_eq!((groups, parts.len()), (2, 2));
        assert_eq!(
            found,
            [
                "{_source: \"s\", _record: 1, a: 1.0, b: \"x\"}",
                "{_source: \"s\", _record: 2, a: null, b: \"y\"}",
            ]
        );
        assert_eq!(rows(rejects.finish().unwrap()).1.len(), 1);
    }

    #[test]
    fn a_value_without_a_column_goes_to_the_overflow_or_is_an_error() {
        let schema = Schema::new(Contract::default());
        let part = parts(&schema, "{\"ts\":1,\"a\":{\"b\":[1]}}\n{\"ts\":\"x\"}\n").remove(0);
        let open = part.clone().settle(&part.fit(&schema, &Limits::default()));
        let closed = FileWriter::new(ENCODER, Vec::new(), &schema, false).unwrap().push(&open);
        assert!(matches!(closed, Err(EncodeError::NotRegistered(_))), "{closed:?}");
        let fit = part.fit(&schema, &Limits { columns: 0, ..Limits::default() });
        assert_eq!(fit.register, []);
        let part = part.settle(&fit);
        let closed = FileWriter::new(ENCODER, Vec::new(), &schema, false).unwrap().push(&part);
        assert!(matches!(closed, Err(EncodeError::NotRegistered(_))), "{closed:?}");
        let mut file = FileWriter::new(ENCODER, Vec::new(), &schema, true).unwrap();
        file.push(&part).unwrap();
        assert_eq!(
            rows(file.finish().unwrap()).1,
            [
                "{_source: \"s\", _record: 1, _overflow: \"{\"a\":{\"b\":[1]}}\", ts: 1}",
                "{_source: \"s\", _record: 2, _overflow: \"{\"ts\":\"x\"}\", ts: null}",
            ]
        );
    }
}
