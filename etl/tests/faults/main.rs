//! Every call to the operating system that a small run makes goes wrong once.
//!
//! The binary runs under a library that is preloaded ([`process`], preload.c): the n-th call that concerns a file of the
//! test fails with an error of the disk or for want of room, does half of what was asked, ends the process, or stops it
//! beside a second writer and lets it go on. In between, whoever reads what receipts name has to see each source as it
//! was or as it shall be; after it, the same command once more has to succeed and leave the rows of a run that nothing
//! disturbed, and a lake that audits clean.
//!
//! `cargo test` tries a sample; `make night` tries every call with every fate, which takes half an hour. `FAULT_STEP=7` in
//! its environment tries every seventh, `FAULT_ONLY=replace` only what is named so.

#![allow(unreachable_pub, reason = "tests offer nothing to anybody")]
#![cfg(target_os = "linux")]

mod lakes;
mod notifications;
mod process;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lakes::{Scenario, Workshop};
use process::{Fate, Fault};

/// Processes side by side: more than this machine has cores would only make a failure hard to read.
const AT_ONCE: usize = 2;

/// Tries every `step`-th call of `scenario` with each fate; how many that were, and what went wrong.
fn attempt(workshop: &Workshop, scenario: &Scenario, step: u64) -> (u64, Vec<String>) {
    let calls = scenario.count(workshop);
    assert!(calls > 20, "{}: only {calls} calls are seen", scenario.name);
    let mut faults = Vec::new();
    for (number, fate) in Fate::ALL.into_iter().enumerate() {
        // Another first call for each fate, so that a sample does not meet the same calls with all of them.
        let first = 1 + number as u64 * 7 % step;
        faults.extend((first..=calls).step_by(step as usize).map(|at| Fault { at, fate }));
    }
    let (next, done, failures) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = scenario.meet(workshop, *fault);
                    done.fetch_add(1, Ordering::Relaxed);
                    if let Err(reason) = result {
                        let failure = format!("{}, {fault}: {reason}", scenario.name);
                        println!("{failure}");
                        let mut failures = failures.lock().unwrap();
                        failures.push(failure);
                        if failures.len() > 20 {
                            next.store(faults.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    println!(
        "{}: {} of {calls} calls x {} fates",
        scenario.name,
        done.load(Ordering::Relaxed),
        Fate::ALL.len()
    );
    (done.into_inner(), failures.into_inner().unwrap())
}

fn attempt_all(step: u64, only: &str) {
    let workshop = Workshop::new();
    let (mut tried, mut failures) = (0, Vec::new());
    for scenario in workshop.scenarios().iter().filter(|scenario| scenario.name.contains(only)) {
        let (done, failed) = attempt(&workshop, scenario, step);
        tried += done;
        failures.extend(failed);
    }
    println!("{tried} runs with a fault");
    assert!(failures.is_empty(), "{} of {tried} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_sample_of_all_calls_goes_wrong_and_nothing_is_lost() {
    attempt_all(61, "");
}

#[test]
#[ignore = "thousands of runs; `make night`"]
fn every_call_goes_wrong_once_and_nothing_is_lost() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    attempt_all(variable("FAULT_STEP").parse().unwrap_or(1), &variable("FAULT_ONLY"));
}
