//! `iotlake query`: SQL over a lake, or the list of what can be asked about.
//!
//! In comes a statement, as an argument, from a file, or from standard input; out goes its answer. On a terminal without a
//! statement it is a shell, `cli/shell.rs`. What must stay true: a file that is there is never overwritten unasked, and
//! one that was not written whole is not left behind.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

use iotlake::query::{Answer, Format, QueryError, Session, write};

use super::args::{FormatWord, QueryArgs};
use super::exit::{Exit, Failure, Outcome, output_failed, print, reason, warn};
use super::units::count;
use super::whole::{WholeFile, cannot_write};
use super::{open_lake, shell, tables};

/// Runs the command.
pub fn run(arguments: QueryArgs) -> Outcome {
    let format = format(&arguments)?;
    if let Some(path) = arguments.output.as_deref().filter(|path| !arguments.force && path.is_file()) {
        return Err(Failure::usage(format!("--output {}: already exists", path.display()))
            .with_hint("choose another name, or overwrite it with --force"));
    }
    let sql = statement(&arguments)?;
    if let (None, Some(path)) = (&sql, &arguments.output) {
        return Err(Failure::usage(format!("--output {}: there is no SQL to answer", path.display()))
            .with_hint("give it as an argument, with -f FILE, or through a pipe"));
    }
    let lake = open_lake(&arguments.lake)?;
    if sql.is_none() && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return shell::run(&lake, &arguments);
    }
    let session = Session::open(&lake).map_err(failure)?;
    let Some(sql) = &sql else {
        print(&(tables::to_text(&session) + &tables::remark(&session, &arguments.lake)))?;
        return Ok(Exit::Done);
    };
    match &arguments.output {
        None => {
            let mut out = BufWriter::new(io::stdout());
            answer(&session, sql, format, &arguments, &mut out)?;
            out.flush().map_err(output_failed)?;
        }
        Some(path) => {
            let failed = |error: io::Error| cannot_write(format!("--output {}", path.display()), &error);
            let file = WholeFile::begin(path).map_err(failed)?;
            let mut out = file.writer().map_err(failed)?;
            answer(&session, sql, format, &arguments, &mut out)?;
            out.flush().map_err(failed)?;
            file.keep().map_err(failed)?;
        }
    }
    warn_of_unread(&session, &arguments);
    Ok(Exit::Done)
}

/// Tells of files that are there and were not read.
pub(super) fn warn_of_unread(session: &Session, arguments: &QueryArgs) {
    for unread in session.unread().iter().filter(|_| !arguments.quiet) {
        warn(&unread.message, Some(unread.hint));
    }
}

/// The SQL that is asked for; `None` if none is.
fn statement(arguments: &QueryArgs) -> Result<Option<String>, Failure> {
    if let Some(path) = &arguments.file {
        let failed = |error| Failure::new(format!("--file {}: {}", path.display(), reason(&error)));
        return fs::read_to_string(path).map(Some).map_err(failed);
    }
    let is_asked_for = match arguments.sql.as_deref() {
        Some("-") => true,
        Some(sql) => return Ok(Some(sql.to_owned())),
        None => false,
    };
    if !is_asked_for && io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut sql = String::new();
    let read = io::stdin().lock().read_to_string(&mut sql);
    read.map_err(|error| Failure::new(format!("cannot read SQL from standard input: {error}")))?;
    match sql.trim().is_empty() {
        true if is_asked_for => {
            Err(Failure::usage("standard input holds no SQL")
                .with_hint("pipe it in, or give it as an argument"))
        }
        true => Ok(None),
        false => Ok(Some(sql)),
    }
}

/// How the answer is written.
pub(super) fn format(arguments: &QueryArgs) -> Result<Format, Failure> {
    let by_name = || {
        let extension = arguments.output.as_deref().and_then(Path::extension)?;
        match extension.to_str()? {
            "csv" => Some(Format::Csv),
            "json" | "ndjson" | "jsonl" => Some(Format::Json),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    };
    let format = match arguments.format {
        _ if arguments.json => Format::Json,
        Some(FormatWord::Table) => Format::Table,
        Some(FormatWord::Vertical) => Format::Vertical,
        Some(FormatWord::Csv) => Format::Csv,
        Some(FormatWord::Json) => Format::Json,
        Some(FormatWord::Parquet) => Format::Parquet,
        None => by_name().unwrap_or_else(|| for_the_eye(arguments)),
    };
    if format == Format::Parquet && arguments.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::usage("--format parquet: a terminal cannot show Parquet")
            .with_hint("name a file with --output FILE, or choose table, csv or json"));
    }
    Ok(format)
}

/// A table, or what fits on the terminal that it goes to.
fn for_the_eye(arguments: &QueryArgs) -> Format {
    let is_terminal = arguments.output.is_none() && io::stdout().is_terminal();
    let width = terminal_size::terminal_size().filter(|_| is_terminal);
    width.map_or(Format::Table, |(width, _)| Format::Fitted(usize::from(width.0)))
}

/// Writes the answer to one statement.
pub(super) fn answer(
    session: &Session,
    sql: &str,
    format: Format,
    arguments: &QueryArgs,
    out: &mut (impl Write + Send),
) -> Result<(), Failure> {
    let Some(max_rows) = arguments.max_rows else {
        return session.write(sql, format, out).map(drop).map_err(failure);
    };
    let mut all = session.run(sql).map_err(failure)?;
    let rows = all.rows();
    cut(&mut all, max_rows);
    write(&all, format, out).map_err(failure)?;
    if rows > max_rows && !arguments.quiet {
        let (left, rows) = (count((rows - max_rows) as u64), count(rows as u64));
        warn(&format!("--max-rows {max_rows}: {left} of {rows} rows not shown"), None);
    }
    Ok(())
}

fn cut(answer: &mut Answer, max_rows: usize) {
    let mut left = max_rows;
    for batch in &mut answer.batches {
        *batch = batch.slice(0, left.min(batch.num_rows()));
        left -= batch.num_rows();
    }
}

/// Why there is no answer.
pub(super) fn failure(error: QueryError) -> Failure {
    match error {
        QueryError::Write(error) => output_failed(error),
        error => Failure::of(&error),
    }
}
