//! Questions about whole lakes: of many files, of tables with many columns and partitions, of sources with many outputs.
//!
//! For each number of them a lake is made, and commands are run on it that look at all of it, or that ought not to. What
//! must stay true: no cost grows faster than the number; the exponent between the two largest lakes says so.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Arguments, Cost, run};

/// The first hour of the events, in seconds since 1970: 2001-01-01T00:00:00Z.
const BEGIN: u64 = 978_307_200;
/// Hours of one source: as many partitions as a part has, but for that of rows without a time.
const HOURS: u64 = 255;
/// Columns of the widest table there is.
const COLUMNS: usize = 1500;
/// The exponent above which a cost is no longer linear: what sorting adds and a machine that is busy is below it.
const LINEAR: f64 = 1.2;

/// What commands cost, by number.
struct Growth {
    what: &'static str,
    commands: &'static [&'static str],
    rows: Vec<(u32, Vec<Cost>)>,
}

impl Growth {
    fn new(what: &'static str, commands: &'static [&'static str]) -> Growth {
        println!("| {what} | {} |", commands.join(" | "));
        println!("|---|{}", "---|".repeat(commands.len()));
        Growth { what, commands, rows: Vec::new() }
    }

    fn push(&mut self, number: u32, costs: Vec<Cost>) {
        let mut line = format!("| {number} |");
        for Cost { cpu, wall, peak } in &costs {
            write!(line, " {cpu:.2} ({wall:.2}) {peak:.0} |").expect("text can be written to");
        }
        println!("{line}");
        self.rows.push((number, costs));
    }

    /// Prints the exponents of CPU time and memory between the two largest.
    fn finish(self) -> Result<(), Box<dyn Error>> {
        let Growth { what, commands, rows } = self;
        let [.., (less, small), (more, large)] = rows.as_slice() else {
            println!("\nOne number of {what} tells nothing of growth.\n");
            return Ok(());
        };
        let exponent = |of: fn(&Cost) -> f64, at: usize| {
            (of(&large[at]) / of(&small[at])).ln() / (f64::from(*more) / f64::from(*less)).ln()
        };
        let mut line = "| exponent |".to_owned();
        let mut steepest = (0.0, "");
        for (at, command) in commands.iter().enumerate() {
            let (cpu, peak) = (exponent(|cost| cost.cpu, at), exponent(|cost| cost.peak, at));
            write!(line, " **{cpu:.2}**, memory {peak:.2} |").expect("text can be written to");
            if cpu > steepest.0 {
                steepest = (cpu, command);
            }
        }
        println!("{line}\n");
        match steepest {
            (exponent, command) if exponent > LINEAR => Err(format!(
                "{what}: `{command}` grows with the power {exponent:.2}; at most {LINEAR} is linear"
            )
            .into()),
            _ => Ok(()),
        }
    }
}

/// A third, then all, of `most`, below that in steps of ten.
fn numbers(most: u32) -> Vec<u32> {
    [most / 30, most / 10, most / 3, most].into_iter().filter(|number| *number > 0).collect()
}

fn word(path: &Path) -> std::borrow::Cow<'_, str> {
    path.to_string_lossy()
}

/// Files: to be ingested, found to be ingested, audited, listed for a query, and listed.
pub(crate) fn by_files(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let commands = &["backfill", "backfill again", "audit", "query", "files"];
    println!("CPU seconds (by the wall), and MB of memory:\n");
    let mut growth = Growth::new("files", commands);
    for count in numbers(arguments.files) {
        let (raw, lake) = (arguments.work.join("raw"), arguments.work.join("lake"));
        for number in 0..count {
            let folder = raw.join(format!("2026/03/{:02}/{:02}", 1 + number / 24 % 28, number % 24));
            if number < 28 * 24 {
                fs::create_dir_all(&folder)?;
            }
            let text = format!("{{\"ts\":{},\"device\":\"d{number}\",\"t\":21.5}}\n", BEGIN * 1000);
            fs::write(folder.join(format!("object-{number}.json")), text)?;
        }
        let (from, to) = (word(&raw), word(&lake));
        let backfill = ["backfill", &from, "--lake", &to, "--quiet"];
        let sql = "SELECT count(*) FROM events WHERE hour = '07'";
        growth.push(
            count,
            vec![
                run(arguments, &backfill)?,
                run(arguments, &backfill)?,
                run(arguments, &["audit", "--lake", &to])?,
                run(arguments, &["query", "--lake", &to, sql])?,
                run(arguments, &["files", "events", "--lake", &to])?,
            ],
        );
        fs::remove_dir_all(&raw)?;
        fs::remove_dir_all(&lake)?;
    }
    growth.finish()
}

/// Partitions of a table with as many columns as a table has: filled, added to, audited, queried.
pub(crate) fn by_partitions(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let commands = &["backfill", "one more source", "audit", "query of an hour", "tables"];
    println!("CPU seconds (by the wall), and MB of memory, {COLUMNS} columns:\n");
    let mut growth = Growth::new("partitions", commands);
    let contract = arguments.work.join("contract.toml");
    let mut text = String::from("[[column]]\npath = \"t\"\ntype = \"bigint\"\n");
    for field in 1..COLUMNS {
        writeln!(text, "[[column]]\npath = \"field_{field:04}\"\ntype = \"double\"")?;
    }
    fs::write(&contract, text)?;
    for count in numbers(arguments.files) {
        let (raw, lake) = (arguments.work.join("raw"), arguments.work.join("lake"));
        fs::create_dir_all(&raw)?;
        let source = |number: u64| -> std::io::Result<_> {
            let hours = number * HOURS..(number + 1) * HOURS;
            let mut text = String::new();
            for hour in hours {
                writeln!(text, "{{\"t\":{},\"field_{:04}\":1}}", BEGIN + 3600 * hour, 1 + hour % 1499)
                    .expect("text can be written to");
            }
            let path = raw.join(format!("source-{number}.json"));
            fs::write(&path, text)?;
            Ok(path)
        };
        let sources = u64::from(count).div_ceil(HOURS);
        for number in 0..sources {
            source(number)?;
        }
        let (from, to, contract) = (word(&raw), word(&lake), word(&contract));
        let options = ["--lake", &to, "--quiet", "--partition-by", "event:t", "--contract", &contract];
        let all = run(arguments, &[&["backfill", &from][..], &options].concat())?;
        let more = source(sources)?;
        let one = run(arguments, &[&["backfill", &word(&more)][..], &options].concat())?;
        let sql =
            "SELECT count(*) FROM events WHERE year = '2001' AND month = '01' AND day = '03' AND hour = '07'";
        growth.push(
            count,
            vec![
                all,
                one,
                run(arguments, &["audit", "--lake", &to])?,
                run(arguments, &["query", "--lake", &to, sql])?,
                run(arguments, &["tables", "--lake", &to])?,
            ],
        );
        fs::remove_dir_all(&raw)?;
        fs::remove_dir_all(&lake)?;
    }
    growth.finish()
}

/// Outputs of a single source: written, found to be written, audited, written anew, removed.
pub(crate) fn by_outputs(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let commands = &["backfill", "backfill again", "audit", "replace", "remove"];
    println!("CPU seconds (by the wall), and MB of memory:\n");
    let mut growth = Growth::new("outputs", commands);
    let contract = arguments.work.join("contract.toml");
    fs::write(&contract, "part_bytes = \"4 KiB\"\n\n[[column]]\npath = \"t\"\ntype = \"bigint\"\n")?;
    for count in numbers(arguments.files) {
        let (source, lake) = (arguments.work.join("source.json"), arguments.work.join("lake"));
        // Each record is a file: neighbours are of different hours, and no part has one twice.
        let write = |value: u32| -> std::io::Result<()> {
            let mut text = String::new();
            for number in 0..u64::from(count) {
                writeln!(text, "{{\"t\":{},\"value\":{value}}}", BEGIN + 3600 * (number % HOURS))
                    .expect("text can be written to");
            }
            fs::write(&source, text)
        };
        write(1)?;
        let (from, to, contract) = (word(&source), word(&lake), word(&contract));
        let options = ["--lake", &to, "--quiet", "--partition-by", "event:t", "--contract", &contract];
        let backfill = [&["backfill", &from][..], &options].concat();
        let first = run(arguments, &backfill)?;
        let again = run(arguments, &backfill)?;
        let audit = run(arguments, &["audit", "--lake", &to])?;
        write(2)?;
        let replace = run(arguments, &[&backfill[..], &["--replace"]].concat())?;
        let name = fs::canonicalize(&source)?;
        let remove =
            run(arguments, &["remove", "--source", &word(&name), "--lake", &to, "--yes", "--quiet"])?;
        growth.push(count, vec![first, again, audit, replace, remove]);
        fs::remove_file(&source)?;
        fs::remove_dir_all(&lake)?;
    }
    growth.finish()
}
