//! Files that are no JSON by their first bytes.
//!
//! In come the first bytes of a source that is not compressed in a way that is read here; out comes what it is, if it is
//! one of the kinds that people take for JSON or wrap it in. What must stay true: bytes with which JSON, or text that
//! somebody logged among it, could begin are never taken for one of these, since a kind that is known fails the source.

/// A kind of file that is not read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// What it is, with its article.
    pub name: &'static str,
    /// What to do with it.
    pub remedy: &'static str,
}

const PARQUET: Foreign = Foreign {
    name: "a Parquet file",
    remedy: "it holds columns already: ingest the JSON that it was made from, or put it beside the lake",
};
const UTF_16: Foreign = Foreign {
    name: "text in UTF-16",
    remedy: "convert it to UTF-8 first, such as with `iconv -f UTF-16 -t UTF-8`",
};

/// What each kind begins with.
const BEGINNINGS: [(&[u8], Foreign); 13] = [
    (b"PK\x03\x04", Foreign { name: "a zip archive", remedy: "unpack it first, such as with `unzip`" }),
    (b"PK\x05\x06", Foreign { name: "an empty zip archive", remedy: "leave it out: there is nothing in it" }),
    (b"\xfd7zXZ\0", Foreign { name: "compressed with xz", remedy: "unpack it first, such as with `xz -d`" }),
    (b"7z\xbc\xaf\x27\x1c", Foreign { name: "a 7z archive", remedy: "unpack it first, such as with `7z x`" }),
    (
        b"\x04\x22\x4d\x18",
        Foreign { name: "compressed with lz4", remedy: "unpack it first, such as with `lz4 -d`" },
    ),
    (
        b"\xff\x06\0\0sNaPpY",
        Foreign { name: "compressed with Snappy", remedy: "let its writer choose gzip or zstd" },
    ),
    (b"PAR1\x15", PARQUET),
    (b"PARE\x15", PARQUET),
    (b"Obj\x01", Foreign { name: "an Avro file", remedy: "let its writer write JSON" }),
    (b"SQLite format 3\0", Foreign { name: "a SQLite database", remedy: "export its records as JSON" }),
    (b"ARROW1\0\0", Foreign { name: "an Arrow file", remedy: "let its writer write JSON" }),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];

impl Foreign {
    /// The kind of a file that begins with `bytes` (sixteen are enough).
    pub fn of(bytes: &[u8]) -> Option<Foreign> {
        let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
        if let Some((_, kind)) = known {
            return Some(*kind);
        }
        match bytes {
            // The digit is the size of a block; behind it stands a number that begins one.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Foreign {
                name: "compressed with bzip2",
                remedy: "unpack it first, such as with `bzip2 -d`",
            }),
            // Without a mark in front, every other byte is 0.
            [b'{' | b'[', 0, _, 0, ..] | [0, b'{' | b'[', 0, _, ..] => Some(UTF_16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let name = |bytes: &[u8]| Foreign::of(bytes).map(|kind| kind.name);
        assert_eq!(name(b"PK\x03\x04\x14"), Some("a zip archive"));
        assert_eq!(name(b"BZh91AY&SY"), Some("compressed with bzip2"));
        assert_eq!(name(b"PAR1\x15\x04"), Some("a Parquet file"));
        assert_eq!(name(b"{\0\"\0"), Some("text in UTF-16"));
        assert_eq!(name(b"\0[\0{"), Some("text in UTF-16"));
        assert_eq!(name(b"\xff\xfe{\0"), Some("text in UTF-16"));
    }

    #[test]
    fn text_is_never_taken_for_one() {
        for text in [
            "",
            "{",
            "{}",
            "PK",
            "PAR1 is what it said",
            "BZh9 hello there",
            "Obj",
            "7z",
            "\0{\"a\":1}",
            "\u{feff}{}",
        ] {
            assert_eq!(Foreign::of(text.as_bytes()), None, "{text:?}");
        }
    }
}
