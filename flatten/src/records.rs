//! Framing: where one record ends and the next begins.
//!
//! In come bytes that hold JSON values one after the other, on lines, without anything between them, pretty-printed,
//! separated by commas or wrapped in an array; out come, value by value, the range of its bytes or the place of the
//! first byte that cannot belong to it. This module knows the grammar of JSON (RFC 8259) and nothing of what values
//! mean. It is the slow, certain way: [`crate::fast`] finds the ends of ordinary records by itself and comes here
//! with all others.
//!
//! What must stay true: the answer depends on the bytes alone. Where a value is not complete yet, [`Scan::Incomplete`]
//! says so and nothing else may be concluded until more bytes came.

/// Deepest nesting of objects and arrays in a record, the record itself included.
pub const MAX_DEPTH: usize = 64;

/// What [`value`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A whole value; this is the offset right behind it.
    End(usize),
    /// The byte at this offset cannot follow.
    Error(usize),
    /// The bracket at this offset is one too deep.
    TooDeep(usize),
    /// The bytes end before the value does.
    Incomplete,
}

/// JSON's white space, and the comma: an IoT rule may put one between records instead of a line feed, and elements of
/// a top-level array are separated by it.
pub fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Finds the end of the value that begins at `begin`, which must not be white space.
///
/// A number at the very end of the bytes may go on: it is `Incomplete` unless `is_last`.
pub fn value(bytes: &[u8], begin: usize, is_last: bool) -> Scan {
    nested_value(bytes, begin, is_last, 0)
}

/// The same for a value inside `depth` open brackets.
pub fn nested_value(bytes: &[u8], begin: usize, is_last: bool, depth: usize) -> Scan {
    Scanner::new(bytes, begin, is_last, depth).scan()
}

/// How far a value was followed that turned out to be broken, and what was open there. Reading may go on at a bracket
/// inside of it, and what begins with that one looks the same up to there: nobody has to look at it again.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    /// The offset in the source of the byte that cannot belong to it, or at which a value was due; 0 if nothing is known.
    at: u64,
    /// Whether that byte cannot belong to what is inside either. One bracket too many may, and so may bytes behind as many
    /// as a record may have.
    is_error: bool,
    depth: usize,
    open: [bool; MAX_DEPTH],
    /// The offsets in the source of the brackets that were open.
    begins: [u64; MAX_DEPTH],
}

impl Broken {
    /// Nothing is known.
    pub(crate) const NOWHERE: Broken =
        Broken { at: 0, is_error: false, depth: 0, open: [false; MAX_DEPTH], begins: [0; MAX_DEPTH] };

    /// Whether something is known of a value that begins at this offset in the source.
    #[inline]
    pub(crate) fn knows(&self, begin: u64) -> bool {
        begin < self.at && self.level(begin).is_some()
    }

    fn level(&self, begin: u64) -> Option<usize> {
        self.begins[..self.depth].binary_search(&begin).ok()
    }

    /// The same as [`value`], for bytes that begin at `base` in the source, and takes note of what is broken; with the
    /// number of bytes that were looked at.
    pub(crate) fn value(&mut self, bytes: &[u8], base: u64, begin: usize, is_last: bool) -> (Scan, usize) {
        let mut scanner = Scanner::new(bytes, begin, is_last, 0);
        let mut from = begin;
        if self.knows(base + begin as u64)
            && let Some(level) = self.level(base + begin as u64)
        {
            from = (self.at - base) as usize;
            if self.is_error {
                return (Scan::Error(from), 0);
            }
            // There is room for as many brackets as are no longer around it, and for as many bytes.
            scanner.depth = self.depth - level;
            scanner.at = from;
            for place in 0..scanner.depth {
                scanner.open[place] = self.open[level + place];
                scanner.begins[place] = (self.begins[level + place] - base) as usize;
            }
        }
        let scan = scanner.scan();
        let looked_at = scanner.at - from;
        let is_error = matches!(scan, Scan::Error(_));
        let (at, depth) = if is_error { (scanner.at, scanner.depth) } else { scanner.due };
        let is_broken = is_error || matches!(scan, Scan::TooDeep(_)) || (scan == Scan::Incomplete && is_last);
        if is_broken && depth > 1 {
            (self.at, self.is_error) = (base + at as u64, is_error);
            (self.depth, self.open) = (depth, scanner.open);
            for place in 0..depth {
                self.begins[place] = base + scanner.begins[place] as u64;
            }
        }
        (scan, looked_at)
    }
}

enum Stop {
    Error,
    TooDeep,
    Incomplete,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    is_last: bool,
    /// For each open bracket whether it is an object's.
    open: [bool; MAX_DEPTH],
    /// Where they are.
    begins: [usize; MAX_DEPTH],
    depth: usize,
    /// Where a value was due last, and how many brackets were open. Those still are where they were noted: one that was
    /// closed since is not overwritten before the next value is due.
    due: (usize, usize),
    /// How many brackets may be open at once.
    room: usize,
}

impl Scanner<'_> {
    /// At a value inside `depth` open brackets.
    fn new(bytes: &[u8], begin: usize, is_last: bool, depth: usize) -> Scanner<'_> {
        let room = MAX_DEPTH.saturating_sub(depth);
        let (open, begins) = ([false; MAX_DEPTH], [0; MAX_DEPTH]);
        Scanner { bytes, at: begin, is_last, open, begins, depth: 0, due: (begin, 0), room }
    }

    fn scan(&mut self) -> Scan {
        match self.run() {
            Ok(()) => Scan::End(self.at),
            Err(Stop::Error) => Scan::Error(self.at),
            Err(Stop::TooDeep) => Scan::TooDeep(self.at),
            Err(Stop::Incomplete) => Scan::Incomplete,
        }
    }

    fn run(&mut self) -> Result<(), Stop> {
        loop {
            // A value is due here.
            self.due = (self.at, self.depth);
            let is_open = match self.peek()? {
                b'{' => {
                    self.enter(true)?;
                    self.space();
                    match self.peek()? {
                        b'}' => self.leave(),
                        _ => {
                            self.key()?;
                            true
                        }
                    }
                }
                b'[' => {
                    self.enter(false)?;
                    self.space();
                    match self.peek()? {
                        b']' => self.leave(),
                        _ => true,
                    }
                }
                b'"' => {
                    self.string()?;
                    false
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(Stop::Error),
            };
            if is_open {
                continue;
            }
            // A value has just ended: close what ends with it, up to the next value that is due.
            loop {
                if self.depth == 0 {
                    return Ok(());
                }
                self.space();
                let in_object = self.open[self.depth - 1];
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        self.space();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if in_object => self.leave(),
                    b']' if !in_object => self.leave(),
                    _ => return Err(Stop::Error),
                };
            }
        }
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
    }

    fn enter(&mut self, is_object: bool) -> Result<(), Stop> {
        if self.depth == self.room {
            return Err(Stop::TooDeep);
        }
        self.open[self.depth] = is_object;
        self.begins[self.depth] = self.at;
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) -> bool {
        self.depth -= 1;
        self.at += 1;
        false
    }

    /// A key with its colon, up to the first byte of the value.
    fn key(&mut self) -> Result<(), Stop> {
        if self.peek()? != b'"' {
            return Err(Stop::Error);
        }
        self.string()?;
        self.space();
        if self.peek()? != b':' {
            return Err(Stop::Error);
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return Err(Stop::Error);
                                }
                                self.at += 1;
                            }
                        }
                        _ => return Err(Stop::Error),
                    }
                }
                0..0x20 => return Err(Stop::Error),
                _ => self.at += 1,
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<bool, Stop> {
        for expected in word {
            if self.peek()? != *expected {
                return Err(Stop::Error);
            }
            self.at += 1;
        }
        Ok(false)
    }

    fn number(&mut self) -> Result<bool, Stop> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.at == self.bytes.len() && !self.is_last { Err(Stop::Incomplete) } else { Ok(false) }
    }

    fn digits(&mut self) -> Result<(), Stop> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Stop::Error);
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Scan {
        value(text.as_bytes(), 0, true)
    }

    #[test]
    fn whole_values_end_where_they_end() {
        for text in [
            "{}",
            "[]",
            r#"{"a":[1,{"b":null}],"c":"}"}"#,
            "-0.5e+3",
            "true",
            r#""\u00e9\"""#,
            "{ \"a\" : 1 }",
        ] {
            assert_eq!(scan(&format!("{text} x")), Scan::End(text.len()), "{text}");
        }
    }

    #[test]
    fn errors_are_placed_at_the_first_byte_that_cannot_follow() {
        for (text, at) in [
            (r#"{"a":tru}"#, 8),
            (r#"{"a":}"#, 5),
            (r#"{"a":1 x}"#, 7),
            (r#"{"a":01}"#, 6),
            (r#"{"a":1,}"#, 7),
            ("[1,]", 3),
            ("}", 0),
            ("{'a':1}", 1),
            ("{\"a\":\"\n\"}", 6),
            (r#"{"a":"\x"}"#, 7),
            (r#"{"a":.5}"#, 5),
            ("{]", 1),
        ] {
            assert_eq!(scan(text), Scan::Error(at), "{text}");
        }
    }

    #[test]
    fn depth_64_is_allowed_and_65_is_not() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(scan(&nested(64)), Scan::End(128));
        assert_eq!(scan(&nested(65)), Scan::TooDeep(64));
    }

    #[test]
    fn what_is_known_of_a_broken_value_says_the_same_as_looking_again() {
        let deep = format!("{}{{}}{}", "{\"a\":[1,[],".repeat(40), "]}".repeat(40));
        let closes = format!("{}{}", "[{\"a\":".repeat(40), "1}]".repeat(33));
        for text in [&deep, &closes, "{\"a\":[{\"b\":1},{\"c\":[x", "[[[[{\"a\":1,{", "{\"a\":{\"b\":[1,2}}"]
        {
            let mut broken = Broken::NOWHERE;
            for (begin, _) in text.match_indices(['{', '[']) {
                // As if all before it were forgotten.
                let bytes = &text.as_bytes()[begin..];
                let (known, _) = broken.value(bytes, 1000 + begin as u64, 0, true);
                let again = value(bytes, 0, true);
                assert_eq!(known, again, "{text} from {begin}");
            }
        }
    }

    #[test]
    fn a_value_without_an_end_is_followed_from_where_it_was_left() {
        let text =
            format!("{}\"x\":[1,{{}},\"yy\"]", "{\"a\":[{\"b\":2},".repeat(5) + &"{\"c\":".repeat(5) + "{");
        for cut in 0..text.len() {
            let mut broken = Broken::NOWHERE;
            assert_eq!(
                broken.value(&text.as_bytes()[..cut], 9, 0, true).0,
                value(&text.as_bytes()[..cut], 0, true)
            );
            for (begin, _) in text[..cut].match_indices(['{', '[']) {
                let (known, _) = broken.value(text.as_bytes(), 9, begin, true);
                assert_eq!(known, value(text.as_bytes(), begin, true), "{cut}, from {begin}");
            }
        }
    }

    #[test]
    fn every_proper_prefix_of_a_value_is_incomplete() {
        let text = r#"{"a":[1.5e3,"\u00e9",true,null,{}],"b":-7}"#;
        for end in 0..text.len() {
            assert_eq!(value(&text.as_bytes()[..end], 0, false), Scan::Incomplete, "{end}");
        }
    }
}
