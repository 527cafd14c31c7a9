//! What can be typed of commands that bring sources into a lake. Those that bring the same options share them, so that one
//! source gives the same rows whichever way it came.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use iotlake::location::Location;
use iotlake::partition::{Partition, PartitionBy};
use iotlake::source::KeyPattern;

use super::{
    CompressionWord, LakeArgs, OnDamageWord, ReportArgs, location, parse_duration, parse_known_as, parse_size,
};

/// Which table sources go to, and how they become its rows.
#[derive(Debug, Args)]
pub struct IngestArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Make the database of `--catalog glue:DATABASE` if it is missing
    #[arg(long)]
    pub create_database: bool,
    /// Table to ingest into
    #[arg(long, default_value = "events")]
    pub table: String,
    /// Columns to declare up front: `default`, `rigado`, or a TOML file [default: those of the table, else `default`]
    #[arg(long, value_name = "default|rigado|FILE")]
    pub contract: Option<String>,
    /// Which hour a row is filed under: `arrival` (the hour in the key) or `event:PATH` (a time in the record)
    /// [default: as the table, else `arrival`]
    #[arg(long, value_name = "arrival|event:PATH")]
    pub partition_by: Option<PartitionBy>,
    /// Read times without a zone at the PATH of --partition-by as UTC. A table keeps this
    #[arg(long)]
    pub assume_utc: bool,
    /// Also take sources of which no record has a time at the PATH of --partition-by; such records are filed under
    /// year=0000
    #[arg(long)]
    pub allow_missing_time: bool,
    /// How keys tell their hour, such as `dt={yyyy}-{MM}-{dd}/hh={HH}/` [default: as the table, else Firehose's and
    /// Hive's ways]
    #[arg(long, value_name = "PATTERN")]
    pub key_pattern: Option<KeyPattern>,
    /// Sources read side by side [default: as many as there are cores; for sources on S3, up to four times as many].
    /// Times --threads never more than the cores, or four times those for sources on S3
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Threads for each source [default: the cores that --jobs leaves]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How Parquet pages are compressed
    #[arg(long, value_enum, default_value_t = CompressionWord::Snappy)]
    pub compression: CompressionWord,
    /// Where a local copy came from: its URI, such as s3://bucket/prefix
    #[arg(long = "as", value_name = "URI", value_parser = parse_known_as)]
    pub known_as: Option<String>,
    /// Ingest also what looks like a copy of what was ingested before; its rows will be there twice
    #[arg(long)]
    pub again: bool,
    /// Refuse sources that decode to more than this, such as "64 GiB" [default: 1 TiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_decoded_bytes: Option<u64>,
    /// What to do with a source whose compressed stream is damaged
    #[arg(long, value_enum, default_value_t = OnDamageWord::Fail)]
    pub on_damage: OnDamageWord,
}

#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// File or folder to ingest, or s3://bucket/prefix
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath, value_parser = location())]
    pub source: Location,
    #[command(flatten)]
    pub ingest: IngestArgs,
    /// Leave out sources of hours before this, such as 2026-03-01 or 2026-03-01T05 (UTC)
    #[arg(long, value_name = "HOUR")]
    pub since: Option<Partition>,
    /// Leave out sources of this hour and later
    #[arg(long, value_name = "HOUR")]
    pub until: Option<Partition>,
    /// Ingest sources anew, such as those that were changed since; their old rows are removed once the new ones are there
    #[arg(long)]
    pub replace: bool,
    /// Write the report of the run to this file, as JSON
    #[arg(long, value_name = "FILE.json", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Print the report as JSON instead of a summary
    #[arg(long)]
    pub json: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Folder to watch
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = location())]
    pub source: Location,
    #[command(flatten)]
    pub ingest: IngestArgs,
    #[command(flatten)]
    pub how: WatchHow,
    #[command(flatten)]
    pub print: ReportArgs,
}

/// When files are taken, and when it is looked for them.
#[derive(Debug, Args)]
pub struct WatchHow {
    /// How long size and times of a file have to stay as they are before it is taken: longer than its writer ever pauses.
    /// With 0 it is taken when it is seen, which is for writers that rename files into place
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    pub settle: Duration,
    /// How often the whole folder is listed [default: 1m, and 5s where the system does not notify of changes]
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    pub interval: Option<Duration>,
    /// Only list, and do not ask the system to notify: on a folder of another machine it does not know of all changes
    #[arg(long)]
    pub poll: bool,
    /// Take what has settled, then end
    #[arg(long)]
    pub once: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() { Err("expected more than nothing, such as 5s".to_owned()) } else { Ok(time) }
}
