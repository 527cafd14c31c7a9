//! What a watch came to: the summaries of its batches as one, as of a backfill of all that came.
//!
//! What must stay true: a source that failed and was done in the end did not fail; what is kept grows by names of sources that
//! failed and by nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use iotlake::backfill::Summary;
use iotlake::pipeline::PipelineError;
use iotlake::plan::Unlisted;
use iotlake::source::SourceObject;
use iotlake::watch::After;

use super::super::units::{count, plural};

/// The sum of all batches.
#[derive(Default)]
pub struct Totals {
    summary: Summary,
    failed: BTreeMap<String, PipelineError>,
    new_columns: BTreeSet<String>,
    /// How long sources were ingested.
    busy: Duration,
}

impl Totals {
    /// So many sources had been done before.
    pub fn skip(&mut self, sources: u64) {
        self.summary.already_done += sources;
    }

    /// A source that failed without having been read.
    pub fn fail(&mut self, source: &SourceObject, error: PipelineError) {
        self.failed.insert(source.name.clone(), error);
    }

    /// What cannot be listed in the end.
    pub fn unlisted(&mut self, unlisted: &Unlisted) {
        let Unlisted { uri, message, hint } = unlisted.clone();
        self.failed.insert(uri, PipelineError::Unlisted { message, hint });
    }

    /// Adds a batch that took `busy`, of whose sources became what `ended` says.
    pub fn add(
        &mut self,
        batch: Summary,
        ended: &[(SourceObject, After)],
        new_columns: Vec<String>,
        busy: Duration,
    ) {
        let ends: HashMap<&str, After> =
            ended.iter().map(|(source, after)| (source.name.as_str(), *after)).collect();
        for (name, after) in &ends {
            if matches!(after, After::Taken | After::Gone) && !self.failed.is_empty() {
                self.failed.remove(*name);
            }
        }
        for (name, error) in batch.failed {
            // One that went, or was still written, did not fail: it will be back, or never was.
            if !matches!(ends.get(&*name), Some(After::Gone | After::Unsettled)) {
                self.failed.insert(name, error);
            }
        }
        let summary = &mut self.summary;
        summary.done += batch.done;
        summary.already_done += batch.already_done;
        summary.not_reached += batch.not_reached;
        summary.counts.add(&batch.counts);
        summary.columns.add(batch.columns);
        for (reason, number) in batch.rejects_by_reason {
            *summary.rejects_by_reason.entry(reason).or_default() += number;
        }
        // The last batch has seen what is still to be done, whoever left it.
        summary.unrenewed = batch.unrenewed;
        self.new_columns.extend(new_columns);
        self.busy += busy;
    }

    /// `12 sources done, 1 failed, 950 rows; 3 to settle`.
    pub fn waiting(&self, waiting: usize) -> String {
        let done = plural(self.summary.done, "source");
        let failed =
            if self.failed.is_empty() { String::new() } else { format!(", {} failed", self.failed.len()) };
        let rows = plural(self.summary.counts.rows, "row");
        format!("{done} done{failed}, {rows}; {} to settle", count(waiting as u64))
    }

    /// All of it as the summary of one run, the columns that were new, and how many seconds it took.
    pub fn finish(self) -> (Summary, Vec<String>, f64) {
        let Totals { mut summary, failed, new_columns, busy } = self;
        summary.failed = failed.into_iter().collect();
        summary.sources =
            summary.done + summary.already_done + summary.failed.len() as u64 + summary.not_reached;
        (summary, new_columns.into_iter().collect(), busy.as_secs_f64())
    }
}
