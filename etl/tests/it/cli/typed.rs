//! The shell of `iotlake query`, on a terminal that a script types to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::shell::Shell;

/// What a person does.
enum Step<'a> {
    /// Types a line, and Enter, once there is a prompt.
    Line(&'a str),
    /// Presses keys at a prompt.
    Keys(&'a str),
    /// Waits until this is shown.
    Sees(&'a str),
    /// Presses Ctrl-C while an answer is computed.
    InterruptsAnswer,
}

use Step::{InterruptsAnswer, Keys, Line, Sees};

/// What a terminal of 100 columns shows, and the exit code; the state of programs lies in `state`.
fn typed(shell: &Shell, state: &Path, arguments: &[&str], steps: &[Step<'_>]) -> (String, Option<i32>) {
    let mut script = Vec::new();
    for step in steps {
        match step {
            Line(text) => script.extend([json!(["prompt", ""]), json!(["type", format!("{text}\r")])]),
            Keys(keys) => script.extend([json!(["prompt", ""]), json!(["type", keys])]),
            Sees(text) => script.push(json!(["wait", text])),
            InterruptsAnswer => script.extend([json!(["runs", ""]), json!(["type", "\u{3}"])]),
        }
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(workspace.join(".venv/bin/python"));
    command.arg(workspace.join("etl/tests/it/cli/typed.py")).arg("100").arg(json!(script).to_string());
    command.arg(env!("CARGO_BIN_EXE_iotlake")).args(["query", "--lake", "lake"]).args(arguments);
    command.env("XDG_STATE_HOME", state).env("TERM", "xterm").env_remove("IOTLAKE_LAKE");
    let output = command.current_dir(&shell.root).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

fn with_lake() -> Shell {
    let shell = Shell::with_source();
    assert!(shell.command(&["backfill", "raw", "--lake", "lake", "--quiet"]).status().unwrap().success());
    shell
}

#[track_caller]
fn assert_shows(shown: &str, texts: &[&str]) {
    let mut rest = shown;
    for text in texts {
        match rest.split_once(text) {
            Some((_, after)) => rest = after,
            None => panic!("`{text}` is missing in `{rest}` of:\n{shown}"),
        }
    }
}

#[test]
fn a_shell_answers_until_it_is_told_to_end() {
    let shell = with_lake();
    let state = shell.root.join("state");
    let (shown, code) = typed(
        &shell,
        &state,
        &[],
        &[
            Line("SELECT count(*) AS n, max(\"m.t\") AS most\rFROM events;"),
            Line("SELECT 1 AS one; SELECT ';' AS semicolon; -- and no more"),
            Line("SELECT m.t FROM events;"),
            Line("SELECT 1; SELECT nothing; SELECT 2 AS never;"),
            Line("  "),
            Line(".tables"),
            Line(".schema events"),
            Line(".schema other"),
            Line(".nonsense"),
            Line(".help"),
            Keys("what nobody meant\u{3}"),
            // Tab completes: to what two names share, and to the quotes that a name needs.
            Keys("SELECT m.t.s\t AS text FROM even\t ORDER BY ts DESC;\r"),
            Sees("2 rows"),
            Keys("\u{4}"),
        ],
    );
    assert_eq!(code, Some(0), "{shown}");
    assert_shows(
        &shown,
        &[
            "A statement ends with `;`. `.help` lists commands.\n",
            "| n | most |\n+---+------+\n| 2 | 21.5 |",
            "| 1   |",
            "| ;         |",
            "error: there is no column `m.t`\nhint: a name with a dot or a hyphen needs double quotes: \"m.t\"",
            "error: there is no column `nothing`",
            "events          table ",
            "table events: ",
            "error: there is no table `other`",
            "error: there is no command .nonsense\nhint: `.help` lists commands",
            ".quit            ends the shell",
            "SELECT \"m.t.string\" AS text FROM events ORDER BY ts DESC;",
            "| high |\n| NULL |",
        ],
    );
    assert!(!shown.contains("| never"), "{shown}");
}

#[test]
fn a_shell_remembers_what_was_asked() {
    let shell = with_lake();
    let state = shell.root.join("state");
    let sql = "SELECT 6\r* 7 AS answer;";
    let (_, code) = typed(&shell, &state, &["--quiet"], &[Line(sql), Line(" SELECT 1;"), Line("exit")]);
    assert_eq!(code, Some(0));
    let file = state.join("iotlake/history");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(state.join("iotlake")).unwrap().permissions().mode() & 0o777, 0o700);
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("* 7 AS answer;") && !kept.contains("SELECT 1"), "{kept}");
    // Up twice: `exit`, and what was asked before it.
    let again = [Keys("\u{1b}[A\u{1b}[A\r"), Sees("1 row"), Line(".quit")];
    let (shown, code) = typed(&shell, &state, &["--quiet"], &again);
    assert_shows(&shown, &["| answer |\n+--------+\n| 42     |"]);
    assert_eq!(code, Some(0), "{shown}");
    // Where nothing can be kept, nothing is.
    let (shown, code) = typed(&shell, Path::new("/dev/null"), &["--json"], &[Line(sql), Line(".quit")]);
    assert_shows(&shown, &["{\"answer\":42}\n"]);
    assert_eq!((code, shown.contains("error")), (Some(0), false), "{shown}");
}

#[test]
fn control_c_stops_an_answer_and_not_the_shell() {
    let shell = with_lake();
    // More than a computer can count.
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000) a CROSS JOIN generate_series(1, 1000000000) b \
                   WHERE a.value * b.value % 7 = 3;";
    let steps = [
        Line(endless),
        InterruptsAnswer,
        Sees("error: stopped"),
        Line("SELECT 'alive' AS still;"),
        Line("exit"),
    ];
    let (shown, code) = typed(&shell, &shell.root.join("state"), &["--max-rows", "1"], &steps);
    assert_shows(&shown, &["error: stopped\n", "| alive |"]);
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn a_shell_has_nowhere_to_write_a_file() {
    let shell = with_lake();
    let (shown, code) = typed(&shell, &shell.root.join("state"), &["--output", "answer.csv"], &[]);
    assert_shows(&shown, &["error: --output answer.csv: there is no SQL to answer\nhint: "]);
    assert_eq!(code, Some(2));
}
