//! The fast path: expect the next record to look like the last.
//!
//! A device repeats its shape for years: of a message of 300 bytes, 200 are the same each time. So instead of parsing JSON
//! and then asking what it says, this pass holds what stood between two values the last time beside the input, and
//! compares ([`crate::tree`] keeps it in steps, and says more about them). When it is there, one comparison of a few bytes has
//! found the keys, the place in the tree and the column; nothing is hashed, nothing allocated, and the value is parsed
//! from the input straight to the end of its column. Where it is not, the bytes up to the next value are read one by one
//! ([`Pass::walk`]), which is where steps are learnt, and from there on it compares again: a record may leave its template
//! for one key and be back behind it.
//!
//! It decides only what it fully recognises. At anything else (an escape in a key, a key twice, a value it would
//! have to think about) it stops, the caller takes back what the record has added, and [`crate::records`] and
//! [`crate::authority`] decide instead. If you change it: whatever this pass accepts, the authority must accept with
//! the same values; it may always refuse. The tests in `tests/it/agreement.rs` hold the two against each other.

mod number;
mod text;

use self::number::Decimal;
use self::text::{copy_text, plain_end};
use crate::authority;
use crate::contract::{Numbers, Type};
use crate::number::EXACT;
use crate::records::{self, MAX_DEPTH, Scan};
use crate::tree::{Full, Keys, NodeId, StepId, Then, Tree};

/// The record is not one this pass decides.
#[derive(Debug)]
pub(crate) struct Unsure;

impl From<Full> for Unsure {
    fn from(Full: Full) -> Unsure {
        Unsure
    }
}

/// Adds the record that begins at `begin`, which is a `{`, to the tree; returns the offset right behind it.
///
/// # Errors
/// [`Unsure`] if this pass does not fully recognise it; the tree may then hold values of it.
pub(crate) fn record(tree: &mut Tree, bytes: &[u8], begin: usize) -> Result<usize, Unsure> {
    let mut pass = Pass { bytes, at: begin, tree, refused: Vec::new() };
    let mut place = NodeId::ROOT;
    loop {
        let (then, node) = match pass.step(place)? {
            Some(found) => found,
            None => pass.look_further(place)?,
        };
        match then {
            Then::Number => pass.number(node)?,
            Then::Text => pass.string(node)?,
            Then::Boolean => pass.boolean(node)?,
            Then::Other | Then::Whole => pass.other(node)?,
            Then::End => return Ok(pass.at),
        }
        place = node;
    }
}

/// Most keys without a place in the tree that one record may have on this path: each is compared with all others.
const MOST_REFUSED: usize = 32;

struct Pass<'a> {
    bytes: &'a [u8],
    at: usize,
    tree: &'a mut Tree,
    /// Keys of this record that get no column, with the node of their object.
    refused: Vec<(NodeId, &'a str)>,
}

impl<'a> Pass<'a> {
    /// The next byte that is not white space.
    #[inline(always)]
    fn next(&mut self) -> Result<u8, Unsure> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Unsure),
            }
        }
    }

    /// Takes the first step from behind the value of `place`, if that is next; what follows, and of which key.
    #[inline(always)]
    fn step(&mut self, place: NodeId) -> Result<Option<(Then, NodeId)>, Unsure> {
        let id = self.tree.nodes[place].steps.first();
        match self.tree.step(id) {
            Some(step) if step.begins(&self.bytes[self.at..]) => self.take(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Takes a step whose bytes are next.
    #[inline(always)]
    fn take(&mut self, id: StepId) -> Result<(Then, NodeId), Unsure> {
        let step = self.tree.step(id).ok_or(Unsure)?;
        self.at += step.length;
        let (then, node) = (step.then, step.node);
        let (above, count) = step.above();
        if count > 0 {
            for key in &above[..count] {
                self.see(*key)?;
            }
        }
        self.see(node)?;
        Ok((then, node))
    }

    /// The key of `node` is there. No object may have one twice.
    #[inline(always)]
    fn see(&mut self, node: NodeId) -> Result<(), Unsure> {
        let seen = &mut self.tree.nodes[node].seen;
        if *seen == self.tree.serial {
            return Err(Unsure);
        }
        *seen = self.tree.serial;
        Ok(())
    }

    /// Takes another step, or makes the way to the next value without.
    #[inline(never)]
    fn look_further(&mut self, place: NodeId) -> Result<(Then, NodeId), Unsure> {
        let learns = match self.tree.other_step(place, &self.bytes[self.at..]) {
            Ok(id) => return self.take(id),
            Err(unexpected) => unexpected.learns,
        };
        let begin = self.at;
        let mut keys = Keys::NONE;
        let (then, node) = self.walk(place, &mut keys)?;
        if learns {
            self.tree.learn(place, &self.bytes[begin..self.at], &keys, then, node);
        }
        Ok((then, node))
    }

    /// Reads on from behind the value of `place` to the next value that is no object, or to the end of the record.
    fn walk(&mut self, place: NodeId, keys: &mut Keys) -> Result<(Then, NodeId), Unsure> {
        let mut is_first = place == NodeId::ROOT;
        let mut object = self.tree.nodes[place].parent;
        if is_first {
            object = NodeId::ROOT;
            self.at += 1;
        }
        loop {
            let mut byte = self.next()?;
            if byte == b'}' {
                self.at += 1;
                if object == NodeId::ROOT {
                    return Ok((Then::End, NodeId::ROOT));
                }
                object = self.tree.nodes[object].parent;
                is_first = false;
                continue;
            }
            if !is_first {
                if byte != b',' {
                    return Err(Unsure);
                }
                self.at += 1;
                self.next()?;
            }
            is_first = false;
            let Some(node) = self.key(object)? else {
                keys.spoil();
                self.refused(object)?;
                continue;
            };
            self.see(node)?;
            byte = self.next()?;
            if byte != b'{' || self.tree.takes_objects(node) {
                return Ok((self.kind_of_value(node, byte), node));
            }
            if usize::from(self.tree.nodes[node].depth) >= MAX_DEPTH {
                return Err(Unsure);
            }
            self.at += 1;
            keys.push(node);
            object = node;
            is_first = true;
        }
    }

    /// What is next, a value of `node` that begins with `byte`; reads the quote of a string.
    fn kind_of_value(&mut self, node: NodeId, byte: u8) -> Then {
        match (self.tree.nodes[node].declared, byte) {
            (Some(Type::Json | Type::Ignore), _) => Then::Whole,
            (Some(Type::Timestamp), _) => Then::Other,
            (_, b'"') => {
                self.at += 1;
                Then::Text
            }
            (Some(Type::String), _) => Then::Other,
            (_, b'-' | b'0'..=b'9') => Then::Number,
            (_, b't' | b'f') => Then::Boolean,
            _ => Then::Other,
        }
    }

    /// Reads a key of `object` and its colon; nothing if it gets no place in the tree.
    fn key(&mut self, object: NodeId) -> Result<Option<NodeId>, Unsure> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Unsure);
        }
        let begin = self.at + 1;
        let end = plain_end(self.bytes, begin)?;
        if self.bytes[end] != b'"' {
            return Err(Unsure);
        }
        let key = &self.bytes[begin..end];
        self.at = end + 1;
        if self.next()? != b':' {
            return Err(Unsure);
        }
        self.at += 1;
        match self.tree.child(object, key) {
            None => self.unknown_key(object, key),
            found => Ok(found),
        }
    }

    /// A place in the tree for a key that has none; nothing if it gets none.
    #[cold]
    fn unknown_key(&mut self, object: NodeId, key: &'a [u8]) -> Result<Option<NodeId>, Unsure> {
        let key = std::str::from_utf8(key).map_err(|_| Unsure)?;
        if !self.tree.refuses(object, key) {
            return self.tree.new_child(object, key).map(Some).ok_or(Unsure);
        }
        let is_twice = self.refused.contains(&(object, key));
        if is_twice || self.refused.len() == MOST_REFUSED {
            return Err(Unsure);
        }
        self.refused.push((object, key));
        Ok(None)
    }

    /// Reads the value of the last of the refused keys, one of `object`.
    fn refused(&mut self, object: NodeId) -> Result<(), Unsure> {
        let (_, key) = *self.refused.last().expect("a key was just refused");
        let first = self.next()?;
        let begin = self.at;
        let digits = self.bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_short = matches!(digits, 1..=15) && (first != b'0' || digits == 1);
        if is_short && matches!(self.bytes.get(begin + digits), Some(b',' | b'}')) {
            self.at += digits;
            let text = std::str::from_utf8(&self.bytes[begin..self.at]).map_err(|_| Unsure)?;
            self.tree.push_refused_integer(object, key, text);
            return Ok(());
        }
        let depth = usize::from(self.tree.nodes[object].depth) + 1;
        let text = self.whole(depth)?;
        let value = authority::value(text).map_err(|_| Unsure)?;
        self.tree.push_refused(object, key, &value);
        Ok(())
    }

    /// The text of the value that is next, inside `depth` open brackets.
    fn whole(&mut self, depth: usize) -> Result<&'a str, Unsure> {
        let begin = self.at;
        let Scan::End(end) = records::nested_value(self.bytes, begin, false, depth) else {
            return Err(Unsure);
        };
        self.at = end;
        self.tree.work += (end - begin) as u64;
        std::str::from_utf8(&self.bytes[begin..end]).map_err(|_| Unsure)
    }

    /// A value that is not what a step expects most.
    fn other(&mut self, node: NodeId) -> Result<(), Unsure> {
        let byte = self.next()?;
        let declared = self.tree.nodes[node].declared;
        let is_plain = matches!(declared, None | Some(Type::Double | Type::Bigint | Type::Boolean));
        match byte {
            b'{' if !self.tree.takes_objects(node) => Err(Unsure),
            b'[' => self.considered(node),
            b'"' if is_plain || declared == Some(Type::String) => {
                self.at += 1;
                self.string(node)
            }
            _ if !is_plain => self.considered(node),
            b'-' | b'0'..=b'9' => self.number(node),
            b't' | b'f' => self.boolean(node),
            b'n' => self.literal(b"null"),
            _ => Err(Unsure),
        }
    }

    fn boolean(&mut self, node: NodeId) -> Result<(), Unsure> {
        let value = self.bytes.get(self.at) == Some(&b't');
        self.literal(if value { b"true" } else { b"false" })?;
        Ok(self.tree.push_boolean(node, value)?)
    }

    #[inline]
    fn literal(&mut self, word: &[u8]) -> Result<(), Unsure> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Unsure);
        }
        self.at += word.len();
        Ok(())
    }

    /// A string, from behind its quote.
    #[inline(always)]
    fn string(&mut self, node: NodeId) -> Result<(), Unsure> {
        let (texts, bytes) = (self.tree.begin_string(node)?, self.bytes);
        let end = copy_text(bytes, self.at, texts.bytes_to_append_to());
        texts.end();
        self.at = end? + 1;
        Ok(())
    }

    /// A number: in one pass where its digits are exact as a double, or an integer of at most 18 digits; by the
    /// authority's rule otherwise.
    #[inline(always)]
    fn number(&mut self, node: NodeId) -> Result<(), Unsure> {
        let is_negative = self.bytes[self.at] == b'-';
        let begin = self.at + usize::from(is_negative);
        let Some(decimal) = Decimal::read(&self.bytes[begin..]) else { return self.long_number(node) };
        self.at = begin + decimal.length;
        if decimal.fraction_digits == 0 {
            let wants_long = match self.tree.nodes[node].declared {
                Some(Type::Bigint) => true,
                Some(Type::Double) => false,
                _ => self.tree.numbers == Numbers::Exact,
            };
            if wants_long || decimal.digits > EXACT {
                let integer = decimal.digits as i64;
                return Ok(self.tree.push_long(node, if is_negative { -integer } else { integer })?);
            }
        }
        let double = decimal.double();
        Ok(self.tree.push_double(node, if is_negative { -double } else { double })?)
    }

    #[cold]
    fn long_number(&mut self, node: NodeId) -> Result<(), Unsure> {
        let Scan::End(end) = records::value(self.bytes, self.at, false) else { return Err(Unsure) };
        let text = std::str::from_utf8(&self.bytes[self.at..end]).map_err(|_| Unsure)?;
        self.at = end;
        Ok(self.tree.push_number(node, text)?)
    }

    /// A value that is looked at as a whole: an array, or one whose declared type asks for it.
    fn considered(&mut self, node: NodeId) -> Result<(), Unsure> {
        let text = self.whole(usize::from(self.tree.nodes[node].depth))?;
        let value = authority::value(text).map_err(|_| Unsure)?;
        Ok(self.tree.push_value(node, &value)?)
    }
}
