//! How much a document may be: as much as a page can carry.
//!
//! In come facts, out come the same with fewer lines, devices and columns where they are too long. What must stay true:
//! counts are never cut, only lists; a list that was cut is shorter than the count beside it.

use super::Facts;

/// The longest document, in bytes of JSON. A page with it stays below 1 MB.
pub const MOST_BYTES: usize = 800_000;

/// No list is cut below this many entries before the others are as short.
const LEAST: usize = 50;

impl Facts {
    /// Leaves out what is too much.
    pub(super) fn fit(&mut self, most_bytes: usize) {
        while self.bytes() > most_bytes {
            let lengths = [self.panels.lines.len(), self.devices.names.len(), self.columns.listed.len()];
            let half = |length: usize| (length / 2).max(LEAST);
            match lengths {
                [lines, ..] if lines > LEAST => self.panels.lines.truncate(half(lines)),
                [_, devices, columns] if devices > LEAST && devices * 4 > columns => {
                    self.keep_devices(half(devices))
                }
                [_, _, columns] if columns > LEAST => self.columns.listed.truncate(half(columns)),
                [_, devices, _] if devices > LEAST => self.keep_devices(half(devices)),
                // A few of everything, each with bounded text.
                _ => return,
            }
        }
    }

    fn keep_devices(&mut self, most: usize) {
        let devices = &mut self.devices;
        devices.names.truncate(most);
        devices.models.truncate(most);
        devices.messages.truncate(most);
        devices.last.truncate(most);
        devices.every.truncate(most);
        devices.gap.truncate(most);
        devices.silent.truncate(most);
        self.panels.lines.retain(|line| line.device.is_none_or(|device| device < most));
    }

    fn bytes(&self) -> usize {
        self.to_json().len()
    }

    /// The document, as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("facts have text keys and finite numbers")
    }
}
