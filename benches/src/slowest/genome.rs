//! What a source looks like, as a short text that can be changed a little.
//!
//! In comes a text such as `codec=gzip | fields=300 name=1000 | value=nested`: how the source is stored and read, then the
//! shape of its records, then that of others among them. What is not named is as it is first in the list of its gene. Out
//! comes a value for every gene; [`Genome::mutate`] makes another genome of it. What must stay true: a genome written and
//! read again is the same, and its source the same bytes on every machine.

use std::fmt;
use std::str::FromStr;

use iotlake_fixtures::SplitMix64;

/// One property of a source and the values it may have; the first is what an ordinary source has.
#[derive(Debug, Clone, Copy)]
pub struct Gene {
    /// Its name in a text.
    pub name: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
}

const fn gene(name: &'static str, values: &'static [&'static str]) -> Gene {
    Gene { name, values }
}

/// How the source is stored, framed and read.
pub const SETTING: [Gene; 12] = [
    gene("seed", &["1", "2", "3"]),
    // Bytes of the source, decoded.
    gene("bytes", &["1000000", "300000", "3000000"]),
    // What stands between records.
    gene("between", &["line", "nothing", "comma", "crlf", "blanks", "array", "arrays"]),
    // White space inside of records.
    gene("space", &["none", "blank", "lines", "column0"]),
    gene("codec", &["plain", "gzip", "zstd"]),
    // Decoded bytes of a member of gzip, or a frame of zstd; 0 for one with all of them.
    gene("member", &["0", "1", "3", "20", "300", "10000"]),
    // Bytes of a part; the default of a contract first.
    gene("part", &["67108864", "1048576", "100000"]),
    gene("threads", &["1", "2", "8"]),
    // Columns that the contract declares, as keys of records are named, and their type.
    gene("declared", &["0", "30", "300", "1500"]),
    gene("type", &["double", "string", "json", "timestamp", "boolean", "bigint", "ignore"]),
    // Hours of the event time `t`, none if by arrival.
    gene("hours", &["0", "1", "10", "255", "300", "3000"]),
    // Whether the two shapes come one after the other, or how many of the first come for each of the second.
    gene("mix", &["after", "1", "4", "20", "300"]),
];

/// What a record looks like.
pub const SHAPE: [Gene; 15] = [
    // Fields of the innermost object.
    gene("fields", &["3", "0", "1", "2", "8", "31", "33", "100", "256", "300", "1500", "11000"]),
    // Bytes of a key, at least.
    gene("name", &["1", "8", "30", "34", "128", "1000", "1030", "20000"]),
    // Where the number of a key stands in it.
    gene("number", &["behind", "front"]),
    // Keys there are for fields; `all` if none comes again.
    gene("keys", &["8", "1", "5", "9", "33", "200", "256", "257", "1500", "9000", "40000", "all"]),
    // Which of them come next.
    gene("order", &["turn", "same", "random", "falling"]),
    // Objects around the innermost one.
    gene("levels", &["0", "1", "2", "5", "20", "60", "61", "62", "63"]),
    // Keys there are for each of these objects.
    gene("ways", &["1", "2", "6", "150", "300", "5000", "all"]),
    // Only so many of them, from the outermost, have more than one key.
    gene("branches", &["64", "1", "2"]),
    // Fields beside each of these objects, in front of it.
    gene("beside", &["0", "1", "5"]),
    gene(
        "value",
        &[
            "integer", "zero", "fraction", "exponent", "long", "digits", "text", "escapes", "unicode",
            "wide", "true", "null", "empty", "object", "array", "nested", "objects", "time", "huge", "inner",
            "new",
        ],
    ),
    // How many of these kinds, from that one on, take turns.
    gene("kinds", &["1", "2", "5", "21"]),
    // Bytes of texts, of digits and of arrays.
    gene("length", &["8", "1", "30", "300", "10000", "1000000"]),
    // What is wrong with the record, and in which of them.
    gene(
        "fault",
        &[
            "none",
            "escape",
            "twice",
            "surrogate",
            "utf8",
            "late",
            "quote",
            "open",
            "opens",
            "deep",
            "garbage",
            "word",
            "scalar",
            "lines",
        ],
    ),
    gene("every", &["1", "2", "10", "100"]),
    // Where a key with an escape, or the second of two, stands.
    gene("place", &["last", "first"]),
];

const GENES: usize = SETTING.len() + 2 * SHAPE.len();

/// A value for every gene: of the setting, of the first shape, of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Genome([u8; GENES]);

/// One section of a genome.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    genes: &'static [Gene],
    values: &'a [u8],
}

impl Section<'_> {
    /// The value of the gene `name`, which has to be one of the section.
    pub fn word(&self, name: &str) -> &'static str {
        let at = self.genes.iter().position(|gene| gene.name == name).expect("a gene of this section");
        self.genes[at].values[self.values[at] as usize]
    }

    /// The same as a number; `usize::MAX` for a word.
    pub fn number(&self, name: &str) -> usize {
        self.word(name).parse().unwrap_or(usize::MAX)
    }
}

impl Genome {
    /// Where each section begins.
    const BEGINS: [usize; 3] = [0, SETTING.len(), SETTING.len() + SHAPE.len()];

    /// An ordinary source.
    pub const PLAIN: Genome = Genome([0; GENES]);

    /// How the source is stored and read.
    pub fn setting(&self) -> Section<'_> {
        Section { genes: &SETTING, values: &self.0[..Genome::BEGINS[1]] }
    }

    /// The two shapes of its records.
    pub fn shapes(&self) -> [Section<'_>; 2] {
        let of = |begin: usize| Section { genes: &SHAPE, values: &self.0[begin..begin + SHAPE.len()] };
        [of(Genome::BEGINS[1]), of(Genome::BEGINS[2])]
    }

    fn gene(at: usize) -> Gene {
        match at.checked_sub(SETTING.len()) {
            None => SETTING[at],
            Some(at) => SHAPE[at % SHAPE.len()],
        }
    }

    /// Another one: a few genes have other values, or those of `other`, or one shape is also the second.
    #[must_use]
    pub fn mutate(&self, other: &Genome, random: &mut SplitMix64) -> Genome {
        let mut made = *self;
        match random.below(8) {
            0 => {
                // A section of the other.
                let section = random.below(3) as usize;
                let begin = Genome::BEGINS[section];
                let end = Genome::BEGINS.get(section + 1).copied().unwrap_or(GENES);
                made.0[begin..end].copy_from_slice(&other.0[begin..end]);
            }
            1 => {
                let [_, first, second] = Genome::BEGINS;
                made.0.copy_within(first..second, second);
            }
            _ => {}
        }
        for _ in 0..1 + random.below(4) {
            let at = random.below(GENES as u32) as usize;
            made.0[at] = random.below(Genome::gene(at).values.len() as u32) as u8;
        }
        made
    }

    /// The same with one gene as in an ordinary source, for each that is not.
    pub fn simpler(&self) -> impl Iterator<Item = Genome> + use<> {
        let genome = *self;
        (0..GENES).filter(move |at| genome.0[*at] != 0).map(move |at| {
            let mut simpler = genome;
            simpler.0[at] = 0;
            simpler
        })
    }

    /// The same with sources of so many bytes, one of the values of its gene.
    #[must_use]
    pub fn with_bytes(mut self, bytes: usize) -> Genome {
        let at = SETTING.iter().position(|gene| gene.name == "bytes").expect("there is one");
        let found = SETTING[at].values.iter().position(|value| value.parse() == Ok(bytes));
        self.0[at] = found.expect("a number of bytes that the gene has") as u8;
        self
    }
}

impl fmt::Display for Genome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (at, value) in self.0.iter().enumerate() {
            if Genome::BEGINS[1..].contains(&at) {
                text.push_str(" |");
            }
            if *value != 0 {
                let gene = Genome::gene(at);
                text.push_str(&format!(" {}={}", gene.name, gene.values[*value as usize]));
            }
        }
        f.write_str(text.trim_start())
    }
}

impl FromStr for Genome {
    type Err = String;

    fn from_str(text: &str) -> Result<Genome, String> {
        let mut genome = Genome::PLAIN;
        let sections: Vec<&str> = text.split('|').collect();
        if sections.len() != Genome::BEGINS.len() {
            return Err(format!(
                "`{text}` has {} sections: expected `setting | shape | shape`",
                sections.len()
            ));
        }
        for (begin, words) in Genome::BEGINS.into_iter().zip(sections) {
            let genes: &[Gene] = if begin == 0 { &SETTING } else { &SHAPE };
            for word in words.split_whitespace() {
                let unknown = || {
                    format!(
                        "`{word}` is no gene and value of {}",
                        if begin == 0 { "a setting" } else { "a shape" }
                    )
                };
                let (name, value) = word.split_once('=').ok_or_else(unknown)?;
                let at = genes.iter().position(|gene| gene.name == name).ok_or_else(unknown)?;
                let value = genes[at].values.iter().position(|known| *known == value).ok_or_else(unknown)?;
                genome.0[begin + at] = value as u8;
            }
        }
        Ok(genome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genome_written_and_read_is_the_same() {
        let mut random = SplitMix64::new(7);
        let mut genome = Genome::PLAIN;
        assert_eq!(genome.to_string(), "| |");
        for _ in 0..200 {
            let next = genome.mutate(&Genome::PLAIN, &mut random);
            assert_eq!(next.to_string().parse(), Ok(next));
            genome = next;
        }
        assert!(genome.simpler().count() > 10);
        for text in ["", "bytes=7 | |", "| fields |", "| | bytes=1000000"] {
            assert!(text.parse::<Genome>().is_err(), "{text}");
        }
    }
}
