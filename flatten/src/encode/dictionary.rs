//! The distinct values of a column, and for each value its place among them.
//!
//! In come values; out come the distinct ones in order of their first appearance and a number for each value, or nothing
//! where values repeat too little for a dictionary to pay. Whether they do is asked again and again on the way, so that a
//! column of distinct values costs little more than a look at its beginning.
//!
//! What must stay true: the answer depends on the values alone. The hash is not secret, so a source can be made to
//! collide; a table that has to search for too long is given up like one that does not pay.

use std::ops::Range;

use crate::column::Texts;

/// Most bytes of a dictionary: readers keep it in memory while they read the column.
const MOST_BYTES: usize = 2 << 20;
/// Values after which it is asked for the first time whether they repeat at all, which is soon enough to cost little and
/// late enough for those of thousands of devices to come again.
const FIRST_LOOK: usize = 4096;
/// What is asked on the way; what pays is decided at the end.
const REPEATING: Worth = Worth { distinct: 7, of: 8 };
/// Slots of the table at first; there are always twice as many as entries.
const FIRST_SLOTS: usize = 1 << 10;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How often values have to repeat: at most `distinct` of `of` may be new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Worth {
    pub(super) distinct: usize,
    pub(super) of: usize,
}

impl Worth {
    fn is_given(self, entries: usize, values: usize) -> bool {
        entries * self.of <= values * self.distinct
    }
}

/// Memory that is used again for one column after the other.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The number of an entry plus one, and above it the upper half of the hash of its value; 0 where a slot is free.
    slots: Vec<u64>,
    /// For each value the number of its entry.
    pub(super) ids: Vec<u32>,
    /// For each entry the place of the value that was the first of its kind.
    pub(super) firsts: Vec<u32>,
    /// For each entry whether a page has it; memory that is used again for one page after the other.
    pub(super) seen: Vec<bool>,
}

impl Dictionary {
    /// Finds the distinct ones of 64-bit values. Whether a dictionary pays; what is in it does not count otherwise.
    pub(super) fn find_words(&mut self, values: impl ExactSizeIterator<Item = u64>, worth: Worth) -> bool {
        let mut entries: Vec<u64> = Vec::new();
        let count = values.len();
        self.find(
            count,
            values,
            |value| (value ^ value >> 32).wrapping_mul(GOLDEN),
            worth,
            |id, value| match id {
                Ok(id) => entries[id as usize] == value,
                Err(()) => {
                    entries.push(value);
                    entries.len() * 8 <= MOST_BYTES
                }
            },
        )
    }

    /// The same for a range of texts; places count from its beginning.
    pub(super) fn find_texts(&mut self, texts: &Texts, places: &Range<usize>, worth: Worth) -> bool {
        let mut entries: Vec<&[u8]> = Vec::new();
        let mut bytes = 0;
        let values = places.clone().map(|at| texts.get(at));
        self.find(places.len(), values, hash, worth, |id, text| match id {
            Ok(id) => entries[id as usize] == text,
            Err(()) => {
                entries.push(text);
                bytes += 4 + text.len();
                bytes <= MOST_BYTES
            }
        })
    }

    /// `entry` is asked with an entry's number whether it is the value, and with an error to add the value as an entry;
    /// then it says whether there is room.
    #[inline(always)]
    fn find<V: Copy>(
        &mut self,
        count: usize,
        values: impl Iterator<Item = V>,
        hash: impl Fn(V) -> u64,
        worth: Worth,
        mut entry: impl FnMut(Result<u32, ()>, V) -> bool,
    ) -> bool {
        self.ids.clear();
        self.ids.reserve(count);
        self.firsts.clear();
        self.slots.clear();
        self.slots.resize(FIRST_SLOTS, 0);
        let mut patience = 8 * count + FIRST_SLOTS;
        let mut next_look = FIRST_LOOK;
        for (at, value) in values.enumerate() {
            if at == next_look {
                if !REPEATING.is_given(self.firsts.len(), at) {
                    return false;
                }
                next_look *= 2;
            }
            let hash = hash(value);
            let tag = hash & !u64::from(u32::MAX);
            let mask = self.slots.len() - 1;
            let mut slot = (hash >> 32) as usize & mask;
            let id = loop {
                let found = self.slots[slot];
                if found == 0 {
                    let id = self.firsts.len() as u32;
                    if !entry(Err(()), value) {
                        return false;
                    }
                    self.firsts.push(at as u32);
                    self.slots[slot] = tag | u64::from(id + 1);
                    if self.firsts.len() * 2 > self.slots.len() {
                        self.grow();
                    }
                    break id;
                }
                let id = (found as u32).wrapping_sub(1);
                if found & !u64::from(u32::MAX) == tag && entry(Ok(id), value) {
                    break id;
                }
                if patience == 0 {
                    return false;
                }
                patience -= 1;
                slot = (slot + 1) & mask;
            };
            self.ids.push(id);
        }
        worth.is_given(self.firsts.len(), count)
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![0; self.slots.len() * 4];
        let smaller = std::mem::replace(&mut self.slots, larger);
        let mask = self.slots.len() - 1;
        for found in smaller.into_iter().filter(|found| *found != 0) {
            let mut slot = (found >> 32) as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = found;
        }
    }
}

/// Multiplies eight bytes at a time into the hash; the upper half is the good one.
#[inline]
fn hash(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let mut hash = (text.len() as u64).wrapping_mul(GOLDEN);
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(GOLDEN);
        hash ^= hash >> 29;
    };
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        // The last eight bytes, some of them again, where there are as many.
        let last = text.last_chunk::<8>().map(|last| u64::from_le_bytes(*last));
        mix(last.unwrap_or_else(|| rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))));
    }
    hash.wrapping_mul(GOLDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Worth = Worth { distinct: 1, of: 2 };

    fn texts(texts: impl Iterator<Item = String>) -> Texts {
        let mut all = Texts::default();
        texts.for_each(|text| all.push(text.as_bytes()));
        all
    }

    #[test]
    fn every_value_is_its_entry() {
        let values = texts((0..50_000u64).map(|at| format!("{:x}", (at * at) % 2_003)));
        let mut dictionary = Dictionary::default();
        assert!(dictionary.find_texts(&values, &(0..values.len()), HALF));
        for (at, id) in dictionary.ids.iter().enumerate() {
            let first = dictionary.firsts[*id as usize] as usize;
            assert_eq!(values.get(at), values.get(first));
            assert!(first <= at);
        }
        let mut sorted: Vec<&[u8]> =
            dictionary.firsts.iter().map(|first| values.get(*first as usize)).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "an entry stands twice");
        assert!(dictionary.find_words((0..10u32).map(|at| u64::from(at % 3)), HALF));
        assert_eq!(dictionary.ids, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(dictionary.firsts, [0, 1, 2]);
    }

    #[test]
    fn values_that_repeat_too_little_have_none() {
        let mut dictionary = Dictionary::default();
        assert!(!dictionary.find_words((0..100_000u32).map(|at| u64::from(at * 7)), HALF));
        assert!(dictionary.ids.len() <= FIRST_LOOK);
        assert!(!dictionary.find_words([1u64, 2, 1].into_iter(), HALF));
        let large = texts((0..99).map(|at| at.to_string().repeat(1 << 15)));
        assert!(!dictionary.find_texts(&large, &(0..99), Worth { distinct: 1, of: 1 }));
    }

    #[test]
    fn values_that_were_made_to_collide_have_none() {
        // Multiplying by the inverse undoes the hash, so that all of these have the same upper bits.
        let inverse = (0..6)
            .fold(GOLDEN, |inverse, _| inverse.wrapping_mul(2u64.wrapping_sub(GOLDEN.wrapping_mul(inverse))));
        assert_eq!(GOLDEN.wrapping_mul(inverse), 1);
        let colliding = |at: u64| {
            let mixed = (1u64 << 40 | at).wrapping_mul(inverse);
            mixed ^ mixed >> 32
        };
        let values: Vec<u64> = (0..100_000).map(|at| colliding(at % 40_000)).collect();
        assert!(!Dictionary::default().find_words(values.into_iter(), Worth { distinct: 1, of: 1 }));
    }
}
