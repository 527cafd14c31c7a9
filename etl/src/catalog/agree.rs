//! Whether a table that is there can serve somebody who asked for another of the same name.
//!
//! Options must be the same: they decide what the bytes of files are. Declarations may add to those of the table, where
//! nothing is known yet; where the table has columns already, a declaration must not send values elsewhere. What rows are
//! sorted by when files are compacted may change at any time.

use iotlake_flatten::{ColumnType, Contract, Declared, Identity, Schema};

use super::{CatalogError, Result, Table};

/// The table that serves both; `None` if `table` does as it is.
pub(super) fn merge(table: &Table, asked: &Table) -> Result<Option<Table>> {
    let differ = |what: &str, has: String, asked: String| {
        let (table, what) = (table.name.clone(), what.to_owned());
        if has == asked { Ok(()) } else { Err(CatalogError::Disagrees { table, what, has, asked }) }
    };
    let (there, wanted) = (table.schema.contract(), asked.schema.contract());
    // Files of an older layout are read beside newer ones; those of a layout that this version does not know are not.
    if table.layout > asked.layout {
        differ("its layout", table.layout.to_string(), asked.layout.to_string())?;
    }
    differ("partition-by", table.partition_by.to_string(), asked.partition_by.to_string())?;
    if let (Some(has), Some(asked)) = (&table.key_pattern, &asked.key_pattern) {
        differ("key-pattern", has.to_string(), asked.to_string())?;
    }
    let key_pattern = table.key_pattern.clone().or_else(|| asked.key_pattern.clone());
    let numbers = |contract: &Contract| format!("{:?}", contract.numbers).to_lowercase();
    differ("`numbers`", numbers(there), numbers(wanted))?;
    differ("`part_bytes`", there.part_bytes.to_string(), wanted.part_bytes.to_string())?;

    let mut contract = there.clone();
    // Decides nothing about files that are there.
    if !wanted.sort.is_empty() {
        contract.sort.clone_from(&wanted.sort);
    }
    let mut identities = Vec::new();
    for declared in &wanted.columns {
        let what = format!("the type of path {}", declared.path);
        match contract.columns.iter_mut().find(|known| known.path == declared.path) {
            Some(known) => {
                differ(&what, known.ty.to_string(), declared.ty.to_string())?;
                for kind in &declared.also {
                    if !known.also.contains(kind) {
                        known.also.push(*kind);
                    }
                }
            }
            None => {
                if let Some(has) = undeclared(&table.schema, declared) {
                    differ(&what, has, declared.ty.to_string())?;
                }
                contract.columns.push(declared.clone());
            }
        }
        identities.extend(declared.identities());
    }
    if contract == *there && key_pattern == table.key_pattern {
        return Ok(None);
    }
    // The columns stay as they are; only what is new comes behind them.
    let columns = table.schema.columns().to_vec();
    let mut schema = Schema::from_columns(contract, columns).expect("they were the columns of a schema");
    super::register(&mut schema, &identities);
    Ok(Some(Table { schema, key_pattern, ..table.clone() }))
}

/// The type that records gave to the path of `declared`, where a declaration would take values away from it.
fn undeclared(schema: &Schema, declared: &Declared) -> Option<String> {
    let path = &declared.path;
    let mut columns = schema.columns().iter();
    if let Some(column) = columns.find(|column| column.identity.path == *path) {
        let kind = column.identity.kind;
        return (declared.ty.kind() != Some(kind)).then(|| ColumnType::from(kind).hive().to_owned());
    }
    // `json` and `ignore` also take what lies below the path.
    let takes_below = matches!(declared.ty.word(), "json" | "ignore");
    let is_below = |identity: &Identity| {
        let keys = identity.path.keys();
        keys.len() > path.len() && keys.zip(path.keys()).all(|(a, b)| a == b)
    };
    let mut columns = schema.columns().iter();
    let below = columns.find(|column| takes_below && is_below(&column.identity))?;
    Some(format!("an object with column `{}`", below.name))
}
