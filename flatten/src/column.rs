//! The values of one column of a part.
//!
//! A column holds (row, value) pairs, row ascending: a record without the field costs nothing, which is what makes
//! tables with hundreds of columns, most of them empty in any one part, cheap. Text is one run of bytes with the end of
//! each value. Encoding spreads the pairs over the rows when the part is written.

use std::ops::Range;

use crate::path::Kind;

/// Text values one behind the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Texts {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a value, which must be UTF-8.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    /// Where a value is written, before [`Texts::end`] makes one of it.
    #[inline(always)]
    pub(crate) fn bytes_to_append_to(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the value that was written behind the last one.
    #[inline(always)]
    pub(crate) fn end(&mut self) {
        // A part's text is at most its window and one record more, far below 4 GiB.
        self.ends.push(self.bytes.len() as u32);
    }

    /// The bytes of value `at`.
    pub fn get(&self, at: usize) -> &[u8] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[begin..self.ends[at] as usize]
    }

    /// Bytes of the values in a range.
    pub(crate) fn size(&self, values: &Range<usize>) -> usize {
        let end = |at: usize| if at == 0 { 0 } else { self.ends[at - 1] as usize };
        end(values.end) - end(values.start)
    }

    fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Appends a range of the values of `other`.
    fn append(&mut self, other: &Texts, values: Range<usize>) {
        let end = |at: usize| if at == 0 { 0 } else { other.ends[at - 1] };
        let (begin, end) = (end(values.start), end(values.end));
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes[begin as usize..end as usize]);
        self.ends.extend(other.ends[values].iter().map(|end| base + (end - begin)));
    }

    /// Where each value ends in [`Texts::bytes`].
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bytes of all values, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, to be kept without being copied.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The values of a column, by kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Doubles.
    Double(Vec<f64>),
    /// Integers of kind `long`, or microseconds of kind `timestamp`.
    Long(Vec<i64>),
    /// Booleans.
    Boolean(Vec<bool>),
    /// Text of kind `string` or `json`.
    Text(Texts),
}

/// (row, value) pairs, row ascending and at most once.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Rows of the part that have a value.
    pub rows: Vec<u32>,
    /// Their values, in the same order.
    pub values: Values,
}

impl Cells {
    /// No cells, ready for values of `kind`.
    pub fn new(kind: Kind) -> Cells {
        let values = match kind {
            Kind::Double => Values::Double(Vec::new()),
            Kind::Long | Kind::Timestamp => Values::Long(Vec::new()),
            Kind::Boolean => Values::Boolean(Vec::new()),
            Kind::String | Kind::Json => Values::Text(Texts::default()),
        };
        Cells { rows: Vec::new(), values }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[inline]
    pub(crate) fn push_double(&mut self, row: u32, value: f64) {
        let Values::Double(values) = &mut self.values else { unreachable!("a column has one kind") };
        self.rows.push(row);
        values.push(value);
    }

    #[inline]
    pub(crate) fn push_long(&mut self, row: u32, value: i64) {
        let Values::Long(values) = &mut self.values else { unreachable!("a column has one kind") };
        self.rows.push(row);
        values.push(value);
    }

    #[inline]
    pub(crate) fn push_boolean(&mut self, row: u32, value: bool) {
        let Values::Boolean(values) = &mut self.values else { unreachable!("a column has one kind") };
        self.rows.push(row);
        values.push(value);
    }

    #[inline]
    pub(crate) fn push_text(&mut self, row: u32, value: &[u8]) {
        let Values::Text(values) = &mut self.values else { unreachable!("a column has one kind") };
        self.rows.push(row);
        values.push(value);
    }

    /// Begins a text: the cell is there when it is ended.
    #[inline(always)]
    pub(crate) fn begin_text(&mut self, row: u32) -> &mut Texts {
        let Values::Text(texts) = &mut self.values else { unreachable!("a column has one kind") };
        self.rows.push(row);
        texts
    }

    /// Takes all cells back, and keeps their room.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        match &mut self.values {
            Values::Double(values) => values.clear(),
            Values::Long(values) => values.clear(),
            Values::Boolean(values) => values.clear(),
            Values::Text(texts) => {
                texts.ends.clear();
                texts.bytes.clear();
            }
        }
    }

    /// Takes the last cell back.
    pub(crate) fn pop(&mut self) {
        self.rows.pop();
        match &mut self.values {
            Values::Double(values) => drop(values.pop()),
            Values::Long(values) => drop(values.pop()),
            Values::Boolean(values) => drop(values.pop()),
            Values::Text(values) => values.pop(),
        }
    }

    /// No cells, with room for as many as `other` has.
    pub(crate) fn like(other: &Cells) -> Cells {
        let values = match &other.values {
            Values::Double(values) => Values::Double(Vec::with_capacity(values.len())),
            Values::Long(values) => Values::Long(Vec::with_capacity(values.len())),
            Values::Boolean(values) => Values::Boolean(Vec::with_capacity(values.len())),
            Values::Text(texts) => Values::Text(Texts {
                ends: Vec::with_capacity(texts.ends.len()),
                bytes: Vec::with_capacity(texts.bytes.len()),
            }),
        };
        Cells { rows: Vec::with_capacity(other.rows.len()), values }
    }

    /// Bytes that can be pushed before more memory is needed, those of rows included.
    pub(crate) fn room(&self) -> usize {
        let values = match &self.values {
            Values::Double(values) => 8 * values.capacity(),
            Values::Long(values) => 8 * values.capacity(),
            Values::Boolean(values) => values.capacity(),
            Values::Text(texts) => 4 * texts.ends.capacity() + texts.bytes.capacity(),
        };
        values + 4 * self.rows.capacity()
    }

    /// Appends the cells of `other`, whose rows count from `base`.
    pub(crate) fn append(&mut self, other: &Cells, base: u32) {
        self.push_range(other, 0..other.len(), 0, base);
    }

    /// Appends a range of the cells of `other`, whose row `begin` becomes row `place`.
    pub(crate) fn push_range(&mut self, other: &Cells, cells: Range<usize>, begin: u32, place: u32) {
        self.rows.extend(other.rows[cells.clone()].iter().map(|row| row - begin + place));
        match (&mut self.values, &other.values) {
            (Values::Double(mine), Values::Double(theirs)) => mine.extend_from_slice(&theirs[cells]),
            (Values::Long(mine), Values::Long(theirs)) => mine.extend_from_slice(&theirs[cells]),
            (Values::Boolean(mine), Values::Boolean(theirs)) => mine.extend_from_slice(&theirs[cells]),
            (Values::Text(mine), Values::Text(theirs)) => mine.append(theirs, cells),
            _ => unreachable!("a column has one kind"),
        }
    }

    /// The first of the cells from `from` on whose row is not before `row`.
    pub(crate) fn seek(&self, from: usize, row: u32) -> usize {
        let rest = &self.rows[from..];
        // Rows ascend, so that there are no more cells before `row` than there are rows.
        let most = rest.first().map_or(0, |first| row.saturating_sub(*first) as usize);
        from + rest[..most.min(rest.len())].partition_point(|other| *other < row)
    }

    /// Appends cell `at` of `from` as a cell of `row`.
    pub(crate) fn push_from(&mut self, row: u32, from: &Cells, at: usize) {
        match &from.values {
            Values::Double(values) => self.push_double(row, values[at]),
            Values::Long(values) => self.push_long(row, values[at]),
            Values::Boolean(values) => self.push_boolean(row, values[at]),
            Values::Text(values) => self.push_text(row, values.get(at)),
        }
    }

    /// The cells of `self` and `other`, which have no row in common, in order of rows.
    pub(crate) fn merge(self, other: Cells, kind: Kind) -> Cells {
        if self.is_empty() {
            return other;
        }
        let mut merged = Cells::new(kind);
        let (mut mine, mut theirs) = (0, 0);
        while mine < self.len() || theirs < other.len() {
            let take_mine =
                theirs == other.len() || (mine < self.len() && self.rows[mine] < other.rows[theirs]);
            let (from, at) = if take_mine { (&self, &mut mine) } else { (&other, &mut theirs) };
            merged.push_from(from.rows[*at], from, *at);
            *at += 1;
        }
        merged
    }
}
