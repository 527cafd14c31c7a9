//! What a caller may choose, each with a default that has a reason.

/// Bounds on what a source may cost, and on how wide a table may become.
///
/// Tests lower them to reach their edges with small inputs; tables in one lake should share one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest record, in bytes. 16 MiB: over a hundred times what MQTT delivers in one message (128 KiB).
    pub record_bytes: usize,
    /// Most rows of a part. 2^20, so that a row group of narrow records stays what readers expect.
    pub part_rows: u32,
    /// Most rejects of a part: a source that is all garbage must not fill the memory with accounts of it.
    pub part_rejects: usize,
    /// Most bytes of rejects kept in a part, for the same reason.
    pub part_reject_bytes: usize,
    /// Most children of one object that get columns: more than that are data used as keys.
    pub children: usize,
    /// Most columns of a table: what Athena and Glue still handle well.
    pub columns: usize,
    /// Most bytes of the keys that lead to a column, all together. 1 KiB: a name has 127, and the path stands in the
    /// catalog and in each file for each of its columns, so that keys of kilobytes, which are data, would be the most of
    /// both. What lies below a longer path goes to the overflow of the object above.
    pub path_bytes: usize,
    /// Most columns with values, and objects with overflow, while a part is read, beyond the columns of the table. Five times the most that can become
    /// columns, so that in all but hostile parts the order of records does not matter.
    pub discovered: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            record_bytes: 16 << 20,
            part_rows: 1 << 20,
            part_rejects: 1 << 16,
            part_reject_bytes: 16 << 20,
            children: 256,
            columns: 1500,
            path_bytes: 1 << 10,
            discovered: 8 << 10,
        }
    }
}

/// How a flattener works; none of it changes what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads that parse one source side by side. 1 parses where the caller is.
    pub threads: usize,
    /// Bytes that one thread parses at a time. 2 MiB: large against the cost of handing work over, small against
    /// the memory of a part.
    pub chunk_bytes: usize,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 1, chunk_bytes: 2 << 20, limits: Limits::default() }
    }
}
