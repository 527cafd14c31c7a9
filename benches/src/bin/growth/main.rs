//! How cost grows: with bytes, with columns that stay empty, with the number of objects, of partitions, of outputs.
//!
//! Runs the `iotlake` beside this binary as a process of its own and prints what the kernel counted for it. Questions about
//! one source have a chart each; those about whole lakes ([`lakes`]) end with the exponent with which each cost grows, and
//! with an error where one grows faster than what it is asked about. Build both with
//! `cargo build --release -p iotlake -p iotlake-benches`, or use `make growth`.

mod lakes;

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;
use iotlake_benches::chart::{Chart, Series};
use iotlake_benches::data::parse_size;
use iotlake_fixtures::Kit;
use wait4::Wait4;

/// Measures how the cost of a backfill grows.
#[derive(Debug, Parser)]
struct Arguments {
    /// Largest source.
    #[arg(long, default_value = "4GB", value_parser = parse_size)]
    bytes: u64,
    /// Most objects.
    #[arg(long, default_value_t = 10_000)]
    objects: u32,
    /// Most files of a lake, partitions of a table, and tenfold the most outputs of a source, for the questions about lakes.
    #[arg(long, default_value_t = 10_000)]
    files: u32,
    /// The only question to ask: bytes, columns, objects, files, partitions or outputs.
    #[arg(long)]
    only: Option<String>,
    /// The program, where it is not beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Runs of each, of which the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where sources and lakes are put for the time being.
    #[arg(long, default_value = "target/growth")]
    work: PathBuf,
    /// Where the charts are put.
    #[arg(long, default_value = "benches/charts")]
    charts: PathBuf,
}

/// What a run cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Seconds of CPU.
    cpu: f64,
    /// Seconds by the wall.
    wall: f64,
    /// Most memory, in MB.
    peak: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.work)?;
    fs::create_dir_all(&arguments.charts)?;
    type Question = fn(&Arguments) -> Result<(), Box<dyn Error>>;
    let questions: [(&str, Question); 6] = [
        ("bytes", by_bytes),
        ("columns", by_columns),
        ("objects", by_objects),
        ("files", lakes::by_files),
        ("partitions", lakes::by_partitions),
        ("outputs", lakes::by_outputs),
    ];
    for (name, question) in questions {
        if arguments.only.as_deref().is_none_or(|only| only == name) {
            question(&arguments)?;
        }
    }
    fs::remove_dir_all(&arguments.work)?;
    Ok(())
}

/// Runs the program with these arguments.
fn run(arguments: &Arguments, words: &[&str]) -> Result<Cost, Box<dyn Error>> {
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("iotlake"),
    };
    let begun = Instant::now();
    let mut child = Command::new(&program)
        .args(words)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let used = child.wait4()?;
    if !used.status.success() {
        return Err(format!("`iotlake {}` failed", words.join(" ")).into());
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Cost {
        cpu: cpu.as_secs_f64(),
        wall: begun.elapsed().as_secs_f64(),
        peak: used.rusage.maxrss as f64 / 1e6,
    })
}

/// Backfills `source` into a new lake; the run with the median of CPU time.
fn backfill(arguments: &Arguments, source: &Path, options: &[&str]) -> Result<Cost, Box<dyn Error>> {
    let lake = arguments.work.join("lake");
    let (source, lake_word) = (source.to_string_lossy(), lake.to_string_lossy());
    let mut costs = Vec::new();
    for _ in 0..arguments.rounds {
        let words = [&["backfill", &source, "--lake", &lake_word, "--quiet"], options].concat();
        costs.push(run(arguments, &words)?);
        fs::remove_dir_all(&lake)?;
    }
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Ok(costs[costs.len() / 2])
}

fn by_bytes(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    println!("| bytes | CPU s | CPU s per GB | wall s | peak MB | convert: CPU s per GB | peak MB |");
    println!("|---|---|---|---|---|---|---|");
    let (mut per_gb, mut peaks) = (Series::new("CPU s per GB"), Series::new("peak memory, 100 MB"));
    for bytes in [10_000_000, 100_000_000, 1_000_000_000, 4_000_000_000] {
        if bytes > arguments.bytes {
            break;
        }
        let source = arguments.work.join("kit.ndjson");
        let mut out = BufWriter::new(File::create(&source)?);
        Kit { devices: 10_000, ..Kit::default() }.write_ndjson(&mut out, bytes)?;
        out.flush()?;
        let cost = backfill(arguments, &source, &["--partition-by", "event:ts"])?;
        let gb = bytes as f64 / 1e9;
        let file = arguments.work.join("kit.parquet");
        let (from, to) = (source.to_string_lossy(), file.to_string_lossy());
        let converted = run(arguments, &["convert", &from, &to, "--quiet", "--force"])?;
        fs::remove_file(&file)?;
        println!(
            "| {} MB | {:.2} | {:.2} | {:.2} | {:.0} | {:.2} | {:.0} |",
            bytes / 1_000_000,
            cost.cpu,
            cost.cpu / gb,
            cost.wall,
            cost.peak,
            converted.cpu / gb,
            converted.peak
        );
        per_gb.push(bytes as f64 / 1e6, cost.cpu / gb);
        peaks.push(bytes as f64 / 1e6, cost.peak / 100.0);
        fs::remove_file(source)?;
    }
    println!();
    let chart = Chart { title: "One source of kit messages", x: "MB", series: vec![per_gb, peaks] };
    fs::write(arguments.charts.join("bytes.svg"), chart.svg())?;
    Ok(())
}

fn by_columns(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let folder = arguments.work.join("2026/03/01/08");
    fs::create_dir_all(&folder)?;
    let source = folder.join("eight.ndjson");
    let mut out = BufWriter::new(File::create(&source)?);
    for number in 0..400_000u64 {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        write!(out, "{{\"ts\":{}", 1_772_355_600_000 + number)?;
        for field in 0..7 {
            write!(out, ",\"field_{field:04}\":{}.5", noise >> (40 + field))?;
        }
        writeln!(out, "}}")?;
    }
    out.flush()?;
    println!("| columns declared, 8 of them filled | CPU s | wall s | peak MB |\n|---|---|---|---|");
    let mut seconds = Series::new("CPU s");
    for declared in [8, 100, 500, 1500] {
        let contract = arguments.work.join("contract.toml");
        let mut text = String::from("[[column]]\npath = \"ts\"\ntype = \"bigint\"\n");
        for field in 0..declared - 1 {
            writeln!(text, "[[column]]\npath = \"field_{field:04}\"\ntype = \"double\"")?;
        }
        fs::write(&contract, text)?;
        let contract = contract.to_string_lossy();
        let cost = backfill(arguments, &source, &["--contract", &contract])?;
        println!("| {declared} | {:.2} | {:.2} | {:.0} |", cost.cpu, cost.wall, cost.peak);
        seconds.push(f64::from(declared), cost.cpu);
    }
    println!();
    fs::remove_dir_all(arguments.work.join("2026"))?;
    let chart = Chart { title: "400,000 messages with eight fields", x: "columns", series: vec![seconds] };
    fs::write(arguments.charts.join("columns.svg"), chart.svg())?;
    Ok(())
}

fn by_objects(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    println!("| objects of 2 kB | CPU ms each | wall ms each | peak MB |\n|---|---|---|---|");
    let (mut cpu, mut wall) = (Series::new("CPU ms each"), Series::new("wall ms each"));
    for objects in [100, 1_000, 10_000] {
        if objects > arguments.objects {
            break;
        }
        let sources = arguments.work.join("objects");
        for number in 0..objects {
            let folder = sources.join(format!("2026/03/{:02}/{:02}", 1 + number / 24 % 28, number % 24));
            fs::create_dir_all(&folder)?;
            let mut text = Vec::new();
            Kit { seed: u64::from(number), devices: 50, ..Kit::default() }.write_ndjson(&mut text, 2_000)?;
            fs::write(folder.join(format!("object-{number}")), text)?;
        }
        let cost = backfill(arguments, &sources, &["--contract", "rigado"])?;
        let each = |seconds: f64| seconds * 1e3 / f64::from(objects);
        println!("| {objects} | {:.2} | {:.2} | {:.0} |", each(cost.cpu), each(cost.wall), cost.peak);
        cpu.push(f64::from(objects), each(cost.cpu));
        wall.push(f64::from(objects), each(cost.wall));
        fs::remove_dir_all(sources)?;
    }
    println!();
    let chart = Chart { title: "Objects of 2 kB", x: "objects", series: vec![cpu, wall] };
    fs::write(arguments.charts.join("objects.svg"), chart.svg())?;
    Ok(())
}
