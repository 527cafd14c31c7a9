//! Numbers as devices print them, their digits eight at a time.
//!
//! In come the bytes of a number without its sign; out comes what all of its digits say and how many stand behind the
//! point, if that is exact: a double is then one division away, and an integer is there. Everything else (an exponent,
//! more digits, digits that stand for nothing) is for the authority's rule.

use crate::number::EXACT;

/// Powers of ten, exact as integers and as doubles: as many as digits are looked at behind a point.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

/// Those for one vector of digits as doubles.
const DOUBLES: [f64; 9] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/// Bytes in which most numbers end: eight digits, the point, eight digits and what is behind them.
const WINDOW: usize = 24;

/// A number without sign and exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    /// The number that all of its digits make: exact as a double where some are behind the point, below 10^18 where none are.
    pub(super) digits: u64,
    pub(super) fraction_digits: usize,
    /// Its bytes.
    pub(super) length: usize,
}

impl Decimal {
    /// The one that `bytes` begin with, and that ends before they do; nothing if it is not exact, or none.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> Option<Decimal> {
        match bytes.first_chunk().and_then(Decimal::short) {
            Some(short) => Some(short),
            None => Decimal::any(bytes),
        }
    }

    /// The nearest double: both numbers are exact, so the one rounding of the division gives it (Clinger 1990).
    #[inline(always)]
    pub(super) fn double(self) -> f64 {
        let digits = self.digits as i64 as f64;
        match DOUBLES.get(self.fraction_digits) {
            Some(power) => digits / power,
            None => digits / POWERS[self.fraction_digits] as f64,
        }
    }

    /// With at most seven digits before the point and eight behind it, which are exact together.
    #[inline(always)]
    fn short(window: &[u8; WINDOW]) -> Option<Decimal> {
        let word = digits_of(window, 0);
        let others = others(word);
        let before = (others.trailing_zeros() / 8) as usize;
        if !matches!(before, 1..8) || (window[0] == b'0' && before > 1) {
            return None;
        }
        // Shifted behind zeros, which is where the digits of a number stand that has fewer.
        let word = word << (64 - 8 * before);
        if window[before] != b'.' {
            let ends = window[before] | 0x20 != b'e';
            return ends.then(|| Decimal { digits: eight_digits(word), fraction_digits: 0, length: before });
        }
        let fraction = digits_of(window, before + 1);
        let behind = (self::others(fraction).trailing_zeros() / 8) as usize;
        let next = window[before + 1 + behind];
        if behind == 0 || next | 0x20 == b'e' || next.wrapping_sub(b'0') < 10 {
            return None;
        }
        let fraction = fraction << (64 - 8 * behind);
        let digits = if before + behind <= 8 {
            eight_digits(fraction | word >> (8 * behind))
        } else {
            eight_digits(word) * POWERS[behind] + eight_digits(fraction)
        };
        Some(Decimal { digits, fraction_digits: behind, length: before + 1 + behind })
    }

    /// Any that is exact.
    #[inline(never)]
    fn any(bytes: &[u8]) -> Option<Decimal> {
        let (digits, before) = leading_digits(bytes, 0);
        if before == 0 || (before > 1 && bytes[0] == b'0') {
            return None;
        }
        match *bytes.get(before)? {
            b'.' => {}
            b'e' | b'E' => return None,
            _ => return (before <= 18).then_some(Decimal { digits, fraction_digits: 0, length: before }),
        }
        let (digits, behind) = leading_digits(&bytes[before + 1..], digits);
        let length = before + 1 + behind;
        let has_exponent = matches!(bytes.get(length)?, b'e' | b'E');
        let is_exact = before + behind <= 19 && digits <= EXACT;
        (behind > 0 && !has_exponent && is_exact).then_some(Decimal {
            digits,
            fraction_digits: behind,
            length,
        })
    }
}

/// The number that the digits that `bytes` begin with continue `number` to, wrapping, and how many there are.
#[inline(always)]
fn leading_digits(bytes: &[u8], mut number: u64) -> (u64, usize) {
    let mut count = 0;
    while let Some(window) = bytes[count..].first_chunk::<8>() {
        let word = digits_of(window, 0);
        let found = (others(word).trailing_zeros() / 8) as usize;
        if found == 0 {
            return (number, count);
        }
        number = number.wrapping_mul(POWERS[found]).wrapping_add(eight_digits(word << (64 - 8 * found)));
        count += found;
        if found < 8 {
            return (number, count);
        }
    }
    while let Some(digit) = bytes.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (number, count)
}

const ONES: u64 = u64::MAX / 255;

/// Eight bytes from `at` on, the first lowest; digits as the numbers that they are.
#[inline(always)]
fn digits_of(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..].first_chunk().expect("eight bytes");
    u64::from_le_bytes(*word) ^ (ONES * u64::from(b'0'))
}

/// A bit, the highest of its byte, for the first byte of `word` that is no digit; some of those behind it.
#[inline(always)]
fn others(word: u64) -> u64 {
    // A byte is a digit if it is below 10 now.
    (word.wrapping_add(ONES * 0x76) | word) & (ONES * 0x80)
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
                assert_eq!(leading_digits(text.as_bytes(), 0), (expected, length), "{text}");
            }
        }
        assert_eq!(leading_digits(b"0123456789.", 7), (70_123_456_789, 10));
    }

    #[test]
    fn a_decimal_is_exact_or_refused_wherever_its_point_and_its_end_are() {
        let all = "9007199254740992123";
        for before in 0..=19 {
            for behind in 0..=19 - before {
                let digits = &all[..before + behind];
                let point = if behind > 0 { "." } else { "" };
                let text = format!("{}{point}{}", &digits[..before], &digits[before..]);
                for tail in [
                    ",",
                    "}",
                    " ",
                    "]\n",
                    ",\"a key\":12345678.12345678}",
                    "e5,",
                    "E-7 and more than a window",
                ] {
                    let found = Decimal::read(format!("{text}{tail}").as_bytes());
                    let number: u64 = digits.parse().unwrap_or(0);
                    let most = if behind == 0 { 999_999_999_999_999_999 } else { EXACT };
                    let is_exact = before > 0 && number <= most && !tail.starts_with(['e', 'E']);
                    let expected = Decimal { digits: number, fraction_digits: behind, length: text.len() };
                    assert_eq!(found, is_exact.then_some(expected), "{text}{tail}");
                    if is_exact && number <= EXACT {
                        assert_eq!(expected.double(), text.parse::<f64>().unwrap(), "{text}");
                    }
                }
                assert_eq!(Decimal::read(text.as_bytes()), None, "{text} may go on");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-1", ".5", "01", "00.5", "1.", "1.e5", "1..5", "x", "+1", "1.x", "/1", ":1"] {
            for tail in ["", ",", ", and what may stand behind it"] {
                assert_eq!(Decimal::read(format!("{text}{tail}").as_bytes()), None, "{text}{tail}");
            }
        }
        let zero = Decimal { digits: 5, fraction_digits: 1, length: 3 };
        assert_eq!(Decimal::read(b"0.5,"), Some(zero));
    }
}
