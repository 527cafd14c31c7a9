//! What tells the pages of a column apart: where each lies, and which values are in it.
//!
//! In come the pages of a column as they were written, and its values; out come the bounds of each page and of all of
//! them, and the two indexes of Parquet, by which a reader skips pages:
//! <https://github.com/apache/parquet-format/blob/master/PageIndex.md>.
//!
//! What must stay true: a bound is that of values in the page; of a column that has a bound too long to be kept there
//! is no index of values, only that of places.

use std::ops::Range;

use parquet::basic::{BoundaryOrder, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use super::dictionary::Dictionary;

/// A page that was written.
pub(super) struct PageSpan {
    /// Its number of rows.
    pub(super) rows: usize,
    /// Which values of the column are in it.
    pub(super) values: Range<usize>,
    /// Where in the column chunk it begins, and how long it is, with its header.
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

/// Which of two bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Least,
    Most,
}

/// The least and the greatest value of each page.
pub(super) struct PageBounds<'a, V> {
    pages: &'a [PageSpan],
    /// `None` for a page without values.
    bounds: Vec<Option<(V, V)>>,
}

impl<'a, V: Copy + PartialOrd> PageBounds<'a, V> {
    /// Those of `pages`, where `value` gives a value of the column by its place. With a dictionary only its entries are
    /// looked at.
    pub(super) fn find(
        pages: &'a [PageSpan],
        dictionary: Option<&mut Dictionary>,
        value: impl Fn(usize) -> V,
    ) -> PageBounds<'a, V> {
        let bounds = match (pages, dictionary) {
            // All entries are in the only page.
            ([_], Some(Dictionary { firsts, .. })) => {
                vec![bounds(firsts.iter().map(|first| value(*first as usize)))]
            }
            (_, Some(Dictionary { firsts, ids, seen, .. })) => {
                let of_page = |page: &PageSpan| {
                    seen.clear();
                    seen.resize(firsts.len(), false);
                    ids[page.values.clone()].iter().for_each(|id| seen[*id as usize] = true);
                    let entries = firsts.iter().zip(&*seen).filter(|(_, is_seen)| **is_seen);
                    bounds(entries.map(|(first, _)| value(*first as usize)))
                };
                pages.iter().map(of_page).collect()
            }
            (_, None) => pages.iter().map(|page| bounds(page.values.clone().map(&value))).collect(),
        };
        PageBounds { pages, bounds }
    }

    /// Those of a column that has `value` in every row.
    pub(super) fn constant(pages: &'a [PageSpan], value: V) -> PageBounds<'a, V> {
        let bounds = pages.iter().map(|page| (page.rows > 0).then_some((value, value))).collect();
        PageBounds { pages, bounds }
    }

    /// Those of all pages together.
    pub(super) fn all(&self) -> Option<(V, V)> {
        self.bounds.iter().flatten().copied().reduce(wider)
    }

    /// The index of values, each as `bytes` gives it; `None` if that has none for one of them, or it is not wanted.
    pub(super) fn index(
        &self,
        is_wanted: bool,
        ty: Type,
        bytes: impl Fn(V, End) -> Option<Vec<u8>>,
    ) -> Result<Option<ColumnIndexMetaData>, ParquetError> {
        if !is_wanted {
            return Ok(None);
        }
        let mut builder = ColumnIndexBuilder::new(ty);
        for (page, bounds) in self.pages.iter().zip(&self.bounds) {
            let nulls = (page.rows - page.values.len()) as i64;
            match bounds {
                None => builder.append(true, Vec::new(), Vec::new(), nulls),
                Some((least, most)) => match (bytes(*least, End::Least), bytes(*most, End::Most)) {
                    (Some(least), Some(most)) => builder.append(false, least, most, nulls),
                    _ => return Ok(None),
                },
            }
        }
        builder.set_boundary_order(self.order());
        Ok(Some(builder.build()?))
    }

    /// Whether both bounds go one way from page to page; those without values do not count.
    fn order(&self) -> BoundaryOrder {
        let known: Vec<(V, V)> = self.bounds.iter().flatten().copied().collect();
        let all = |holds: fn(&V, &V) -> bool| {
            known.windows(2).all(|pair| holds(&pair[0].0, &pair[1].0) && holds(&pair[0].1, &pair[1].1))
        };
        if all(|a, b| a <= b) {
            BoundaryOrder::ASCENDING
        } else if all(|a, b| a >= b) {
            BoundaryOrder::DESCENDING
        } else {
            BoundaryOrder::UNORDERED
        }
    }
}

/// The index of places.
pub(super) fn of_offsets(pages: &[PageSpan]) -> OffsetIndexMetaData {
    let mut builder = OffsetIndexBuilder::new();
    for page in pages {
        builder.append_row_count(page.rows as i64);
        builder.append_offset_and_size(page.offset as i64, page.bytes as i32);
    }
    builder.build()
}

fn bounds<V: Copy + PartialOrd>(values: impl Iterator<Item = V>) -> Option<(V, V)> {
    let mut values = values.map(|value| (value, value));
    let first = values.next()?;
    Some(values.fold(first, wider))
}

fn wider<V: PartialOrd>(a: (V, V), b: (V, V)) -> (V, V) {
    (if b.0 < a.0 { b.0 } else { a.0 }, if b.1 > a.1 { b.1 } else { a.1 })
}
