//! How many sources at a time, and how many threads for each: what was typed, within what the machine has.

use iotlake::location::Location;

use super::exit::Failure;

/// Sources on S3 are waited for more than they are computed on: a source is a handful of requests one after the other
/// (receipt, body, files, partition, receipt), some 30 ms each, and a core does in that time what a delivery stream
/// closes in minutes. Four jobs a core keep it busy; more would only hold more parts in memory, one of 64 MiB each.
const JOBS_PER_CORE_ON_S3: usize = 4;

/// Sources larger than this compute longer than they wait: two jobs a core then hide what waiting there is, with half
/// the memory.
pub(super) const LARGE_SOURCE: u64 = 8 << 20;

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many threads may wait or compute for sources that lie there.
pub(super) fn most_threads(source: &Location) -> usize {
    match source {
        Location::Local(_) => cores(),
        Location::S3(_) => JOBS_PER_CORE_ON_S3 * cores(),
    }
}

/// Jobs and threads of each that together are at most `most`. What was not given is chosen; never more threads for a
/// source than there are cores.
pub(super) fn split_cores(
    jobs: Option<usize>,
    threads: Option<usize>,
    sources: usize,
    most: usize,
) -> Result<(usize, usize), Failure> {
    for (flag, number) in [("--jobs", jobs), ("--threads", threads)] {
        if number == Some(0) {
            return Err(
                Failure::usage(format!("{flag} 0: nothing would be done")).with_hint("use at least 1")
            );
        }
    }
    let wanted = jobs.unwrap_or(1).saturating_mul(threads.unwrap_or(1));
    if wanted > most {
        let flags = [("--jobs", jobs), ("--threads", threads)];
        let flags = flags.iter().filter_map(|(flag, number)| number.map(|number| format!("{flag} {number}")));
        let flags: Vec<_> = flags.collect();
        let message =
            format!("{}: {wanted} threads, but this machine has {} cores", flags.join(" "), cores());
        return Err(Failure::usage(message)
            .with_hint(format!("jobs x threads must be at most {most}; omit one to have it chosen")));
    }
    let jobs = jobs.unwrap_or((most / threads.unwrap_or(1)).min(sources.max(1)));
    Ok((jobs, threads.unwrap_or((most / jobs).min((cores() / jobs).max(1)))))
}

/// The threads that jobs share for what they do side by side.
pub(super) fn use_threads(number: usize) {
    if number > 1 {
        // Fails only if they are there already.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(number).build_global();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_chosen_within_the_machine() {
        let cores = cores();
        let split = |jobs, threads, sources, most| split_cores(jobs, threads, sources, most).unwrap();
        assert_eq!(split(None, None, 1000, cores), (cores, 1));
        assert_eq!(split(None, None, 1, cores), (1, cores));
        assert_eq!(split(Some(1), None, 1000, cores), (1, cores));
        // Sources that are waited for: more jobs than cores, never more threads than cores.
        assert_eq!(split(None, None, 1000, 4 * cores), (4 * cores, 1));
        assert_eq!(split(None, None, 1, 4 * cores), (1, cores));
        assert_eq!(split(Some(4 * cores), None, 1, 4 * cores), (4 * cores, 1));
        assert!(split_cores(Some(4 * cores + 1), None, 1, 4 * cores).is_err());
        assert!(split_cores(Some(cores), Some(5), 1, 4 * cores).is_err());
        assert!(split_cores(Some(0), None, 1, cores).is_err());
    }
}
