//! One run of the binary under the preloaded library, with or without a call that goes wrong.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Eio,
    Enospc,
    Short,
    Kill,
    Stop,
}

impl Fate {
    pub const ALL: [Fate; 5] = [Fate::Eio, Fate::Enospc, Fate::Short, Fate::Kill, Fate::Stop];

    fn word(self) -> &'static str {
        match self {
            Fate::Eio => "eio",
            Fate::Enospc => "enospc",
            Fate::Short => "short",
            Fate::Kill => "kill",
            Fate::Stop => "stop",
        }
    }
}

/// Which call has which fate.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub at: u64,
    pub fate: Fate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at call {}", self.fate.word(), self.at)
    }
}

/// How a run ended.
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stderr: String,
}

impl Ended {
    /// Done, with or without rejects.
    pub fn is_done(&self) -> bool {
        matches!(self.code, Some(0 | 3))
    }
}

/// The binary, and the library that it runs under.
pub struct Binary {
    library: PathBuf,
    /// Calls count that concern files below.
    folder: PathBuf,
}

impl Binary {
    /// Compiles the library into `folder`.
    pub fn new(folder: &Path) -> Binary {
        let library = folder.join("preload.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/preload.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&library)
            .args([source, "-ldl", "-lpthread"])
            .output()
            .unwrap_or_else(|error| panic!("{compiler}, a C compiler, is needed: {error}"));
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Binary { library, folder: folder.to_owned() }
    }

    /// A run of the binary under the library.
    pub fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iotlake"));
        command.args(arguments).env("LD_PRELOAD", &self.library).env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs without a fault.
    pub fn run(&self, arguments: &[String]) -> Result<Ended, String> {
        wait(self.command(arguments).spawn().unwrap())
    }

    /// Runs without a fault; the number of calls.
    pub fn count(&self, arguments: &[String], note: &Path) -> u64 {
        let mut command = self.command(arguments);
        command.env("FAULT_FOLDER", &self.folder).env("FAULT_COUNT", note);
        let ended = wait(command.spawn().unwrap()).unwrap();
        assert!(ended.is_done(), "{:?}: {}", ended.code, ended.stderr);
        fs::read_to_string(note).unwrap().trim().parse().unwrap()
    }

    /// Runs with a fault. Whoever is stopped goes on when a second writer, with `other` arguments, has come to its end, or
    /// waits for a lock of the first. How both ended.
    pub fn run_with(
        &self,
        fault: Fault,
        arguments: &[String],
        other: &[String],
        waits: &Path,
    ) -> Result<(Ended, Option<Ended>), String> {
        let mut command = self.command(arguments);
        command.env("FAULT_FOLDER", &self.folder).env("FAULT_AT", fault.at.to_string());
        let mut first = command.env("FAULT_KIND", fault.fate.word()).spawn().unwrap();
        if fault.fate != Fate::Stop || !until_stopped(&mut first)? {
            return Ok((wait(first)?, None));
        }
        let mut second = self.command(other).env("FAULT_WAITS", waits).spawn().unwrap();
        let begun = Instant::now();
        while second.try_wait().unwrap().is_none() && !waits.exists() {
            pause(begun, &mut second)?;
        }
        let continued = Command::new("kill").args(["-CONT", &first.id().to_string()]).status().unwrap();
        assert!(continued.success());
        let first = wait(first)?;
        Ok((first, Some(wait(second)?)))
    }
}

/// Waits until the process is stopped; false if it ended before.
fn until_stopped(child: &mut Child) -> Result<bool, String> {
    let begun = Instant::now();
    let stat = format!("/proc/{}/stat", child.id());
    loop {
        if child.try_wait().unwrap().is_some() {
            return Ok(false);
        }
        let text = fs::read_to_string(&stat).unwrap_or_default();
        // Behind the name, which is in brackets.
        if text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
            return Ok(true);
        }
        pause(begun, child)?;
    }
}

fn wait(mut child: Child) -> Result<Ended, String> {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        pause(begun, &mut child)?;
    }
    let output = child.wait_with_output().unwrap();
    Ok(Ended {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).trim_end().replace('\n', " | "),
    })
}

/// Between two looks. Whoever takes minutes for what takes milliseconds hangs.
fn pause(begun: Instant, child: &mut Child) -> Result<(), String> {
    if begun.elapsed() > Duration::from_secs(180) {
        let _ = child.kill();
        let _ = child.wait();
        return Err("it hangs".to_owned());
    }
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}
