//! `iotlake query`: SQL over a lake, or the list of what can be asked about.

use super::args::QueryArgs;
use super::exit::Outcome;

/// Runs the command.
#[cfg(not(feature = "query"))]
pub fn run(_arguments: QueryArgs) -> Outcome {
    Err(super::exit::Failure::new("this iotlake was built without SQL")
        .with_hint("build it with the feature `query`: cargo build --release --features query"))
}

/// Runs the command.
#[cfg(feature = "query")]
pub fn run(arguments: QueryArgs) -> Outcome {
    with_sql::run(arguments)
}

#[cfg(feature = "query")]
mod with_sql {
    use std::fmt::Write as _;
    use std::io::{self, BufWriter, IsTerminal, Write};
    use std::path::Path;

    use iotlake::query::{Answer, Format, QueryError, Session, TableKind, write};

    use super::super::args::{FormatWord, LakeArgs, QueryArgs};
    use super::super::exit::{Exit, Failure, Outcome, output_failed, print, warn};
    use super::super::open_lake;
    use super::super::units::{count, plural};
    use super::super::whole::{WholeFile, cannot_write};

    pub fn run(arguments: QueryArgs) -> Outcome {
        let format = format(&arguments)?;
        let lake = open_lake(&arguments.lake)?;
        let session = Session::open(&lake).map_err(failure)?;
        let Some(sql) = &arguments.sql else {
            print(&tables(&session, &arguments.lake))?;
            return Ok(Exit::Done);
        };
        match &arguments.output {
            None => {
                let mut out = BufWriter::new(io::stdout());
                answer(&session, sql, format, arguments.max_rows, &mut out)?;
                out.flush().map_err(output_failed)?;
            }
            Some(path) => {
                let failed = |error: io::Error| cannot_write(format!("--output {}", path.display()), &error);
                let file = WholeFile::begin(path).map_err(failed)?;
                let mut out = file.writer().map_err(failed)?;
                answer(&session, sql, format, arguments.max_rows, &mut out)?;
                out.flush().map_err(failed)?;
                file.keep().map_err(failed)?;
            }
        }
        for unread in session.unread() {
            warn(&unread.message, Some(unread.hint));
        }
        Ok(Exit::Done)
    }

    fn format(arguments: &QueryArgs) -> Result<Format, Failure> {
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
            Some(FormatWord::Table) => Format::Table,
            Some(FormatWord::Csv) => Format::Csv,
            Some(FormatWord::Json) => Format::Json,
            Some(FormatWord::Parquet) => Format::Parquet,
            None => by_name().unwrap_or_default(),
        };
        if format == Format::Parquet && arguments.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("--format parquet: a terminal cannot show Parquet")
                .with_hint("name a file with --output FILE, or choose table, csv or json"));
        }
        Ok(format)
    }

    fn answer(
        session: &Session,
        sql: &str,
        format: Format,
        max_rows: Option<usize>,
        out: &mut (impl Write + Send),
    ) -> Result<(), Failure> {
        let Some(max_rows) = max_rows else {
            return session.write(sql, format, out).map(drop).map_err(failure);
        };
        let mut all = session.run(sql).map_err(failure)?;
        let rows = all.rows();
        cut(&mut all, max_rows);
        write(&all, format, out).map_err(failure)?;
        if rows > max_rows {
            let (rows, shown) = (count(rows as u64), count(max_rows as u64));
            warn(&format!("--max-rows {max_rows}: the first {shown} of {rows} rows"), None);
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

    fn tables(session: &Session, lake: &LakeArgs) -> String {
        let tables = session.tables();
        let width = tables.iter().map(|table| table.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for table in tables {
            let kind = match table.kind {
                TableKind::Data => "table",
                TableKind::Rejects => "rejects",
                TableKind::View => "view",
            };
            let columns = plural(table.columns.len() as u64, "column");
            writeln!(text, "{:<width$}  {kind:<7}  {columns}", table.name).expect("a String takes all");
        }
        match tables.first() {
            None => text.push_str("no tables yet: `iotlake backfill SRC --lake DIR` makes one\n"),
            Some(table) => {
                let name = &table.name;
                let example = format!("iotlake query {lake} 'SELECT * FROM \"{name}\" LIMIT 10'");
                writeln!(text, "\nnames with dots go in double quotes: {example}")
                    .expect("a String takes all");
            }
        }
        text
    }

    fn failure(error: QueryError) -> Failure {
        match error {
            QueryError::Write(error) => output_failed(error),
            error => Failure::of(&error),
        }
    }
}
