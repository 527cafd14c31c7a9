//! The fast path: expect the next record to look like the last.
//!
//! A device repeats its shape for years. So instead of parsing JSON and then asking what it says, this pass holds the
//! tree of keys seen so far beside the input and compares: after the key `temperature` came `humidity` the last time,
//! and `"humidity":` is looked for right where it would have to stand. When it is there, one comparison of a few bytes
//! has found the key, the place in the tree and the column; nothing is hashed, nothing allocated, and the value is
//! parsed from the input straight to the end of its column.
//!
//! It decides only what it fully recognises. At anything else (an escape in a key, a key twice, a value it would
//! have to think about) it stops, the caller takes back what the record has added, and [`crate::records`] and
//! [`crate::authority`] decide instead. If you change it: whatever this pass accepts, the authority must accept with
//! the same values; it may always refuse. The tests in `tests/it/agreement.rs` hold the two against each other.

mod text;

use self::text::{Plain, plain_text, unescape};
use crate::authority;
use crate::contract::{Numbers, Type};
use crate::number::EXACT;
use crate::path::Kind;
use crate::records::{self, MAX_DEPTH, Scan};
use crate::tree::{Full, Guesses, NodeId, Tree};

/// The record is not one this pass decides.
#[derive(Debug)]
pub(crate) struct Unsure;

impl From<Full> for Unsure {
    fn from(Full: Full) -> Unsure {
        Unsure
    }
}

/// Powers of ten that are exact as doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Adds the record that begins at `begin`, which is a `{`, to the tree; returns the offset right behind it.
///
/// # Errors
/// [`Unsure`] if this pass does not fully recognise it; the tree may then hold values of it.
pub(crate) fn record(tree: &mut Tree, bytes: &[u8], begin: usize) -> Result<usize, Unsure> {
    let mut pass = Pass { bytes, at: begin + 1, tree, refused: Vec::new() };
    pass.object(NodeId::ROOT, 1)?;
    Ok(pass.at)
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

    /// The fields of the object at `node`, from behind its `{` to behind its `}`. `depth` brackets are open.
    fn object(&mut self, node: NodeId, depth: usize) -> Result<(), Unsure> {
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        let mut previous = NodeId::NONE;
        loop {
            let Some(child) = self.key(node, previous)? else {
                if self.refused(node, depth)? {
                    return Ok(());
                }
                continue;
            };
            let seen = &mut self.tree.nodes[child].seen;
            if *seen == self.tree.serial {
                return Err(Unsure);
            }
            *seen = self.tree.serial;
            self.value(child, depth)?;
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Unsure),
            }
            self.next()?;
            previous = child;
        }
    }

    /// Reads a key and its colon.
    #[inline(always)]
    fn key(&mut self, node: NodeId, previous: NodeId) -> Result<Option<NodeId>, Unsure> {
        let guess = self.guesses(node, previous).latest();
        if guess != NodeId::NONE && self.is_next(guess) {
            return Ok(Some(guess));
        }
        self.find_key(node, previous)
    }

    /// What may come next in the object at `node`, behind the key `previous`.
    #[inline(always)]
    fn guesses(&mut self, node: NodeId, previous: NodeId) -> &mut Guesses {
        match previous {
            NodeId::NONE => &mut self.tree.nodes[node].first,
            _ => &mut self.tree.nodes[previous].next,
        }
    }

    /// Reads the key of `child` and its colon, if they are next.
    #[inline(always)]
    fn is_next(&mut self, child: NodeId) -> bool {
        let quoted = &self.tree.nodes[child].quoted;
        let is_next = quoted.begins(&self.bytes[self.at..]);
        self.at += if is_next { quoted.length } else { 0 };
        is_next
    }

    /// The same for a key that is not the one that came here last.
    #[inline(never)]
    fn find_key(&mut self, node: NodeId, previous: NodeId) -> Result<Option<NodeId>, Unsure> {
        let guesses = *self.guesses(node, previous);
        let found = match guesses.others().find(|guess| self.is_next(*guess)) {
            None => self.look_up_key(node)?,
            found => found,
        };
        if let Some(child) = found {
            self.guesses(node, previous).remember(child);
        }
        Ok(found)
    }

    /// The same for a key that did not come here lately.
    #[cold]
    fn look_up_key(&mut self, node: NodeId) -> Result<Option<NodeId>, Unsure> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Unsure);
        }
        let begin = self.at + 1;
        let Plain { end, .. } = plain_text(self.bytes, begin)?;
        if self.bytes[end] != b'"' {
            return Err(Unsure);
        }
        let key = std::str::from_utf8(&self.bytes[begin..end]).map_err(|_| Unsure)?;
        let child = match self.tree.child(node, key) {
            None if self.tree.refuses(node, key) => None,
            None => Some(self.tree.child_or_add(node, key).ok_or(Unsure)?),
            found => found,
        };
        self.at = end + 1;
        if self.next()? != b':' {
            return Err(Unsure);
        }
        self.at += 1;
        if child.is_none() {
            let is_twice = self.refused.contains(&(node, key));
            if is_twice || self.refused.len() == MOST_REFUSED {
                return Err(Unsure);
            }
            self.refused.push((node, key));
        }
        Ok(child)
    }

    /// Reads the value of the last of the refused keys, and what follows it; whether the object ends there.
    fn refused(&mut self, node: NodeId, depth: usize) -> Result<bool, Unsure> {
        let (_, key) = *self.refused.last().expect("a key was just refused");
        let first = self.next()?;
        let begin = self.at;
        let digits = self.bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_short = matches!(digits, 1..=15) && (first != b'0' || digits == 1);
        if is_short && matches!(self.bytes.get(begin + digits), Some(b',' | b'}')) {
            self.at += digits;
            let text = std::str::from_utf8(&self.bytes[begin..self.at]).map_err(|_| Unsure)?;
            self.tree.push_refused_integer(node, key, text);
        } else {
            let Scan::End(end) = records::nested_value(self.bytes, begin, false, depth) else {
                return Err(Unsure);
            };
            let text = std::str::from_utf8(&self.bytes[begin..end]).map_err(|_| Unsure)?;
            let value = authority::value(text).map_err(|_| Unsure)?;
            self.tree.work += text.len() as u64;
            self.at = end;
            self.tree.push_refused(node, key, &value);
        }
        match self.next()? {
            b',' => {
                self.at += 1;
                self.next()?;
                Ok(false)
            }
            b'}' => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(Unsure),
        }
    }

    #[inline(always)]
    fn value(&mut self, node: NodeId, depth: usize) -> Result<(), Unsure> {
        let byte = self.next()?;
        let declared = self.tree.nodes[node].declared;
        if !matches!(declared, None | Some(Type::Double | Type::Bigint | Type::Boolean)) {
            return self.considered(node, declared, depth);
        }
        match byte {
            b'"' => self.string(node),
            b'-' | b'0'..=b'9' => self.number(node, declared),
            b'{' => {
                if depth == MAX_DEPTH {
                    return Err(Unsure);
                }
                self.at += 1;
                self.object(node, depth + 1)
            }
            b't' => {
                self.literal(b"true")?;
                Ok(self.tree.push_boolean(node, true)?)
            }
            b'f' => {
                self.literal(b"false")?;
                Ok(self.tree.push_boolean(node, false)?)
            }
            b'n' => self.literal(b"null"),
            b'[' => self.considered(node, declared, depth),
            _ => Err(Unsure),
        }
    }

    #[inline]
    fn literal(&mut self, word: &[u8]) -> Result<(), Unsure> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Unsure);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline(always)]
    fn string(&mut self, node: NodeId) -> Result<(), Unsure> {
        let begin = self.at + 1;
        let plain = plain_text(self.bytes, begin)?;
        match self.bytes[plain.end] {
            b'"' => {}
            b'\\' => return self.escaped_string(node, begin, plain),
            _ => return Err(Unsure),
        }
        let text = &self.bytes[begin..plain.end];
        if !plain.is_ascii {
            simdutf8::basic::from_utf8(text).map_err(|_| Unsure)?;
        }
        self.at = plain.end + 1;
        Ok(self.tree.push_text(node, Kind::String, text)?)
    }

    /// The same for a string that begins with `plain` and goes on with an escape.
    fn escaped_string(&mut self, node: NodeId, begin: usize, plain: Plain) -> Result<(), Unsure> {
        let mut unescaped = std::mem::take(&mut self.tree.unescaped);
        let pushed = unescape(self.bytes, begin, plain, &mut unescaped).and_then(|(text, length)| {
            if !text.is_ascii {
                simdutf8::basic::from_utf8(&self.bytes[begin..text.end]).map_err(|_| Unsure)?;
            }
            self.at = text.end + 1;
            Ok(self.tree.push_text(node, Kind::String, &unescaped[..length])?)
        });
        self.tree.unescaped = unescaped;
        pushed
    }

    /// A number: in one pass where its digits are exact as a double, or an integer of at most 18 digits; by the
    /// authority's rule otherwise.
    #[inline(always)]
    fn number(&mut self, node: NodeId, declared: Option<Type>) -> Result<(), Unsure> {
        let begin = self.at;
        let mut at = begin;
        let is_negative = self.bytes[at] == b'-';
        at += usize::from(is_negative);
        let (mantissa, integer_digits) = digits(self.bytes, at, 0);
        if integer_digits == 0 || (integer_digits > 1 && self.bytes[at] == b'0') {
            return Err(Unsure);
        }
        at += integer_digits;
        match self.bytes.get(at) {
            Some(b'.') => {}
            Some(b'e' | b'E') => return self.long_number(node),
            Some(_) if integer_digits <= 18 => {
                self.at = at;
                let wants_long = match declared {
                    Some(Type::Bigint) => true,
                    Some(Type::Double) => false,
                    _ => self.tree.numbers == Numbers::Exact,
                };
                if wants_long || mantissa > EXACT {
                    let integer = mantissa as i64;
                    return Ok(self.tree.push_long(node, if is_negative { -integer } else { integer })?);
                }
                let double = mantissa as f64;
                return Ok(self.tree.push_double(node, if is_negative { -double } else { double })?);
            }
            Some(_) => return self.long_number(node),
            None => return Err(Unsure),
        }
        at += 1;
        let (mantissa, fraction_digits) = digits(self.bytes, at, mantissa);
        if fraction_digits == 0 {
            return Err(Unsure);
        }
        at += fraction_digits;
        let has_exponent = matches!(self.bytes.get(at), Some(b'e' | b'E') | None);
        if has_exponent || integer_digits + fraction_digits > 19 || mantissa > EXACT {
            return self.long_number(node);
        }
        self.at = at;
        // Both are exact, so the one rounding of the division gives the nearest double (Clinger 1990).
        let double = mantissa as f64 / POWERS[fraction_digits];
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
    fn considered(&mut self, node: NodeId, declared: Option<Type>, depth: usize) -> Result<(), Unsure> {
        if self.bytes[self.at] == b'{' && !matches!(declared, Some(Type::Json | Type::Ignore)) {
            return Err(Unsure);
        }
        let Scan::End(end) = records::nested_value(self.bytes, self.at, false, depth) else {
            return Err(Unsure);
        };
        let text = std::str::from_utf8(&self.bytes[self.at..end]).map_err(|_| Unsure)?;
        let value = authority::value(text).map_err(|_| Unsure)?;
        self.tree.work += text.len() as u64;
        self.at = end;
        Ok(self.tree.push_value(node, &value)?)
    }
}

/// The number that the digits from `at` on continue `number` to, wrapping, and how many there are.
#[inline(always)]
fn digits(bytes: &[u8], at: usize, mut number: u64) -> (u64, usize) {
    const ONES: u64 = u64::MAX / 255;
    const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let mut count = 0;
    while let Some(word) = bytes.get(at + count..at + count + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes")) ^ (ONES * u64::from(b'0'));
        // A byte is a digit if it is below 10 now; the first one that is not has its highest bit set here.
        let others = (word.wrapping_add(ONES * 0x76) | word) & (ONES * 0x80);
        if others == 0 {
            number = number.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
            count += 8;
            continue;
        }
        let found = (others.trailing_zeros() / 8) as usize;
        if found > 0 {
            // Shifted behind zeros, which is where the digits of a number stand that has fewer.
            let number_of_found = eight_digits(word << (64 - 8 * found));
            number = number.wrapping_mul(POWERS[found]).wrapping_add(number_of_found);
        }
        return (number, count + found);
    }
    while let Some(digit) =
        bytes.get(at + count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
    {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (number, count)
}

/// The number of eight digits, the first in the lowest byte: neighbours are joined to pairs, those to fours, those to it.
/// By D. Lemire, "Quickly parsing eight digits" (2018).
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_up_to_the_first_that_is_none() {
        let all = "98765432109876543210";
        for length in 0..=19 {
            for tail in ["", ",", "e5", ".25", "/99999999", ":1234567", "\u{7f}", "é", "}                "] {
                let text = format!("{}{tail}", &all[..length]);
                let expected = all[..length].parse().unwrap_or(0);
                assert_eq!(digits(text.as_bytes(), 0, 0), (expected, length), "{text}");
            }
        }
        assert_eq!(digits(b"x0123456789.", 1, 7), (70_123_456_789, 10));
    }
}
