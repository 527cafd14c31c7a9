//! NDJSON to columns, by iotlake and by other parsers.
//!
//! Prints a Markdown table for each data set and panics if two approaches do not find the same values.

use std::collections::BTreeMap;

use clap::Parser;
use iotlake_benches::answer::Answer;
use iotlake_benches::approaches::{APPROACHES, Approach, OWN};
use iotlake_benches::data::{CLEAN, DataSet, parse_size};
use iotlake_benches::measure::{Times, time};

/// Measures approaches to parsing, each from the same bytes to the same columns, on one thread.
#[derive(Debug, Parser)]
struct Arguments {
    /// Size of each data set.
    #[arg(long, default_value = "64MB", value_parser = parse_size)]
    bytes: u64,
    /// Rounds that count; one more runs in front.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Data sets; all if none is named.
    #[arg(long)]
    set: Vec<String>,
    /// Only approaches whose name contains this, beside iotlake's own.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() {
    let arguments = Arguments::parse();
    let names = match &arguments.set[..] {
        [] => CLEAN.map(str::to_owned).to_vec(),
        named => named.to_vec(),
    };
    for name in names {
        match DataSet::new(&name, arguments.bytes) {
            Ok(set) => measure(&set, arguments.rounds, &arguments.only),
            Err(message) => {
                eprintln!("error: {message}");
                std::process::exit(2);
            }
        }
    }
}

fn measure(set: &DataSet, rounds: u32, only: &str) {
    let chosen: Vec<&Approach> =
        APPROACHES.iter().filter(|approach| approach.name == OWN || approach.name.contains(only)).collect();
    let mut times: BTreeMap<&str, Times> = BTreeMap::new();
    let mut expected: Option<Answer> = None;
    for round in 0..=rounds {
        for approach in &chosen {
            let (found, time) = time(|| approach.run(&set.bytes));
            match (found.answer(), &expected) {
                (Ok(answer), None) => expected = Some(answer),
                (Ok(answer), Some(expected)) if answer != *expected => {
                    panic!("{} does not find the values of {OWN} in {}", approach.name, set.name)
                }
                (Err(records), expected) => {
                    assert_eq!(Some(records), expected.as_ref().map(|answer| answer.rows));
                }
                _ => {}
            }
            if round > 0 {
                times.entry(approach.name).or_default().push(time);
            }
        }
    }
    print(set, &chosen, &times, &expected.expect("the own approach always runs"));
}

fn print(set: &DataSet, chosen: &[&Approach], times: &BTreeMap<&str, Times>, answer: &Answer) {
    println!(
        "**{}**: {:.1} MB, {} records of {} bytes, {} columns, {} values\n",
        set.name,
        set.bytes.len() as f64 / 1e6,
        answer.rows,
        set.bytes.len() as u64 / answer.rows,
        answer.column_count(),
        answer.value_count(),
    );
    println!("| approach | MB/s median (min–max) | of iotlake's |\n|---|---|---|");
    for approach in chosen {
        let theirs = &times[approach.name];
        println!(
            "| {} | {} | {:.2} |",
            approach.name,
            theirs.rate(set.bytes.len()),
            times[OWN].ratio(theirs)
        );
    }
    println!();
}
