//! simd-json: a tape of each document, walked into columns.
//!
//! simd-json writes into its input, so the bytes are copied first, and that belongs to the time. It is at its best on
//! long documents, and records are short: besides the plain way, line by line, a whole block of lines is made one
//! array by turning its line feeds into commas. That gives up knowing which record was wrong, for speed.

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::{blocks, lines};
use crate::columns::{Columns, FIRST, Lookup, ROOT};

/// Bytes that are copied at a time: they and what simd-json makes of them stay in the cache.
const BLOCK: usize = 128 << 10;

/// Line by line.
pub fn line_by_line(bytes: &[u8], lookup: Lookup) -> Columns {
    let mut columns = Columns::new(lookup);
    let (mut copy, mut buffers, mut tape) = (Vec::new(), Buffers::new(1 << 12), Tape::null());
    for line in lines(bytes) {
        copy.clear();
        copy.extend_from_slice(line);
        let mut filled = tape.reset();
        simd_json::fill_tape(&mut copy, &mut buffers, &mut filled).expect("the data sets are clean");
        push_value(&mut columns, ROOT, &filled.0);
        columns.end_row();
        tape = filled.reset();
    }
    columns
}

/// A block of lines at a time, as one array.
pub fn block_by_block(bytes: &[u8], lookup: Lookup) -> Columns {
    let mut columns = Columns::new(lookup);
    tapes_of_blocks(bytes, |tape| {
        let mut at = 1;
        while at < tape.len() {
            at += push_value(&mut columns, ROOT, &tape[at..]);
            columns.end_row();
        }
    });
    columns
}

/// Only the tapes, block by block, never looked at: a limit for whatever is built on them. The number of records.
pub fn tapes_only(bytes: &[u8]) -> u64 {
    let mut records = 0;
    tapes_of_blocks(bytes, |tape| {
        let Node::Array { len, .. } = tape[0] else { unreachable!("a block is an array") };
        records += len as u64;
    });
    records
}

fn tapes_of_blocks(bytes: &[u8], mut use_tape: impl FnMut(&[Node<'_>])) {
    let (mut copy, mut buffers, mut tape) = (Vec::new(), Buffers::new(BLOCK), Tape::null());
    for block in blocks(bytes, BLOCK) {
        copy.clear();
        copy.push(b'[');
        copy.extend_from_slice(block);
        for feed in memchr::memchr_iter(b'\n', block) {
            copy[feed + 1] = b',';
        }
        // The last line feed has become a comma behind the last record.
        *copy.last_mut().expect("a block has a line feed") = b']';
        let mut filled = tape.reset();
        simd_json::fill_tape(&mut copy, &mut buffers, &mut filled).expect("the data sets are clean");
        use_tape(&filled.0);
        tape = filled.reset();
    }
}

/// Adds the value at the front of `tape`; the number of its entries there.
fn push_value(columns: &mut Columns, node: u32, tape: &[Node<'_>]) -> usize {
    match tape[0] {
        Node::Object { len, .. } => {
            let mut at = 1;
            let mut previous = FIRST;
            for _ in 0..len {
                let Node::String(key) = tape[at] else { unreachable!("a key is a string") };
                let child = columns.child(node, previous, key);
                at += 1 + push_value(columns, child, &tape[at + 1..]);
                previous = child;
            }
            return at;
        }
        Node::String(text) => columns.push_text(node, text),
        Node::Static(StaticNode::F64(value)) => columns.push_double(node, value),
        Node::Static(StaticNode::I64(value)) => columns.push_integer(node, value),
        Node::Static(StaticNode::U64(value)) => {
            columns.push_integer(node, i64::try_from(value).expect("no data set has such integers"));
        }
        Node::Static(StaticNode::Bool(value)) => columns.push_boolean(node, value),
        Node::Static(StaticNode::Null) => {}
        Node::Array { .. } => panic!("no data set has arrays"),
    }
    1
}
