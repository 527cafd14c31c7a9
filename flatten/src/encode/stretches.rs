//! Some of the rows of a part, where a file has not all of them: those of one hour, wherever they stand.
//!
//! In come stretches of rows, which ascend and do not overlap, and the rows of a column's cells; out comes where the two
//! meet. What must stay true: finding it costs no more than whichever are fewer, stretches or cells. A part may have a
//! million rows whose hours take turns, and a thousand columns that each have a few of them.

use std::ops::Range;

use crate::column::Cells;

/// Rows of a part that are the rows of a file.
pub(super) struct Stretches<'a> {
    rows: &'a [Range<u32>],
    /// For each stretch how many rows of the file are before it.
    places: Vec<u32>,
    /// Rows of the file.
    count: u32,
}

/// Cells that lie in one stretch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// Their places in their column, at least one.
    pub(super) cells: Range<usize>,
    /// The first row of the stretch.
    pub(super) begin: u32,
    /// Which row of the file that is.
    pub(super) place: u32,
}

impl<'a> Stretches<'a> {
    pub(super) fn new(rows: &'a [Range<u32>]) -> Stretches<'a> {
        let mut count = 0;
        let places = rows.iter().map(|rows| {
            let place = count;
            count += rows.end - rows.start;
            place
        });
        Stretches { rows, places: places.collect(), count }
    }

    /// Rows of the file.
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// The stretch, if there is only one.
    pub(super) fn single(&self) -> Option<Range<u32>> {
        match self.rows {
            [rows] => Some(rows.clone()),
            _ => None,
        }
    }

    /// Where they meet cells in these rows, which ascend.
    pub(super) fn meet<'s>(&'s self, cells: &'s [u32]) -> Meetings<'s> {
        Meetings { stretches: self, stretch: 0, cells, at: 0, steps: 0 }
    }

    /// Appends the cells of `from` that lie in them to `to`, in rows of the file.
    pub(super) fn gather(&self, from: &Cells, to: &mut Cells) {
        for Meeting { cells, begin, place } in self.meet(&from.rows) {
            to.push_range(from, cells, begin, place);
        }
    }
}

/// Goes from meeting to meeting.
pub(super) struct Meetings<'s> {
    stretches: &'s Stretches<'s>,
    stretch: usize,
    cells: &'s [u32],
    at: usize,
    /// How often it was looked for the next.
    steps: usize,
}

impl Meetings<'_> {
    /// Goes on to the first cell that is not before `row`.
    fn seek(&mut self, row: u32) {
        let rest = &self.cells[self.at..];
        let most = rest.first().map_or(0, |first| row.saturating_sub(*first) as usize);
        // In a column that has a value in every row it is there.
        self.at += match rest.get(most) {
            Some(there) if *there == row => most,
            _ => leading(&rest[..most.min(rest.len())], |other| *other < row),
        };
    }
}

impl Iterator for Meetings<'_> {
    type Item = Meeting;

    fn next(&mut self) -> Option<Meeting> {
        loop {
            self.steps += 1;
            let row = *self.cells.get(self.at)?;
            let stretches = self.stretches.rows;
            self.stretch += leading(&stretches[self.stretch..], |rows| rows.end <= row);
            let rows = stretches.get(self.stretch)?;
            self.seek(rows.start);
            let begin = self.at;
            self.seek(rows.end);
            if begin < self.at {
                let place = self.stretches.places[self.stretch];
                return Some(Meeting { cells: begin..self.at, begin: rows.start, place });
            }
        }
    }
}

/// How many elements at the beginning are `before`, as those behind them are not: found in twice the logarithm of that.
fn leading<T>(all: &[T], before: impl Fn(&T) -> bool) -> usize {
    let mut bound = 1;
    while bound <= all.len() && before(&all[bound - 1]) {
        bound *= 2;
    }
    let begin = bound / 2;
    begin + all[begin..all.len().min(bound - 1)].partition_point(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Kind;

    /// Hours that take turns, row by row: the stretches of one of them.
    fn turns(of: u32, rows: u32, hours: u32) -> Vec<Range<u32>> {
        (of..rows).step_by(hours as usize).map(|row| row..row + 1).collect()
    }

    #[test]
    fn cells_are_found_in_whatever_stretches() {
        let stretches = [2..5, 5..6, 9..12, 20..21, 30..40];
        let rows = Stretches::new(&stretches);
        assert_eq!((rows.count(), rows.single()), (18, None));
        for cells in
            [vec![], vec![0, 1], vec![3], vec![0, 4, 5, 8, 9, 11, 12, 19, 20, 39, 40], (0..50).collect()]
        {
            let expected: Vec<u32> = stretches
                .iter()
                .flat_map(Clone::clone)
                .enumerate()
                .filter(|(_, row)| cells.contains(row))
                .map(|(place, _)| place as u32)
                .collect();
            let mut from = Cells::new(Kind::Long);
            cells.iter().for_each(|row| from.push_long(*row, i64::from(*row)));
            let mut to = Cells::new(Kind::Long);
            rows.gather(&from, &mut to);
            assert_eq!(to.rows, expected, "{cells:?}");
        }
    }

    #[test]
    fn leading_elements_are_counted() {
        for length in 0..40 {
            let all: Vec<usize> = (0..length).collect();
            for before in 0..=length {
                assert_eq!(leading(&all, |at| *at < before), before);
            }
        }
    }

    #[test]
    fn finding_them_costs_what_are_fewer() {
        let (rows, hours) = (1 << 18, 256);
        let few: Vec<u32> = (0..rows).step_by(10_007).collect();
        let all: Vec<u32> = (0..rows).collect();
        let mut steps = 0;
        for hour in 0..hours {
            let turns = turns(hour, rows, hours);
            let stretches = Stretches::new(&turns);
            let mut meetings = stretches.meet(&few);
            assert!(meetings.by_ref().count() <= 1);
            steps += meetings.steps;
            let mut meetings = stretches.meet(&all);
            assert_eq!(meetings.by_ref().count(), turns.len());
            assert!(meetings.steps <= turns.len() + 1);
        }
        assert!(steps <= (few.len() + 1) * hours as usize, "{steps}");
    }
}
