//! Text between two quotes, a block of bytes at a time.
//!
//! In come the bytes behind a quote; out comes where the string ends and what it says. Most text says what it looks
//! like, and is only looked at ([`plain_text`]); with the first escape it is looked at and copied in one pass
//! ([`unescape`]).

use wide::u8x16;

use super::Unsure;

/// Text of a string that stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    /// Where it ends: at the string's quote, at a backslash, or at a control character.
    pub(super) end: usize,
    /// If it is not, it has to be UTF-8.
    pub(super) is_ascii: bool,
}

/// The plain text that begins at `at`, which must not end where the bytes do.
#[inline(always)]
pub(super) fn plain_text(bytes: &[u8], mut at: usize) -> Result<Plain, Unsure> {
    let mut is_ascii = true;
    while let Some(block) = bytes[at..].first_chunk() {
        let found = look(block);
        is_ascii &= found.is_ascii;
        at += found.plain;
        if found.plain < BLOCK {
            return Ok(Plain { end: at, is_ascii });
        }
    }
    let rest = &bytes[at..];
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let length = rest.iter().position(is_special).ok_or(Unsure)?;
    Ok(Plain { end: at + length, is_ascii: is_ascii && rest[..length].is_ascii() })
}

/// Reads on from the escape behind `plain`, which began at `begin`, to the end of the string, and writes what its text
/// stands for, which is UTF-8 if the text is, to the front of `out`; what the text is, and the length in `out`, which
/// grows as needed and never shrinks, so that nothing is cleared for the next text.
pub(super) fn unescape(
    bytes: &[u8],
    begin: usize,
    plain: Plain,
    out: &mut Vec<u8>,
) -> Result<(Plain, usize), Unsure> {
    let Plain { end: mut at, mut is_ascii } = plain;
    let mut to = at - begin;
    make_room(out, to);
    out[..to].copy_from_slice(&bytes[begin..at]);
    loop {
        match bytes[at] {
            b'"' => return Ok((Plain { end: at, is_ascii }, to)),
            b'\\' => {}
            _ => return Err(Unsure),
        }
        let (escape, behind) = bytes[at + 1..].split_first().ok_or(Unsure)?;
        at += 2;
        // The most that an escape stands for, and a block behind it.
        make_room(out, to + 4 + BLOCK);
        let stands_for = ESCAPES[usize::from(*escape)];
        if stands_for != 0 {
            out[to] = stands_for;
            to += 1;
        } else {
            if *escape != b'u' {
                return Err(Unsure);
            }
            let (character, rest) = code_point(behind)?;
            to += character.encode_utf8(&mut out[to..]).len();
            at = bytes.len() - rest.len();
        }
        // Text up to the next escape: what is copied too far is written over.
        loop {
            let Some(block) = bytes[at..].first_chunk() else {
                let rest = plain_text(bytes, at)?;
                let length = rest.end - at;
                make_room(out, to + length);
                out[to..to + length].copy_from_slice(&bytes[at..rest.end]);
                is_ascii &= rest.is_ascii;
                at = rest.end;
                to += length;
                break;
            };
            let Some(onto) = out[to..].first_chunk_mut() else {
                make_room(out, to + BLOCK);
                continue;
            };
            *onto = *block;
            let found = look(block);
            is_ascii &= found.is_ascii;
            at += found.plain;
            to += found.plain;
            if found.plain < BLOCK {
                break;
            }
        }
    }
}

/// What stands behind a backslash and is one byte long, by its letter.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let pairs = [*b"\"\"", *b"\\\\", *b"//", *b"b\x08", *b"f\x0c", *b"n\n", *b"r\r", *b"t\t"];
    let mut at = 0;
    while at < pairs.len() {
        escapes[pairs[at][0] as usize] = pairs[at][1];
        at += 1;
    }
    escapes
};

/// Makes `out` at least `length` long, and seldom.
#[inline(always)]
fn make_room(out: &mut Vec<u8>, length: usize) {
    if out.len() < length {
        out.resize(2 * length, 0);
    }
}

/// The character whose UTF-16 code units begin `text`, the first without its `\u`, and what follows.
fn code_point(mut text: &[u8]) -> Result<(char, &[u8]), Unsure> {
    let mut code = unit(&mut text)?;
    if (0xd800..0xdc00).contains(&code) {
        // The first half of a pair; the second one has to follow.
        text = text.strip_prefix(b"\\u").ok_or(Unsure)?;
        let low = unit(&mut text)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(Unsure);
        }
        code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    Ok((char::from_u32(code).ok_or(Unsure)?, text))
}

/// Takes the four hexadecimal digits of a UTF-16 code unit.
fn unit(text: &mut &[u8]) -> Result<u32, Unsure> {
    let (digits, behind) = text.split_first_chunk::<4>().ok_or(Unsure)?;
    *text = behind;
    let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(Unsure);
    digits.iter().try_fold(0, |unit, byte| Ok(unit << 4 | digit(*byte)?))
}

/// Bytes that are looked at at once: a vector of every x86-64 and every 64-bit ARM.
const BLOCK: usize = 16;

/// What a block of bytes shows.
struct Found {
    /// How many of its bytes, from the first on, are plain text.
    plain: usize,
    /// Whether those are.
    is_ascii: bool,
}

/// Looks at a block.
#[inline(always)]
fn look(block: &[u8; BLOCK]) -> Found {
    let bytes = u8x16::new(*block);
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let special = (is(b'"') | is(b'\\') | is_control).to_bitmask();
    // A bit for each byte that is not ASCII.
    let others = bytes.to_bitmask();
    Found {
        plain: (special | 1 << BLOCK).trailing_zeros() as usize,
        // The lowest bit less one: all bits below it, or all of them where there is none.
        is_ascii: others & special.wrapping_sub(1) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority;

    #[test]
    fn escapes_stand_for_what_the_authority_says() {
        let parts = [
            "a",
            "eight by",
            "seventeen letters",
            "é\u{1f321}",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\b\\f\\r\\t",
            "\\u0041",
            "\\u00e9",
            "\\u20AC",
            "\\ud83c\\udf21",
            "\\uD83C",
            "\\udf21",
            "\\ud83cx",
            "\\ud83c\\n",
            "\\ud83c\\ud83c",
            "\\u12",
            "\\u12g4",
            "\\x",
            "\\u0000",
        ];
        let mut refused = 0;
        let mut unescaped = Vec::new();
        let count = parts.len();
        for at in 0..count.pow(3) {
            let [first, second, third] =
                [at % count, at / count % count, at / count / count].map(|at| parts[at]);
            let text = format!("{first}{second}{third}");
            let theirs = authority::string(&format!("\"{text}\"")).ok().map(|text| text.into_owned());
            for tail in ["", ",", ":1}, and what may follow it"] {
                let all = format!("{text}\"{tail}");
                let plain = plain_text(all.as_bytes(), 0).unwrap();
                let ours = unescape(all.as_bytes(), 0, plain, &mut unescaped).ok().map(|(raw, length)| {
                    assert_eq!(raw, Plain { end: text.len(), is_ascii: text.is_ascii() }, "{all}");
                    String::from_utf8(unescaped[..length].to_vec()).unwrap()
                });
                assert_eq!(ours, theirs, "{all}");
                refused += usize::from(ours.is_none());
            }
        }
        assert!((3000..27_000).contains(&refused), "{refused}");
    }

    #[test]
    fn the_end_of_a_string_may_be_missing_at_any_place() {
        let text = "caf\\u00e9 \\ud83c\\udf21\\n, eight and more\\\\ é\\\"\"";
        let whole = plain_text(text.as_bytes(), 0).unwrap();
        assert!(unescape(text.as_bytes(), 0, whole, &mut Vec::new()).is_ok());
        for end in 0..text.len() {
            let bytes = &text.as_bytes()[..end];
            let read = plain_text(bytes, 0).and_then(|plain| unescape(bytes, 0, plain, &mut Vec::new()));
            assert!(read.is_err(), "{end}");
        }
    }

    #[test]
    fn plain_text_ends_at_what_is_special_wherever_it_stands() {
        for padding in 0..20 {
            let text = "x".repeat(padding);
            for tail in ["", " tail", " a longer tail, é\u{1f}"] {
                let plain =
                    |text_of: &str| plain_text(format!("{text}{text_of}{tail}").as_bytes(), 0).unwrap();
                for end in ["\"", "\\", "\u{1f}", "\0", "\\é", "\u{1f}é\""] {
                    assert_eq!(plain(end), Plain { end: padding, is_ascii: true });
                    assert_eq!(plain(&format!("\u{7f}{end}")), Plain { end: padding + 1, is_ascii: true });
                    assert_eq!(plain(&format!("é{end}")), Plain { end: padding + 2, is_ascii: false });
                    assert_eq!(plain(&format!("é12345{end}")), Plain { end: padding + 7, is_ascii: false });
                }
            }
            assert!(plain_text(text.as_bytes(), 0).is_err());
        }
    }
}
