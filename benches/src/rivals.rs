//! Other ways from NDJSON to columns. Each reads clean data only and panics at anything else; none says which byte of
//! which line was wrong, finds keys that stand twice, or goes on behind an error.
//!
//! Lines are found by `memchr`, which these data sets allow and real sources do not.

pub mod serde;
pub mod simd;
pub mod sonic;

/// The lines of `bytes`, without their line feeds.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    memchr::memchr_iter(b'\n', bytes).map(move |end| {
        let line = &bytes[begin..end];
        begin = end + 1;
        line
    })
}

/// `bytes` cut behind line feeds into blocks of about `size`.
pub fn blocks(mut bytes: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let most = &bytes[..size.min(bytes.len())];
        let end = match memchr::memrchr(b'\n', most) {
            Some(feed) => feed + 1,
            None => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |feed| feed + 1),
        };
        let (block, rest) = bytes.split_at(end);
        bytes = rest;
        Some(block)
    })
}
