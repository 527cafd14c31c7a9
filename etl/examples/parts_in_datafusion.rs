//! Records to Arrow record batches, and those to DataFusion, without a file in between.
//!
//! ```text
//! cat fixtures/sample/2026/03/01/13/iot-data-*-13-00-* | cargo run --example parts_in_datafusion
//! ```
//!
//! An example of this crate and not of `iotlake-flatten`, which knows no SQL: what it needs of the core is
//! `Part::settle` and `SettledPart::into_record_batch` alone.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use iotlake_flatten::{Contract, Flattener, Limits, Options, Part, Schema};

/// How many records devices of each model sent.
const QUESTION: &str = r#"
    SELECT "device.capabilitymodelid" AS model, count(*) AS records FROM events GROUP BY model ORDER BY model"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    println!("{}", pretty_format_batches(&ask(&input, QUESTION)?)?);
    Ok(())
}

/// The answer to `sql` about the table `events`, which holds the records of `input`.
pub fn ask(input: &[u8], sql: &str) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let mut schema = Schema::new(Contract::empty());
    let mut parts: Vec<Part> = Vec::new();
    let mut sink = |part| -> Result<(), std::convert::Infallible> {
        parts.push(part);
        Ok(())
    };
    let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
    flattener.push(input, &mut sink)?;
    flattener.finish(&mut sink)?;

    // A table in memory has one schema, so all columns are registered before the first batch is made.
    let mut fitted = Vec::new();
    for part in parts {
        let fit = part.fit(&schema, &Limits::default());
        for identity in &fit.register {
            schema.register(identity);
        }
        fitted.push((part, fit));
    }
    let mut batches = Vec::new();
    for (part, fit) in fitted {
        batches.push(part.settle(&fit).into_record_batch("stdin", &schema)?);
    }

    let context = SessionContext::new();
    context.register_table("events", Arc::new(MemTable::try_new(schema.to_arrow(), vec![batches])?))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    Ok(runtime.block_on(async { context.sql(sql).await?.collect().await })?)
}
