//! What the line editor asks while somebody types: whether a statement is complete, and which names a word may become.
//!
//! In come the line and the names of a lake; out come candidates as they have to be written, which is in double quotes
//! where a name has a dot. What must stay true: a word within quotes stays within them.

use iotlake::query::Session;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::input;

/// Names of tables and columns.
#[derive(Default)]
pub struct Names {
    tables: Vec<String>,
    /// Those of tables too.
    all: Vec<String>,
}

impl Names {
    /// Those that the lake has.
    pub fn of(session: &Session) -> Names {
        let tables: Vec<_> = session.tables().iter().map(|table| table.name.clone()).collect();
        let columns = session.tables().iter().flat_map(|table| &table.columns);
        let mut all: Vec<_> = columns.map(|column| column.name.clone()).chain(tables.clone()).collect();
        all.sort();
        all.dedup();
        Names { tables, all }
    }

    /// Where the last word of `line` begins, and the names that it may become, as they are shown and as they are written.
    fn candidates(&self, line: &str) -> (usize, Vec<(&str, String)>) {
        let quoted = line.rfind('"').filter(|_| line.matches('"').count() % 2 == 1);
        let is_part = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
        let begin = quoted.unwrap_or_else(|| line.trim_end_matches(is_part).len());
        let word = line[begin..].trim_start_matches('"').to_lowercase();
        let is_command = line.trim_start().starts_with('.');
        let names = if is_command { &self.tables } else { &self.all };
        if word.is_empty() && quoted.is_none() && !is_command {
            return (begin, Vec::new());
        }
        let written = |name: &String| match quoted.is_none() && (is_command || is_plain(name)) {
            true => name.clone(),
            false => format!("\"{name}\""),
        };
        let names = names.iter().filter(|name| name.starts_with(&word));
        (begin, names.map(|name| (name.as_str(), written(name))).collect())
    }
}

/// Whether SQL takes a name without quotes.
fn is_plain(name: &str) -> bool {
    let mut letters = name.bytes();
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    letters.next().is_some_and(is_first) && letters.all(|byte| is_first(byte) || byte.is_ascii_digit())
}

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (begin, candidates) = self.candidates(&line[..at]);
        let pair =
            |(shown, written): (&str, String)| Pair { display: shown.to_owned(), replacement: written };
        Ok((begin, candidates.into_iter().map(pair).collect()))
    }
}

impl Validator for Names {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        match input::is_complete(typed.input()) {
            true => Ok(ValidationResult::Valid(None)),
            false => Ok(ValidationResult::Incomplete),
        }
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_becomes_a_name_as_it_has_to_be_written() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tables = names(&["events", "iot-data"]);
        let names = Names { all: names(&["device.id", "device.type", "events", "iot-data", "ts"]), tables };
        let candidates = |line: &str| {
            let (begin, found) = names.candidates(line);
            (line[..begin].to_owned(), found.into_iter().map(|(_, written)| written).collect::<Vec<_>>())
        };
        let found = |before: &str, written: &[&str]| {
            (before.to_owned(), written.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(candidates("SELECT t"), found("SELECT ", &["ts"]));
        assert_eq!(candidates("SELECT max(TS"), found("SELECT max(", &["ts"]));
        assert_eq!(candidates("SELECT device.d"), found("SELECT ", &[]),);
        assert_eq!(candidates("SELECT device.i"), found("SELECT ", &["\"device.id\""]));
        assert_eq!(
            candidates("SELECT \"ts\", \"dev"),
            found("SELECT \"ts\", ", &["\"device.id\"", "\"device.type\""])
        );
        assert_eq!(candidates("FROM iot-"), found("FROM ", &["\"iot-data\""]));
        assert_eq!(candidates(".schema iot"), found(".schema ", &["iot-data"]));
        assert_eq!(candidates(".schema "), found(".schema ", &["events", "iot-data"]));
        assert_eq!(candidates("SELECT "), found("SELECT ", &[]));
    }
}
