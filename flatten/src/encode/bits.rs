//! Small numbers as runs of bits.
//!
//! In come definition levels, the places of values in a dictionary, or integers; out come the encodings that Parquet calls
//! RLE (a hybrid of runs and bit-packing) and DELTA_BINARY_PACKED, appended to a buffer. The format is
//! <https://github.com/apache/parquet-format/blob/master/Encodings.md>.
//!
//! The levels of a nullable column are packed at a width of one bit, which makes them a bitmap: it is filled from the
//! rows that have a value, and rows without one cost an eighth of a byte, no instruction.

/// Values that a run has to have before it is worth interrupting packed ones for.
const WORTH_A_RUN: usize = 32;
/// Values in a block of deltas, and in each of its miniblocks, which share a width.
const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Bits needed for numbers up to `largest`.
pub(super) fn width_of(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// Appends an unsigned LEB128 number.
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a run of `count` times `value`.
pub(super) fn push_run(out: &mut Vec<u8>, count: usize, value: u32, width: u32) {
    push_varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends numbers of `width` bits, at most 32, as runs where many are equal and packed elsewhere.
pub(super) fn push_hybrid(out: &mut Vec<u8>, values: &[u32], width: u32) {
    // Packed values come in eights, so that only groups of eight are looked at.
    let (mut packed_from, mut at) = (0, 0);
    while at + 8 <= values.len() {
        let first = values[at];
        if values[at + 1..at + 8].iter().any(|value| *value != first) {
            at += 8;
            continue;
        }
        let equal = values[at..].iter().take_while(|value| **value == first).count();
        let count = if at + equal == values.len() { equal } else { equal & !7 };
        if count >= WORTH_A_RUN {
            push_packed_run(out, &values[packed_from..at], width);
            push_run(out, count, first, width);
            packed_from = at + count;
        }
        at += count;
    }
    push_packed_run(out, &values[packed_from..], width);
}

fn push_packed_run(out: &mut Vec<u8>, values: &[u32], width: u32) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    push_varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * width as usize;
    out.reserve(groups * width as usize + 4);
    let (mut word, mut bits) = (0u64, 0);
    for value in values {
        word |= u64::from(*value) << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&(word as u32).to_le_bytes());
            word >>= 32;
            bits -= 32;
        }
    }
    out.extend_from_slice(&word.to_le_bytes());
    // The last group is filled up with zeros.
    out.resize(end, 0);
}

/// Appends the definition levels of `count` rows from row `begin` on, of which those in `rows` have a value.
pub(super) fn push_levels(out: &mut Vec<u8>, rows: &[u32], begin: usize, count: usize, bitmap: &mut Vec<u8>) {
    if rows.is_empty() || rows.len() == count {
        return push_run(out, count, u32::from(!rows.is_empty()), 1);
    }
    bitmap.clear();
    bitmap.resize(count.div_ceil(8), 0);
    for row in rows {
        let row = *row as usize - begin;
        bitmap[row / 8] |= 1 << (row % 8);
    }
    let (mut packed_from, mut at) = (0, 0);
    let push_packed = |out: &mut Vec<u8>, bytes: &[u8]| {
        if !bytes.is_empty() {
            push_varint(out, (bytes.len() as u64) << 1 | 1);
            out.extend_from_slice(bytes);
        }
    };
    // The last byte may have fewer than eight rows; it is packed.
    let whole = count / 8;
    while at < whole {
        let byte = bitmap[at];
        if byte != 0 && byte != u8::MAX {
            at += 1;
            continue;
        }
        let equal = bitmap[at..whole].iter().take_while(|other| **other == byte).count();
        if equal * 8 >= WORTH_A_RUN {
            push_packed(out, &bitmap[packed_from..at]);
            push_run(out, equal * 8, u32::from(byte & 1), 1);
            packed_from = at + equal;
        }
        at += equal;
    }
    push_packed(out, &bitmap[packed_from..]);
}

/// Appends booleans, one bit each.
pub(super) fn push_booleans(out: &mut Vec<u8>, values: &[bool]) {
    out.extend(
        values.chunks(8).map(|eight| {
            eight.iter().enumerate().fold(0, |byte, (bit, value)| byte | u8::from(*value) << bit)
        }),
    );
}

/// Appends integers as differences to the ones before.
pub(super) fn push_deltas(out: &mut Vec<u8>, values: &[i64]) {
    for number in [BLOCK, BLOCK / MINIBLOCK, values.len()] {
        push_varint(out, number as u64);
    }
    push_zigzag(out, values.first().copied().unwrap_or(0));
    let mut deltas = [0i64; BLOCK];
    for begin in (1..values.len()).step_by(BLOCK) {
        let block = &values[begin..values.len().min(begin + BLOCK)];
        // Differences wrap, and so does what adds them up again.
        for (at, value) in block.iter().enumerate() {
            deltas[at] = value.wrapping_sub(values[begin + at - 1]);
        }
        let deltas = &mut deltas[..block.len()];
        let least = deltas.iter().copied().min().expect("a block has values");
        push_zigzag(out, least);
        let widths = out.len();
        out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
        for (number, mini) in deltas.chunks(MINIBLOCK).enumerate() {
            let above = |delta: &i64| delta.wrapping_sub(least) as u64;
            let width = width_of(mini.iter().map(above).max().expect("a miniblock has values"));
            out[widths + number] = width as u8;
            let end = out.len() + MINIBLOCK / 8 * width as usize;
            let (mut word, mut bits) = (0u128, 0);
            for delta in mini {
                word |= u128::from(above(delta)) << bits;
                bits += width;
                if bits >= 64 {
                    out.extend_from_slice(&(word as u64).to_le_bytes());
                    word >>= 64;
                    bits -= 64;
                }
            }
            out.extend_from_slice(&(word as u64).to_le_bytes());
            out.resize(end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the RLE hybrid says, by the rules.
    fn decoded(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let number =
                |bytes: &[u8]| bytes.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                values.extend(std::iter::repeat_n(number(value), (header >> 1) as usize));
                bytes = rest;
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) as usize * width as usize);
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                let value = |at: usize| {
                    (0..width as usize).map(|offset| bit(at * width as usize + offset) << offset).sum::<u32>()
                };
                values.extend((0..(header >> 1) as usize * 8).map(value));
                bytes = rest;
            }
        }
        assert!(bytes.is_empty());
        assert!(values[count..].iter().all(|padding| *padding == 0));
        values.truncate(count);
        values
    }

    #[test]
    fn numbers_come_back_whatever_runs_they_have() {
        for width in 0..=32 {
            for (long, short) in [(1, 1), (40, 3), (33, 8), (1000, 7), (8, 8), (31, 1)] {
                let most = ((1u64 << width) - 1) as u32;
                let mut values = Vec::new();
                for at in 0..37u32 {
                    let value = at.wrapping_mul(0x9e37_79b1) & most;
                    values.extend(std::iter::repeat_n(value, if at % 5 == 0 { long } else { short }));
                }
                for cut in [values.len(), 1, 8, 9, 33, 64, 65] {
                    let values = &values[..cut.min(values.len())];
                    let mut out = Vec::new();
                    push_hybrid(&mut out, values, width);
                    assert_eq!(decoded(&out, width, values.len()), values, "{width} {long} {short} {cut}");
                }
            }
        }
    }

    #[test]
    fn levels_are_the_rows_that_have_a_value() {
        let patterns: [fn(u32) -> bool; 6] = [
            |_| true,
            |_| false,
            |row| row % 3 == 0,
            |row| !(40..200).contains(&row),
            |row| (40..200).contains(&row),
            |row| row > 299,
        ];
        for is_there in patterns {
            for count in [1, 7, 8, 9, 64, 301, 304] {
                let rows: Vec<u32> = (0..count).filter(|row| is_there(*row)).map(|row| row + 5).collect();
                let mut out = Vec::new();
                push_levels(&mut out, &rows, 5, count as usize, &mut Vec::new());
                let expected: Vec<u32> = (0..count).map(|row| u32::from(is_there(row))).collect();
                assert_eq!(decoded(&out, 1, count as usize), expected);
            }
        }
    }
}
