//! What a number literal is: a double, a long, or text that fits neither.
//!
//! In comes the text of a number that is valid JSON; out comes the kind of column it belongs to, with its value. Digits
//! are never lost: a double is the nearest one and never infinite, never zero for something that is not; an integer a
//! double cannot hold exactly is a long; whatever neither can hold stays text, as written.

use crate::contract::Numbers;

/// Integers up to this magnitude are exact as doubles.
pub(crate) const EXACT: u64 = 1 << 53;

/// A number literal, told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// The nearest double.
    Double(f64),
    /// An integer that belongs to a `long` column.
    Long(i64),
    /// Too large or too small for both: the digits as written.
    Text,
}

/// Tells what `text`, a valid JSON number, is.
pub(crate) fn classify(text: &str, numbers: Numbers) -> Number {
    let is_integer = !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if is_integer {
        return match text.parse::<i64>() {
            // `-0` is the one integer literal whose sign a long cannot hold; it is exact as a double.
            Ok(integer) if numbers == Numbers::Double && integer.unsigned_abs() <= EXACT => {
                Number::Double(text.parse().expect("an integer literal is a double literal"))
            }
            Ok(integer) => Number::Long(integer),
            Err(_) => Number::Text,
        };
    }
    fraction(text)
}

/// A literal with a fraction or an exponent: the nearest double, unless it is over- or underflow.
pub(crate) fn fraction(text: &str) -> Number {
    let double: f64 = text.parse().expect("a JSON number is a Rust float literal");
    if double.is_finite() && (double != 0.0 || is_zero(text)) { Number::Double(double) } else { Number::Text }
}

/// Whether all digits before the exponent are zero.
fn is_zero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// The shortest text that reads back as `double`; whole numbers that are exact without a fraction, as AWS IoT SQL
/// prints them.
pub(crate) fn print(double: f64) -> String {
    if double.fract() == 0.0 && double.abs() <= EXACT as f64 {
        if double == 0.0 && double.is_sign_negative() { "-0".into() } else { format!("{}", double as i64) }
    } else {
        serde_json::to_string(&double).expect("finite doubles are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_doubles_while_exact_then_longs_then_text() {
        use Number::*;
        for (text, expected) in [
            ("21", Double(21.0)),
            ("9007199254740992", Double(9007199254740992.0)),
            ("9007199254740993", Long(9007199254740993)),
            ("-9007199254740993", Long(-9007199254740993)),
            ("9223372036854775807", Long(i64::MAX)),
            ("-9223372036854775808", Long(i64::MIN)),
            ("9223372036854775808", Text),
            ("1e400", Text),
            ("-1e400", Text),
            ("1e-400", Text),
            ("0e-400", Double(0.0)),
            ("0.1", Double(0.1)),
            ("5e-324", Double(5e-324)),
            ("1e5", Double(1e5)),
        ] {
            assert_eq!(classify(text, Numbers::Double), expected, "{text}");
        }
        assert!(matches!(classify("-0", Numbers::Double), Double(zero) if zero.is_sign_negative()));
        assert_eq!(classify("21", Numbers::Exact), Long(21));
        assert_eq!(classify("21.0", Numbers::Exact), Double(21.0));
    }

    #[test]
    fn printing_reads_back_the_same_double() {
        for double in [0.0, -0.0, 21.0, 0.1, 1e300, -1.5, 9007199254740992.0, 5e-324, f64::MAX] {
            let text = print(double);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits(), "{text}");
        }
    }
}
