//! Searches for sources that cost more than their bytes.
//!
//! Sources are changed at random, and of those that are alike in what matters the costliest is kept to be changed again.
//! At the end the worst are made as simple as they can be without becoming cheaper, and what they cost is printed beside
//! the data set `ragged`, counted in instructions where valgrind is installed. `make slowest BUDGET=3600`.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use iotlake_benches::slowest::genome::Genome;
use iotlake_benches::slowest::source::Source;
use iotlake_benches::slowest::trial::{Cost, Trials, once};
use iotlake_fixtures::{Shape, SplitMix64};

/// Most that a byte may cost, as a multiple of one of `ragged`.
const MOST: f64 = 10.0;

/// Searches for sources that cost more than their bytes.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where sources and lakes are put for the time being.
    #[arg(long, global = true, default_value = "target/slowest")]
    work: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Searches for so many seconds.
    Search {
        seconds: u64,
        /// Another seed finds other sources.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Genomes to begin with, one a line.
        #[arg(long)]
        from: Option<PathBuf>,
        /// Of how many the cost is printed.
        #[arg(long, default_value_t = 10)]
        print: usize,
    },
    /// Prints what sources cost: the genomes in this file, one a line.
    Count { file: PathBuf },
    /// Ingests one source; what the search runs.
    #[command(hide = true)]
    Once { genome: String, source: PathBuf, lake: PathBuf },
}

/// What decides whether two sources are alike.
type Kind = Vec<&'static str>;

struct Search {
    trials: Trials,
    random: SplitMix64,
    /// Of `ragged`.
    usual: Cost,
    /// For each kind the costliest, by time and by memory.
    worst: [BTreeMap<Kind, (f64, Genome)>; 2],
    tried: HashSet<Genome>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { command, work } = Arguments::parse();
    match command {
        Command::Once { genome, source, lake } => once(&genome, &source, &lake),
        Command::Count { file } => {
            let search = Search::new(&work, 1)?;
            let genomes = read(&file)?;
            search.print(&genomes)
        }
        Command::Search { seconds, seed, from, print } => {
            let mut search = Search::new(&work, seed)?;
            for genome in from.map_or(Ok(vec![Genome::PLAIN]), |file| read(&file))? {
                search.attempt(genome)?;
            }
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < end {
                let genome = search.next();
                search.attempt(genome)?;
            }
            eprintln!("{} sources tried", search.tried.len());
            let found = search.simplest(print)?;
            search.print(&found)
        }
    }
}

/// The genomes of a file: what stands before the first `#` of each line that has one.
fn read(file: &Path) -> Result<Vec<Genome>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::parse).collect::<Result<_, _>>()?)
}

fn ragged() -> Vec<u8> {
    let mut ragged = Vec::new();
    Shape::Ragged.write_ndjson(1, &mut ragged, 3_000_000).expect("memory takes it");
    ragged
}

fn kind(genome: &Genome) -> Kind {
    let setting = genome.setting();
    let mut kind = vec![setting.word("codec"), setting.word("threads")];
    kind.push(if setting.number("hours") > 1 { "hours" } else { "" });
    kind.push(if setting.number("declared") > 0 { setting.word("type") } else { "" });
    for shape in genome.shapes() {
        kind.extend([shape.word("fault"), shape.word("value")]);
        kind.push(if shape.number("levels") > 5 { "deep" } else { "" });
        kind.push(if shape.number("keys") > 256 { "keys" } else { "" });
    }
    kind
}

impl Search {
    fn new(work: &Path, seed: u64) -> Result<Search, Box<dyn Error>> {
        let trials = Trials::new(work)?;
        let ragged = ragged();
        let usual = trials.cost_of(&Genome::PLAIN, &ragged, ragged.len())?;
        eprintln!("ragged: {:.1} ns and {:.1} bytes of memory for each byte", usual.time, usual.memory);
        let random = SplitMix64::new(seed);
        Ok(Search { trials, random, usual, worst: Default::default(), tried: HashSet::new() })
    }

    /// Cost as multiples of that of `ragged`.
    fn scores(&self, genome: &Genome) -> Result<[f64; 2], Box<dyn Error>> {
        let cost = self.trials.cost(genome)?;
        Ok([cost.time / self.usual.time, cost.memory / self.usual.memory])
    }

    /// A genome made of some that are costly.
    fn next(&mut self) -> Genome {
        loop {
            let parents = [self.parent(), self.parent()];
            let genome = parents[0].mutate(&parents[1], &mut self.random);
            if !self.tried.contains(&genome) {
                return genome;
            }
        }
    }

    fn parent(&mut self) -> Genome {
        let worst = &self.worst[usize::from(self.random.below(4) == 0)];
        let mut ranked: Vec<&(f64, Genome)> = worst.values().collect();
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        // Half of the time one of the worst, otherwise any.
        let among = if self.random.below(2) == 0 { ranked.len().min(20) } else { ranked.len() };
        ranked[self.random.below(among as u32) as usize].1
    }

    fn attempt(&mut self, genome: Genome) -> Result<(), Box<dyn Error>> {
        self.tried.insert(genome);
        let mut scores = self.scores(&genome)?;
        let kind = kind(&genome);
        let is_worse = |scores: &[f64; 2], by: usize, worst: &[BTreeMap<Kind, (f64, Genome)>; 2]| {
            worst[by].get(&kind).is_none_or(|(known, _)| scores[by] > *known)
        };
        if is_worse(&scores, 0, &self.worst) && scores[0] > 2.0 {
            // The machine may have been busy.
            scores[0] = scores[0].min(self.scores(&genome)?[0]);
        }
        for by in 0..2 {
            if !is_worse(&scores, by, &self.worst) {
                continue;
            }
            let most = self.worst[by].values().map(|(score, _)| *score).fold(0.0, f64::max);
            if scores[by] > most {
                eprintln!("{:.1} times the {}: {genome}", scores[by], ["time", "memory"][by]);
            }
            self.worst[by].insert(kind.clone(), (scores[by], genome));
        }
        Ok(())
    }

    /// The worst by time, and half as many by memory, each as simple as it can be.
    fn simplest(&mut self, count: usize) -> Result<Vec<Genome>, Box<dyn Error>> {
        let mut found: Vec<Genome> = Vec::new();
        for (by, count) in [(0, count), (1, count.div_ceil(2))] {
            let mut ranked: Vec<(f64, Genome)> = self.worst[by].values().copied().collect();
            ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            let before = found.len();
            for (_, genome) in ranked.into_iter().take(5 * count) {
                let simple = self.simplify(genome, by)?;
                if !found.contains(&simple) {
                    found.push(simple);
                }
                if found.len() - before == count {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn simplify(&self, mut genome: Genome, by: usize) -> Result<Genome, Box<dyn Error>> {
        let score = self.scores(&genome)?[by];
        let mut at = 0;
        while let Some(simpler) = genome.simpler().nth(at) {
            if self.scores(&simpler)?[by] >= 0.9 * score {
                genome = simpler;
            } else {
                at += 1;
            }
        }
        Ok(genome)
    }

    fn print(&self, genomes: &[Genome]) -> Result<(), Box<dyn Error>> {
        let ragged = ragged();
        let usual = self.trials.instructions(&Genome::PLAIN, &ragged, ragged.len())?;
        println!(
            "| source | instructions a byte | of `ragged`'s | ns a byte | bytes of memory a byte |\n|---|---|---|---|---|"
        );
        println!("| ragged | {usual:.0} | 1.0 | {:.1} | {:.1} |", self.usual.time, self.usual.memory);
        let mut worst = 0.0_f64;
        for genome in genomes {
            let source = Source::new(genome);
            let counted = self.trials.instructions(genome, &source.stored, source.decoded)?;
            let cost = self.trials.cost(genome)?;
            let times = counted / usual;
            worst = worst.max(times);
            println!("| `{genome}` | {counted:.0} | {times:.1} | {:.1} | {:.1} |", cost.time, cost.memory);
        }
        match worst > MOST {
            true => {
                Err(format!("a byte costs {worst:.1} times one of `ragged`; at most {MOST} times is allowed")
                    .into())
            }
            false => Ok(()),
        }
    }
}
