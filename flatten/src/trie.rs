//! Paths that share their beginnings, each key of each once.
//!
//! In come keys under the place they stand below; out comes a number for the path, the same whenever it comes again.
//! What a part keeps for each of its values is such a number, never a copy of the keys: a long key with thousands of
//! fields below it is stored once, as it stands once in the record.
//!
//! What must stay true: memory is that of the keys that came, a few words for each; finding a key costs its own bytes.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::HashMap;
use foldhash::fast::RandomState;

/// The path without keys.
pub(crate) const TOP: u32 = 0;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Place {
    parent: u32,
    depth: u32,
    /// Where its key ends in the bytes of all keys; it begins where that of the place before ends.
    end: usize,
    /// The next place whose key has the same hash.
    next: u32,
}

/// A tree of keys.
#[derive(Debug, Clone)]
pub(crate) struct Trie {
    places: Vec<Place>,
    keys: String,
    /// The latest place by the hash of parent and key.
    latest: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Default for Trie {
    fn default() -> Trie {
        let top = Place { parent: NONE, depth: 0, end: 0, next: NONE };
        let hasher = RandomState::default();
        Trie { places: vec![top], keys: String::new(), latest: HashMap::default(), hasher }
    }
}

impl Trie {
    /// Number of paths, the one without keys included.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The key that leads to `place`, which is not [`TOP`].
    pub(crate) fn key(&self, place: u32) -> &str {
        &self.keys[self.places[place as usize - 1].end..self.places[place as usize].end]
    }

    /// The place above, of one that is not [`TOP`].
    pub(crate) fn parent(&self, place: u32) -> u32 {
        self.places[place as usize].parent
    }

    /// Number of keys that lead to `place`.
    pub(crate) fn depth(&self, place: u32) -> usize {
        self.places[place as usize].depth as usize
    }

    fn hash(&self, parent: u32, key: &str) -> u64 {
        self.hasher.hash_one((parent, key))
    }

    fn find_hashed(&self, hash: u64, parent: u32, key: &str) -> Option<u32> {
        let mut place = self.latest.get(&hash).copied().unwrap_or(NONE);
        while place != NONE {
            if self.parent(place) == parent && self.key(place) == key {
                return Some(place);
            }
            place = self.places[place as usize].next;
        }
        None
    }

    /// The place of `key` under `parent`, if it is there.
    pub(crate) fn find(&self, parent: u32, key: &str) -> Option<u32> {
        self.find_hashed(self.hash(parent, key), parent, key)
    }

    /// The same, made if it is not there.
    pub(crate) fn ensure(&mut self, parent: u32, key: &str) -> u32 {
        let hash = self.hash(parent, key);
        if let Some(place) = self.find_hashed(hash, parent, key) {
            return place;
        }
        let place = self.places.len() as u32;
        self.keys.push_str(key);
        let next = self.latest.insert(hash, place).unwrap_or(NONE);
        let depth = self.places[parent as usize].depth + 1;
        self.places.push(Place { parent, depth, end: self.keys.len(), next });
        place
    }

    /// The places on the way to `place`, itself first, without [`TOP`].
    pub(crate) fn upwards(&self, mut place: u32) -> impl Iterator<Item = u32> {
        std::iter::from_fn(move || {
            let here = place;
            (here != TOP).then(|| {
                place = self.parent(here);
                here
            })
        })
    }

    /// Compares two paths key by key, a prefix before what it leads to.
    pub(crate) fn compare(&self, mut one: u32, mut other: u32) -> Ordering {
        let depths = self.depth(one).cmp(&self.depth(other));
        while self.depth(one) > self.depth(other) {
            one = self.parent(one);
        }
        while self.depth(other) > self.depth(one) {
            other = self.parent(other);
        }
        if one == other {
            return depths;
        }
        while self.parent(one) != self.parent(other) {
            (one, other) = (self.parent(one), self.parent(other));
        }
        self.key(one).cmp(self.key(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(trie: &mut Trie, path: &[&str]) -> u32 {
        path.iter().fold(TOP, |place, key| trie.ensure(place, key))
    }

    #[test]
    fn a_path_has_one_place_and_its_keys_are_there_once() {
        let mut trie = Trie::default();
        let long = "k".repeat(1000);
        let places: Vec<u32> = (0..100).map(|at| place(&mut trie, &[&long, &format!("c{at}")])).collect();
        let again: Vec<u32> = (0..100).map(|at| place(&mut trie, &[&long, &format!("c{at}")])).collect();
        assert_eq!(places, again);
        assert_eq!((trie.len(), trie.keys.len()), (102, 1000 + 10 * 2 + 90 * 3));
        assert_eq!((trie.key(places[99]), trie.depth(places[99])), ("c99", 2));
        assert_eq!(trie.find(TOP, "c1"), None);
        assert_eq!(trie.upwards(places[3]).map(|place| trie.key(place)).collect::<Vec<_>>(), ["c3", &long]);
    }

    #[test]
    fn paths_are_in_the_order_of_their_keys() {
        let mut trie = Trie::default();
        let paths: [&[&str]; 7] =
            [&["a"], &["a", "b"], &["a", "b", "x"], &["a", "c"], &["a.b"], &["b"], &["b", "a", "a", "z"]];
        let places: Vec<u32> = paths.iter().map(|path| place(&mut trie, path)).collect();
        for (at, one) in places.iter().enumerate() {
            for (other_at, other) in places.iter().enumerate() {
                assert_eq!(trie.compare(*one, *other), at.cmp(&other_at), "{at} and {other_at}");
            }
        }
    }
}
