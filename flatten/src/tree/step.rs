//! What stands between one value and the next: the keys and punctuation that a device repeats, as bytes to compare.
//!
//! A record without its values is a template, and a device's template seldom changes. It is kept in steps. A step leads
//! from behind the value of one key, its place, to the value that came next, and holds the bytes between the two
//! (`},"accel":{"x":`), the keys among them, and what kind of value followed. Comparing these bytes once closes and opens
//! objects, finds all the keys and knows where the value belongs; white space, however a device prints it, is part of
//! them. A mixed fleet has as many templates as models and firmwares. What they share is kept once, and where they part a
//! place has several steps.
//!
//! What must stay true: a step is learnt from bytes that were read key by key, and what it says is so behind its place
//! whatever came before, but for keys that stand twice, which whoever takes it looks for. Steps have one size, a place
//! has few, and all together are bounded by the nodes. They decide nothing: without them every record reads the same.

use wide::u8x16;

use super::Tree;
use super::id::NodeId;

/// Bytes that are compared at once.
const BLOCK: usize = 16;
/// Most bytes of a step: keys of ordinary length, two or three in a row.
const LONGEST: usize = 4 * BLOCK;
/// Most keys of a step before the one whose value follows.
const MOST_ABOVE: usize = 2;
/// Steps that a place may have: so many models may differ there.
const ALTERNATIVES: usize = 4;
/// Steps that all places together may have beside two for each node: 100 kB.
const FREE_STEPS: usize = 1 << 10;
/// A place that was left by no known step so many times more often than by one expects little.
const ERRATIC: u8 = 64;

/// What follows the bytes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing: the record has ended.
    End,
    /// The text of a string; its quote is of the step.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Any value but an object.
    Other,
    /// Any value at all: the contract wants objects there as they are.
    Whole,
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    head: [u8; BLOCK],
    /// A bit for each byte of `head` that is compared.
    mask: u32,
    pub(crate) then: Then,
    above_count: u8,
    pub(crate) length: usize,
    /// The key whose value follows; the root where the record has ended.
    pub(crate) node: NodeId,
    above: [NodeId; MOST_ABOVE],
    /// What is behind `head`, and zeros.
    tail: [u8; LONGEST - BLOCK],
}

/// The number of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepId(u32);

impl StepId {
    const NONE: StepId = StepId(u32::MAX);
}

/// The steps from a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Those that are taken often come to stand in front.
    ids: [StepId; ALTERNATIVES],
    /// How often there was no step, less those times when there was one that is not the first.
    misses: u8,
}

impl Steps {
    pub(super) const NONE: Steps = Steps { ids: [StepId::NONE; ALTERNATIVES], misses: 0 };

    /// The one that is tried before the others.
    #[inline(always)]
    pub(crate) fn first(&self) -> StepId {
        self.ids[0]
    }
}

/// The keys between two values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    nodes: [NodeId; MOST_ABOVE],
    count: usize,
    /// Whether a step can have them.
    fit: bool,
}

impl Keys {
    pub(crate) const NONE: Keys = Keys { nodes: [NodeId::NONE; MOST_ABOVE], count: 0, fit: true };

    /// Adds the key of a value between the two that is an object, whole or begun.
    pub(crate) fn push(&mut self, node: NodeId) {
        match self.nodes.get_mut(self.count) {
            Some(place) => *place = node,
            None => self.fit = false,
        }
        self.count += 1;
    }

    /// There is something else between the two.
    pub(crate) fn spoil(&mut self) {
        self.fit = false;
    }
}

impl Step {
    fn new(bytes: &[u8], keys: &Keys, then: Then, node: NodeId) -> Step {
        let (mut head, mut tail) = ([0; BLOCK], [0; LONGEST - BLOCK]);
        let (front, behind) = bytes.split_at(bytes.len().min(BLOCK));
        head[..front.len()].copy_from_slice(front);
        tail[..behind.len()].copy_from_slice(behind);
        let mask = (1u32 << front.len()) - 1;
        let above_count = keys.count as u8;
        Step { head, mask, then, above_count, length: bytes.len(), node, above: keys.nodes, tail }
    }

    /// Keys before the one whose value follows.
    #[inline(always)]
    pub(crate) fn above(&self) -> ([NodeId; MOST_ABOVE], usize) {
        (self.above, usize::from(self.above_count))
    }

    /// Whether `bytes` begin with it and go on with a value of its kind.
    #[inline(always)]
    pub(crate) fn begins(&self, bytes: &[u8]) -> bool {
        let begins = match bytes.first_chunk() {
            Some(window) => {
                let same = u8x16::new(*window).simd_eq(u8x16::new(self.head)).to_bitmask();
                same & self.mask == self.mask && (self.length <= BLOCK || self.goes_on(bytes))
            }
            None => self.length <= BLOCK && bytes.starts_with(&self.head[..self.length]),
        };
        begins && self.fits(bytes)
    }

    #[inline(always)]
    fn goes_on(&self, bytes: &[u8]) -> bool {
        bytes.get(BLOCK..self.length).is_some_and(|behind| *behind == self.tail[..self.length - BLOCK])
    }

    #[inline(always)]
    fn fits(&self, bytes: &[u8]) -> bool {
        let first = bytes.get(self.length).copied();
        match self.then {
            Then::End | Then::Text | Then::Whole => true,
            Then::Number => first.is_some_and(|byte| byte.is_ascii_digit() || byte == b'-'),
            Then::Boolean => matches!(first, Some(b't' | b'f')),
            Then::Other => first != Some(b'{'),
        }
    }
}

impl Tree {
    /// The step of this number, if it is one.
    #[inline(always)]
    pub(crate) fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.0 as usize)
    }

    /// Whether it is worth to try and to learn steps from `place`, where the first was not the one.
    #[inline]
    fn expects(&mut self, place: NodeId) -> bool {
        if self.nodes[place].steps.misses < ERRATIC {
            return true;
        }
        // Once in sixteen times, in no rhythm that records could have: by Knuth's generator.
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.dice >> 60 == 0
    }

    /// The step from `place`, but for the first, that `bytes` begin with.
    pub(crate) fn other_step(&mut self, place: NodeId, bytes: &[u8]) -> Result<StepId, Unexpected> {
        let expects = self.expects(place);
        let steps = &mut self.nodes[place].steps;
        if expects {
            for at in 1..ALTERNATIVES {
                let id = steps.ids[at];
                let Some(step) = self.steps.get(id.0 as usize) else { break };
                if step.begins(bytes) {
                    steps.ids.swap(at - 1, at);
                    steps.misses = steps.misses.saturating_sub(4);
                    return Ok(id);
                }
            }
        }
        // What comes once may never come again.
        let learns = expects && steps.misses > 0;
        steps.misses = steps.misses.saturating_add(1);
        Err(Unexpected { learns })
    }

    /// Remembers that `bytes` and then a value of `node` came behind the value of `place`.
    pub(crate) fn learn(&mut self, place: NodeId, bytes: &[u8], keys: &Keys, then: Then, node: NodeId) {
        if !keys.fit || bytes.len() > LONGEST {
            return;
        }
        let step = Step::new(bytes, keys, then, node);
        let most = FREE_STEPS + 2 * self.nodes.len();
        let ids = &mut self.nodes[place].steps.ids;
        let last = ids[ALTERNATIVES - 1];
        let id = match ids.iter().rev().find(|id| **id != StepId::NONE) {
            Some(oldest) if last != StepId::NONE || self.steps.len() >= most => *oldest,
            None if self.steps.len() >= most => return,
            _ => StepId(self.steps.len() as u32),
        };
        match self.steps.get_mut(id.0 as usize) {
            Some(place) => *place = step,
            None => self.steps.push(step),
        }
        // In front of those that come less often than the first.
        let from = ids.iter().position(|other| *other == id || *other == StepId::NONE).unwrap_or(0);
        ids[from] = id;
        for at in (2..=from).rev() {
            ids.swap(at - 1, at);
        }
    }
}

/// No step from a place leads on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unexpected {
    /// Whether one should be learnt.
    pub(crate) learns: bool,
}
