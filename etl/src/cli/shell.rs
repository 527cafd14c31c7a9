//! The shell of `iotlake query`: questions typed on a terminal, one after the other, with a history.
//!
//! In comes a lake; each statement is answered as `iotlake query` answers one, with the options of the command. What must
//! stay true: an error ends a statement and never the shell, Ctrl-C ends what is typed or what runs, and a history that
//! cannot be kept is no error.

mod input;
mod names;

use std::fs::DirBuilder;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iotlake::lake::Lake;
use iotlake::query::{Session, Stop};
use rustyline::config::Config;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Editor};

use super::args::QueryArgs;
use super::exit::{Exit, Failure, Outcome, output_failed, print};
use super::query::{answer, failure, format, warn_of_unread};
use super::{schema, tables};
use input::Typed;
use names::Names;

/// How many entries the history keeps.
const HISTORY: usize = 1000;

const HELP: &str = "\
SELECT ...;      ends with `;`, on as many lines as you like
.tables          lists tables, their rejects, and views
.schema [NAME]   shows the columns of one of them
.help            shows this
.quit            ends the shell, as Ctrl-D does
Tab completes names. Ctrl-C clears what is typed, and stops a query that runs.
";

/// Answers what is typed until it ends.
pub fn run(lake: &Lake, arguments: &QueryArgs) -> Outcome {
    let session = Session::open(lake).map_err(failure)?;
    let mut editor = editor(Names::of(&session)).map_err(terminal_failed)?;
    let history = history();
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    let interrupts = Interrupts::listen()?;
    if !arguments.quiet {
        let version = env!("CARGO_PKG_VERSION");
        print(&format!("iotlake {version}. A statement ends with `;`. `.help` lists commands.\n"))?;
        if session.tables().is_empty() {
            print(&tables::remark(&session, &arguments.lake))?;
        }
    }
    drop(session);
    loop {
        let stop = interrupts.of_next();
        let text = match editor.readline("iotlake> ") {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(Exit::Done),
            Err(error) => return Err(terminal_failed(error)),
        };
        // The same again, or a blank line, is not kept.
        if editor.add_history_entry(text.trim_end()).is_ok_and(|is_new| is_new)
            && let Some(path) = &history
        {
            let _ = editor.append_history(path);
        }
        let done = match input::read(&text) {
            Typed::Command(".quit" | ".exit" | "quit" | "exit", _) => return Ok(Exit::Done),
            Typed::Command(command, argument) => obey(lake, arguments, command, argument),
            Typed::Statements(statements) => statements
                .into_iter()
                .try_for_each(|sql| ask(lake, arguments, sql, &stop, editor.helper_mut())),
        };
        if let Err(failure) = done {
            failure.print();
        }
    }
}

fn editor(names: Names) -> rustyline::Result<Editor<Names, DefaultHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY)?
        // As in bash: what begins with a space is nobody's business.
        .history_ignore_space(true)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(names));
    Ok(editor)
}

fn terminal_failed(error: ReadlineError) -> Failure {
    Failure::new(format!("cannot read from the terminal: {error}"))
}

/// The file of the history, in a folder that is there; `None` where there can be none.
fn history() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    let folder = state.join("iotlake");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder.join("history"))
}

/// Does what a command with a dot says.
fn obey(lake: &Lake, arguments: &QueryArgs, command: &str, argument: &str) -> Result<(), Failure> {
    match (command, argument) {
        (".help", "") => print(HELP),
        (".tables", "") => {
            let session = Session::open(lake).map_err(failure)?;
            print(&tables::to_text(&session))?;
            if session.tables().is_empty() {
                print(&tables::remark(&session, &arguments.lake))
            } else {
                Ok(())
            }
        }
        (".schema", name) => {
            let name = Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty());
            print(&schema::describe(lake, name)?)
        }
        (".help" | ".tables", _) => Err(Failure::usage(format!("{command} takes no argument"))),
        _ => {
            Err(Failure::usage(format!("there is no command {command}")).with_hint("`.help` lists commands"))
        }
    }
}

/// Answers a statement. The lake is opened anew: another run may have added tables and columns.
fn ask(
    lake: &Lake,
    arguments: &QueryArgs,
    sql: &str,
    stop: &Stop,
    names: Option<&mut Names>,
) -> Result<(), Failure> {
    let format = format(arguments)?;
    let session = Session::open(lake).map_err(failure)?.stopped_by(stop);
    if let Some(names) = names {
        *names = Names::of(&session);
    }
    let mut out = BufWriter::new(io::stdout());
    let answered = answer(&session, sql, format, arguments, &mut out);
    // What came before an error is shown.
    out.flush().map_err(output_failed)?;
    answered?;
    warn_of_unread(&session, arguments);
    Ok(())
}

/// Ctrl-C while no line is edited: it stops what the last line asked for.
#[derive(Clone, Default)]
struct Interrupts(Arc<Mutex<Interrupt>>);

#[derive(Default)]
struct Interrupt {
    stop: Stop,
    is_stopping: bool,
}

impl Interrupts {
    /// Listens. Where stopping takes too long a second one ends the process: nothing is written that could break.
    fn listen() -> Result<Interrupts, Failure> {
        let interrupts = Interrupts::default();
        let interrupted = interrupts.clone();
        let handler = move || {
            let mut interrupt = interrupted.lock();
            if std::mem::replace(&mut interrupt.is_stopping, true) {
                std::process::exit(Exit::Interrupted as i32);
            }
            interrupt.stop.stop();
        };
        ctrlc::set_handler(handler)
            .map_err(|error| Failure::new(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(interrupts)
    }

    /// What stops the next line; nothing is left of those before.
    fn of_next(&self) -> Stop {
        let mut interrupt = self.lock();
        *interrupt = Interrupt::default();
        interrupt.stop.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Interrupt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
