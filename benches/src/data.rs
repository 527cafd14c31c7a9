//! The data sets: shapes of `iotlake-fixtures`, made in memory from a fixed seed.
//!
//! A name and a size go in, NDJSON comes out, the same bytes on every machine. `ragged` is kept small: each of its
//! records has eight keys that no other has, so that a megabyte of it is 40,000 columns, and what is measured is the
//! allocator.

use std::str::FromStr;

use iotlake_fixtures::{Dirt, Kit, Shape};

const SEED: u64 = 1;
/// Devices of the kit: a fleet that fills the pages of a dashboard, so that neighbours in a file seldom are one device.
const DEVICES: u32 = 10_000;
/// Most bytes of `ragged`.
const RAGGED_BYTES: u64 = 8_000_000;

/// The names of the clean data sets, on which all approaches have to agree.
pub const CLEAN: [&str; 6] = ["kit", "narrow", "wide", "deep", "strings", "ragged"];
/// The kit with a fault in one record of 25, every kind of fault alike; only iotlake reads it.
pub const DIRTY: &str = "kit-dirty";

/// Records as bytes.
#[derive(Debug)]
pub struct DataSet {
    /// Its name on the command line.
    pub name: String,
    /// NDJSON.
    pub bytes: Vec<u8>,
}

impl DataSet {
    /// Makes `size` bytes, and as many more as end a record.
    ///
    /// # Errors
    /// If there is no data set of this name.
    pub fn new(name: &str, size: u64) -> Result<DataSet, String> {
        let mut bytes = Vec::with_capacity(size as usize + (1 << 16));
        let kit = Kit { seed: SEED, devices: DEVICES, ..Kit::default() };
        let written = match name {
            "kit" => kit.write_ndjson(&mut bytes, size),
            DIRTY => {
                let dirt = Dirt::spread(0.04).expect("a probability");
                Kit { dirt, ..kit }.write_ndjson(&mut bytes, size)
            }
            _ if CLEAN.contains(&name) => {
                let shape = Shape::from_str(name).map_err(|error| error.to_string())?;
                let size = if shape == Shape::Ragged { size.min(RAGGED_BYTES) } else { size };
                shape.write_ndjson(SEED, &mut bytes, size)
            }
            _ => return Err(format!("`{name}` is no data set; there are {}, {DIRTY}", CLEAN.join(", "))),
        };
        written.expect("writing to memory does not fail");
        Ok(DataSet { name: name.to_owned(), bytes })
    }
}

/// A size such as `64MB`, `1GB`, `64MiB` or a number of bytes.
///
/// # Errors
/// If it is none.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(format!(
                "`{text}` is no size: expected a number with B, kB, MB, GB, KiB, MiB or GiB"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no size: expected a number first"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64MB"), Ok(64_000_000));
        assert_eq!(parse_size("2KiB"), Ok(2048));
        assert_eq!(parse_size("7"), Ok(7));
        assert!(parse_size("64 MB").is_err() && parse_size("MB").is_err());
        assert!(parse_size("99999999999GB").is_err());
    }
}
