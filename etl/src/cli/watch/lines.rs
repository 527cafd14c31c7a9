//! What a watch prints: a line for each source on standard output, as text or JSON, and on a terminal a bar.
//!
//! What must stay true: a line is whole, whoever prints beside it, and the bar never tears it; somebody who closes our output
//! ends the watch, and is told so only once.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use iotlake::backfill::Observer;
use iotlake::pipeline::{Ingested, PipelineError, Status};
use iotlake::plan::Plan;
use iotlake::source::SourceObject;
use iotlake::watch::{After, Candidate, Folder};
use serde_json::{Value, json};

use super::super::args::ReportArgs;
use super::super::exit::{self, Failure};
use super::super::progress::Progress;
use super::super::report;

/// How often the line of a watch that waits is drawn anew, so that it is seen to live.
const TICK: Duration = Duration::from_millis(250);

/// Where lines go.
pub struct Lines {
    is_json: bool,
    is_quiet: bool,
    is_terminal: bool,
    /// The line of a watch that waits, while it does.
    idle: Mutex<Option<ProgressBar>>,
    /// Why nothing can be printed any more.
    broken: Mutex<Option<Failure>>,
}

impl Lines {
    pub fn new(print: &ReportArgs) -> Lines {
        let is_terminal = !print.quiet && io::stderr().is_terminal();
        let (idle, broken) = Default::default();
        Lines { is_json: print.json, is_quiet: print.quiet, is_terminal, idle, broken }
    }

    /// Prints the line of an event, as text or as JSON.
    pub fn event(&self, text: &str, event: &Value) {
        if self.is_quiet {
            return;
        }
        let line = if self.is_json { event.to_string() } else { text.to_owned() };
        let printed = self.beside_bar(|| exit::print(&(line + "\n")));
        if let Err(failure) = printed {
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
    }

    /// Warns on standard error.
    pub fn warn(&self, message: &str, hint: Option<&str>) {
        self.beside_bar(|| exit::warn(message, hint));
    }

    /// Tells that a source failed, in the word that machines have for it.
    pub fn failed(&self, source_name: &str, ended: &str, failure: &Failure) {
        self.beside_bar(|| failure.print());
        if self.is_json {
            let mut event = failure.as_json();
            event["event"] = json!("source");
            event["source"] = json!(source_name);
            event["ended"] = json!(ended);
            self.event("", &event);
        }
    }

    /// Says what is waited for, where there is a terminal.
    pub fn wait(&self, text: impl FnOnce() -> String) {
        if !self.is_terminal {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = idle.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is one"));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(text());
    }

    /// Takes the line away, for whoever shows something else.
    pub fn clear(&self) {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take() {
            idle.finish_and_clear();
        }
    }

    /// Fails once nothing can be printed any more.
    pub fn check(&self) -> Result<(), Failure> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn beside_bar<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.idle.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(idle) => idle.suspend(print),
            None => print(),
        }
    }
}

/// Watches sources that are ingested together: a line for each, a bar for all, and what becomes of each.
pub struct Batch<'a> {
    lines: &'a Lines,
    folder: &'a Folder,
    candidates: &'a [Candidate],
    /// How one that changed is ingested anew.
    anew: &'a (dyn Fn(&SourceObject) -> String + Sync),
    progress: Progress,
    ended: Mutex<Vec<(SourceObject, After)>>,
}

impl<'a> Batch<'a> {
    pub fn new(
        lines: &'a Lines,
        folder: &'a Folder,
        candidates: &'a [Candidate],
        plan: &Plan,
        anew: &'a (dyn Fn(&SourceObject) -> String + Sync),
    ) -> Batch<'a> {
        lines.clear();
        // Without a terminal the lines of sources tell how far it is.
        let progress = Progress::new(plan, !lines.is_terminal);
        Batch { lines, folder, candidates, anew, progress, ended: Mutex::default() }
    }

    /// What became of each source, and the columns that were new.
    pub fn finish(self) -> (Vec<(SourceObject, After)>, Vec<String>) {
        (self.ended.into_inner().unwrap_or_else(PoisonError::into_inner), self.progress.finish())
    }

    fn tell(&self, source: &SourceObject, result: &Result<Ingested, PipelineError>, after: After) {
        let name = &source.name;
        match result {
            Ok(outcome) if outcome.status == Status::Done => {
                let rejects = match outcome.rejects_by_reason.is_empty() {
                    true => String::new(),
                    false => format!(" ({})", report::reasons(&outcome.rejects_by_reason)),
                };
                let columns: Vec<_> = outcome.new_columns.iter().map(|column| &column.name).collect();
                let event = json!({
                    "event": "source", "source": name, "ended": "done", "counts": outcome.counts,
                    "rejects_by_reason": outcome.rejects_by_reason, "new_columns": columns,
                });
                self.lines.event(&format!("{name}: {}{rejects}", report::balance(&outcome.counts)), &event);
            }
            Ok(_) => {}
            Err(error) => match after {
                After::Untouched | After::Unsettled => {}
                After::Gone => {
                    let event = json!({ "event": "source", "source": name, "ended": "gone" });
                    self.lines.event(&format!("{name}: gone before it was read"), &event);
                }
                // What ends the run is told once, in the end; what is tried again was told before.
                _ if error.ends_all() || self.was_told(source) => {}
                _ => {
                    let failure = Failure::of(error);
                    match error {
                        PipelineError::Changed { .. } => {
                            let failure = failure.with_hint((self.anew)(source));
                            self.lines.failed(name, "changed", &failure);
                        }
                        _ => self.lines.failed(name, "failed", &failure),
                    }
                }
            },
        }
    }

    fn was_told(&self, source: &SourceObject) -> bool {
        let place = self.candidates.binary_search_by(|candidate| candidate.source.name.cmp(&source.name));
        place.is_ok_and(|place| self.candidates[place].was_told)
    }
}

impl Observer for Batch<'_> {
    fn read(&self, stored_bytes: u64) {
        self.progress.read(stored_bytes);
    }

    fn rows(&self, rows: u64) {
        self.progress.rows(rows);
    }

    fn source(&self, source: &SourceObject, result: &Result<Ingested, PipelineError>) {
        self.progress.source(source, result);
        let after = self.folder.after(source, result);
        self.progress.suspend(|| self.tell(source, result, after));
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push((source.clone(), after));
    }
}
