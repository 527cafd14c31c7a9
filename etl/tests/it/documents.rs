//! Every command and every statement in every document does what the document says.
//!
//! Each page gets a folder of its own with the committed sample and, unless it makes one itself, a lake of it; its
//! commands run there through a shell as they stand, its SQL through `iotlake query`, its Python in Python. What a
//! transcript shows is compared with what is printed. What a page marks with `aws` needs an account: commands are run
//! without credentials, and have to get as far as to miss them. What it marks with `mosquitto` needs a broker: [`edge`] has
//! one. Words of usage and code within sentences have placeholders:
//! of those the command and its options have to exist.

mod edge;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use page::{Block, Command, blocks, commands, spans};

const IOTLAKE: &str = env!("CARGO_BIN_EXE_iotlake");

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn python() -> PathBuf {
    let python = workspace().join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make venv`", python.display());
    python
}

/// Name and text of all documents for users of the command line.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> =
        ["README.md", "TROUBLESHOOTING.md", "CONTRIBUTING.md", "etl/release/README.md"]
            .map(str::to_owned)
            .to_vec();
    for entry in fs::read_dir(workspace().join("docs")).unwrap() {
        names.push(format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(workspace().join(&name)).unwrap();
        (name, text)
    };
    names.into_iter().filter(|name| name.ends_with(".md")).map(read).collect()
}

/// Where the commands of a page run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("bin")).unwrap();
        symlink(IOTLAKE, root.join("bin/iotlake")).unwrap();
        // What is built already. Either way, `cargo run … --` and the alias, which ends with its first argument.
        let cargo = root.join("bin/cargo");
        fs::write(&cargo, "#!/bin/sh\n[ \"$1\" = lake ] || while [ \"$1\" != -- ]; do shift; done; shift; exec iotlake \"$@\"\n")
            .unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(workspace().join("fixtures"), root.join("fixtures")).unwrap();
        symlink(workspace().join("fixtures/sample"), root.join("raw")).unwrap();
        Place { folder }
    }

    fn with_lake() -> Place {
        let place = Place::new();
        let made = place.run("iotlake backfill fixtures/sample --lake lake --contract rigado --quiet");
        assert_eq!(made.0, Some(3), "{}", made.1);
        place
    }

    /// With what the page itself makes, else with a lake of the sample.
    fn of_page(blocks: &[Block]) -> Place {
        let made: Vec<_> =
            runnable("", blocks).filter(|command| command.text.contains(" backfill ")).collect();
        if made.is_empty() {
            return Place::with_lake();
        }
        let place = Place::new();
        for command in made {
            assert!(matches!(place.run(&command.text).0, Some(0 | 3)), "{}", command.text);
        }
        place
    }

    fn shell(&self, text: &str) -> process::Command {
        let mut shell = process::Command::new("sh");
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        shell.arg("-c").arg(format!("{{ {text}\n}} 2>&1")).current_dir(self.folder.path());
        shell.env_clear().env("PATH", path).env("HOME", self.folder.path()).stdin(Stdio::null());
        // Nobody's credentials, not even a machine's.
        shell.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "eu-central-1");
        for name in names_of_variables(text) {
            shell.env(name, name.to_ascii_lowercase());
        }
        shell
    }

    /// Exit code and output of a command.
    fn run(&self, text: &str) -> (Option<i32>, String) {
        let output = self.shell(text).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

/// `LAKE` of `s3://$LAKE`: what the reader of a page has set.
fn names_of_variables(text: &str) -> Vec<&str> {
    let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let names = text.split('$').skip(1).map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]);
    names.filter(|name| !name.is_empty()).collect()
}

fn is_ours(command: &str) -> bool {
    ["iotlake ", "cargo run ", "cargo lake "].iter().any(|ours| command.starts_with(ours))
}

/// Commands of ours in a block, which are not hidden in those of others.
fn ours(name: &str, block: &Block) -> Vec<Command> {
    let mut commands = commands(block);
    commands.retain(|command| {
        let mut parts = command.text.split([';', '|', '&', '(']).map(str::trim_start);
        let is_hidden = !is_ours(&command.text) && parts.any(is_ours);
        assert!(!is_hidden, "{name}:{}: begin the line with iotlake: {}", block.line, command.text);
        is_ours(&command.text)
    });
    commands
}

/// Commands of ours that need nothing but this machine.
fn runnable(name: &str, blocks: &[Block]) -> impl Iterator<Item = Command> {
    let is_meant = |block: &&Block| {
        matches!(&*block.language, "console" | "sh") && !block.is("aws") && !block.is("mosquitto")
    };
    let commands: Vec<_> = blocks.iter().filter(is_meant).flat_map(|block| ours(name, block)).collect();
    commands.into_iter()
}

/// A line of output without what differs from run to run and from place to place.
fn stable(line: &str) -> String {
    if line.contains(" rows/s") {
        return "TIME".to_owned();
    }
    // Files name their source, and so depend on the path of this folder.
    line.split_once(" decoded, ").map_or(line.trim_end(), |(before, _)| before).to_owned()
}

#[track_caller]
fn assert_prints(place: &str, command: &Command, printed: &str) {
    let lines = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines.filter(|line| !line.trim().is_empty()).map(stable).collect()
    };
    let expected = lines(&mut command.prints.iter().map(String::as_str));
    if !expected.is_empty() {
        assert_eq!(lines(&mut printed.lines()), expected, "{place}: {}", command.text);
    }
}

#[test]
fn commands_do_what_documents_say() {
    let mut ran = 0;
    for (name, text) in pages() {
        let blocks = blocks(&text);
        let is_shell = |block: &&Block| matches!(&*block.language, "console" | "sh");
        let shells = blocks.iter().filter(is_shell).filter(|block| !block.is("mosquitto"));
        let commands: Vec<_> =
            shells.flat_map(|block| ours(&name, block).into_iter().map(move |c| (block, c))).collect();
        let makes_lake = runnable(&name, &blocks).any(|command| command.text.contains(" backfill "));
        let place = if makes_lake { Place::new() } else { Place::with_lake() };
        for (block, command) in &commands {
            let at = format!("{name}:{}", block.line);
            let (code, printed) = place.run(&command.text);
            if block.is("aws") {
                let is_stopped = code == Some(1) && printed.contains("credentials");
                assert!(is_stopped, "{at}: {}: {code:?} {printed}", command.text);
                continue;
            }
            assert!(matches!(code, Some(0 | 3)), "{at}: {}: {code:?} {printed}", command.text);
            assert_prints(&at, command, &printed);
            ran += 1;
        }
    }
    assert!(ran >= 6, "only {ran} commands were found");
}

#[test]
fn statements_of_documents_are_answered() {
    let mut ran = 0;
    for (name, text) in pages() {
        let blocks = blocks(&text);
        let place = Place::of_page(&blocks);
        for block in blocks.iter().filter(|block| block.language == "sql" && block.marks.is_empty()) {
            for statement in
                block.text.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty())
            {
                let output = process::Command::new(IOTLAKE)
                    .args(["query", "--lake", "lake", statement])
                    .current_dir(place.folder.path())
                    .output()
                    .unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{name}:{}: {statement}\n{error}", block.line);
                ran += 1;
            }
        }
    }
    assert!(ran >= 3, "only {ran} statements were found");
}

/// What the snippets of a page do in `place`, by the line they begin on.
fn read_with(place: &Path, snippets: &[&Block]) -> BTreeMap<u64, Value> {
    let input: Vec<_> = snippets
        .iter()
        .map(|b| json!({ "line": b.line, "language": b.language, "marks": b.marks, "text": b.text }))
        .collect();
    let mut child = process::Command::new(python())
        .arg(workspace().join("etl/tests/readers/read_page.py"))
        .current_dir(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!(input).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers.map(|answer| (answer["line"].as_u64().unwrap(), answer)).collect()
}

/// Number and digest of the rows of `lake/events`, as `read_lake.py` has them of three readers that agree.
fn rows_of_lake(place: &Path) -> (u64, String) {
    let script = workspace().join("etl/tests/readers/read_lake.py");
    let output = process::Command::new(python())
        .arg(script)
        .args(["lake", "events"])
        .current_dir(place)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<_> = text.lines().last().unwrap().split(' ').collect();
    (words[1].parse().unwrap(), words[2].to_owned())
}

#[test]
fn snippets_for_other_readers_read_all_rows_and_columns() {
    let mut read = 0;
    for (name, text) in pages() {
        let blocks = blocks(&text);
        let is_snippet = |block: &&Block| {
            block.language == "python" || (block.language == "sql" && !block.marks.is_empty())
        };
        let snippets: Vec<_> = blocks.iter().filter(is_snippet).collect();
        if snippets.is_empty() {
            continue;
        }
        let place = Place::of_page(&blocks);
        let root = place.folder.path();
        place.run("iotlake files events --lake lake > files.txt");
        let answers = read_with(root, &snippets);
        for snippet in snippets {
            let answer = &answers[&(snippet.line as u64)];
            let at = format!("{name}:{}", snippet.line);
            match answer["did"].as_str().unwrap() {
                "read" => {
                    let seen =
                        (answer["rows"].as_u64().unwrap(), answer["sha256"].as_str().unwrap().to_owned());
                    assert_eq!(seen, rows_of_lake(root), "{at}");
                    read += 1;
                }
                "failed" => panic!("{at}: {}", answer["error"].as_str().unwrap()),
                _ => {}
            }
        }
    }
    assert!(read >= 5, "only {read} snippets read the lake");
}

#[test]
fn arrays_are_taken_apart_alike_by_every_reader() {
    let (_, text) = pages().into_iter().find(|(name, _)| name == "docs/arrays.md").unwrap();
    let blocks = blocks(&text);
    let place = Place::of_page(&blocks);
    let numbers = |row: &[Value]| -> Vec<String> {
        row.iter()
            .map(|value| value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string()))
            .collect()
    };
    let ask = |sql: &str| -> Vec<Vec<String>> {
        let output = process::Command::new(IOTLAKE)
            .args(["query", "--lake", "lake", "--json", sql])
            .current_dir(place.folder.path())
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| numbers(&["device", "uplink", "gateway", "rssi"].map(|key| row[key].clone())))
            .collect()
    };
    let ours = blocks.iter().find(|block| block.language == "sql" && block.marks.is_empty()).unwrap();
    let expected = ask(&ours.text);
    let best = [["\"roof\"", "-63"], ["\"mast\"", "-70"], ["\"mast\"", "-112"]];
    assert_eq!(expected.iter().map(|row| &row[2..]).collect::<Vec<_>>(), best);
    let others: Vec<_> = blocks.iter().filter(|block| block.is("athena") || block.is("duckdb")).collect();
    let answers = read_with(place.folder.path(), &others);
    assert_eq!(answers.len(), 2);
    for answer in answers.values() {
        let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let rows: Vec<_> = rows.iter().map(|row| numbers(row.as_array().unwrap())).collect();
        assert_eq!(rows, expected, "{answer}");
    }
    // Where there is a jq.
    let jq = blocks.iter().find(|block| block.is("jq")).unwrap();
    if process::Command::new("jq").arg("--version").output().is_ok() {
        let (_, printed) = place.run(&jq.text);
        let rows =
            printed.lines().map(|line| serde_json::from_str::<Vec<Value>>(line).expect("jq prints JSON"));
        assert_eq!(rows.map(|row| numbers(&row)).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn commands_and_options_in_documents_exist() {
    let mut help: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut checked = 0;
    for (name, text) in pages() {
        let usages = blocks(&text).into_iter().filter(|block| block.language == "text");
        let usages = usages.map(|block| (block.line, block.text));
        for (line, text) in spans(&text).into_iter().chain(usages) {
            for usage in text.split("iotlake ").skip(1) {
                let words = usage.split(|c: char| c.is_whitespace() || "[]|'\"".contains(c));
                let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
                let command: Vec<String> =
                    words.clone().map_while(|w| Some(w).filter(is_word)).map(str::to_owned).collect();
                let depth = if command.first().is_some_and(|word| word == "catalog") { 2 } else { 1 };
                let command: Vec<String> = command.into_iter().take(depth).collect();
                let at = format!("{name}:{line}: iotlake {usage}");
                if text.starts_with("iotlake ") && !command.is_empty() {
                    let help = help.entry(command.clone()).or_insert_with(|| help_of(&command, &at));
                    for option in words.filter(|word| word.starts_with("--") && word.len() > 2) {
                        assert!(help.contains(option), "{at}: there is no {option}");
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 30, "only {checked} options were found");
}

fn help_of(command: &[String], at: &str) -> String {
    let output = process::Command::new(IOTLAKE).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{at}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
