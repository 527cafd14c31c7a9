use std::io::Write;

use proptest::prelude::*;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Lines that compress as messages do.
fn lines(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|i| format!("{{\"n\":{},\"t\":\"dev-{i}\"}}\n", i.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

/// Hands out at most `1` bytes at a time, and fails after all of them if told to.
struct Dribble<'a>(&'a [u8], usize, bool);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(self.1).min(buffer.len());
        if count == 0 && self.2 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        }
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

struct Decoded {
    bytes: Vec<u8>,
    error: Option<DecodeError>,
    stored: Stored,
}

fn decode_in(stored: &[u8], reads: usize, buffer: usize) -> Decoded {
    let mut decoder = Decoder::new(Dribble(stored, reads, false), u64::MAX);
    let mut buffer = vec![0; buffer];
    let (mut bytes, mut error) = (Vec::new(), None);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(found) => error = Some(found),
        }
    }
    let stored = decoder.finish().unwrap();
    assert_eq!(stored.decoded, bytes.len() as u64);
    Decoded { bytes, error, stored }
}

fn decode(stored: &[u8]) -> Decoded {
    decode_in(stored, usize::MAX, 64 << 10)
}

#[test]
fn every_codec_is_told_by_its_first_bytes() {
    let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, b'h', b'i'][..], &zstd(b"{}")].concat();
    for (stored, codec) in [
        (b"{}".to_vec(), Codec::Plain),
        (gzip(b"{}"), Codec::Gzip),
        (zstd(b"{}"), Codec::Zstd),
        (skipped, Codec::Zstd),
    ] {
        let found = decode(&stored);
        assert_eq!((found.bytes, found.stored.codec), (b"{}".to_vec(), codec));
        assert!(found.error.is_none(), "{:?}", found.error);
        assert_eq!(
            (found.stored.size, found.stored.digest),
            (stored.len() as u64, crate::digest::Digest::of(&stored))
        );
    }
    let empty = decode(b"");
    assert_eq!((empty.stored.codec, empty.stored.size), (Codec::Plain, 0));
}

#[test]
fn members_and_frames_follow_one_another() {
    for encode in [gzip, zstd] {
        let stored = [encode(b"one\n"), encode(b""), encode(&lines(20_000)), encode(b"three\n")].concat();
        let expected = [b"one\n", &lines(20_000)[..], b"three\n"].concat();
        for (reads, buffer) in [(usize::MAX, 1 << 20), (1, 1 << 20), (7, 13), (usize::MAX, 1)] {
            let found = decode_in(&stored, reads, buffer);
            assert!(found.error.is_none(), "{:?}", found.error);
            assert!(found.bytes == expected);
        }
    }
}

#[test]
fn a_stream_cut_off_anywhere_gives_what_it_had() {
    let data = lines(300);
    for encode in [gzip, zstd] {
        let stored = encode(&data);
        let mut before = 0;
        for cut in 5..stored.len() {
            let found = decode(&stored[..cut]);
            let Some(DecodeError::Truncated { at_input, at_output, .. }) = found.error else {
                panic!("cut at {cut}: {:?}", found.error);
            };
            assert_eq!((at_input, at_output), (cut as u64, found.bytes.len() as u64));
            assert!(data.starts_with(&found.bytes));
            assert!(found.bytes.len() >= before, "more of the stream never gives less");
            before = found.bytes.len();
        }
    }
    assert!(decode(&gzip(&data)[..1000]).bytes.len() > 1000);
}

#[test]
fn what_follows_a_stream_is_damage_and_the_data_is_kept() {
    let data = lines(10);
    for encode in [gzip, zstd] {
        let stored = [encode(&data), b"garbage that is long enough".to_vec()].concat();
        let found = decode(&stored);
        assert!(matches!(found.error, Some(DecodeError::Corrupt { .. })), "{:?}", found.error);
        assert!(found.error.unwrap().is_damage());
        assert_eq!(found.bytes, data);
        assert_eq!(
            found.stored.digest,
            crate::digest::Digest::of(&stored),
            "also what is behind damage is digested"
        );
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    let data = lines(10);
    for (mut stored, from_end) in [(gzip(&data), 5), (gzip(&data), 1), (zstd(&data), 1)] {
        let place = stored.len() - from_end;
        stored[place] ^= 1;
        let found = decode(&stored);
        assert!(matches!(found.error, Some(DecodeError::Corrupt { .. })), "{:?}", found.error);
        assert_eq!(found.bytes, data);
    }
}

#[test]
fn a_gzip_header_may_hold_a_name_a_comment_and_more() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("a.json")
        .comment("from a device")
        .extra(b"xx\x01\x00y".to_vec())
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"{}").unwrap();
    assert_eq!(decode(&encoder.finish().unwrap()).bytes, b"{}");
}

#[test]
fn a_failure_to_read_is_never_taken_for_damage() {
    for stored in [lines(10), gzip(&lines(10)), zstd(&lines(10))] {
        for cut in [0, 3, 8, stored.len() / 2, stored.len()] {
            let mut decoder = Decoder::new(Dribble(&stored[..cut], 5, true), u64::MAX);
            let mut buffer = [0; 4096];
            let error = loop {
                match decoder.read(&mut buffer) {
                    Ok(0) => panic!("cut at {cut}: the failure was swallowed"),
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, DecodeError::Io(_)), "{error:?}");
        }
    }
    // Damage at the very beginning does not hide that the rest cannot be read.
    let mut decoder = Decoder::new(Dribble(b"\x1f\x8b\xff\xff\xff\xff\xff", 5, true), u64::MAX);
    assert!(matches!(decoder.read(&mut [0; 10]), Err(DecodeError::Io(_))));
}

#[test]
fn output_and_window_are_bounded() {
    for stored in [vec![b' '; 1 << 20], gzip(&vec![b' '; 1 << 20]), zstd(&vec![b' '; 1 << 20])] {
        let run = |limit| {
            let mut decoder = Decoder::new(&stored[..], limit);
            let mut buffer = [0; 1000];
            loop {
                match decoder.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        assert_eq!(run(1 << 20), Ok(()));
        assert_eq!(run((1 << 20) - 1), Err("the source decodes to more than 1048575 bytes".to_owned()));
    }
    // A frame that asks for a window of 2 GiB.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 1, 0, 0];
    let found = decode(&wide);
    assert!(matches!(found.error, Some(DecodeError::WindowTooLarge)), "{:?}", found.error);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Where damage is found, and what came before, depends on the bytes alone.
    #[test]
    fn damage_is_found_at_one_place(place in 0.0..1.0, bit in 0_u8..8, reads in 1_usize..5000, buffer in 1_usize..5000) {
        let data = lines(3000);
        for encode in [gzip, zstd] {
            let mut stored = encode(&data);
            // The first four bytes decide the codec.
            let place = 4 + ((stored.len() - 4) as f64 * place) as usize;
            stored[place] ^= 1 << bit;
            let (one, two) = (decode(&stored), decode_in(&stored, reads, buffer));
            prop_assert!(one.bytes == two.bytes, "{} and {} bytes before damage", one.bytes.len(), two.bytes.len());
            let text = |found: &Decoded| found.error.as_ref().map(ToString::to_string);
            prop_assert_eq!(text(&one), text(&two));
        }
    }
}
