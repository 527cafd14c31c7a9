//! Where reading goes on behind a record that is broken.
//!
//! In come the bytes of the record from its first on, in any pieces, and the place of the error; out comes the place of
//! the byte with which the next record, or the end of the array around it, can begin. The rule stands in
//! docs/records.md, each line of it with a letter here; its slow twin is in [`crate::reference`].
//!
//! What must stay true: the answer depends on the bytes alone, each is looked at once, and what is remembered of them
//! fits in a few words. Of several places the first wins: fewer bytes are lost.

use crate::records::MAX_DEPTH;

/// Follows a broken record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Whether the record is an element of a top-level array.
    in_array: bool,
    /// Whether a byte of it has been seen.
    has_begun: bool,
    /// Bytes up to the error.
    to_error: usize,
    /// Whether no line feed came at or behind the error.
    on_error_line: bool,
    previous: u8,
    in_string: bool,
    is_escaped: bool,
    /// The last byte outside of strings that is not white space; a quote for a string.
    last: u8,
    /// Open brackets.
    depth: usize,
    /// For the outermost of them, from the lowest bit on, whether it is an object's.
    objects: u64,
    /// No bracket is open, and behind the one that was closed last, or inside an array behind a comma, nothing but
    /// separators came: a record can begin here.
    is_free: bool,
}

impl Resume {
    /// For a record whose byte number `error`, from 0, is the first that could not belong to it.
    pub(crate) fn new(error: usize, in_array: bool) -> Resume {
        Resume {
            in_array,
            has_begun: false,
            to_error: error,
            on_error_line: true,
            previous: 0,
            in_string: false,
            is_escaped: false,
            last: 0,
            depth: 0,
            objects: 0,
            is_free: false,
        }
    }

    /// The offset in `bytes`, which follow those of earlier calls, at which reading goes on. `None` if it is not in them.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| {
            if self.is_place(*byte) {
                return true;
            }
            self.pass(*byte);
            false
        })
    }

    /// Whether reading goes on at `byte`, which is next.
    fn is_place(&self, byte: u8) -> bool {
        if !self.has_begun || !matches!(byte, b'{' | b'[' | b']') {
            return false;
        }
        // (a) At the start of a line.
        if self.previous == b'\n' && byte != b']' {
            return true;
        }
        if self.to_error > 0 {
            return false;
        }
        // (b) Right behind a brace, on the line of the error.
        if self.on_error_line && self.previous == b'}' && byte == b'{' {
            return true;
        }
        if self.in_string {
            return false;
        }
        match byte {
            // (c), (d) Where no bracket is open, and (e) where an object could only go on with a key or its end.
            b'{' if self.depth == 0 => self.is_free,
            b'{' => self.is_in_object() && matches!(self.last, b',' | b'}' | b']'),
            b'[' => self.depth == 0 && self.is_free && !self.in_array,
            // (d) The end of the array around the record.
            _ => self.in_array && self.depth <= MAX_DEPTH && self.innermost(false).is_none(),
        }
    }

    fn is_in_object(&self) -> bool {
        (1..=MAX_DEPTH).contains(&self.depth) && self.objects & (1 << (self.depth - 1)) != 0
    }

    /// How many brackets are open around the innermost one of an object, or of an array, of those that are told apart.
    fn innermost(&self, is_object: bool) -> Option<usize> {
        let open = if self.depth < MAX_DEPTH { (1 << self.depth) - 1 } else { u64::MAX };
        let kinds = (if is_object { self.objects } else { !self.objects }) & open;
        (kinds != 0).then(|| 63 - kinds.leading_zeros() as usize)
    }

    fn pass(&mut self, byte: u8) {
        if self.in_string {
            // No string goes beyond its line: one that was cut off must not swallow the next.
            match byte {
                b'\n' => self.in_string = false,
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'{' | b'[' => {
                    if self.depth < MAX_DEPTH {
                        let bit = 1 << self.depth;
                        self.objects = if byte == b'{' { self.objects | bit } else { self.objects & !bit };
                    }
                    self.depth += 1;
                    self.last = byte;
                }
                b'}' | b']' => {
                    self.close(byte == b'}');
                    self.last = byte;
                }
                _ => {
                    (self.in_string, self.is_escaped) = (byte == b'"', false);
                    if self.depth == 0 && (byte != b',' || self.in_array) {
                        self.is_free = byte == b',';
                    }
                    self.last = byte;
                }
            }
        }
        self.on_error_line &= self.to_error > 0 || byte != b'\n';
        self.to_error = self.to_error.saturating_sub(1);
        self.previous = byte;
        self.has_begun = true;
    }

    /// A bracket closes the innermost of its kind, and what was left open inside; deeper than records may be, brackets
    /// are only counted.
    fn close(&mut self, is_object: bool) {
        if self.depth > MAX_DEPTH {
            self.depth -= 1;
        } else if let Some(outside) = self.innermost(is_object) {
            self.depth = outside;
        }
        self.is_free |= self.depth == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `text`, a record that is broken at `error`, when reading goes on; however it is cut.
    fn rest<'t>(text: &'t str, error: &str, in_array: bool) -> &'t str {
        let error = text.find(error).expect("the place is in the text");
        let found = Resume::new(error, in_array).find(text.as_bytes()).unwrap_or(text.len());
        for size in 1..text.len() {
            let mut resume = Resume::new(error, in_array);
            let mut pieces = text.as_bytes().chunks(size).enumerate();
            let place = pieces.find_map(|(at, piece)| Some(at * size + resume.find(piece)?));
            assert_eq!(place.unwrap_or(text.len()), found, "{text} by {size}");
        }
        &text[found..]
    }

    #[test]
    fn at_the_start_of_a_line_whatever_is_open() {
        assert_eq!(rest("{\"a\":\n{\"b\":1}\n{\"c\":1}", "\n{\"c", false), "{\"b\":1}\n{\"c\":1}");
        assert_eq!(rest("{\"a\": x\n[1]", "x", false), "[1]");
        assert_eq!(rest("x {\n {\n[", "x", false), "[");
        assert_eq!(rest("x {\n {\n {", "x", false), "");
    }

    #[test]
    fn right_behind_a_brace_on_the_line_of_the_error() {
        assert_eq!(rest("{\"a\":tru}{\"b\":1}", "}", false), "{\"b\":1}");
        assert_eq!(rest("{\"a\":{\"b\":1}{\"c\":2}", "{\"c", false), "{\"c\":2}");
        assert_eq!(rest("{\"a\":\"x{\"b\":1}{\"c\":1}", "b", false), "{\"c\":1}");
    }

    #[test]
    fn behind_the_bracket_that_closes_the_record() {
        assert_eq!(rest("{\"a\":tru} {\"b\":1}", "}", false), "{\"b\":1}");
        assert_eq!(rest("{\"a\":tru} ,\t[{\"b\":1}]", "}", false), "[{\"b\":1}]");
        assert_eq!(rest("{\"a\":[{\"x\":tru},{\"y\":1}],\"s\":\"} {\"} {\"b\":1}", "},", false), "{\"b\":1}");
        // A word before the next one makes a log line of it.
        assert_eq!(rest("{\"a\":tru} sent {\"b\":1}", "}", false), "");
        assert_eq!(rest("sent {\"b\":1}, {\"c\":1}", "sent", false), "{\"c\":1}");
    }

    #[test]
    fn at_the_next_element_or_the_end_of_the_array() {
        assert_eq!(rest("{\"v\":tru},{\"b\":1}]", "}", true), "{\"b\":1}]");
        assert_eq!(rest("{\"v\":tru}]{\"b\":1}", "}", true), "]{\"b\":1}");
        assert_eq!(rest("tru,{\"b\":1}]", ",", true), "{\"b\":1}]");
        assert_eq!(rest("tru,5,[{}],\"{\", {\"b\":1}]", ",", true), "{\"b\":1}]");
        assert_eq!(rest("{\"v\":[1,2},{\"b\":1}]", "}", true), "{\"b\":1}]");
        assert_eq!(rest("{\"v\":{\"w\":1}]\n", "]", true), "]\n");
    }

    #[test]
    fn where_an_object_can_only_have_a_key() {
        assert_eq!(rest("{\"a\":{\"b\":1},{\"c\":1}]", "{\"c", true), "{\"c\":1}]");
        assert_eq!(rest("{\"a\":{\"b\":1} {\"c\":1}", "{\"c", false), "{\"c\":1}");
        assert_eq!(rest("{\"a\":[1] {\"c\":1}", "{\"c", false), "{\"c\":1}");
        assert_eq!(rest("{\"a\":x,\"b\":{\"c\":1}}", "x", false), "");
    }

    #[test]
    fn brackets_deeper_than_records_are_counted() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!("{deep},{{\"b\":1}}]");
        assert_eq!(Resume::new(MAX_DEPTH, true).find(text.as_bytes()), Some(200_001));
    }
}
