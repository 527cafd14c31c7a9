//! A folder in which commands are run, and the transcript of what they print.
//!
//! What differs from run to run and from machine to machine (paths, times, sizes that depend on paths, cores) is taken out
//! of each line, so that a transcript is a text to be reviewed and compared.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{GOOD, KEY};

/// A folder to run commands in, and what they printed so far.
pub(super) struct Shell {
    _folder: TempDir,
    pub(super) root: PathBuf,
    pub(super) transcript: String,
}

impl Shell {
    pub(super) fn new() -> Shell {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        // So that another user may look in; see `run_restricted`.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        Shell { _folder: folder, root, transcript: String::new() }
    }

    /// With one source of two rows under a dated key.
    pub(super) fn with_source() -> Shell {
        let shell = Shell::new();
        shell.write(KEY, GOOD);
        shell
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root.join(name)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, text.replacen(from, to, 1));
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iotlake"));
        command.current_dir(&self.root).args(arguments).env("COLUMNS", "100");
        command.env_remove("RUST_BACKTRACE").env_remove("IOTLAKE_LAKE");
        command
    }

    /// Runs `iotlake` and adds what it printed to the transcript.
    pub(super) fn run(&mut self, arguments: &[&str]) -> &mut Shell {
        let command = self.command(arguments);
        self.record(arguments, command, b"")
    }

    pub(super) fn run_with_input(&mut self, arguments: &[&str], input: &str) -> &mut Shell {
        let command = self.command(arguments);
        self.record(arguments, command, input.as_bytes())
    }

    /// What a terminal of so many columns shows, and the exit code.
    pub(super) fn on_terminal(&self, columns: u32, arguments: &[&str]) -> (String, Option<i32>) {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = Command::new(workspace.join(".venv/bin/python"));
        command.arg(workspace.join("etl/tests/it/cli/terminal.py")).arg(columns.to_string());
        command.arg(env!("CARGO_BIN_EXE_iotlake")).args(arguments);
        let output = command.current_dir(&self.root).env_remove("IOTLAKE_LAKE").output().unwrap();
        (String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"), output.status.code())
    }

    /// As a user for whom permissions hold; the superuser becomes nobody.
    pub(super) fn run_restricted(&mut self, arguments: &[&str]) -> &mut Shell {
        let mut command = self.command(arguments);
        if fs::metadata(&self.root).unwrap().uid() == 0 {
            command.uid(65534).gid(65534);
        }
        self.record(arguments, command, b"")
    }

    pub(super) fn record(&mut self, arguments: &[&str], mut command: Command, input: &[u8]) -> &mut Shell {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let quote =
            |word: &&str| if word.contains([' ', '*']) { format!("'{word}'") } else { (*word).to_owned() };
        let words: Vec<_> = arguments.iter().map(quote).collect();
        let _ = writeln!(self.transcript, "$ iotlake {}", words.join(" "));
        for (name, bytes) in [("", &output.stdout), ("! ", &output.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            for line in text.lines() {
                let line = self.stable(line);
                let _ = writeln!(self.transcript, "{}", format!("{name}{line}").trim_end());
            }
        }
        let _ = writeln!(self.transcript, "[{}]\n", output.status.code().expect("it was not killed"));
        self
    }

    /// A line without what differs from run to run and from machine to machine.
    fn stable(&self, line: &str) -> String {
        let line = line.replace(self.root.to_str().unwrap(), "DIR");
        let cores = std::thread::available_parallelism().unwrap();
        let line = line.replace(&format!("has {cores} cores"), "has N cores");
        let line = line.replace(&format!("must be at most {cores};"), "must be at most N;");
        if line.contains(" rows/s") {
            return "TIME".to_owned();
        }
        // Files name their source, and so depend on the path of this folder.
        if let Some((before, after)) = line.split_once(" decoded, ") {
            let files = after.split_once(" written").map_or(after, |(_, files)| files);
            return format!("{before} decoded, BYTES written{files}");
        }
        if let Some((before, after)) = line.split_once(" files of ") {
            let rest = after.find(", ").map_or("", |at| &after[at..]);
            return format!("{before} files of BYTES{rest}");
        }
        let varying = ["bytes_out", "seconds", "rows_per_second", "decoded_bytes_per_second"];
        match varying.iter().find(|key| line.contains(&format!("\"{key}\":"))) {
            Some(key) => format!("  \"{key}\": VARIES,"),
            None => line,
        }
    }

    pub(super) fn golden(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &self.transcript).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(self.transcript, expected, "\n{}\n{}", path.display(), self.transcript);
    }
}
