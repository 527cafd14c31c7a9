//! The contract of a table as it stands: which identity is which column.
//!
//! In come the declared columns of a contract and, over the life of a table, identities that records brought; out
//! comes for each a column with a name and a place. A schema only ever grows at its end: a column, once registered,
//! keeps name, type and place for ever, because Athena refuses a file whose type differs from the table's.
//!
//! A field id is given with the place and stays, so that readers who go by ids find a column whatever becomes of names.
//!
//! What must stay true: names and field ids are unique, and no id is given twice; registering the same identities in the
//! same order gives the same schema; a schema read back from a catalog answers exactly as the one written.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::layout::FIRST_FIELD_ID;
use crate::naming;
use crate::path::{Identity, Path};

/// A column of a table: its name in readers and the identity of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumn {
    /// The name in Athena, Glue and Parquet.
    pub name: String,
    /// The field id in Parquet. Every column of a [`Schema`] has one; what was written by layouts before 3 does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Path and kind of its values.
    #[serde(flatten)]
    pub identity: Identity,
}

/// Why a list of columns is not the schema of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Two columns have one name.
    #[error("column name `{0}` stands twice in the table")]
    NameTwice(String),
    /// Two columns have one identity.
    #[error("path {0} stands twice in the table")]
    IdentityTwice(Identity),
    /// Two columns have one field id, or one has an id of the engine.
    #[error("column `{name}` has the field id {id}, which is taken")]
    IdTaken {
        /// The second of the columns.
        name: String,
        /// Its id.
        id: u32,
    },
    /// A column took a name that belongs to the engine.
    #[error("column name `{0}` belongs to the engine")]
    Reserved(String),
}

/// The columns of a table and its contract. Appending is the only change there is.
///
/// The columns every table has (`_source`, `_record`, `_overflow`) and the partition keys are not listed here.
///
/// ```
/// use iotlake_flatten::{Contract, Identity, Kind, Path, Schema, Type};
///
/// let mut schema = Schema::new(Contract::empty().declare("ts", Type::Timestamp));
/// let temperature = Path::new(["m", "Temperature"]);
/// assert_eq!(schema.register(&Identity::new(temperature.clone(), Kind::Double)).name, "m.temperature");
/// assert_eq!(schema.register(&Identity::new(temperature, Kind::String)).name, "m.temperature.string");
/// // What it is kept as gives the same schema again.
/// let again = Schema::from_columns(schema.contract().clone(), schema.columns().to_vec())?;
/// assert_eq!(again, schema);
/// # Ok::<(), iotlake_flatten::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    contract: Contract,
    columns: Vec<TableColumn>,
    places: HashMap<Identity, usize>,
    names: BTreeSet<String>,
    plain: HashMap<Path, String>,
    ids: BTreeSet<u32>,
}

impl Schema {
    /// The schema of a table before its first record: what the contract declares.
    pub fn new(contract: Contract) -> Schema {
        let declared: Vec<Identity> =
            contract.columns.iter().flat_map(|column| column.identities()).collect();
        let mut schema = Schema::bare(contract);
        for identity in &declared {
            schema.register(identity);
        }
        schema
    }

    /// The schema with exactly these columns, in this order, as a catalog kept them. A column without a field id, of a
    /// table that is older than ids, gets the one that it would have been given: columns are only ever appended.
    ///
    /// # Errors
    /// If a name, an identity or an id stands twice, or a name or an id belongs to the engine.
    pub fn from_columns(contract: Contract, columns: Vec<TableColumn>) -> Result<Schema, SchemaError> {
        let mut schema = Schema::bare(contract);
        for column in columns {
            if naming::is_reserved(&column.name) {
                return Err(SchemaError::Reserved(column.name));
            }
            if schema.names.contains(&column.name) {
                return Err(SchemaError::NameTwice(column.name));
            }
            if schema.places.contains_key(&column.identity) {
                return Err(SchemaError::IdentityTwice(column.identity));
            }
            let id = column.id.unwrap_or_else(|| schema.next_id());
            if id < FIRST_FIELD_ID || schema.ids.contains(&id) {
                return Err(SchemaError::IdTaken { name: column.name, id });
            }
            schema.append(TableColumn { id: Some(id), ..column });
        }
        Ok(schema)
    }

    fn bare(contract: Contract) -> Schema {
        Schema {
            contract,
            columns: Vec::new(),
            places: HashMap::new(),
            names: BTreeSet::new(),
            plain: HashMap::new(),
            ids: BTreeSet::new(),
        }
    }

    /// The id of the next column: above all that were given.
    fn next_id(&self) -> u32 {
        self.ids.last().map_or(FIRST_FIELD_ID, |last| last + 1)
    }

    fn append(&mut self, column: TableColumn) {
        let TableColumn { name, id, identity } = &column;
        self.ids.extend(*id);
        self.places.insert(identity.clone(), self.columns.len());
        self.names.insert(name.clone());
        self.plain.entry(identity.path.clone()).or_insert_with(|| name.clone());
        self.columns.push(column);
    }

    /// The column of `identity`, appended under a new name if the table has none yet.
    pub fn register(&mut self, identity: &Identity) -> &TableColumn {
        let place = match self.places.get(identity) {
            Some(place) => *place,
            None => {
                let plain = self.plain.get(&identity.path).map(String::as_str);
                let name = naming::name(identity, plain, |name| {
                    naming::is_reserved(name) || self.names.contains(name)
                });
                let id = Some(self.next_id());
                self.append(TableColumn { name, id, identity: identity.clone() });
                self.columns.len() - 1
            }
        };
        &self.columns[place]
    }

    /// The schema as it was when it had so many columns and its contract so many declarations; `None` if it never had.
    /// Both only ever grow at their ends.
    pub fn prefix(&self, columns: usize, declared: usize) -> Option<Schema> {
        let columns = self.columns.get(..columns)?.to_vec();
        let contract =
            Contract { columns: self.contract.columns.get(..declared)?.to_vec(), ..self.contract.clone() };
        Some(Schema::from_columns(contract, columns).expect("they were the columns of a schema"))
    }

    /// The contract under which the table was made.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// All columns, in the table's order.
    pub fn columns(&self) -> &[TableColumn] {
        &self.columns
    }

    /// The place in [`Schema::columns`] of `identity`, if it is registered.
    pub fn place(&self, identity: &Identity) -> Option<usize> {
        self.places.get(identity).copied()
    }

    /// The column of `identity`, if it is registered.
    pub fn column(&self, identity: &Identity) -> Option<&TableColumn> {
        self.place(identity).map(|place| &self.columns[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Type;
    use crate::path::Kind;

    #[test]
    fn ids_are_given_once_and_kept() {
        let mut schema = Schema::new(Contract::default());
        let registered = |schema: &mut Schema, path: &str| {
            schema.register(&Identity::new(Path::dotted(path), Kind::Double)).id
        };
        assert_eq!(schema.columns()[0].id, Some(16));
        assert_eq!((registered(&mut schema, "a"), registered(&mut schema, "b")), (Some(17), Some(18)));
        assert_eq!(registered(&mut schema, "a"), Some(17));

        // As older layouts kept it.
        let columns = || schema.columns().to_vec();
        let without = columns().into_iter().map(|column| TableColumn { id: None, ..column }).collect();
        assert_eq!(Schema::from_columns(Contract::default(), without).as_ref(), Ok(&schema));
        // One that went is not followed by another of its id.
        let mut fewer = Schema::from_columns(Contract::default(), vec![columns().remove(2)]).unwrap();
        assert_eq!(registered(&mut fewer, "c"), Some(19));
        for id in [17, 3] {
            let mut twice = columns();
            twice[2].id = Some(id);
            let refused = Schema::from_columns(Contract::default(), twice);
            assert_eq!(refused, Err(SchemaError::IdTaken { name: "b".to_owned(), id }));
        }
    }

    #[test]
    fn a_prefix_is_the_schema_as_it_was() {
        let before = Schema::new(Contract::default());
        let mut after = before.clone();
        after.register(&Identity::new(Path::dotted("a.b"), Kind::Double));
        assert_eq!(after.prefix(1, 1), Some(before));
        assert_eq!(after.prefix(2, 1), Some(after.clone()));
        assert_eq!(after.prefix(3, 1), None);
        assert_eq!(after.prefix(1, 2), None);
        let declared = Schema::new(Contract::default().declare("x", Type::String));
        assert_eq!(declared.prefix(1, 1), Some(Schema::new(Contract::default())));
    }
}
