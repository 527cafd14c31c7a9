//! One column of a row group, from its cells to the bytes of its pages.
//!
//! In come the rows that have a value, and the values as the part holds them; out come a dictionary page where values
//! repeat, data pages, and what the footer says about them. Headers and footer are left to `parquet`; the content of
//! pages is made here, because a part knows what a general writer has to find out for every value: values are dense
//! already, so they are copied as they are; the rows that have one are known, so that levels are a bitmap and rows without
//! a value cost nothing; and values that make a dictionary are compared once.
//!
//! What must stay true: the bytes depend on the column and the codec alone; statistics are right or left out; a page has
//! at most [`PAGE_ROWS`] rows and, unless single values are larger, [`PAGE_BYTES`] before compression.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Field;
use bytes::Bytes;
use parquet::basic::{self, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bits;
use super::dictionary::{Dictionary, Worth};
use super::index::{self, End, PageBounds, PageSpan};
use super::stretches::Stretches;
use super::{Compression, EncodeError};
use crate::column::{Cells, Texts, Values};
use crate::path::Kind;

/// Rows of a page; a multiple of eight, so that pages begin at whole bytes of a bitmap.
pub(super) const PAGE_ROWS: usize = 1 << 16;
/// Bytes of text in a page.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// Longer texts have no place in statistics.
const LONGEST_BOUND: usize = 64;

/// A column ready to be written.
pub(super) struct Column<'a> {
    pub(super) field: Arc<Field>,
    /// The rows that have a value, ascending; `None` where every row has one and the column is not nullable.
    pub(super) rows: Option<&'a [u32]>,
    /// The row of the part that is the first of the row group.
    pub(super) first_row: usize,
    pub(super) values: Content<'a>,
}

/// Cells of a column that lie apart in their part, and are brought together when their turn comes to be written.
pub(super) struct Scattered<'a> {
    pub(super) field: Arc<Field>,
    pub(super) kind: Kind,
    pub(super) cells: &'a Cells,
    /// The rows of the part that are the rows of the row group.
    pub(super) stretches: &'a Stretches<'a>,
}

/// The values of a column, without gaps.
pub(super) enum Content<'a> {
    Doubles(&'a [f64]),
    Longs(Cow<'a, [i64]>),
    Booleans(&'a [bool]),
    /// A range of texts.
    Texts(Cow<'a, Texts>, Range<usize>),
    /// The same text in every row.
    Constant(&'a str),
}

/// Memory that is used again for one column after the other.
pub(super) struct Scratch {
    compressor: Compressor,
    dictionary: Dictionary,
    page: Vec<u8>,
    levels: Vec<u8>,
    /// By kind.
    gathered: [Option<Cells>; Kind::ALL.len()],
}

enum Compressor {
    Snappy { encoder: Box<snap::raw::Encoder>, out: Vec<u8> },
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

/// A column chunk: the bytes of its pages, and what the row group is told.
pub(super) type Chunk = (Bytes, ColumnCloseResult);

impl Scratch {
    pub(super) fn new(compression: Compression) -> Result<Scratch, EncodeError> {
        let compressor = match compression {
            Compression::Snappy => {
                Compressor::Snappy { encoder: Box::new(snap::raw::Encoder::new()), out: Vec::new() }
            }
            Compression::Zstd => {
                let compressor = zstd::bulk::Compressor::new(super::ZSTD_LEVEL);
                Compressor::Zstd(Box::new(compressor.map_err(ParquetError::from)?))
            }
        };
        Ok(Scratch {
            compressor,
            dictionary: Dictionary::default(),
            page: Vec::new(),
            levels: Vec::new(),
            gathered: [const { None }; Kind::ALL.len()],
        })
    }
}

impl Compressor {
    fn compress(&mut self, page: &[u8]) -> Result<Bytes, ParquetError> {
        match self {
            Compressor::Snappy { encoder, out } => {
                let most = snap::raw::max_compress_len(page.len());
                if out.len() < most {
                    out.resize(most, 0);
                }
                let length = encoder.compress(page, out);
                let length = length.map_err(|error| ParquetError::External(Box::new(error)))?;
                Ok(Bytes::copy_from_slice(&out[..length]))
            }
            Compressor::Zstd(compressor) => Ok(compressor.compress(page)?.into()),
        }
    }
}

/// How the values of a column are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Delta,
    /// At this width.
    Dictionary(u32),
}

impl Style {
    fn encoding(self) -> Encoding {
        match self {
            Style::Plain => Encoding::PLAIN,
            Style::Delta => Encoding::DELTA_BINARY_PACKED,
            Style::Dictionary(_) => Encoding::RLE_DICTIONARY,
        }
    }
}

impl Scattered<'_> {
    /// As [`Column::text_bytes`].
    pub(super) fn text_bytes(&self) -> usize {
        let Values::Text(texts) = &self.cells.values else { return 0 };
        let sizes = self.stretches.meet(&self.cells.rows).map(|meeting| texts.size(&meeting.cells));
        sizes.sum()
    }

    /// As [`Column::write`].
    pub(super) fn write(
        &self,
        rows: usize,
        is_indexed: bool,
        descriptor: ColumnDescPtr,
        codec: basic::Compression,
        scratch: &mut Scratch,
    ) -> Result<Chunk, EncodeError> {
        let Scattered { field, kind, cells, stretches } = self;
        let mut gathered = scratch.gathered[*kind as usize].take().unwrap_or_else(|| Cells::new(*kind));
        gathered.clear();
        stretches.gather(cells, &mut gathered);
        let column = Column::of_range(field.clone(), &gathered, 0..gathered.len(), 0);
        let chunk = column.write(rows, is_indexed, descriptor, codec, scratch);
        scratch.gathered[*kind as usize] = Some(gathered);
        chunk
    }
}

impl Column<'_> {
    /// Writes the column of a row group with `rows` rows; with what tells its pages apart, if `is_indexed`.
    ///
    /// # Errors
    /// If a page cannot be compressed or has more than 2 GiB.
    pub(super) fn write(
        &self,
        rows: usize,
        is_indexed: bool,
        descriptor: ColumnDescPtr,
        codec: basic::Compression,
        scratch: &mut Scratch,
    ) -> Result<Chunk, EncodeError> {
        let style = self.style(&mut scratch.dictionary);
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages =
            Pages { out: SerializedPageWriter::new(&mut sink), bytes: 0, plain_bytes: 0, count: 0 };
        let mut stats = Vec::new();
        let mut dictionary_offset = None;
        if let Style::Dictionary(_) = style {
            let Scratch { compressor, dictionary, page, .. } = scratch;
            page.clear();
            let entries = self.push_dictionary(&dictionary.firsts, page);
            let buf = compressor.compress(page)?;
            let header = Page::DictionaryPage {
                buf,
                num_values: entries,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            pages.push(header, page.len())?;
            dictionary_offset = Some(0);
            stats.push(PageEncodingStats {
                page_type: PageType::DICTIONARY_PAGE,
                encoding: Encoding::PLAIN,
                count: 1,
            });
        }
        let data_offset = pages.bytes;
        pages.count = 0;
        let mut begin = 0;
        let mut spans = Vec::new();
        // A chunk has at least one page.
        while begin < rows || pages.count == 0 {
            let (page_rows, values) = self.next_page(begin, rows, style);
            self.push_page(begin, page_rows, values.clone(), style, scratch);
            let offset = pages.bytes;
            let buf = scratch.compressor.compress(&scratch.page)?;
            let header = Page::DataPage {
                buf,
                num_values: page_rows as u32,
                encoding: style.encoding(),
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            pages.push(header, scratch.page.len())?;
            spans.push(PageSpan { rows: page_rows, values, offset, bytes: pages.bytes - offset });
            begin += page_rows;
        }
        stats.push(PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: style.encoding(),
            count: pages.count,
        });
        let (bytes, plain_bytes) = (pages.bytes, pages.plain_bytes);
        let mut encodings = vec![Encoding::RLE, style.encoding()];
        if dictionary_offset.is_some() {
            encodings.push(Encoding::PLAIN);
        }
        let (statistics, column_index) =
            self.statistics(rows, &spans, is_indexed, style, &mut scratch.dictionary)?;
        let metadata = ColumnChunkMetaData::builder(descriptor)
            .set_compression(codec)
            .set_encodings(encodings)
            .set_num_values(rows as i64)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(plain_bytes as i64)
            .set_dictionary_page_offset(dictionary_offset)
            .set_data_page_offset(data_offset as i64)
            .set_page_encoding_stats(stats)
            .set_statistics(statistics)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index,
            offset_index: is_indexed.then(|| index::of_offsets(&spans)),
        };
        Ok((sink.into_inner()?.into(), closed))
    }

    /// How to write the values; fills the dictionary where they are to have one.
    fn style(&self, dictionary: &mut Dictionary) -> Style {
        let (pays, otherwise) = match &self.values {
            Content::Doubles(values) => {
                let values = values.iter().map(|value| value.to_bits());
                (dictionary.find_words(values, Worth { distinct: 1, of: 2 }), Style::Plain)
            }
            Content::Longs(values) => {
                let values = values.iter().map(|value| *value as u64);
                (dictionary.find_words(values, Worth { distinct: 1, of: 4 }), Style::Delta)
            }
            Content::Texts(texts, places) => {
                (dictionary.find_texts(texts, places, Worth { distinct: 3, of: 4 }), Style::Plain)
            }
            Content::Booleans(_) => (false, Style::Plain),
            Content::Constant(_) => return Style::Dictionary(0),
        };
        match dictionary.firsts.len() {
            entries if pays && entries > 0 => Style::Dictionary(bits::width_of(entries as u64 - 1)),
            _ => otherwise,
        }
    }

    /// The next page from row `begin` on: its rows, and which values are theirs.
    fn next_page(&self, begin: usize, rows: usize, style: Style) -> (usize, Range<usize>) {
        let mut count = (rows - begin).min(PAGE_ROWS);
        let first = self.value_at(begin);
        loop {
            let values = first..self.value_at(begin + count);
            let is_too_large = match &self.values {
                Content::Texts(texts, places) if style == Style::Plain => {
                    let values = places.start + values.start..places.start + values.end;
                    texts.size(&values) > PAGE_BYTES
                }
                _ => false,
            };
            if !is_too_large || count <= 8 {
                return (count, values);
            }
            count = (count / 2).next_multiple_of(8);
        }
    }

    /// The number of values before `row`.
    fn value_at(&self, row: usize) -> usize {
        let row_of_part = self.first_row + row;
        self.rows.map_or(row, |rows| rows.partition_point(|other| (*other as usize) < row_of_part))
    }

    fn push_page(
        &self,
        begin: usize,
        count: usize,
        values: Range<usize>,
        style: Style,
        scratch: &mut Scratch,
    ) {
        let Scratch { dictionary, page, levels, .. } = scratch;
        page.clear();
        if let Some(rows) = self.rows {
            page.extend_from_slice(&[0; 4]);
            bits::push_levels(page, &rows[values.clone()], self.first_row + begin, count, levels);
            let length = (page.len() - 4) as u32;
            page[..4].copy_from_slice(&length.to_le_bytes());
        }
        match (style, &self.values) {
            (Style::Dictionary(width), Content::Constant(_)) => {
                page.push(width as u8);
                bits::push_run(page, count, 0, width);
            }
            (Style::Dictionary(width), _) => {
                page.push(width as u8);
                bits::push_hybrid(page, &dictionary.ids[values], width);
            }
            (_, Content::Longs(longs)) => bits::push_deltas(page, &longs[values]),
            (_, Content::Doubles(doubles)) => {
                push_words(page, doubles[values].iter().map(|value| value.to_bits()))
            }
            (_, Content::Booleans(booleans)) => bits::push_booleans(page, &booleans[values]),
            (_, Content::Texts(texts, places)) => {
                values.for_each(|at| push_text(page, texts.get(places.start + at)));
            }
            (_, Content::Constant(_)) => unreachable!("a constant has a dictionary"),
        }
    }

    /// The plain values of a dictionary page; how many there are.
    fn push_dictionary(&self, firsts: &[u32], page: &mut Vec<u8>) -> u32 {
        let firsts_of = || firsts.iter().map(|first| *first as usize);
        match &self.values {
            Content::Doubles(values) => push_words(page, firsts_of().map(|first| values[first].to_bits())),
            Content::Longs(values) => push_words(page, firsts_of().map(|first| values[first] as u64)),
            Content::Texts(texts, places) => {
                firsts_of().for_each(|first| push_text(page, texts.get(places.start + first)));
            }
            Content::Booleans(_) => unreachable!("booleans have no dictionary"),
            Content::Constant(text) => {
                push_text(page, text.as_bytes());
                return 1;
            }
        }
        firsts.len() as u32
    }

    /// Bytes of text before compression, of which a page takes so many and no more.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.values {
            Content::Texts(texts, places) => texts.size(places),
            _ => 0,
        }
    }

    /// Least and greatest value and the number of nulls, of all rows and of each page.
    fn statistics(
        &self,
        rows: usize,
        pages: &[PageSpan],
        is_indexed: bool,
        style: Style,
        dictionary: &mut Dictionary,
    ) -> Result<(Statistics, Option<ColumnIndexMetaData>), ParquetError> {
        let nulls = Some((rows - self.value_at(rows)) as u64);
        let dictionary = matches!(style, Style::Dictionary(_)).then_some(dictionary);
        match &self.values {
            Content::Doubles(values) => {
                let of = PageBounds::find(pages, dictionary, |at| values[at]);
                // There is no NaN in JSON. Zero stands for both zeros, as the format asks.
                let least = |value: f64| if value == 0.0 { -0.0 } else { value };
                let most = |value: f64| if value == 0.0 { 0.0 } else { value };
                let (a, b) = of.all().map(|(a, b)| (least(a), most(b))).unzip();
                let index = of.index(is_indexed, Type::DOUBLE, |value, end| {
                    Some(if end == End::Least { least(value) } else { most(value) }.to_le_bytes().to_vec())
                })?;
                Ok((Statistics::Double(ValueStatistics::new(a, b, None, nulls, false)), index))
            }
            Content::Longs(values) => {
                let of = PageBounds::find(pages, dictionary, |at| values[at]);
                let (least, most) = of.all().unzip();
                let index =
                    of.index(is_indexed, Type::INT64, |value, _| Some(value.to_le_bytes().to_vec()))?;
                Ok((Statistics::Int64(ValueStatistics::new(least, most, None, nulls, false)), index))
            }
            Content::Booleans(values) => {
                let of = PageBounds::find(pages, dictionary, |at| values[at]);
                let (least, most) = of.all().unzip();
                let index = of.index(is_indexed, Type::BOOLEAN, |value, _| Some(vec![u8::from(value)]))?;
                Ok((Statistics::Boolean(ValueStatistics::new(least, most, None, nulls, false)), index))
            }
            Content::Texts(texts, places) => {
                let of = PageBounds::find(pages, dictionary, |at| texts.get(places.start + at));
                let bounds = of.all().filter(|(a, b)| a.len().max(b.len()) <= LONGEST_BOUND);
                let (least, most) = bounds.map(|(a, b)| (byte_array(a), byte_array(b))).unzip();
                let index = of.index(is_indexed, Type::BYTE_ARRAY, |text, _| {
                    (text.len() <= LONGEST_BOUND).then(|| text.to_vec())
                })?;
                Ok((Statistics::ByteArray(ValueStatistics::new(least, most, None, nulls, false)), index))
            }
            Content::Constant(text) => {
                let of = PageBounds::constant(pages, text.as_bytes());
                let (least, most) = of.all().map(|(a, b)| (byte_array(a), byte_array(b))).unzip();
                let index = of.index(is_indexed, Type::BYTE_ARRAY, |text, _| Some(text.to_vec()))?;
                Ok((Statistics::ByteArray(ValueStatistics::new(least, most, None, nulls, false)), index))
            }
        }
    }
}

fn byte_array(bytes: &[u8]) -> ByteArray {
    ByteArray::from(bytes.to_vec())
}

fn push_words(page: &mut Vec<u8>, words: impl ExactSizeIterator<Item = u64>) {
    let begin = page.len();
    page.resize(begin + 8 * words.len(), 0);
    let (places, _) = page[begin..].as_chunks_mut::<8>();
    places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
}

fn push_text(page: &mut Vec<u8>, text: &[u8]) {
    page.extend_from_slice(&(text.len() as u32).to_le_bytes());
    page.extend_from_slice(text);
}

/// Counts what is written.
struct Pages<'a> {
    out: SerializedPageWriter<'a, Vec<u8>>,
    /// With headers.
    bytes: usize,
    /// The same, before compression.
    plain_bytes: usize,
    count: i32,
}

impl Pages<'_> {
    fn push(&mut self, page: Page, plain_bytes: usize) -> Result<(), EncodeError> {
        let written = self.out.write_page(CompressedPage::new(page, plain_bytes))?;
        self.bytes += written.compressed_size;
        self.plain_bytes += written.uncompressed_size;
        self.count += 1;
        Ok(())
    }
}
