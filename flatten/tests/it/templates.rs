//! Records that repeat a template, and those that nearly do: what is remembered of earlier records must change nothing
//! about what a later one says.

use iotlake_fixtures::SplitMix64;
use iotlake_flatten::reference;
use iotlake_flatten::{Contract, Limits, Options, Part};
use proptest::prelude::*;

use crate::agreement::{check, declared, options, plain};
use crate::support::{check_accounts, parts, said, schema};

/// Templates of a mixed fleet, `#` for a number, `$` for text, `?` for a boolean; white space as devices print it.
const TEMPLATES: [&str; 7] = [
    r##"{"device":{"id":"$","model":"$"},"measurements":{"temperature":#,"is_open":?},"ts":#}"##,
    r##"{"device":{"id":"$","model":"$"},"measurements":{"accel":{"x":#,"y":#},"note":"$"},"ts":#}"##,
    r##"{"device": {"id": "$", "model": "$"}, "measurements": {"temperature": #, "off": null}, "ts": #}"##,
    r##"{"a":#,"b":{},"c":{"d":#,"e":{"f":{"g":"$"}}},"n":[#,"$"],"t":"$"}"##,
    r##"{ "a" : # ,"b":{"x":"$"}, "c":{"d":?}}"##,
    r##"{"a":#,"t":#,"e":{"a":1},"device":{"id":"$"},"a key that is longer than what is compared at once, by far, so that it is not":#}"##,
    r##"{"é":"$","b":{"b":{"b":#}},"c":#}"##,
];

fn number(random: &mut SplitMix64) -> String {
    const LIMITS: [&str; 20] = [
        "0",
        "-0",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "999999999999999999",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e400",
        "5e-324",
        "1e-400",
        "0.1e1",
        "12345678.12345678",
        "1234567.1",
        "0.00000001",
        "99999999",
        "123456789012345678901234567890",
        "1.23456789012345678901234567890",
        "21.4765625",
    ];
    match random.below(4) {
        0 => LIMITS[random.below(20) as usize].into(),
        1 => random.around(1000).to_string(),
        2 => format!("{}.{}", random.around(100), random.below(1000)),
        _ => (1_772_355_600_000 + u64::from(random.below(1 << 30))).to_string(),
    }
}

fn text(random: &mut SplitMix64) -> &'static str {
    const TEXTS: [&str; 9] = [
        "",
        "x",
        "fifteen letters",
        "sixteen letters.",
        "ac233f00aa11, and more than thirty two letters",
        "Büro 東京 🌡",
        r#"a \"line\"\n"#,
        r"\ud83c\udf21 \u00e9",
        "2026-03-01T09:00:00Z",
    ];
    TEXTS[random.below(9) as usize]
}

/// A record of a template, with values that are drawn.
fn fill(template: &str, random: &mut SplitMix64) -> String {
    let mut record = String::new();
    for part in template.chars() {
        match part {
            '#' => record += &number(random),
            '$' => record += text(random),
            '?' => record += if random.below(2) == 0 { "true" } else { "false" },
            other => record.push(other),
        }
    }
    record
}

/// Whatever could be one byte away from a template.
const OTHERS: &[u8] = b"\"\\{}[]:,-.09eEtfnu \t\n\r\x00\x1f\x7f\x80\xc3x";

/// A record that was damaged, or is of another shape in one place.
fn near(record: &str, random: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = record.as_bytes().to_vec();
    let at = random.below(bytes.len() as u32) as usize;
    let other = OTHERS[random.below(OTHERS.len() as u32) as usize];
    let kind = random.below(8);
    if kind < 4 {
        match kind {
            0 => bytes[at] = other,
            1 => bytes.insert(at, other),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
        return bytes;
    }
    let at = record.floor_char_boundary(at);
    match kind {
        4 => {
            // A value, or what looks like one, becomes one of another kind.
            const VALUES: [&str; 8] = ["1", "\"1\"", "true", "null", "{}", "{\"x\":1}", "[]", "1e5"];
            let value = VALUES[random.below(8) as usize];
            if let Some((before, behind)) = record[at..].split_once(':') {
                let end = behind.find([',', '}']).unwrap_or(behind.len());
                let from = at + before.len() + 1;
                bytes.splice(from..from + end, value.bytes());
            }
        }
        5 => {
            // A key of the record comes once more, or another one.
            const FIELDS: [&str; 5] =
                ["\"ts\":1", "\"a\":2", "\"\\u0061\":3", "\"new\":4", "\"device\":{\"id\":1}"];
            let field = FIELDS[random.below(5) as usize];
            let place = record[at..].find(['{', ',']).map_or(1, |found| at + found + 1);
            bytes.splice(place..place, format!("{field},").into_bytes());
        }
        6 => {
            // White space where a device prints none.
            let place = record[at..].find([':', ',', '{', '}']).map_or(0, |found| at + found);
            bytes.splice(place..place, *b" \n");
        }
        _ => {
            // The last fields first.
            let inner = &record[1..record.len() - 1];
            if let Some(comma) = inner.rfind(',') {
                bytes = format!("{{{},{}}}", &inner[comma + 1..], &inner[..comma]).into_bytes();
            }
        }
    }
    bytes
}

/// Records of some templates in turn, one of `odd` only nearly so.
fn fleet(seed: u64, templates: usize, odd: u32) -> Vec<u8> {
    let mut random = SplitMix64::new(seed);
    let first = random.below(TEMPLATES.len() as u32) as usize;
    let mut bytes = Vec::new();
    for _ in 0..24 {
        let template = TEMPLATES[(first + random.below(templates as u32) as usize) % TEMPLATES.len()];
        let record = fill(template, &mut random);
        if random.below(odd) == 0 {
            bytes.extend_from_slice(&near(&record, &mut random));
        } else {
            bytes.extend_from_slice(record.as_bytes());
        }
        bytes.push(b'\n');
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn fleets_say_what_the_reference_says(seed: u64, templates in 1usize..5, odd in 2u32..12) {
        let bytes = fleet(seed, templates, odd);
        check("fleet", &bytes, &plain());
        check("fleet, declared", &bytes, &declared());
    }

    #[test]
    fn in_parts_of_any_size(seed: u64, part_bytes in 50u64..2000, threads in 1usize..4) {
        let bytes = fleet(seed, 3, 6);
        let contract = Contract { part_bytes, ..plain() };
        let schema = schema(&contract);
        let whole = parts(&bytes, usize::MAX, &schema, Options::default());
        check_accounts(&whole, &bytes);
        prop_assert_eq!(said(&whole), reference::read(&bytes, &contract, 16 << 20));
        prop_assert_eq!(&parts(&bytes, 7, &schema, options(threads, 100)), &whole);
    }

    #[test]
    fn where_few_columns_and_keys_are_remembered(seed: u64, discovered in 1usize..12) {
        let limits = Limits { discovered, columns: 8, children: 3, ..Limits::default() };
        let schema = schema(&plain());
        let bytes = fleet(seed, 4, 8);
        let whole = parts(&bytes, usize::MAX, &schema, Options { limits, ..Options::default() });
        check_accounts(&whole, &bytes);
        // A record that is read alone finds nothing remembered.
        let rows: u64 = whole.iter().map(|part| u64::from(part.rows)).sum();
        let said = reference::read(&bytes, &plain(), 16 << 20);
        prop_assert_eq!(rows, said.records.len() as u64);
        for chunk in [1, 64] {
            let again = parts(&bytes, chunk, &schema, Options { limits, chunk_bytes: chunk, threads: 2 });
            prop_assert_eq!(&again, &whole);
        }
    }
}

/// What is in the parts of a source that has `record` behind and before others of its template.
fn amid(template: &str, record: &[u8]) -> (Vec<Part>, Vec<u8>) {
    let mut random = SplitMix64::new(1);
    let mut bytes = Vec::new();
    for at in 0..6 {
        match at {
            4 => bytes.extend_from_slice(record),
            _ => bytes.extend_from_slice(fill(template, &mut random).as_bytes()),
        }
        bytes.push(b'\n');
    }
    (parts(&bytes, usize::MAX, &schema(&plain()), Options::default()), bytes)
}

#[test]
fn every_byte_of_a_record_may_be_another_one() {
    for template in TEMPLATES {
        let record = fill(template, &mut SplitMix64::new(2)).into_bytes();
        let mut nears: Vec<Vec<u8>> = Vec::new();
        for at in 0..record.len() {
            nears.push(record[..at].to_vec());
            for other in OTHERS {
                let mut changed = record.clone();
                changed[at] = *other;
                nears.push(changed.clone());
                changed[at] = record[at];
                changed.insert(at, *other);
                nears.push(changed);
            }
        }
        for near in nears {
            let (parts, bytes) = amid(template, &near);
            let expected = reference::read(&bytes, &plain(), 16 << 20);
            assert_eq!(said(&parts), expected, "{}", String::from_utf8_lossy(&near));
        }
    }
}

#[test]
fn a_record_that_breaks_off_at_any_byte_is_read_when_the_rest_comes() {
    for template in TEMPLATES {
        let (whole, bytes) = amid(template, fill(template, &mut SplitMix64::new(3)).as_bytes());
        let schema = schema(&plain());
        for cut in 1..bytes.len() {
            let options = options(1, cut);
            assert_eq!(parts(&bytes, cut, &schema, options), whole, "cut at {cut}");
        }
    }
}
