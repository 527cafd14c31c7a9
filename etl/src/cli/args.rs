//! What can be typed. What is meant by it, each command decides in its own file.

mod ingest;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use iotlake::decode::OnDamage;
use iotlake::location::{CatalogChoice, Location};
use iotlake::partition::Partition;
use iotlake::source::KeyPattern;
use iotlake_flatten::Compression;

pub use ingest::{BackfillArgs, IngestArgs, WatchArgs, WatchHow};

/// Nested JSON from IoT devices into a lake of flat, hive-partitioned Parquet, and SQL over it.
#[derive(Debug, Parser)]
#[command(
    name = "iotlake",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 done with rejects, 130 stopped by Ctrl-C, 255 a bug in iotlake"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ingest a file, or every file below a folder, into a lake
    #[command(long_about = "Ingest a file, or every file below a folder, into a lake.\n\n\
        A source that is done leaves a receipt in the lake: interrupted and run again, the command does the rest; \
        run twice, it does nothing. Records that cannot become rows go to the table of rejects, with reason and bytes.")]
    Backfill(BackfillArgs),
    /// Ingest the files of a folder as they come, until Ctrl-C
    #[command(
        long_about = "Ingest the files of a folder, and of those below it, as they come, until Ctrl-C.\n\n\
        A file is taken once it has settled: its size and times were the same for --settle, or it was renamed into place. \
        What is done leaves a receipt in the lake, as with `backfill`: killed at any point and started again, the command \
        goes on. A file that changes after it was taken is told, and its rows stay as they are."
    )]
    Watch(WatchArgs),
    /// Answer questions in SQL; without one, a shell on a terminal
    #[command(long_about = "Answer questions in SQL.\n\n\
        Without one, on a terminal, it is a shell: statements end with `;`, and `.help` lists its commands. Elsewhere the \
        tables are listed.")]
    Query(QueryArgs),
    /// List the tables, their rejects, and the views
    Tables(TablesArgs),
    /// List the files of a table, for readers that take lists
    #[command(
        long_about = "List the files of a table, for readers that take lists: those that `query` reads.\n\n\
        That is every file that a receipt names, in a partition that the catalog has, and no file of a run that was \
        stopped or is going on. One address a line, sorted."
    )]
    Files(FilesArgs),
    /// Show a table on one page for a browser: accounts, freshness, devices, columns, rejects, files
    #[command(
        long_about = "Show a table on one page for a browser: whether its accounts balance, how fresh it is, who sends and \
        who is silent, what they measure, its columns, why records were rejected, and its files.\n\n\
        The page is one file that needs no network. With --serve it is served on this machine instead, and looks again \
        every half minute."
    )]
    Report(PageArgs),
    /// Show the columns and options of a table, or the columns or SQL of a view
    Schema(SchemaArgs),
    /// Make one Parquet file of one file of records
    #[command(long_about = "Make one Parquet file of one file of records, without a lake.\n\n\
        A file is read twice: first for its columns, then for its rows. Standard input (`-`) and pipes can be read only \
        once: their columns are those of the first 64 MiB, or, with --contract, those of the contract; every other field \
        goes, as JSON, to the column `_overflow`.")]
    Convert(ConvertArgs),
    /// Check that a lake is what its catalog and receipts say
    Audit(AuditArgs),
    /// Remove files that no receipt vouches for, and old temporary files
    #[command(
        long_about = "Remove files that no receipt vouches for, and temporary files that are a day old.\n\n\
        A data file is removed only if its source has a receipt that does not name it, and its name and its own footer \
        say that it is of that source. Files of a source that is not done stay: the next run completes them."
    )]
    Clean(CleanArgs),
    /// Make a few large files, sorted, of the many small ones of each hour
    #[command(
        long_about = "Make a few large files, sorted, of the many small ones of each hour that is over.\n\n\
        Whoever reads by the catalog, as `iotlake query` does, sees every row once, before, during and after. The files \
        that the new ones supersede are removed after --grace; until then whoever reads by path sees rows twice. It can \
        be stopped and repeated, and several may run at a time."
    )]
    Compact(CompactArgs),
    /// Remove a source from a lake: its rows, its rejects and its receipt
    #[command(long_about = "Remove a source from a lake: its rows, its rejects and its receipt.\n\n\
        What it was ingested from is not touched: the next `backfill` of it ingests it again. Killed anywhere, the same \
        command completes what it began.")]
    Remove(RemoveArgs),
    /// Remove a table from a lake, with all that is in it and the views on it
    #[command(
        long_about = "Remove a table from a lake, with its rows, rejects and receipts, and the views on it.\n\n\
        What it was ingested from is not touched. Killed anywhere, the same command completes what it began."
    )]
    Drop(DropArgs),
    /// Make a catalog again that was lost
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one page for each command to a folder
    Man(ManArgs),
}

/// Which lake.
#[derive(Debug, Args)]
pub struct LakeArgs {
    /// Where the lake lies: a folder, which `backfill` makes if it is missing, or s3://bucket/prefix
    #[arg(
        long,
        env = "IOTLAKE_LAKE",
        hide_env_values = true,
        value_name = "DIR|URI",
        value_hint = ValueHint::DirPath,
        value_parser = location()
    )]
    pub lake: Location,
    /// Where its tables are registered: `embedded` (beside the lake) or `glue:DATABASE` (for Athena; lakes on S3 only)
    #[arg(long, value_name = "embedded|glue:DATABASE", default_value_t)]
    pub catalog: CatalogChoice,
}

/// What a command prints of its work.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

/// What a command prints that answers a question.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the answer alone, without remarks and warnings
    #[arg(long, short)]
    pub quiet: bool,
}

/// As it is typed again for the same lake.
impl fmt::Display for LakeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LakeArgs { lake, catalog } = self;
        write!(f, "--lake {lake}")?;
        if *catalog == CatalogChoice::Embedded { Ok(()) } else { write!(f, " --catalog {catalog}") }
    }
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The statement; names with dots go in double quotes. `-` reads it from standard input, and so does a pipe without it
    pub sql: Option<String>,
    /// File to read the statement from
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "sql")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub lake: LakeArgs,
    /// How to write the answer [default: as the name of --output ends; else a table, or vertical where a terminal is too
    /// narrow for it]
    #[arg(long, value_enum)]
    pub format: Option<FormatWord>,
    /// File to write the answer to instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Print at most so many rows
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Print the answer alone, without warnings
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct TablesArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    #[command(flatten)]
    pub print: AnswerArgs,
}

#[derive(Debug, Args)]
pub struct FilesArgs {
    /// Table, or table of rejects
    pub table: String,
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Only files of hours for which this is true: SQL about year, month, day and hour, which are text, such as
    /// "month = '03' AND hour >= '06'"
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    #[command(flatten)]
    pub print: AnswerArgs,
}

#[derive(Debug, Args)]
pub struct PageArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Table to show; may be left out where a lake has only one
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// File to write the page to
    #[arg(
        long,
        short,
        value_name = "FILE.html",
        value_hint = ValueHint::FilePath,
        required_unless_present_any = ["serve", "json"]
    )]
    pub output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Serve the page on 127.0.0.1, at a port that is free, until Ctrl-C
    #[arg(long, conflicts_with_all = ["output", "json"])]
    pub serve: bool,
    /// Column that tells devices apart, by its name or path [default: `device.deviceid`, where the table has it]
    #[arg(long, value_name = "COLUMN")]
    pub device: Option<String>,
    /// Only rows filed under this hour and later, such as 2026-03-01 or 2026-03-01T05 (UTC) [default: the newest day that
    /// has data, and the day before it]
    #[arg(long, value_name = "HOUR")]
    pub since: Option<Partition>,
    /// Only rows filed under hours before this
    #[arg(long, value_name = "HOUR")]
    pub until: Option<Partition>,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Table, table of rejects or view to show; may be left out where a lake has only one table
    #[arg(value_name = "TABLE|VIEW")]
    pub table: Option<String>,
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Print a contract (TOML) that declares every column, to start from
    #[arg(long, conflicts_with = "json")]
    pub as_contract: bool,
    #[command(flatten)]
    pub print: AnswerArgs,
    /// Print the SELECT of a view in Athena's dialect
    #[arg(
        long,
        conflicts_with_all = ["as_contract", "json"],
        long_help = "Print the SELECT of a view in Athena's dialect, to paste as custom SQL into a data set of \
            QuickSight or into Athena's editor, with the table's database selected.\n\n\
            The view itself is in the catalog too. But whether Athena takes names with dots, such as \
            \"device.deviceid\", within a stored view could not be tried; as a query of its own the statement does \
            not depend on that."
    )]
    pub sql: bool,
}

#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// File or pipe of records, or s3://bucket/key: plain, gzip or zstd; `-` for standard input
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath, value_parser = location())]
    pub input: Location,
    /// Parquet file to write; `-` for standard output
    #[arg(value_name = "OUT", value_hint = ValueHint::FilePath, value_parser = location())]
    pub output: Location,
    /// Columns to declare up front: `default`, `rigado`, or a TOML file [default: `default`]
    #[arg(long, value_name = "default|rigado|FILE")]
    pub contract: Option<String>,
    /// How Parquet pages are compressed
    #[arg(long, value_enum, default_value_t = CompressionWord::Snappy)]
    pub compression: CompressionWord,
    /// Threads; never more than the cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// File for the records that are rejected [default: OUT with `.rejects.parquet`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub rejects: Option<PathBuf>,
    /// What `_source` says [default: the absolute path or URI of IN]
    #[arg(long = "as", value_name = "URI", value_parser = parse_known_as)]
    pub known_as: Option<String>,
    /// What to do if the compressed stream of IN is damaged
    #[arg(long, value_enum, default_value_t = OnDamageWord::Fail)]
    pub on_damage: OnDamageWord,
    /// Overwrite OUT and the file of rejects
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Also read every file whole and compare it with the digest in its receipt
    #[arg(long)]
    pub bytes: bool,
    /// Then mend what can be: where the catalog says that a compacted hour lies, and rows in it that no receipt names
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Make tables, columns, partitions and views again from files and receipts
    #[command(long_about = "Make tables, columns, partitions and views again from files and receipts.\n\n\
        Names and paths of columns stand in every file. The contract does not: say with --contract what the table was \
        made with. A table that is in the catalog keeps what it has, and gets what it lacks.")]
    Rebuild(RebuildArgs),
}

#[derive(Debug, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Make the database of `--catalog glue:DATABASE` if it is missing
    #[arg(long)]
    pub create_database: bool,
    /// Only this table [default: every table that has receipts]
    #[arg(long)]
    pub table: Option<String>,
    /// What the table was made with: `default`, `rigado`, or a TOML file
    #[arg(long, value_name = "default|rigado|FILE", default_value = "default")]
    pub contract: String,
    /// How keys tell their hour, as the table was made [default: Firehose's and Hive's ways]
    #[arg(long, value_name = "PATTERN", default_value_t = KeyPattern::default(), hide_default_value = true)]
    pub key_pattern: KeyPattern,
    /// Only say what would be made
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct CleanArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Also remove files of sources that were never completed, a day old; their runs must not be going on
    #[arg(long)]
    pub unfinished: bool,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The source, as `_source` says it: s3://bucket/key or an absolute path. One that ends in `/` stands for all sources
    /// below it
    #[arg(long, value_name = "URI")]
    pub source: String,
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Only from this table [default: from every table]
    #[arg(long)]
    pub table: Option<String>,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct DropArgs {
    /// Table to remove
    pub table: String,
    #[command(flatten)]
    pub lake: LakeArgs,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[command(flatten)]
    pub print: ReportArgs,
}

/// Whether something shall be removed.
#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Remove without asking
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct CompactArgs {
    /// Table [default: all]
    pub table: Option<String>,
    #[command(flatten)]
    pub lake: LakeArgs,
    /// How long after its end an hour is closed, such as 2h, 90m or 1d; what comes later is taken in by a later run
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2h")]
    pub settled: Duration,
    /// How long superseded files stay for those who read them; a later run removes them [default: 24h on S3, 10m in a folder]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub grace: Option<Duration>,
    /// Leave out hours before this, such as 2026-03-01 or 2026-03-01T05 (UTC)
    #[arg(long, value_name = "HOUR")]
    pub since: Option<Partition>,
    /// Leave out this hour and later
    #[arg(long, value_name = "HOUR")]
    pub until: Option<Partition>,
    /// Hours compacted side by side [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Memory for each of them; what does not fit goes to the folder of temporary files
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256 MiB")]
    pub memory: u64,
    /// How Parquet pages are compressed
    #[arg(long, value_enum, default_value_t = CompressionWord::Snappy)]
    pub compression: CompressionWord,
    /// Only say what would be compacted
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub print: ReportArgs,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write `iotlake.1`, `iotlake-backfill.1` and so on to
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompressionWord {
    /// Read by everything
    Snappy,
    /// Smaller; not read by Redshift Spectrum
    Zstd,
}

impl From<CompressionWord> for Compression {
    fn from(word: CompressionWord) -> Compression {
        match word {
            CompressionWord::Snappy => Compression::Snappy,
            CompressionWord::Zstd => Compression::Zstd,
        }
    }
}

/// What damage of a compressed stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnDamageWord {
    /// The source fails, and nothing of it is written
    Fail,
    /// Records before the last checksum that agrees are kept, the rest is one reject, `stream`
    Reject,
}

impl From<OnDamageWord> for OnDamage {
    fn from(word: OnDamageWord) -> OnDamage {
        match word {
            OnDamageWord::Fail => OnDamage::Fail,
            OnDamageWord::Reject => OnDamage::Reject,
        }
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatWord {
    /// For people
    Table,
    /// For people: one line for each value
    Vertical,
    /// With a header
    Csv,
    /// One object a line
    Json,
    /// A file; needs --output or a pipe
    Parquet,
}

/// A path or a URI; a path need not be UTF-8.
fn location() -> impl TypedValueParser<Value = Location> {
    OsStringValueParser::new().try_map(|text: OsString| Location::parse(text))
}

fn parse_known_as(text: &str) -> Result<String, String> {
    iotlake::plan::check_known_as(text).map(|()| text.to_owned())
}

/// The arguments of the program, where SQL that begins with a comment does not look like an option: behind a space it
/// means the same.
pub fn with_comments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(|command| command == "query" || command == "files") {
        for argument in &mut arguments[2..] {
            let Some(text) = argument.to_str().filter(|text| text.starts_with("--")) else { continue };
            // `--output=a b` is an option.
            let is_sql = text.split_once(char::is_whitespace).is_some_and(|(word, _)| !word.contains('='));
            if is_sql {
                *argument = format!(" {text}").into();
            }
        }
    }
    arguments
}

fn parse_size(text: &str) -> Result<u64, String> {
    let size = iotlake::contract::bytes_of(text);
    size.ok_or_else(|| "expected a whole number and one of B, KiB, MiB, GiB, such as \"64 GiB\"".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60 * 1000),
        "h" => Some(60 * 60 * 1000),
        "d" => Some(24 * 60 * 60 * 1000),
        // Nothing is nothing in any unit.
        "" if number.bytes().all(|digit| digit == b'0') => Some(1),
        _ => None,
    };
    let time =
        number.parse::<u64>().ok().zip(milliseconds).and_then(|(number, unit)| number.checked_mul(unit));
    let time = time.filter(|milliseconds| *milliseconds <= LONGEST);
    time.map(Duration::from_millis).ok_or_else(|| {
        "expected a whole number and one of ms, s, m, h, d, such as 2h, at most 100 years".to_owned()
    })
}

/// A hundred years, in milliseconds.
const LONGEST: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    #[test]
    fn times_are_whole_numbers_of_a_unit() {
        let seconds = |text: &str| super::parse_duration(text).map(|time| Duration::as_secs(&time));
        for (text, expected) in [("2h", 7200), ("90m", 5400), ("1d", 86400), ("0", 0), ("7s", 7)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        assert_eq!(super::parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "h", "2", "2 h", "-1h", "1.5h", "2w", "99999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
