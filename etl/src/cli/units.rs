//! Numbers for people: bytes in powers of 1000, thousands apart.

/// `1.2 GB`, `512 B`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something in a second; 0 where no time has passed.
pub fn rate(amount: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (amount as f64 / seconds) as u64 } else { 0 }
}

/// `1 source`, `2 sources`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_in_groups() {
        let shown = [0, 999, 1000, 9_949, 12_345, 999_499, 999_500, 4 << 30].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "9.9 kB", "12 kB", "999 kB", "1.0 MB", "4.3 GB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(rate(10, 0.0), 0);
        assert_eq!(rate(10, 4.0), 2);
        assert_eq!((plural(1, "row"), plural(2, "row")), ("1 row".to_owned(), "2 rows".to_owned()));
    }
}
