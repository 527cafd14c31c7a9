//! What was typed: statements, each up to its `;`, or a command that begins with a dot.
//!
//! In comes the text of the line editor; out come its statements without the `;`. What must stay true: a `;` within
//! quotes or a comment ends nothing, and a line is given to nobody before it is complete.

/// What a line, or several, ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed<'a> {
    /// A command with its argument, which may be empty.
    Command(&'a str, &'a str),
    /// SQL; none where nothing but white space and comments was typed.
    Statements(Vec<&'a str>),
}

/// What `text` asks for.
pub fn read(text: &str) -> Typed<'_> {
    let line = text.trim().trim_end_matches(';').trim_end();
    match line.split_once(char::is_whitespace) {
        Some((command, argument)) if command.starts_with('.') => Typed::Command(command, argument.trim()),
        None if is_command(line) => Typed::Command(line, ""),
        _ => Typed::Statements(split(text).0),
    }
}

/// Whether nothing of `text` waits for its `;`.
pub fn is_complete(text: &str) -> bool {
    matches!(read(text), Typed::Command(..)) || split(text).1
}

/// A dot and a name, or what most shells end with.
fn is_command(word: &str) -> bool {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'?');
    word.strip_prefix('.').is_some_and(is_name) || matches!(word, "quit" | "exit")
}

enum Within {
    Code,
    Quotes(u8),
    Line,
    /// From this byte.
    Comment(usize),
}

/// The statements that end with `;`, and whether that is all.
fn split(text: &str) -> (Vec<&str>, bool) {
    let bytes = text.as_bytes();
    let mut statements = Vec::new();
    let (mut within, mut begin, mut is_begun) = (Within::Code, 0, false);
    for (at, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        within = match (within, byte) {
            (Within::Quotes(quote), _) if byte == quote => Within::Code,
            (Within::Line, b'\n') => Within::Code,
            (Within::Comment(from), b'/') if at > from + 2 && bytes[at - 1] == b'*' => Within::Code,
            (Within::Code, b'-') if next == Some(&b'-') => Within::Line,
            (Within::Code, b'/') if next == Some(&b'*') => Within::Comment(at),
            (Within::Code, b';') => {
                if is_begun {
                    statements.push(text[begin..at].trim());
                }
                (begin, is_begun) = (at + 1, false);
                Within::Code
            }
            (Within::Code, quote @ (b'\'' | b'"')) => {
                is_begun = true;
                Within::Quotes(quote)
            }
            (Within::Code, _) => {
                is_begun |= !byte.is_ascii_whitespace();
                Within::Code
            }
            (other, _) => other,
        };
    }
    let is_all = !is_begun && matches!(within, Within::Code | Within::Line);
    (statements, is_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        let statements = |text: &'static str| match read(text) {
            Typed::Statements(statements) => (statements, is_complete(text)),
            Typed::Command(..) => panic!("{text}"),
        };
        assert_eq!(statements("SELECT 1"), (vec![], false));
        assert_eq!(statements("SELECT\n1;"), (vec!["SELECT\n1"], true));
        assert_eq!(statements(" ; SELECT 1; SELECT ';';"), (vec!["SELECT 1", "SELECT ';'"], true));
        assert_eq!(statements("SELECT 1; SELECT 2"), (vec!["SELECT 1"], false));
        assert_eq!(statements("SELECT 'it''s;"), (vec![], false));
        assert_eq!(statements("SELECT \"a;b\" -- why; how\n, 2 /* no;"), (vec![], false));
        assert_eq!(
            statements("SELECT \"a;b\" -- why; how\n, 2 /* no; */;"),
            (vec!["SELECT \"a;b\" -- why; how\n, 2 /* no; */"], true)
        );
        assert_eq!(statements("SELECT 1; -- done"), (vec!["SELECT 1"], true));
        assert_eq!(statements("/*/ open"), (vec![], false));
        assert_eq!(statements("  \n"), (vec![], true));
        assert_eq!(statements("SELECT 4 / 2 - -1;"), (vec!["SELECT 4 / 2 - -1"], true));
    }

    #[test]
    fn a_command_needs_no_semicolon() {
        assert_eq!(read(".tables\n"), Typed::Command(".tables", ""));
        assert_eq!(read(" .schema  events ; "), Typed::Command(".schema", "events"));
        assert_eq!(read("exit;"), Typed::Command("exit", ""));
        assert!(is_complete(".nonsense") && is_complete("quit") && !is_complete("exit from"));
        // A number is none.
        assert_eq!(read(".5;"), Typed::Statements(vec![".5"]));
    }
}
