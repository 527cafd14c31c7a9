//! Time and memory by bytes: what is looked at and moved beside reading each record once, counted, for the sources that
//! were made, or happened, to cost more. Memory is counted in `tests/allocations.rs`.

use std::convert::Infallible;
use std::fmt::Write;

use iotlake_flatten::{Contract, Flattener, Limits, Options, Part};

use crate::support::schema;

/// Reads `text`; what was looked at for each of its bytes, and the parts.
fn work(text: &str, options: Options) -> (f64, Vec<Part>) {
    let mut parts = Vec::new();
    let mut sink = |part: Part| -> Result<(), Infallible> {
        parts.push(part);
        Ok(())
    };
    // Small blocks, so that next to nothing is left for the end.
    let mut flattener = Flattener::new(schema(&Contract::empty()), options);
    for piece in text.as_bytes().chunks(10_000) {
        let Ok(()) = flattener.push(piece, &mut sink);
    }
    let work = flattener.work() as f64 / text.len() as f64;
    let Ok(()) = flattener.finish(&mut sink);
    (work, parts)
}

fn blocks() -> Options {
    Options { chunk_bytes: 4096, ..Options::default() }
}

/// The cost of a byte is bounded, and twice as many do not cost more each.
fn holds(name: &str, most: f64, source: impl Fn(usize) -> String) -> Vec<Part> {
    let (small, large) = (source(1), source(2));
    assert!(large.len() > small.len() * 3 / 2, "{name}: {} and {} bytes", small.len(), large.len());
    let (once, _) = work(&small, blocks());
    let (twice, parts) = work(&large, blocks());
    eprintln!("{name}: {once:.2} and {twice:.2} for a byte");
    assert!(once <= most && twice <= most, "{name}: {once:.2} and {twice:.2} for a byte");
    parts
}

#[test]
fn rooms_of_buildings_as_keys() {
    let parts = holds("rooms", 2.0, |times| {
        let mut text = String::new();
        for at in 0..30_000 * times {
            let (building, room) = (at % 150, at / 150);
            writeln!(
                text,
                "{{\"ts\":1,\"building{building}\":{{\"room{room}\":{{\"temp\":{at},\"hum\":1}}}}}}"
            )
            .unwrap();
        }
        text
    });
    assert_eq!(parts.iter().map(|part| u64::from(part.rows)).sum::<u64>(), 60_000);
}

#[test]
fn kinds_of_messages_as_keys_with_fields_that_never_return() {
    holds("kinds", 2.0, |times| {
        let mut text = String::new();
        for at in 0..20_000 * times {
            writeln!(text, "{{\"a{}\":{{\"b\":{{\"c{at}\":{{\"d\":{at}}}}}}}}}", at % 250).unwrap();
        }
        text
    });
}

#[test]
fn keys_that_each_sort_before_all_others() {
    holds("descending", 2.0, |times| {
        (0..60_000 * times).rev().fold(String::new(), |text, at| text + &format!("{{\"k{at:07}\":1}}\n"))
    });
}

#[test]
fn objects_that_each_have_a_key_without_a_column() {
    let long = "k".repeat(Limits::default().path_bytes);
    let parts = holds("long keys", 0.2, |times| {
        (0..3_000 * times).fold(String::new(), |text, at| text + &format!("{{\"o{at}\":{{\"{long}\":1}}}}\n"))
    });
    assert_eq!(parts[0].columns, []);
}

#[test]
fn paths_as_deep_as_may_be() {
    let deep = |at: usize| {
        (0..62).fold(format!("{at}"), |below, level| format!("{{\"k{}\":{below}}}", at * (level / 61)))
    };
    holds("deep", 3.0, |times| (0..9_000 * times).fold(String::new(), |text, at| text + &deep(at) + "\n"));
}

#[test]
fn garbage_on_one_line_is_looked_at_once() {
    let parts = holds("garbage", 1.1, |times| "{x}".repeat(100_000 * times));
    assert_eq!(parts.iter().map(|part| part.rejects.len()).sum::<usize>(), 200_000);
    holds("garbage and blanks", 1.1, |times| "{x} ".repeat(100_000 * times));
    holds("words", 2.1, |times| "x{ ".repeat(100_000 * times));
    // Behind a record that is far larger, so that as much is in the buffer.
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000));
    holds("garbage behind a large record", 1.1, |times| large.clone() + &"{x}".repeat(500_000 * times));
    let (threaded, _) = work(&"{x}".repeat(200_000), Options { threads: 8, ..blocks() });
    assert!(threaded <= 2.2, "{threaded:.2} for a byte with eight threads");
}

#[test]
fn parts_that_end_early_are_not_read_again_by_every_thread() {
    // Eight parts end within what eight threads read at once, and each piece would fill one.
    let options = Options { threads: 8, chunk_bytes: 256 << 10, ..Options::default() };
    let (work, parts) = work(&"{x}\n".repeat(1_000_000), options);
    assert!(parts.len() > 10 && work <= 2.5, "{work:.2} for a byte, {} parts", parts.len());
}

#[test]
fn lines_that_each_begin_a_record_inside_of_the_one_before() {
    let filler = "1,".repeat(100);
    let parts = holds("lines", 3.0, |times| format!("{{\"a\":[{filler}\n").repeat(3000 * times));
    assert_eq!(parts.iter().map(|part| part.rejects.len()).sum::<usize>(), 6000);
    holds("lines that end in an error", 3.0, |times| {
        (format!("{{\"a\":[{filler}\n").repeat(30) + "x\n").repeat(100 * times)
    });
}

#[test]
fn records_that_never_end_inside_of_each_other() {
    // Each is larger than a record may be, and the next begins on its second line.
    let limits = Limits { record_bytes: 200_000, ..Limits::default() };
    let fields: String = (0..12_000).map(|at| format!("\"k{at}\":{at},")).collect();
    let text = ("{\"a\":\n".repeat(60) + "{" + &fields + &fields + "\n").repeat(5);
    let (work, parts) = work(&text, Options { limits, ..blocks() });
    assert!(work <= 4.0, "{work:.2} for a byte");
    assert_eq!(parts.iter().map(|part| part.rejects.len()).sum::<usize>(), 305);
}

#[test]
fn objects_without_room_that_share_what_is_around_them() {
    // Once there is no room for columns: objects below sixty keys that are the same in every record.
    let many: String = (0..9000).map(|at| format!("{{\"c{at}\":1}}\n")).collect();
    holds("shared", 2.0, |times| {
        let mut text = many.clone();
        for at in 0..3000 * times {
            let fields: Vec<_> =
                (0..50).map(|field| format!("\"o{}\":{{\"x\":1}}", at % 7 + field)).collect();
            writeln!(text, "{}{{{}}}{}", "{\"k\":".repeat(60), fields.join(","), "}".repeat(60)).unwrap();
        }
        text
    });
}

#[test]
fn records_that_are_taken_back_cost_what_they_brought() {
    // Many objects have overflow; then records that fail on the fast path, behind a key that has no place.
    let many: String = (0..20_000).map(|at| format!("{{\"o{at}\":{{\"x\":1,\"y\":2}}}}\n")).collect();
    holds("taken back", 2.0, |times| {
        let broken = "{\"zz\":1,\"zz\":2}\n".repeat(20_000 * times);
        many.repeat(times) + &broken
    });
}
