//! Text between two quotes, a block of bytes at a time.
//!
//! In come the bytes behind a quote; out comes where the string ends, and what it says is at the end of its column:
//! looked at, freed of escapes and copied in one pass.

use wide::u8x16;

use super::Unsure;

/// Where the plain text that begins at `at` ends: at the string's quote, at a backslash, or at a control character. It must
/// not end where the bytes do.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> Result<usize, Unsure> {
    while let Some(block) = bytes[at..].first_chunk() {
        let plain = plain_bytes(u8x16::new(*block));
        at += plain;
        if plain < BLOCK {
            return Ok(at);
        }
    }
    Ok(at + bytes[at..].iter().position(is_special).ok_or(Unsure)?)
}

/// Appends what a string says, whose text begins at `begin`, behind its quote, to `out`; where its other quote stands.
/// Of a string that is refused some may have been appended.
///
/// Every block is copied as it is looked at, and what was copied too much is taken back.
#[inline(always)]
pub(super) fn copy_text(bytes: &[u8], begin: usize, out: &mut Vec<u8>) -> Result<usize, Unsure> {
    let mut at = begin;
    // All blocks, one over the other: of a byte that is not ASCII the highest bit remains.
    let mut all = u8x16::new([0; BLOCK]);
    let mut rest_is_ascii = true;
    loop {
        match bytes[at..].first_chunk() {
            Some(block) => {
                let length = out.len();
                out.extend_from_slice(block);
                let block = u8x16::new(*block);
                all |= block;
                let plain = plain_bytes(block);
                at += plain;
                if plain == BLOCK {
                    continue;
                }
                out.truncate(length + plain);
            }
            None => {
                let rest = &bytes[at..];
                let plain = rest.iter().position(is_special).ok_or(Unsure)?;
                out.extend_from_slice(&rest[..plain]);
                rest_is_ascii &= rest[..plain].is_ascii();
                at += plain;
            }
        }
        match bytes[at] {
            b'"' => break,
            b'\\' => at = bytes.len() - unescape(&bytes[at + 1..], out)?.len(),
            _ => return Err(Unsure),
        }
    }
    if all.to_bitmask() != 0 || !rest_is_ascii {
        simdutf8::basic::from_utf8(&bytes[begin..at]).map_err(|_| Unsure)?;
    }
    Ok(at)
}

/// Appends what an escape stands for, which `text` begins with, without its backslash; what follows it.
#[inline(always)]
fn unescape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unsure> {
    let (escape, behind) = text.split_first().ok_or(Unsure)?;
    let stands_for = ESCAPES[usize::from(*escape)];
    if stands_for != 0 {
        out.push(stands_for);
        return Ok(behind);
    }
    if *escape != b'u' {
        return Err(Unsure);
    }
    let (character, behind) = code_point(behind)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(behind)
}

fn is_special(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
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

/// How many bytes of a block, from the first on, are plain text.
#[inline(always)]
fn plain_bytes(block: u8x16) -> usize {
    let is = |byte: u8| block.simd_eq(u8x16::splat(byte));
    let is_control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let special = (is(b'"') | is(b'\\') | is_control).to_bitmask();
    (special | 1 << BLOCK).trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority;

    /// What the string says that begins behind the first quote of `all`, and where it ends.
    fn copied(all: &str) -> Option<(String, usize)> {
        let mut out = b"before".to_vec();
        let end = copy_text(all.as_bytes(), 0, &mut out).ok()?;
        Some((String::from_utf8(out.split_off(6)).unwrap(), end))
    }

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
        let count = parts.len();
        for at in 0..count.pow(3) {
            let [first, second, third] =
                [at % count, at / count % count, at / count / count].map(|at| parts[at]);
            let text = format!("{first}{second}{third}");
            let theirs = authority::string(&format!("\"{text}\"")).ok().map(|text| text.into_owned());
            for tail in ["", ",", ":1}, and what may follow it", ": 1, \"é\": \"behind\""] {
                let ours = copied(&format!("{text}\"{tail}"));
                assert_eq!(ours, theirs.clone().map(|theirs| (theirs, text.len())), "{text}{tail}");
                refused += usize::from(ours.is_none());
            }
        }
        assert!((4000..36_000).contains(&refused), "{refused}");
    }

    #[test]
    fn text_has_to_be_utf_8_and_what_is_behind_it_need_not_be() {
        for padding in 0..40 {
            for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc3\\n\xa9"] {
                let text = [&b"x".repeat(padding)[..], bad, b"y"].concat();
                let all = [&text[..], b"\", 1"].concat();
                assert!(copy_text(&all, 0, &mut Vec::new()).is_err(), "{all:?}");
                let all = [&b"x".repeat(padding)[..], b"\"", bad, b", and more of it"].concat();
                assert!(matches!(copy_text(&all, 0, &mut Vec::new()), Ok(end) if end == padding), "{all:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_string_may_be_missing_at_any_place() {
        let text = "caf\\u00e9 \\ud83c\\udf21\\n, eight and more\\\\ é\\\"\"";
        assert!(copied(text).is_some());
        for end in 0..text.len() {
            assert!(copy_text(&text.as_bytes()[..end], 0, &mut Vec::new()).is_err(), "{end}");
        }
    }

    #[test]
    fn plain_text_ends_at_what_is_special_wherever_it_stands() {
        for padding in 0..20 {
            let text = "x".repeat(padding);
            for tail in ["", " tail", " a longer tail, é\u{1f}"] {
                let plain =
                    |text_of: &str| plain_end(format!("{text}{text_of}{tail}").as_bytes(), 0).unwrap();
                for end in ["\"", "\\", "\u{1f}", "\0", "\\é", "\u{1f}é\""] {
                    assert_eq!(plain(end), padding);
                    assert_eq!(plain(&format!("\u{7f}{end}")), padding + 1);
                    assert_eq!(plain(&format!("é12345{end}")), padding + 7);
                }
            }
            assert!(plain_end(text.as_bytes(), 0).is_err());
        }
    }
}
