//! Small lakes for tests, written step by step with the parts of the library.

use std::path::Path;
use std::sync::Arc;

use iotlake::catalog::{Catalog, DataFile, EmbeddedCatalog, Table, TableName};
use iotlake::digest::{Digest, source_hash};
use iotlake::ledger::{Counts, Ledger, Output, Receipt, ReceiptOptions};
use iotlake::partition::{Partition, PartitionBy};
use iotlake::source::KeyPattern;
use iotlake::storage::{Durability, LocalStorage, Storage};
use iotlake_flatten::{
    Compression, Contract, EncodedFile, Encoder, Flattener, LAYOUT, Limits, Options, Part, Schema,
};

/// A lake in a temporary folder.
pub struct Lake {
    folder: tempfile::TempDir,
    pub storage: Arc<dyn Storage>,
    pub catalog: EmbeddedCatalog,
}

impl Lake {
    pub fn new() -> Lake {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalStorage::open(folder.path()).unwrap().with_durability(Durability::None);
        let storage: Arc<dyn Storage> = Arc::new(local);
        let catalog = EmbeddedCatalog::new(storage.clone());
        Lake { folder, storage, catalog }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The same as the library has it.
    #[cfg(feature = "query")]
    pub fn whole(&self) -> iotlake::lake::Lake {
        iotlake::lake::Lake::embedded(self.storage.clone())
    }

    pub fn create_table(&self, name: &str, contract: Contract) {
        let table = Table::new(name, Schema::new(contract), PartitionBy::Arrival);
        self.catalog.create_table(&table).unwrap();
    }

    /// Ingests `bytes` as the source `source_name`, whose key tells the hour; its receipt.
    pub fn ingest(&self, table: &str, source_name: &str, bytes: &[u8]) -> Receipt {
        let partition = KeyPattern::default().hour(source_name).unwrap_or(Partition::UNKNOWN);
        let schema = Arc::new(self.catalog.table(table).unwrap().expect("the table was created").schema);
        let mut parts = Vec::new();
        let mut sink = |part| -> Result<(), std::convert::Infallible> {
            parts.push(part);
            Ok(())
        };
        let mut flattener = Flattener::new(schema, Options::default());
        flattener.push(bytes, &mut sink).unwrap();
        flattener.finish(&mut sink).unwrap();

        let mut receipt = Receipt {
            format: Receipt::FORMAT,
            source: source_name.to_owned(),
            etag: None,
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
            layout: LAYOUT,
            revision: 0,
            options: ReceiptOptions {
                partition_by: PartitionBy::Arrival,
                hour: KeyPattern::default().hour(source_name),
                compression: Compression::default().word().to_owned(),
            },
            outputs: Vec::new(),
            rejects: Vec::new(),
            counts: Counts { bytes_decoded: bytes.len() as u64, ..Counts::default() },
            replaced: Vec::new(),
            given_up: false,
        };
        for part in parts {
            self.write_part(table, partition, part, &mut receipt);
        }
        Ledger::new(self.storage.clone()).put(table, &receipt).unwrap();
        receipt
    }

    fn write_part(&self, table: &str, partition: Partition, part: Part, receipt: &mut Receipt) {
        let limits = Limits::default();
        let evolved = self.catalog.evolve(table, &mut |schema| part.fit(schema, &limits).register).unwrap();
        let schema = evolved.table.schema;
        let fit = part.fit(&schema, &limits);
        let part = part.settle(&fit);
        let source_name = receipt.source.clone();
        let compression = Compression::default();
        let key = Ledger::key(table, &source_name);
        let encoder = Encoder {
            source: &source_name,
            options: "{}",
            receipt: Some(&key),
            compression,
            parallel: false,
        };
        receipt.counts.records += part.record_count();
        receipt.counts.rows += u64::from(part.rows);
        receipt.counts.rejected += part.rejects.len() as u64;
        receipt.counts.ignored += part.ignored;
        if part.rows > 0 {
            let file = encoder.encode(&part, &schema).unwrap();
            let table = TableName::rows(table);
            let output = self.put(&table, partition, &source_name, &part, file);
            receipt.outputs.push(output);
        }
        if !part.rejects.is_empty() {
            let file = encoder.encode_rejects(&part).unwrap();
            let table = TableName::rejects(table);
            let output = self.put(&table, partition, &source_name, &part, file);
            receipt.rejects.push(output);
        }
    }

    fn put(
        &self,
        table: &TableName,
        partition: Partition,
        source_name: &str,
        part: &Part,
        file: EncodedFile,
    ) -> Output {
        let key =
            format!("{table}/{}/{}-{}.parquet", partition.folder(), source_hash(source_name), part.number);
        self.storage.put_if_absent(&key, &file.bytes).unwrap();
        let file = DataFile::new(key, partition, file);
        self.catalog.commit(table, std::slice::from_ref(&file)).unwrap();
        file.output()
    }
}
