//! A source of a genome, all the way: stored in memory, decoded, flattened, registered, encoded, written to a lake in a
//! folder, down to the receipt.
//!
//! What must stay true: a source is done or the program stops: a figure is only worth something for work that was done.

use std::path::Path as FilePath;
use std::sync::atomic::AtomicBool;

use iotlake::backfill::{self, Options};
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Run;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::storage::{MemoryStorage, Storage};
use iotlake_flatten::{Contract, Declared, Path, Type};

use super::genome::Genome;
use super::source::declared;

/// The contract of the table that a genome's records go to.
pub fn contract(genome: &Genome) -> Contract {
    let setting = genome.setting();
    let ty: Type = setting.word("type").parse().expect("a type of a contract");
    let columns = declared(genome).map(|keys| Declared { path: Path::new(keys), ty, also: Vec::new() });
    Contract { part_bytes: setting.number("part") as u64, columns: columns.collect(), ..Contract::empty() }
}

/// Ingests the stored bytes of a genome's source into a new lake in `folder`; records, and rows and rejects of them.
///
/// # Panics
/// If the source does not come to its receipt, or its accounts do not balance.
pub fn ingest(genome: &Genome, stored: &[u8], folder: &FilePath) -> (u64, u64) {
    let setting = genome.setting();
    let raw = MemoryStorage::new("raw");
    raw.put("2026/03/01/08/source", stored).expect("memory takes it");
    let lake = Lake::create_local(folder).expect("a folder for the lake");
    let threads = setting.number("threads");
    let mut run = Run { threads, allow_missing_time: true, ..Run::new("events") };
    if setting.number("hours") > 0 {
        run.partition_by = PartitionBy::Event(Path::dotted("t"));
    }
    let plan_options = PlanOptions { partition_by: run.partition_by.clone(), ..PlanOptions::default() };
    let options = Options { run, contract: contract(genome), key_pattern: None, view: None, jobs: 1 };
    let sources = plan(&raw, &Selection::Folder(String::new()), &plan_options).expect("memory can be listed");
    let work = || backfill::backfill(&lake, &raw, &sources, &options, &AtomicBool::new(false), &());
    let summary = match threads {
        1 => work(),
        threads => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(work)
        }
    };
    let summary = summary.expect("a lake can be written");
    assert!(summary.done == 1 && summary.balances(), "{genome}: {:?}", summary.failed);
    (summary.counts.rows, summary.counts.rejected)
}
