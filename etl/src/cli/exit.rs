//! How a command ends: the exit codes, and the one place where errors and hints are printed.
//!
//! In comes what a command returned; out goes `error: …`, the chain of its causes, a hint if there is one, all to
//! standard error, and one code that scripts can rely on. What must stay true: a panic is never passed off as an error
//! of the user's, and a reader that closes our output early (`| head`) is no failure.

use std::error::Error;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use iotlake::error::{Hint, causes};

/// Documented in README.md; scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something was not done.
    Failed = 1,
    /// Invalid arguments. Nothing was done. Also what clap uses.
    Usage = 2,
    /// Everything was done, and some records were rejected.
    Rejects = 3,
    /// Stopped by Ctrl-C, as shells say it: 128 and the number of the signal.
    Interrupted = 130,
    /// A fault in iotlake itself.
    Bug = 255,
}

/// What a command returns.
pub type Outcome = Result<Exit, Failure>;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit: Exit,
    is_closed_pipe: bool,
}

impl Failure {
    /// A failure that has no other cause.
    pub fn new(message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure { message, causes: Vec::new(), hint: None, exit: Exit::Failed, is_closed_pipe: false }
    }

    /// Invalid arguments.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::new(message) }
    }

    /// The value of `flag` is wrong for this reason.
    pub fn usage_of(error: &dyn Error, flag: &str) -> Failure {
        Failure { causes: causes(error), ..Failure::usage(format!("{flag}: {error}")) }
    }

    /// An error of the library.
    pub fn of(error: &dyn Hint) -> Failure {
        let hint = error.hint().map(str::to_owned);
        Failure { causes: causes(error), hint, ..Failure::new(error.to_string()) }
    }

    /// Says it in other words.
    pub fn with_message(self, message: String) -> Failure {
        Failure { message, ..self }
    }

    /// Says what can be done about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the error, its causes and the hint to standard error.
    pub fn print(&self) {
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        // Where standard error is closed there is nobody to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// The same on few lines, for a list of failures: message, causes, hint.
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::json!({ "message": self.message, "causes": self.causes, "hint": self.hint })
    }
}

impl<E: Into<iotlake::error::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::of(&error.into())
    }
}

/// Why a file could not be read or written, in few words.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Standard output could not be written.
pub fn output_failed(error: io::Error) -> Failure {
    let is_closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
    Failure { is_closed_pipe, ..Failure::new(format!("cannot write standard output: {error}")) }
}

/// Writes `text` to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output_failed)
}

/// Warns without failing.
pub fn warn(message: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    let _ = write!(io::stderr(), "warning: {message}\n{hint}");
}

/// Makes every panic say that it is a fault of ours and what to do with it.
pub fn report_panics_as_bugs() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let version = env!("CARGO_PKG_VERSION");
        let _ = write!(
            io::stderr(),
            "\nthis is a bug in iotlake {version}; nothing you did wrong\n\
             hint: report it as CONTRIBUTING.md says, with the lines above and the command; \
             what is in the lake is whole, and running the command again is safe\n"
        );
    }));
}

/// Runs a command to its exit code.
pub fn guard(command: impl FnOnce() -> Outcome) -> ExitCode {
    // Nothing of the command is used after a panic.
    let exit = match panic::catch_unwind(AssertUnwindSafe(command)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) if failure.is_closed_pipe => Exit::Done,
        Ok(Err(failure)) => {
            failure.print();
            failure.exit
        }
        Err(_) => Exit::Bug,
    };
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(command: impl FnOnce() -> Outcome) -> String {
        format!("{:?}", guard(command))
    }

    #[test]
    fn every_end_has_its_code() {
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(|| Ok(Exit::Done)), expected(0));
        assert_eq!(code(|| Err(Failure::new("x"))), expected(1));
        assert_eq!(code(|| Err(Failure::usage("x"))), expected(2));
        assert_eq!(code(|| Ok(Exit::Rejects)), expected(3));
        assert_eq!(code(|| panic!("a fault of ours, for this test")), expected(255));
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(code(|| Err(output_failed(closed))), expected(0));
    }

    #[test]
    fn causes_that_a_message_repeats_are_printed_once() {
        let uri = || "lake".to_owned();
        let source = io::Error::other("disk on fire");
        let error = iotlake::storage::StorageError::Io { uri: uri(), source };
        let failure = Failure::from(iotlake::catalog::CatalogError::Storage(error));
        assert_eq!((failure.message.as_str(), failure.causes.len()), ("cannot read or write the catalog", 1));
        assert_eq!(failure.causes[0], "lake: disk on fire");
    }
}
