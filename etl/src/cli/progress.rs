//! What is shown while a backfill runs: a bar on a terminal, else a line now and then, all on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use iotlake::backfill::Observer;
use iotlake::pipeline::{Ingested, PipelineError, Status};
use iotlake::plan::Plan;
use iotlake::source::SourceObject;

use super::units;

/// Between two lines where there is no terminal: often enough to see that it is alive, seldom enough for a log.
const QUIET: Duration = Duration::from_secs(10);

const BAR: &str = "{bar:24} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {msg}  {eta} left";

/// Where the end is not known.
const NO_END: &str = "{decimal_bytes}  {decimal_bytes_per_sec}  {elapsed}";

/// A bar for one file that is read from its beginning to its end, `total` bytes in all; none where nobody waits.
pub fn of_one_file(total: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
    let style = if total.is_some() { BAR } else { NO_END };
    bar.set_style(ProgressStyle::with_template(style).expect("the template is one"));
    bar
}

/// Watches a backfill for somebody who waits.
pub struct Progress {
    shown: Shown,
    sources: u64,
    bytes: u64,
    started: Instant,
    read: AtomicU64,
    rows: AtomicU64,
    state: Mutex<State>,
}

enum Shown {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

struct State {
    sources: u64,
    failed: u64,
    /// Sources that were done before, and their bytes: nothing that this run does.
    before: u64,
    bytes_before: u64,
    next_line: Instant,
    new_columns: Vec<String>,
}

impl Progress {
    /// Starts to show how far `plan` is done.
    pub fn new(plan: &Plan, quiet: bool) -> Progress {
        let shown = match quiet {
            true => Shown::Nothing,
            false if io::stderr().is_terminal() => {
                let bar =
                    ProgressBar::with_draw_target(Some(plan.bytes), ProgressDrawTarget::stderr_with_hz(8));
                bar.set_style(ProgressStyle::with_template(BAR).expect("the template is one"));
                Shown::Bar(bar)
            }
            false => Shown::Lines,
        };
        Progress::of(plan, shown)
    }

    fn of(plan: &Plan, shown: Shown) -> Progress {
        let started = Instant::now();
        let state = State {
            sources: 0,
            failed: 0,
            before: 0,
            bytes_before: 0,
            next_line: started + QUIET,
            new_columns: Vec::new(),
        };
        Progress {
            shown,
            sources: plan.sources.len() as u64,
            bytes: plan.bytes,
            started,
            read: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Prints something beside the bar.
    pub fn suspend(&self, print: impl FnOnce()) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(print),
            _ => print(),
        }
    }

    /// Takes the bar away; the names of the columns that were new, sorted.
    pub fn finish(self) -> Vec<String> {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let mut names = self.state.into_inner().unwrap_or_else(PoisonError::into_inner).new_columns;
        names.sort_unstable();
        names.dedup();
        names
    }

    fn line(&self, state: &mut State) {
        let now = Instant::now();
        if now < state.next_line {
            return;
        }
        state.next_line = now + QUIET;
        let seconds = now.duration_since(self.started).as_secs_f64();
        let read = self.read.load(Ordering::Relaxed);
        let bytes = self.bytes.saturating_sub(state.bytes_before);
        let left = bytes.saturating_sub(read) as f64 / (read.max(1) as f64 / seconds);
        let _ = writeln!(
            io::stderr(),
            "{}, {} of {}, {}/s, {left:.0} s left",
            self.told(state),
            units::bytes(read),
            units::bytes(bytes),
            units::bytes(units::rate(read, seconds)),
        );
    }

    /// `3 of 12 sources, 1 failed, 24,114 rows/s`, of what this run does.
    fn told(&self, state: &State) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rows = units::rate(self.rows.load(Ordering::Relaxed), seconds);
        let failed = if state.failed > 0 { format!(", {} failed", state.failed) } else { String::new() };
        let (sources, of) = (state.sources - state.before, self.sources - state.before);
        format!(
            "{} of {} sources{failed}, {} rows/s",
            units::count(sources),
            units::count(of),
            units::count(rows)
        )
    }

    /// Another thread that is about to show how far it is may as well do it.
    fn show(&self) {
        let Ok(mut state) = self.state.try_lock() else { return };
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.set_message(self.told(&state)),
            Shown::Lines => self.line(&mut state),
        }
    }
}

impl Observer for Progress {
    fn read(&self, stored_bytes: u64) {
        self.read.fetch_add(stored_bytes, Ordering::Relaxed);
        match &self.shown {
            Shown::Bar(bar) => bar.inc(stored_bytes),
            _ => self.show(),
        }
    }

    fn rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.show();
    }

    fn source(&self, source: &SourceObject, result: &Result<Ingested, PipelineError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sources += 1;
        match result {
            Ok(outcome) => {
                if outcome.status == Status::AlreadyDone {
                    state.before += 1;
                    state.bytes_before += source.size;
                }
                state.new_columns.extend(outcome.new_columns.iter().map(|column| column.name.clone()));
            }
            Err(PipelineError::Stopped) => {}
            Err(_) => state.failed += 1,
        }
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(self.bytes.saturating_sub(state.bytes_before));
            bar.set_message(self.told(&state));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use iotlake::pipeline::{Columns, Counts};

    use super::*;

    fn source(name: &str, size: u64) -> SourceObject {
        let (name, key) = (format!("s3://raw/{name}"), name.to_owned());
        SourceObject { name, key, size, modified: None, etag: None, hour: None }
    }

    fn ended(status: Status) -> Result<Ingested, PipelineError> {
        Ok(Ingested {
            status,
            counts: Counts::default(),
            rejects_by_reason: BTreeMap::new(),
            new_columns: Vec::new(),
            columns: Columns::default(),
            conflicts: 0,
            warnings: Vec::new(),
            remarks: Vec::new(),
        })
    }

    #[test]
    fn a_resumed_run_is_measured_by_what_it_does() {
        let sources = vec![source("a", 1000), source("b", 200), source("c", 300)];
        let (hidden, outside, links, unlisted) = (0, 0, 0, Vec::new());
        let plan = Plan { bytes: 1500, sources, hidden, outside, links, unlisted };
        let bar = ProgressBar::with_draw_target(Some(plan.bytes), ProgressDrawTarget::hidden());
        let progress = Progress::of(&plan, Shown::Bar(bar.clone()));
        progress.source(&plan.sources[0], &ended(Status::AlreadyDone));
        assert_eq!((bar.position(), bar.length()), (0, Some(500)));
        assert!(bar.message().starts_with("0 of 2 sources, "), "{}", bar.message());
        progress.read(200);
        progress.source(&plan.sources[1], &ended(Status::Done));
        assert_eq!((bar.position(), bar.length()), (200, Some(500)));
        progress.read(300);
        progress.source(&plan.sources[2], &Err(PipelineError::NoHour { source_name: "c".into() }));
        assert_eq!((bar.position(), bar.length()), (500, Some(500)));
        assert!(bar.message().starts_with("2 of 2 sources, 1 failed, "), "{}", bar.message());
    }
}
