//! What a source costs: the processor's time, instructions and memory of a process that does nothing else.
//!
//! In comes a genome; the program runs itself, with bounds on time and memory, and the kernel counts. What must stay true:
//! making the source is not part of the cost; a process that does not come to its end is the worst there can be.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wait4::Wait4;

use super::genome::Genome;
use super::ingest::ingest;
use super::source::Source;

/// Seconds of the processor, and kilobytes of memory, after which a process is stopped: a hundred times what an ordinary
/// source of the largest size takes.
const MOST_SECONDS: u32 = 60;
const MOST_KILOBYTES: u32 = 16_000_000;

/// What a source costs, for each of its bytes: of those stored, or of those decoded, whatever is more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Nanoseconds of the processor, outside of the kernel.
    pub time: f64,
    /// Most bytes of memory beside those of the source.
    pub memory: f64,
}

impl Cost {
    /// That of a process that was stopped, or died.
    pub const ENDLESS: Cost = Cost { time: f64::INFINITY, memory: f64::INFINITY };
}

/// Runs trials in a folder.
#[derive(Debug)]
pub struct Trials {
    folder: PathBuf,
    /// Memory of a process that does nothing.
    at_rest: f64,
}

impl Trials {
    /// Trials whose sources and lakes lie in `folder` for the time being.
    ///
    /// # Errors
    /// If the folder cannot be made or a process not be started.
    pub fn new(folder: &Path) -> Result<Trials, Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        let mut trials = Trials { folder: folder.to_owned(), at_rest: 0.0 };
        fs::write(trials.source(), b"{}")?;
        trials.at_rest = trials.run(&Genome::PLAIN, &[])?.map_or(0.0, |(_, memory)| memory);
        Ok(trials)
    }

    fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// What the source of a genome costs.
    ///
    /// # Errors
    /// If files cannot be written or a process not be started.
    pub fn cost(&self, genome: &Genome) -> Result<Cost, Box<dyn Error>> {
        let source = Source::new(genome);
        self.cost_of(genome, &source.stored, source.decoded)
    }

    /// The same of a source that was made elsewhere, read as the genome says.
    ///
    /// # Errors
    /// If files cannot be written or a process not be started.
    pub fn cost_of(&self, genome: &Genome, stored: &[u8], decoded: usize) -> Result<Cost, Box<dyn Error>> {
        fs::write(self.source(), stored)?;
        let bytes = decoded.max(stored.len()) as f64;
        Ok(match self.run(genome, &[])? {
            Some((nanoseconds, memory)) => {
                // Twice the source: as it was read, and in the memory that stands for a storage.
                let beside = memory - self.at_rest - 2.0 * stored.len() as f64;
                Cost { time: nanoseconds / bytes, memory: beside / bytes }
            }
            None => Cost::ENDLESS,
        })
    }

    /// Instructions for each byte, counted by callgrind.
    ///
    /// # Errors
    /// If there is no valgrind, or it does not say what it counted.
    pub fn instructions(
        &self,
        genome: &Genome,
        stored: &[u8],
        decoded: usize,
    ) -> Result<f64, Box<dyn Error>> {
        fs::write(self.source(), stored)?;
        let log = self.folder.join("callgrind.log");
        let log_option = format!("--log-file={}", log.display());
        self.run(genome, &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", &log_option])?;
        let text =
            fs::read_to_string(&log).map_err(|error| format!("valgrind has to be installed: {error}"))?;
        let counted =
            text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok());
        let counted = counted.ok_or_else(|| format!("callgrind counted nothing: {text}"))?;
        Ok(counted / decoded.max(stored.len()) as f64)
    }

    /// Runs this program on the source in the folder, below `around`; nanoseconds and bytes, `None` if it did not come to
    /// its end.
    fn run(&self, genome: &Genome, around: &[&str]) -> Result<Option<(f64, f64)>, Box<dyn Error>> {
        let lake = self.folder.join("lake");
        if lake.exists() {
            fs::remove_dir_all(&lake)?;
        }
        // Counting instructions takes fifty times as long.
        let seconds = if around.is_empty() { MOST_SECONDS } else { 50 * MOST_SECONDS };
        let bounds = match around {
            [] => format!("ulimit -t {seconds} -v {MOST_KILOBYTES}; exec \"$@\""),
            _ => format!("ulimit -t {seconds}; exec \"$@\""),
        };
        let mut child = Command::new("sh")
            .args(["-c", &bounds, "sh"])
            .args(around)
            .arg(std::env::current_exe()?)
            .arg("once")
            .arg(genome.to_string())
            .arg(self.source())
            .arg(&lake)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.folder.join("errors"))?)
            .spawn()?;
        let mut printed = String::new();
        child.stdout.take().expect("it is piped").read_to_string(&mut printed)?;
        let used = child.wait4()?;
        if !used.status.success() {
            return Ok(None);
        }
        let kilobytes: f64 = printed.trim().parse().map_err(|_| format!("`{printed}` is no number"))?;
        Ok(Some((used.rusage.utime.as_nanos() as f64, 1024.0 * kilobytes)))
    }
}

/// What such a process does, and prints how much memory it needed, in kilobytes. The kernel tells it of a child too, but
/// what it tells is that of the parent, if that has more.
///
/// # Errors
/// If the source cannot be read.
pub fn once(genome: &str, source: &Path, lake: &Path) -> Result<(), Box<dyn Error>> {
    let genome: Genome = genome.parse()?;
    ingest(&genome, &fs::read(source)?, lake);
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
    println!("{}", peak.ok_or("/proc/self/status has no VmHWM")?.trim());
    Ok(())
}
