//! What of a page can be run: its code blocks, the commands in them, and code within sentences.
//!
//! In comes Markdown; out come blocks with their language, their marks (further words behind the language, which a reader
//! does not see: `aws`, `athena`, `duckdb`) and their lines. What must stay true: nothing between two fences is left out.

/// A code block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    pub language: String,
    pub marks: Vec<String>,
    pub text: String,
}

impl Block {
    pub fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|word| word == mark)
    }
}

/// A command, and what the page says that it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub text: String,
    pub prints: Vec<String>,
}

/// All code blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Block { line: at + 1, language, marks: words.collect(), text: String::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block is not closed");
    blocks
}

/// Code within sentences and tables, on one line each, with the line it begins on.
pub fn spans(page: &str) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    let mut is_block = false;
    let mut open: Option<(usize, String)> = None;
    for (at, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
            continue;
        }
        if is_block {
            continue;
        }
        // A backtick without its other one ends with its paragraph.
        if line.trim().is_empty() {
            open = None;
        }
        for (number, text) in line.split('`').enumerate() {
            if number > 0 {
                open = match open.take() {
                    Some(span) => {
                        spans.push(span);
                        None
                    }
                    None => Some((at + 1, String::new())),
                };
            }
            if let Some((_, span)) = &mut open {
                if !span.is_empty() {
                    span.push(' ');
                }
                span.push_str(text.trim());
            }
        }
    }
    spans
}

/// The commands of a block: behind `$ ` in a transcript, line by line in a script.
pub fn commands(block: &Block) -> Vec<Command> {
    let is_transcript = block.language == "console";
    let mut commands: Vec<Command> = Vec::new();
    let mut is_open = false;
    for line in block.text.lines() {
        let begun = if is_transcript { line.strip_prefix("$ ") } else { Some(line) };
        match (is_open, begun, commands.last_mut()) {
            (true, _, Some(command)) => {
                command.text.push('\n');
                command.text.push_str(line);
            }
            (_, Some(text), _) => commands.push(Command { text: text.to_owned(), prints: Vec::new() }),
            (_, None, Some(command)) => command.prints.push(line.to_owned()),
            (_, None, None) => panic!("line {}: a transcript begins with `$ `", block.line),
        }
        is_open = commands.last().is_some_and(|command| command.prints.is_empty() && goes_on(&command.text));
    }
    commands
}

/// Whether a shell would wait for more.
fn goes_on(text: &str) -> bool {
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None | Some('"'), '\\') if letters.next().is_none() => return true,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '#') => return false,
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    quote.is_some()
}

#[test]
fn a_page_falls_into_blocks_commands_and_spans() {
    let page = "Say `iotlake\n  audit` or ``.\n\n```console aws\n$ iotlake query \"\n  SELECT 1\"\none\n$ ls \\\n  -l\n```\n\
                and `--json`\n";
    let blocks = blocks(page);
    assert_eq!((blocks.len(), blocks[0].line, blocks[0].is("aws")), (1, 4, true));
    let found = commands(&blocks[0]);
    assert_eq!(
        found[0],
        Command { text: "iotlake query \"\n  SELECT 1\"".into(), prints: vec!["one".into()] }
    );
    assert_eq!(found[1], Command { text: "ls \\\n  -l".into(), prints: vec![] });
    let spans = spans(page);
    assert_eq!(spans[0], (1, "iotlake audit".to_owned()));
    assert_eq!(spans.last(), Some(&(11, "--json".to_owned())));
}
