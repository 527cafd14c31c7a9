//! `iotlake watch`: the files of a folder, each ingested when it has settled, until Ctrl-C.
//!
//! In comes the command line; then looks at the folder, all of it now and then and one name when the system tells of it, and
//! whatever has settled goes through the library's backfill, one batch after the other. What must stay true: the looks at the whole
//! folder alone find everything, whatever the system tells or does not; a watch that is killed has done no more and no less
//! than a backfill that is killed.

mod lines;
mod notices;
mod totals;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iotlake::backfill;
use iotlake::lake::Lake;
use iotlake::location::Location;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::PipelineError;
use iotlake::plan::{self, Plan, Selection, Unlisted};
use iotlake::source::SourceObject;
use iotlake::storage::LocalStorage;
use iotlake::watch::{After, Candidate, Done, Folder, Listed, Reading};
use serde_json::json;

use super::args::{IngestArgs, ReportArgs, WatchArgs, WatchHow};
use super::cores::{cores, use_threads};
use super::exit::{self, Exit, Failure, Outcome};
use super::ingest::{self, Ingest};
use super::report::Report;
use super::times;
use super::units::{count, plural};
use lines::{Batch, Lines};
use notices::{Noticed, Notices};
use totals::Totals;

/// How often the folder is listed where the system notifies: of what it does not tell there is hardly anything.
const SELDOM: Duration = Duration::from_secs(60);

/// The same where it does not: a listing of ten thousand files takes some hundredths of a second.
const OFTEN: Duration = Duration::from_secs(5);

/// When a folder that was made is looked at once more: by then the system tells of what comes to it.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// A watch that goes on.
struct Session {
    source: Location,
    how: WatchHow,
    ingest: Ingest,
    lake: Lake,
    folder: Folder,
    stop: Arc<AtomicBool>,
    notices: Arc<Notices>,
    /// As long as the system notifies.
    watcher: Option<notify::RecommendedWatcher>,
    /// Which folder it is that the system notifies of.
    root: Option<RootId>,
    is_gone: bool,
    next_listing: Instant,
    /// Folders that are to be looked at once more, and when.
    made: Vec<(String, Instant)>,
    lines: Lines,
    totals: Totals,
}

/// Which folder stands under a path.
type RootId = (u64, u64);

/// Runs the command.
pub fn run(arguments: WatchArgs) -> Outcome {
    let storage = open(&arguments.source)?;
    let ingest = Ingest::of(arguments.ingest, "DIR", &arguments.source)?;
    let lake = ingest.create_lake()?;
    let storage = match &ingest.arguments.lake.lake {
        Location::Local(lake) => storage.leaving_out(lake),
        Location::S3(_) => storage,
    };
    use_threads(cores());
    let notices = Notices::new(storage.root());
    let wake = notices.clone();
    let stop = ingest::stop_on_interrupt(move || wake.stop())?;
    let known_as = ingest.arguments.known_as.clone();
    let folder = Folder::new(storage, known_as, ingest.key_pattern.clone(), arguments.how.settle);
    let mut session = Session {
        lines: Lines::new(&arguments.print),
        source: arguments.source,
        how: arguments.how,
        ingest,
        lake,
        folder,
        stop,
        notices,
        watcher: None,
        root: None,
        is_gone: false,
        next_listing: Instant::now(),
        made: Vec::new(),
        totals: Totals::default(),
    };
    let ended = session.run();
    session.lines.clear();
    ended?;
    session.end(&arguments.print)
}

/// The folder to watch.
fn open(source: &Location) -> Result<LocalStorage, Failure> {
    let Location::Local(path) = source else {
        let message = format!("DIR {source}: only folders of this machine are watched");
        return Err(Failure::usage(message).with_hint(
            "objects on S3 are announced to the Lambda `ingest`; or run `iotlake backfill` from time to time",
        ));
    };
    match plan::open_local(path)? {
        (storage, Selection::Folder(_)) => Ok(storage),
        (_, Selection::Object(_)) => Err(Failure::usage(format!("DIR {source}: not a folder"))
            .with_hint("give the folder that files come to; `iotlake backfill` takes a file")),
    }
}

impl Session {
    /// Watches until somebody stops it, the lake takes no more or, if it is to be once, what was there has been taken.
    fn run(&mut self) -> Result<(), Failure> {
        // Before the first look, so that nothing comes between the two.
        self.listen();
        let end = self.begin()?;
        loop {
            let is_broken = self.take_settled()?;
            self.lines.check()?;
            let is_over = self.how.once && (self.folder.waiting() == 0 || Instant::now() >= end);
            if is_broken || is_over || self.is_stopped() {
                return Ok(());
            }
            self.lines.wait(|| self.totals.waiting(self.folder.waiting()));
            let others =
                self.made.first().map(|(_, when)| *when).into_iter().chain(self.how.once.then_some(end));
            let next = self.folder.next().into_iter().chain(others).fold(self.next_listing, Instant::min);
            let noticed = self.notices.wait(next);
            self.look(noticed)?;
        }
    }

    /// The first look at the folder, and at the receipts of what is in it; when all that is there has had time to settle.
    fn begin(&mut self) -> Result<Instant, Failure> {
        let table = &self.ingest.arguments.table;
        match self.folder.list(Instant::now())? {
            Listed::All(unlisted) => self.tell_unlisted(&unlisted),
            Listed::Gone => return Err(Failure::new(format!("DIR {}: the folder is gone", self.source))),
        }
        let reading = match self.ingest.arguments.lake.lake {
            Location::Local(_) => Reading::Contents,
            Location::S3(_) => Reading::Times,
        };
        let done = match self.ingest.is_new {
            true => Done::default(),
            false => self.folder.skip_done(&self.lake, table, reading)?,
        };
        self.totals.skip(done.unchanged);
        // A folder of which nothing was ever ingested, into a table that has other sources: perhaps a copy.
        if !self.ingest.is_new && done == Done::default() && self.folder.waiting() > 0 {
            let plan = plan_of(self.folder.sources());
            let folder = Selection::Folder(String::new());
            self.ingest.refuse_twins(&self.lake, self.folder.storage(), &folder, &plan)?;
        }
        let now = Instant::now();
        self.next_listing = now + self.interval();
        if !self.how.once {
            let (waiting, root) = (self.folder.waiting() as u64, self.folder.root().display());
            let text = format!(
                "watching {root}: {} already done, {} to settle",
                plural(done.unchanged, "source"),
                count(waiting)
            );
            let event = json!({
                "event": "watching", "folder": root.to_string(), "already_done": done.unchanged,
                "waiting": waiting, "notified": self.watcher.is_some(),
            });
            self.lines.event(&text, &event);
        }
        Ok(now + self.how.settle)
    }

    /// Looks where there may be something new.
    fn look(&mut self, noticed: Noticed) -> Result<(), Failure> {
        if let Some(reason) = noticed.lost {
            self.watcher = None;
            self.tell_unnotified(&reason);
            // What was not told meanwhile.
            self.next_listing = Instant::now();
        }
        if noticed.is_incomplete {
            let message =
                "changes came faster than the system tells of them: the whole folder is listed instead";
            self.lines.warn(message, None);
        }
        let now = Instant::now();
        if noticed.all || now >= self.next_listing {
            return self.list();
        }
        for (key, is_renamed) in noticed.keys {
            if self.folder.look_at(&key, is_renamed, now) {
                self.made.push((key, now + ONCE_MORE));
            }
        }
        let due = self.made.partition_point(|(_, when)| *when <= now);
        for (key, _) in self.made.drain(..due) {
            self.folder.look_at(&key, false, now);
        }
        Ok(())
    }

    /// Looks at the whole folder.
    fn list(&mut self) -> Result<(), Failure> {
        self.made.clear();
        match self.folder.list(Instant::now()) {
            Ok(Listed::All(unlisted)) => {
                self.tell_unlisted(&unlisted);
                if self.is_gone {
                    self.is_gone = false;
                    let root = self.folder.root().display().to_string();
                    let event = json!({ "event": "returned", "folder": root });
                    self.lines.event(&format!("{root}: the folder is there again"), &event);
                }
                // Also where another folder stands under the name, of which nobody notifies.
                if self.root != root_id(&self.folder) {
                    self.listen();
                }
            }
            Ok(Listed::Gone) => self.lose(&format!("{}: the folder is gone", self.folder.root().display())),
            Err(error) => {
                let mut reasons = vec![error.to_string()];
                reasons.extend(iotlake::error::causes(&error));
                self.lose(&reasons.join(": "));
            }
        }
        self.next_listing = Instant::now() + self.interval();
        Ok(())
    }

    /// Goes on without the folder, until it is there again.
    fn lose(&mut self, message: &str) {
        (self.watcher, self.root) = (None, None);
        if !std::mem::replace(&mut self.is_gone, true) {
            let every = seconds(self.interval());
            self.lines.warn(
                message,
                Some(&format!("it is looked for every {every}; nothing that was done is lost")),
            );
        }
    }

    /// Asks the system to notify of changes in the folder that is there now.
    fn listen(&mut self) {
        if self.how.poll || self.how.once {
            return;
        }
        self.root = root_id(&self.folder);
        // One that was there before would tell everything twice.
        self.watcher = None;
        match self.notices.listen() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(reason) => self.tell_unnotified(&reason),
        }
    }

    fn tell_unnotified(&self, reason: &str) {
        let message = format!("the system does not notify of changes in {}: {reason}", self.source);
        let hint = format!("nothing is missed: it is listed every {}", seconds(self.interval()));
        self.lines.warn(&message, Some(&hint));
    }

    fn tell_unlisted(&self, unlisted: &[Unlisted]) {
        for Unlisted { uri, message, hint } in unlisted {
            let error = PipelineError::Unlisted { message: message.clone(), hint: hint.clone() };
            self.lines.failed(uri, "failed", &Failure::of(&error));
        }
    }

    /// Ingests what has settled; whether the lake took no more.
    fn take_settled(&mut self) -> Result<bool, Failure> {
        let mut candidates = self.folder.settled(Instant::now());
        self.leave_out(&mut candidates)?;
        if candidates.is_empty() || self.is_stopped() {
            return Ok(false);
        }
        let plan = plan_of(candidates.iter().map(|candidate| candidate.source.clone()).collect());
        let from = self.folder.storage();
        self.check_new(&plan)?;
        let options = self.ingest.options(self.ingest.split_cores(&plan)?, false);
        let (arguments, root) = (&self.ingest.arguments, self.folder.root());
        let anew = |source: &SourceObject| ingest_anew(arguments, root, source);
        let batch = Batch::new(&self.lines, &self.folder, &candidates, &plan, &anew);
        let begun = Instant::now();
        let summary = backfill::backfill(&self.lake, from, &plan, &options, &self.stop, &batch)?;
        let (ended, new_columns) = batch.finish();
        self.ingest.is_new = false;
        let now = Instant::now();
        for (source, after) in &ended {
            self.folder.ended(source, *after, now);
        }
        for warning in &summary.warnings {
            self.lines.warn(warning, None);
        }
        for remark in &summary.remarks {
            self.lines.warn(&remark.message, Some(remark.hint));
        }
        let is_broken = summary.failed.iter().any(|(_, error)| error.ends_all());
        if is_broken {
            ingest::tell_end(&summary);
        }
        self.totals.add(summary, &ended, new_columns, now - begun);
        Ok(is_broken)
    }

    /// Takes out what is no source, or none that can be ingested.
    fn leave_out(&mut self, candidates: &mut Vec<Candidate>) -> Result<(), Failure> {
        let now = Instant::now();
        let ledger = self.lake.ledger();
        let table = &self.ingest.arguments.table;
        let needs_hour = !self.ingest.is_new && self.ingest.partition_by == PartitionBy::Arrival;
        for candidate in std::mem::take(candidates) {
            let source = &candidate.source;
            if let Some(was) = self.folder.renamed(&ledger, table, &candidate)? {
                let name = &source.name;
                let event = json!({ "event": "source", "source": name, "ended": "renamed", "was": was });
                self.lines
                    .event(&format!("{name}: left out: it is the file that was ingested as {was}"), &event);
                self.totals.skip(1);
                self.folder.ended(source, After::Renamed, now);
            } else if needs_hour && source.hour.is_none() {
                let error = PipelineError::NoHour { source_name: source.name.clone() };
                self.lines.failed(&source.name, "failed", &Failure::of(&error));
                self.folder.ended(source, After::Refused, now);
                self.totals.fail(source, error);
            } else {
                candidates.push(candidate);
            }
        }
        Ok(())
    }

    /// Refuses to make a table whose first sources show that its options cannot be meant.
    fn check_new(&self, plan: &Plan) -> Result<(), Failure> {
        let (from, by) = (self.folder.storage(), &self.ingest.partition_by);
        if !self.ingest.is_new {
            return Ok(());
        }
        if *by == PartitionBy::Arrival {
            plan::check_hours(&plan.sources).map_err(|error| times::hours_failure(&error, from, plan))?;
        }
        match self.ingest.arguments.allow_missing_time {
            true => Ok(()),
            false => times::refuse_table_without(from, plan, by),
        }
    }

    fn interval(&self) -> Duration {
        let usual = if self.watcher.is_some() { SELDOM } else { OFTEN };
        self.how.interval.unwrap_or(usual)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells what all of it came to.
    fn end(mut self, print: &ReportArgs) -> Outcome {
        for unlisted in self.folder.unlisted() {
            self.totals.unlisted(unlisted);
        }
        let (waiting, is_stopped) = (self.folder.unsettled() as u64, self.is_stopped());
        let (summary, new_columns, seconds) = self.totals.finish();
        let report = Report {
            from: &self.source,
            settings: &self.ingest.arguments,
            partition_by: &self.ingest.partition_by,
            contract: &self.ingest.contract,
            plan: &Plan::default(),
            summary: &summary,
            new_columns,
            seconds,
        };
        for warning in report.warnings() {
            exit::warn(&warning.message, warning.hint);
        }
        for unrenewed in &summary.unrenewed {
            Failure::of(&unrenewed.error).print();
        }
        if print.json {
            let mut event = report.to_value();
            event["event"] = json!("totals");
            event["waiting"] = json!(waiting);
            event["interrupted"] = json!(is_stopped);
            exit::print(&format!("{event}\n"))?;
        } else if !print.quiet {
            let mut text = report.to_text();
            if waiting > 0 {
                text += &format!("left: {} not taken yet\n", plural(waiting, "file"));
            }
            if is_stopped && summary.not_reached == 0 {
                text += "stopped: the same command goes on with what comes\n";
            }
            exit::print(&text)?;
        }
        Ok(if is_stopped { Exit::Interrupted } else { ingest::exit_of(&summary) })
    }
}

/// How a source that changed is ingested anew.
fn ingest_anew(arguments: &IngestArgs, root: &Path, source: &SourceObject) -> String {
    let IngestArgs { lake, table, known_as, .. } = arguments;
    let path = root.join(&source.key).display().to_string();
    let path = if path.contains(char::is_whitespace) { format!("'{path}'") } else { path };
    let known_as = known_as.as_ref().map_or(String::new(), |_| format!(" --as {}", source.name));
    format!(
        "sources are immutable; if it was changed on purpose: iotlake backfill {path} {lake} --table {table}{known_as} \
         --replace"
    )
}

fn plan_of(sources: Vec<SourceObject>) -> Plan {
    let bytes = sources.iter().map(|source| source.size).sum();
    Plan { sources, bytes, ..Plan::default() }
}

/// `5 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(unix)]
fn root_id(folder: &Folder) -> Option<RootId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder.root()).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn root_id(folder: &Folder) -> Option<RootId> {
    folder.root().is_dir().then_some((0, 0))
}
