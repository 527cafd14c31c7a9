//! Deliberate faults: what would happen if a rule of the protocol were broken. Each has to be found.
//!
//! Most are promises that the storage does not keep, or effects that come in another order than the product asks for; the
//! others make an actor leave out a look that its rule asks for.

use iotlake::catalog::{Catalog, TableName};
use iotlake::partition::Partition;
use iotlake::storage::Storage;

use crate::generations::MANIFESTS;
use crate::storage::{Answer, Change, change};
use crate::world::{State, World};

/// For how many steps a stale listing does not show what is new.
pub const STALE: u64 = 60;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        /// A rule that is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])* $name,)*
        }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$name),*];
        }
    };
}

faults! {
    /// A file is written though there is one under its key.
    FileOverwritten;
    /// A file is there with half of its bytes.
    FileTorn;
    /// A file was said to be there and is not.
    FileLost;
    /// Files come to be there after the receipt that names them.
    FilesAfterReceipt;
    /// A receipt is written whatever stands there.
    ReceiptOverwritten;
    /// Files of an older revision go before the receipt of the newer stands.
    OldFilesFirst;
    /// Files of an older revision do not go.
    OldFilesStay;
    /// A writer that was superseded is told that it was not.
    FenceIgnored;
    /// A table is written whatever others made of it meanwhile.
    ColumnsLost;
    /// A column gets another type.
    ColumnRetyped;
    /// The catalog is not told of partitions.
    PartitionsForgotten;
    /// A listing does not show what is new.
    ListingIsStale;
    /// A reader takes files that no receipt names.
    ReceiptIgnored;
    /// The sweeper takes files of sources that are being written, and does not give the sources up.
    NotGivenUp;
    /// The sweeper does not look again before it removes.
    LooksOnce;
    /// The files of a generation come to be there after its manifest.
    OutputsAfterManifest;
    /// A manifest is written though there is one of its number.
    ManifestOverwritten;
    /// Nobody says that they are at a number.
    NumberNotSaid;
    /// That somebody is at a number is forgotten before it is taken.
    NumberForgotten;
    /// A compactor reads receipts as they once were.
    ReceiptsOfOld;
    /// A reader takes rows that a generation has of sources whose receipts name other files.
    StaleShown;
    /// It is not told which sources were replaced.
    NotMarked;
    /// The catalog says that a partition lies where a generation is made, before that is committed.
    LocationFirst;
    /// Superseded files are removed at once.
    SweptAtOnce;
    /// Files are removed that somebody makes a generation of.
    WorkSwept;
}

/// Whether it is the place of a file of a generation.
fn is_of_generation(key: &str) -> bool {
    key.contains("%3")
}

fn is_file(key: &str) -> bool {
    key.ends_with(".parquet")
}

/// Whether it is a document that gives a source up.
fn says_given_up(wanted: &Change) -> bool {
    let bytes = wanted.clone().bytes().cloned().unwrap_or_default();
    String::from_utf8_lossy(&bytes).contains("\"given_up\": true")
}

/// A change where a fault decides.
pub fn apply(
    world: &World,
    state: &mut State,
    fault: Fault,
    actor: usize,
    key: &str,
    wanted: &Change,
) -> Answer {
    let plain = |wanted: &Change| change(&world.lake, key, wanted).expect("the key can be used");
    let overwrite = || {
        let bytes = wanted.clone().bytes().cloned().unwrap_or_default();
        plain(&Change::Put(bytes))
    };
    let is_new = is_file(key) && matches!(wanted, Change::Create(..));
    let is_table = key.starts_with("_iotlake/catalog/tables/");
    match fault {
        Fault::FileOverwritten if is_new => overwrite(),
        Fault::FileTorn if is_new && state.random.below(8) == 0 => {
            let mut torn = wanted.clone();
            torn.bytes().iter_mut().for_each(|bytes| bytes.truncate(bytes.len() / 2));
            plain(&torn)
        }
        Fault::FileLost if is_new && state.random.below(8) == 0 => Answer::Done,
        Fault::FilesAfterReceipt
            if is_new
                && !is_of_generation(key)
                && world.lake.head(key).is_ok_and(|found| found.is_none()) =>
        {
            world.send(state, actor, key, wanted);
            Answer::Done
        }
        Fault::NotGivenUp if key.starts_with("_iotlake/receipts/") && says_given_up(wanted) => Answer::Done,
        Fault::ReceiptOverwritten if key.starts_with("_iotlake/receipts/") => overwrite(),
        Fault::OldFilesFirst if is_new && key.contains("-r") => {
            let name = key.rsplit('/').next().unwrap_or_default();
            let hash = name.split('-').next().unwrap_or_default();
            remove_older(world, state, hash);
            plain(wanted)
        }
        Fault::OldFilesStay if is_file(key) && matches!(wanted, Change::Delete) => Answer::Done,
        Fault::FenceIgnored if key.starts_with("_iotlake/attempts/") => {
            plain(wanted);
            Answer::Done
        }
        Fault::ColumnsLost if is_table => overwrite(),
        Fault::ColumnRetyped if is_table => {
            let mut retyped = wanted.clone();
            if let Some(bytes) = retyped.bytes() {
                let text = String::from_utf8_lossy(bytes).replacen(
                    "\"boolean\"",
                    "\"string\"",
                    state.step as usize % 2,
                );
                *bytes = text.into_bytes();
            }
            plain(&retyped)
        }
        Fault::OutputsAfterManifest if is_new && is_of_generation(key) => {
            world.send(state, actor, key, wanted);
            Answer::Done
        }
        Fault::LocationFirst if is_new && is_of_generation(key) => {
            let folder = key["events/".len()..].rsplit_once('/').unwrap_or_default().0;
            let (aside, _) = folder.rsplit_once('/').unwrap_or_default();
            if let (Some(catalog), Some(partition)) = (&world.catalog, Partition::from_folder_aside(aside)) {
                let rows = TableName::rows("events");
                if catalog.location(&rows, partition).is_ok_and(|there| there.is_some()) {
                    catalog.relocate(&rows, partition, folder).expect("memory can be written");
                    if let Err(why) = state.accounts.located(world) {
                        state.breaks(why);
                    }
                }
            }
            plain(wanted)
        }
        Fault::ManifestOverwritten if key.starts_with(MANIFESTS) && key.ends_with(".json") => overwrite(),
        Fault::NumberNotSaid if key.starts_with(MANIFESTS) && key.ends_with(".begun") => Answer::Done,
        Fault::NumberForgotten if is_new && is_of_generation(key) => {
            let aside = key["events/".len()..].rsplitn(3, '/').nth(2).unwrap_or_default();
            let partition = Partition::from_folder_aside(aside);
            let folder = partition.map(Partition::folder).unwrap_or_default();
            let mut begun = Vec::new();
            let listed = world.lake.list(&format!("{MANIFESTS}{folder}/"), &mut |meta| {
                begun.extend(Some(meta.key).filter(|key| key.ends_with(".begun")));
                Ok(())
            });
            listed.expect("memory can be listed");
            for key in begun {
                let before = world.lake.read(&key).expect("memory can be read");
                world.lake.delete(&key).expect("the key can be used");
                world.account(state, &key, before.as_deref(), None);
            }
            plain(wanted)
        }
        Fault::NotMarked if key.starts_with("_iotlake/replaced/") => Answer::Done,
        Fault::PartitionsForgotten if key.starts_with("_iotlake/catalog/partitions/") => Answer::Done,
        _ => plain(wanted),
    }
}

/// Removes the files of the source of this hash that its receipt names.
fn remove_older(world: &World, state: &mut State, hash: &str) {
    let receipts = state.accounts.receipts.get(hash).and_then(|receipts| receipts.last());
    let keys: Vec<String> = receipts.into_iter().flat_map(|last| last.named.rows.iter().cloned()).collect();
    for key in keys {
        let before = world.lake.read(&key).expect("memory can be read");
        world.lake.delete(&key).expect("the key can be used");
        if before.is_some() {
            world.account(state, &key, before.as_deref(), None);
        }
    }
}
