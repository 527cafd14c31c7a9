use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use iotlake_flatten::{Compression, Contract, Encoder, Limits, Options, Schema};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

/// Messages, of which some lie across the end of a member.
fn text(count: u32) -> Vec<u8> {
    let line =
        |i: u32| format!("{{\"n\":{},\"t\":\"dev-{i}\"}}\n", i.wrapping_mul(2_654_435_761)).into_bytes();
    (0..count).flat_map(line).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_with(bytes: &[u8], has_checksum: bool) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(has_checksum).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_with(bytes, true)
}

fn zstd_bare(bytes: &[u8]) -> Vec<u8> {
    zstd_with(bytes, false)
}

type Encode = fn(&[u8]) -> Vec<u8>;

/// `text` in so many members or frames.
fn in_pieces(text: &[u8], pieces: usize, encode: Encode) -> Vec<u8> {
    text.chunks(text.len().div_ceil(pieces)).flat_map(encode).collect()
}

/// What came of a source: its rows as text, its rejects by reason, and how often it was opened again.
#[derive(Debug, PartialEq)]
struct Taken {
    rows: Vec<String>,
    rejects: Vec<&'static str>,
    opened: usize,
    end: Result<(), (u64, String)>,
}

fn take(stored: &[u8], part_bytes: u64, known: Known<'_>, second: &[u8]) -> (Taken, Option<Damage>) {
    let mut schema = Schema::new(Contract { part_bytes, ..Contract::empty() });
    let flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
    let (mut rows, mut rejects, mut opened) = (Vec::new(), Vec::new(), 0);
    let mut again = || -> Result<Box<dyn Read + Send>, Infallible> {
        opened += 1;
        Ok(Box::new(std::io::Cursor::new(second.to_vec())))
    };
    let mut sink = |part: Part, _is_all: bool| -> Result<(), Infallible> {
        let fit = part.fit(&schema, &Limits::default());
        fit.register.iter().for_each(|identity| _ = schema.register(identity));
        let part = part.settle(&fit);
        rejects.extend(part.rejects.iter().map(|reject| reject.reason.code()));
        let encoder = Encoder {
            source: "s",
            options: "{}",
            receipt: None,
            compression: Compression::Snappy,
            parallel: false,
        };
        let file = bytes::Bytes::from(encoder.encode(&part, &schema).unwrap().bytes);
        let file = SerializedFileReader::new(file).unwrap();
        rows.extend(file.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()));
        Ok(())
    };
    let mut decoder = Decoder::new(stored, u64::MAX);
    let ended = parts(&mut decoder, flattener, known, Some(&mut again), &mut sink);
    let (end, damage) = match ended {
        Ok(()) => (Ok(()), None),
        Err(Unreadable::Damaged(damage)) => (Err((damage.verified, damage.error.to_string())), Some(damage)),
        Err(Unreadable::Failed(error)) => (Err((0, error.to_string())), None),
    };
    (Taken { rows, rejects, opened, end }, damage)
}

#[test]
fn no_altered_row_ever_becomes_a_good_one() {
    let text = text(600);
    let (whole, _) = take(&text, 4096, Known::Nothing, b"");
    assert_eq!((whole.rows.len(), whole.opened), (600, 0));
    let cases: [(&str, Encode, usize, usize); 6] = [
        ("gzip", gzip, 1, 2),
        ("gzip of members", gzip, 7, 3),
        ("zstd", zstd, 1, 2),
        ("zstd of frames", zstd, 7, 3),
        ("zstd without checksums", zstd_bare, 1, 6),
        ("zstd of frames without checksums", zstd_bare, 7, 6),
    ];
    for (name, encode, pieces, least) in cases {
        let stored = in_pieces(&text, pieces, encode);
        let mut found = 0;
        // A bit in every twenty-third byte, another one each time, and two sizes of parts in turn.
        for place in (0..stored.len()).step_by(23) {
            let mut flipped = stored.clone();
            flipped[place] ^= 1 << (place / 23 % 8);
            let part_bytes = if place % 2 == 0 { 4096 } else { 1 << 20 };
            let (taken, damage) = take(&flipped, part_bytes, Known::Nothing, &flipped);
            let Some(damage) = damage else {
                let is_the_same = taken.rows == whole.rows && taken.rejects.is_empty();
                // Its first bytes make it something else; or nothing in the stream could tell.
                let is_none = taken.rows.is_empty();
                assert!(is_the_same || is_none || name.contains("without"), "{name}, byte {place}");
                continue;
            };
            found += 1;
            assert_eq!((taken.rows.len(), taken.rejects.len()), (0, 0), "{name}, byte {place}: handed on");
            let (kept, _) = take(&flipped, part_bytes, Known::Damaged(&damage), b"");
            assert_eq!(kept.end, Ok(()), "{name}, byte {place}");
            assert!(whole.rows.starts_with(&kept.rows), "{name}, byte {place}: an altered row");
            assert_eq!((kept.rejects, kept.opened), (vec!["stream"], 0), "{name}, byte {place}");
            // A row lies at least 25 bytes behind the one before.
            assert!(kept.rows.len() as u64 >= damage.verified / 60, "{name}, byte {place}: rows were lost");
            if pieces == 1 {
                assert_eq!(kept.rows.len(), 0, "{name}, byte {place}");
            }
        }
        assert!(found > stored.len() / 23 / least, "{name}: {found} of {} found", stored.len() / 23);
    }
}

#[test]
fn a_source_of_several_parts_is_looked_through_before_the_first() {
    // More than a flattener gathers before it reads.
    let text = text(20_000);
    for (encode, has_checksum) in [(gzip as Encode, true), (zstd, true), (zstd_bare, false)] {
        let stored = in_pieces(&text, 3, encode);
        let (taken, _) = take(&stored, 4096, Known::Nothing, &stored);
        assert_eq!((taken.rows.len(), taken.opened, taken.end), (20_000, 1, Ok(())));
        // One part is handed on at the end, when everything is known anyway.
        let (taken, _) = take(&stored, 1 << 20, Known::Nothing, b"");
        assert_eq!((taken.rows.len(), taken.opened, taken.end), (20_000, 0, Ok(())));
        // Cut off in its last piece, it fails whole.
        let cut = &stored[..stored.len() - 20];
        let (taken, damage) = take(cut, 4096, Known::Nothing, cut);
        assert_eq!((taken.rows.len(), taken.opened), (0, 1));
        let verified = damage.unwrap().verified;
        // Altered in its last piece, too; the format itself does not show every damage.
        if has_checksum {
            let mut flipped = stored.clone();
            let place = stored.len() - stored.len() / 10;
            flipped[place] ^= 4;
            let (taken, damage) = take(&flipped, 4096, Known::Nothing, &flipped);
            assert_eq!((taken.rows.len(), taken.opened), (0, 1));
            assert_eq!(damage.unwrap().verified, verified);
        }
        assert_eq!(verified, 2 * text.len().div_ceil(3) as u64);
    }
}

#[test]
fn a_source_that_is_another_one_the_second_time_fails() {
    let (text, other) = (text(20_000), text(19_000));
    let (stored, other) = (gzip(&text), gzip(&other));
    let changed = Err((0, "changed while it was being read".to_owned()));
    let (taken, _) = take(&stored, 4096, Known::Nothing, &other);
    assert_eq!(taken.end, changed);
    let (taken, _) = take(&stored, 4096, Known::Whole("another digest"), b"");
    assert_eq!(taken.end, changed);
    let cut = |stored: &[u8]| {
        let stored = &stored[..stored.len() - 4];
        take(stored, 4096, Known::Nothing, stored).1.unwrap()
    };
    for now in [&stored, &other, &Vec::new()] {
        let (taken, _) = take(now, 4096, Known::Damaged(&cut(&stored)), b"");
        assert_eq!((taken.end, taken.rows.len()), (changed.clone(), 0));
    }
}
