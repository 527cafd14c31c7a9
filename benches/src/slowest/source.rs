//! The bytes of the source that a genome describes.
//!
//! In comes a genome; out come the bytes as they are stored, and how many they decode to. Records are written one by one
//! until there are enough: those of the first shape, then of the second, or both in turns.

use iotlake_fixtures::SplitMix64;
use iotlake_fixtures::gzip::{self, Coding};

use super::genome::{Genome, Section};

/// Level of zstd's frames: what is tried is reading them.
const ZSTD_LEVEL: i32 = 1;
/// Members or frames of a source: making them takes longer than reading them.
const MOST_MEMBERS: usize = 20_000;
/// Of the first event, in seconds since 1970.
const BEGIN: u64 = 1_772_355_600;

/// A source as it is stored.
#[derive(Debug)]
pub struct Source {
    /// Its bytes.
    pub stored: Vec<u8>,
    /// Bytes that they decode to.
    pub decoded: usize,
}

impl Source {
    /// The source of a genome.
    pub fn new(genome: &Genome) -> Source {
        let setting = genome.setting();
        let mut text = text(genome);
        if setting.word("codec") != "plain" && setting.number("member") > 0 {
            text.truncate(MOST_MEMBERS * setting.number("member"));
        }
        let decoded = text.len();
        let size = match setting.number("member") {
            0 => text.len(),
            size => size,
        };
        let stored = match setting.word("codec") {
            // The smallest members, so that a member costs the least bytes.
            "gzip" => text.chunks(size).flat_map(|chunk| gzip::member(chunk, Coding::Deflate)).collect(),
            "zstd" => {
                let frame = |chunk| zstd::bulk::compress(chunk, ZSTD_LEVEL).expect("memory takes it");
                text.chunks(size).flat_map(frame).collect()
            }
            _ => text,
        };
        Source { stored, decoded }
    }
}

/// The decoded bytes.
fn text(genome: &Genome) -> Vec<u8> {
    let setting = genome.setting();
    let bytes = setting.number("bytes");
    let mut writer = Writer {
        out: Vec::with_capacity(bytes + (1 << 20)),
        random: SplitMix64::new(setting.number("seed") as u64),
        space: match setting.word("space") {
            "blank" => " ",
            "lines" => "\n  ",
            "column0" => "\n",
            _ => "",
        },
        hours: setting.number("hours"),
        count: 0,
        keys: 0,
        ways: 0,
    };
    let between = setting.word("between");
    let mix = setting.number("mix");
    let shapes = genome.shapes().map(|section| Shape::of(&section));
    if between == "array" {
        writer.out.push(b'[');
    }
    while writer.out.len() < bytes {
        let is_second = match mix {
            usize::MAX => 2 * writer.out.len() > bytes,
            mix => writer.count % (mix + 1) == mix,
        };
        if writer.count > 0 || between == "arrays" {
            writer.out.extend_from_slice(match between {
                "nothing" => b"",
                "comma" | "array" => b",",
                "crlf" => b"\r\n",
                "blanks" => b"\n   \n\n",
                "arrays" => b"[",
                _ => b"\n",
            });
        }
        writer.record(&shapes[usize::from(is_second)]);
        if between == "arrays" {
            writer.out.push(b']');
        }
        writer.count += 1;
    }
    if between == "array" {
        writer.out.push(b']');
    }
    writer.out
}

/// A shape whose words are read.
struct Shape {
    fields: usize,
    name: usize,
    number_in_front: bool,
    keys: usize,
    order: &'static str,
    levels: usize,
    ways: usize,
    branches: usize,
    beside: usize,
    value: usize,
    kinds: usize,
    length: usize,
    fault: &'static str,
    every: usize,
    is_first: bool,
}

impl Shape {
    fn of(section: &Section<'_>) -> Shape {
        let kinds =
            super::genome::SHAPE.iter().find(|gene| gene.name == "value").expect("there is one").values;
        Shape {
            fields: section.number("fields"),
            name: section.number("name"),
            number_in_front: section.word("number") == "front",
            keys: section.number("keys"),
            order: section.word("order"),
            levels: section.number("levels"),
            ways: section.number("ways"),
            branches: section.number("branches"),
            beside: section.number("beside"),
            value: kinds.iter().position(|kind| *kind == section.word("value")).expect("one of them"),
            kinds: section.number("kinds"),
            length: section.number("length"),
            fault: section.word("fault"),
            every: section.number("every"),
            is_first: section.word("place") == "first",
        }
    }

    /// The key with this number.
    fn key(&self, number: usize) -> String {
        let digits = number.to_string();
        let rest = "k".repeat(self.name.saturating_sub(digits.len()).max(1));
        if self.number_in_front { digits + &rest } else { rest + &digits }
    }
}

struct Writer {
    out: Vec<u8>,
    random: SplitMix64,
    space: &'static str,
    hours: usize,
    /// Records so far.
    count: usize,
    /// Keys of fields so far, and of objects around them.
    keys: usize,
    ways: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn record(&mut self, shape: &Shape) {
        let has_fault = shape.fault != "none" && self.count.is_multiple_of(shape.every);
        let fault = if has_fault { shape.fault } else { "none" };
        match fault {
            "open" => return self.push("{\"a\":"),
            "opens" => return self.push(&"{\"a\":[".repeat(20)),
            "deep" => return self.push(&format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70))),
            "garbage" => return self.push("{x}"),
            "word" => return self.push("x{ "),
            "scalar" => return self.push("1"),
            // Each line begins a record inside of the one before.
            "lines" => {
                self.push("{\"a\":[");
                self.value(shape, 0, 4);
                return self.push(",\n");
            }
            "quote" => {
                self.object(shape, "none");
                self.out.pop();
                return self.push(",\"q\":\"x}");
            }
            "late" => {
                self.object(shape, "none");
                self.out.pop();
                return;
            }
            _ => {}
        }
        self.object(shape, fault);
    }

    /// The whole record: levels around the fields, and what is wrong with it.
    fn object(&mut self, shape: &Shape, fault: &str) {
        let fault = match fault {
            "escape" => "\"\\u007a\":1",
            "twice" => "\"z\":1,\"z\":1",
            "surrogate" => "\"z\":\"\\ud800\"",
            "utf8" => "\"z\":\"?\"",
            _ => "",
        };
        self.push("{");
        let mut is_empty = true;
        if self.hours > 0 {
            let hour = (self.count * 7919 % self.hours) as u64;
            self.push(&format!("\"t\":{}", BEGIN + 3600 * hour));
            is_empty = false;
        }
        if shape.is_first && !fault.is_empty() {
            self.fault(fault, &mut is_empty);
        }
        for level in 0..shape.levels {
            for field in 0..shape.beside {
                self.key(&format!("s{field}"), &mut is_empty);
                self.value(shape, field, level);
            }
            let way = match shape.ways {
                _ if level >= shape.branches => 0,
                usize::MAX => self.ways,
                ways => (self.count / if level == 0 { 1 } else { 7 }) % ways,
            };
            self.ways += usize::from(level < shape.branches);
            self.key(&format!("l{way}"), &mut is_empty);
            self.push("{");
            is_empty = true;
        }
        // No record is much larger than the source was to be.
        let most = self.out.capacity();
        let begin = match shape.order {
            "same" => 0,
            "random" => self.random.below(1 << 20) as usize,
            _ => self.keys,
        };
        for field in 0..shape.fields {
            if self.out.len() > most {
                break;
            }
            let number = match (shape.keys, shape.order) {
                (usize::MAX, "falling") => 1_000_000_000 - self.keys,
                (usize::MAX, _) => self.keys,
                (keys, "falling") => keys - 1 - (begin + field) % keys,
                (keys, _) => (begin + field) % keys,
            };
            self.keys += 1;
            let key = shape.key(number);
            self.key(&key, &mut is_empty);
            self.value(shape, field, shape.levels + 1);
        }
        if !shape.is_first && !fault.is_empty() {
            self.fault(fault, &mut is_empty);
        }
        self.push(&"}".repeat(shape.levels + 1));
    }

    fn fault(&mut self, fault: &str, is_empty: &mut bool) {
        if !std::mem::replace(is_empty, false) {
            self.push(",");
        }
        let begin = self.out.len();
        self.push(fault);
        if let Some(at) = self.out[begin..].iter().position(|byte| *byte == b'?') {
            self.out[begin + at] = 0xff;
        }
    }

    fn key(&mut self, key: &str, is_empty: &mut bool) {
        if !std::mem::replace(is_empty, false) {
            self.push(",");
        }
        self.push(self.space);
        self.push(&format!("\"{key}\":"));
        self.push(self.space);
    }

    /// A value of the kind whose turn it is; `depth` brackets are open.
    fn value(&mut self, shape: &Shape, field: usize, depth: usize) {
        let kind = (shape.value + (self.count + field) % shape.kinds) % 21;
        let length = shape.length;
        match kind {
            0 => self.push(&(self.count % 1000).to_string()),
            1 => self.push("0"),
            2 => self.push(&format!("{}.25", self.count % 100)),
            3 => self.push("1.5e-7"),
            4 => self.push(&(1_u64 << 60).to_string()),
            5 => self.push(&"7".repeat(length)),
            6 => self.push(&format!("\"{}{}\"", self.count % 1000, "x".repeat(length))),
            7 => self.push(&format!("\"{}\"", "\\n".repeat(length.div_ceil(2)))),
            8 => self.push(&format!("\"{}\"", "\\u00e9".repeat(length.div_ceil(6)))),
            9 => self.push(&format!("\"{}\"", "é".repeat(length.div_ceil(2)))),
            10 => self.push("true"),
            11 => self.push("null"),
            12 => self.push("[]"),
            13 => self.push("{}"),
            14 => self.push(&format!("[{}1]", "1,".repeat(length / 2))),
            15 => {
                let room = 63_usize.saturating_sub(depth).min(length.div_ceil(2));
                self.push(&format!("{}{}", "[".repeat(room.max(1)), "]".repeat(room.max(1))));
            }
            16 => self.push(&format!("[{}{{\"a\":1}}]", "{\"a\":1},".repeat(length / 8))),
            17 => self.push("\"2026-03-01T08:00:00.5Z\""),
            18 => self.push(&format!("1e{}", length.min(400))),
            // An object with a key of its own, which comes again or never.
            19 => self.push(&format!("{{\"i{}\":1}}", self.count % length)),
            _ => self.push(&format!("{{\"i{}\":1}}", self.keys)),
        }
    }
}

/// The keys of fields as a contract declares them: of the first shape, with the objects around them.
pub fn declared(genome: &Genome) -> impl Iterator<Item = Vec<String>> {
    let [shape, _] = genome.shapes().map(|section| Shape::of(&section));
    let count = genome.setting().number("declared");
    (0..count).map(move |number| {
        let mut keys = vec!["l0".to_owned(); shape.levels];
        keys.push(shape.key(number));
        keys
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_the_same_each_time_and_as_large_as_asked() {
        let mut random = SplitMix64::new(3);
        let mut genome = Genome::PLAIN;
        for _ in 0..20 {
            genome = genome.mutate(&Genome::PLAIN, &mut random).with_bytes(300_000);
            let source = Source::new(&genome);
            assert!(source.decoded >= 20_000, "{genome}: {}", source.decoded);
            assert_eq!(source.stored, Source::new(&genome).stored, "{genome}");
        }
        let plain = Source::new(&Genome::PLAIN).stored;
        assert!(
            plain.starts_with(b"{\"k0\":0,\"k1\":0,\"k2\":0}\n{\"k3\":1,"),
            "{}",
            plain[..40].escape_ascii()
        );
    }
}
