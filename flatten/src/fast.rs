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

use crate::authority;
use crate::contract::{Numbers, Type};
use crate::number::EXACT;
use crate::path::Kind;
use crate::records::{self, MAX_DEPTH, Scan};
use crate::tree::{Full, NONE, ROOT, Tree};

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
    pass.object(ROOT, 1)?;
    Ok(pass.at)
}

/// Most keys without a place in the tree that one record may have on this path: each is compared with all others.
const MOST_REFUSED: usize = 32;

struct Pass<'a> {
    bytes: &'a [u8],
    at: usize,
    tree: &'a mut Tree,
    /// Keys of this record that get no column, with the node of their object.
    refused: Vec<(u32, &'a str)>,
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
    fn object(&mut self, node: u32, depth: usize) -> Result<(), Unsure> {
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        let mut previous = NONE;
        loop {
            let Some(child) = self.key(node, previous)? else {
                if self.refused(node, depth)? {
                    return Ok(());
                }
                continue;
            };
            let seen = &mut self.tree.nodes[child as usize].seen;
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
    fn key(&mut self, node: u32, previous: u32) -> Result<Option<u32>, Unsure> {
        let guess = match previous {
            NONE => self.tree.nodes[node as usize].first,
            _ => self.tree.nodes[previous as usize].next,
        };
        if guess != NONE {
            let quoted = &self.tree.nodes[guess as usize].quoted;
            if self.bytes[self.at..].starts_with(quoted) {
                self.at += quoted.len();
                return Ok(Some(guess));
            }
        }
        self.find_key(node, previous)
    }

    /// The same for a key that was not the expected one, which is expected from now on.
    #[cold]
    fn find_key(&mut self, node: u32, previous: u32) -> Result<Option<u32>, Unsure> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Unsure);
        }
        let begin = self.at + 1;
        let (end, is_plain) = string_end(self.bytes, begin)?;
        if !is_plain && self.bytes[begin..end].contains(&b'\\') {
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
        let Some(child) = child else {
            let is_twice = self.refused.contains(&(node, key));
            if is_twice || self.refused.len() == MOST_REFUSED {
                return Err(Unsure);
            }
            self.refused.push((node, key));
            return Ok(None);
        };
        // A plain key without escapes has a quoted form; guessing from it is what makes the next record cheap.
        match previous {
            NONE => self.tree.nodes[node as usize].first = child,
            _ => self.tree.nodes[previous as usize].next = child,
        }
        Ok(Some(child))
    }

    /// Reads the value of the last of the refused keys, and what follows it; whether the object ends there.
    fn refused(&mut self, node: u32, depth: usize) -> Result<bool, Unsure> {
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
    fn value(&mut self, node: u32, depth: usize) -> Result<(), Unsure> {
        let byte = self.next()?;
        let declared = self.tree.nodes[node as usize].declared;
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
    fn string(&mut self, node: u32) -> Result<(), Unsure> {
        let begin = self.at + 1;
        let (end, is_plain) = string_end(self.bytes, begin)?;
        self.at = end + 1;
        let text = &self.bytes[begin..end];
        if is_plain {
            return Ok(self.tree.push_text(node, Kind::String, text)?);
        }
        let quoted = std::str::from_utf8(&self.bytes[begin - 1..end + 1]).map_err(|_| Unsure)?;
        let text = authority::string(quoted).map_err(|_| Unsure)?;
        Ok(self.tree.push_text(node, Kind::String, text.as_bytes())?)
    }

    /// A number: in one pass where its digits are exact as a double, or an integer of at most 18 digits; by the
    /// authority's rule otherwise.
    #[inline(always)]
    fn number(&mut self, node: u32, declared: Option<Type>) -> Result<(), Unsure> {
        let begin = self.at;
        let mut at = begin;
        let is_negative = self.bytes[at] == b'-';
        at += usize::from(is_negative);
        let first = at;
        let mut mantissa: u64 = 0;
        while let Some(digit) =
            self.bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let integer_digits = at - first;
        if integer_digits == 0 || (integer_digits > 1 && self.bytes[first] == b'0') {
            return Err(Unsure);
        }
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
        let point = at;
        at += 1;
        while let Some(digit) =
            self.bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let fraction_digits = at - point - 1;
        if fraction_digits == 0 {
            return Err(Unsure);
        }
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
    fn long_number(&mut self, node: u32) -> Result<(), Unsure> {
        let Scan::End(end) = records::value(self.bytes, self.at, false) else { return Err(Unsure) };
        let text = std::str::from_utf8(&self.bytes[self.at..end]).map_err(|_| Unsure)?;
        self.at = end;
        Ok(self.tree.push_number(node, text)?)
    }

    /// A value that is looked at as a whole: an array, or one whose declared type asks for it.
    fn considered(&mut self, node: u32, declared: Option<Type>, depth: usize) -> Result<(), Unsure> {
        if self.bytes[self.at] == b'{' && !matches!(declared, Some(Type::Json | Type::Ignore)) {
            return Err(Unsure);
        }
        let Scan::End(end) = records::nested_value(self.bytes, self.at, false, depth) else {
            return Err(Unsure);
        };
        let text = std::str::from_utf8(&self.bytes[self.at..end]).map_err(|_| Unsure)?;
        let value = authority::value(text).map_err(|_| Unsure)?;
        self.at = end;
        Ok(self.tree.push_value(node, &value)?)
    }
}

/// The offset of the quote that ends the string whose text begins at `at`, and whether the text is what it says:
/// without escapes and ASCII. Control characters end nothing.
#[inline(always)]
fn string_end(bytes: &[u8], mut at: usize) -> Result<(usize, bool), Unsure> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 128;
    // Eight bytes at a time while none of them is a quote, a backslash, a control character or beyond ASCII.
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote | backslash | control | word) & HIGH;
        if special == 0 {
            at += 8;
            continue;
        }
        at += (special.trailing_zeros() / 8) as usize;
        break;
    }
    let mut is_plain = true;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((at, is_plain)),
            Some(b'\\') => {
                is_plain = false;
                at += 2;
            }
            Some(0..0x20) | None => return Err(Unsure),
            Some(byte) => {
                is_plain &= byte.is_ascii();
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_quote_wherever_it_stands() {
        for padding in 0..20 {
            let text = "x".repeat(padding);
            let with = |tail: &str| string_end(format!("{text}{tail}").as_bytes(), 0).ok();
            assert_eq!(with("\" tail"), Some((padding, true)));
            assert_eq!(with("\\\"a\" tail"), Some((padding + 3, false)));
            assert_eq!(with("é\" tail"), Some((padding + 2, false)));
            assert_eq!(with("\u{1f}\" tail"), None);
            assert_eq!(with("\u{7f}\" tail"), Some((padding + 1, true)));
            assert_eq!(with(""), None);
        }
    }
}
