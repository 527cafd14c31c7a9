//! Views: other names and types for the columns of a table.
//!
//! In comes a description of each column (a name, a type, an expression over columns of the table); out comes the SQL
//! of a `SELECT` for DataFusion or for Athena. The description names columns by identity and not by name, and what the
//! table does not have yet is NULL of the right type, so that nothing in a view can make a query fail.

mod rigado;

use std::fmt;

use iotlake_flatten::layout::PARTITION_KEYS;
use iotlake_flatten::{ColumnType, Identity, Schema};
use serde::{Deserialize, Serialize};

pub use rigado::rigado_view;

/// A view on one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The table whose rows it shows.
    pub table: String,
    /// Its columns, in order.
    pub columns: Vec<ViewColumn>,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewColumn {
    /// Its name.
    pub name: String,
    /// The type of its values, whatever the table has.
    #[serde(rename = "type")]
    pub ty: ViewType,
    /// Where its values come from.
    pub from: Expression,
}

/// The types of QuickSight data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ViewType {
    /// Text.
    String,
    /// 64-bit integers.
    Integer,
    /// Doubles.
    Decimal,
    /// True and false.
    Boolean,
}

impl ViewType {
    /// The type's name in Glue and Hive.
    pub fn hive_type(self) -> &'static str {
        let ty = match self {
            ViewType::String => ColumnType::Text,
            ViewType::Integer => ColumnType::Long,
            ViewType::Decimal => ColumnType::Double,
            ViewType::Boolean => ColumnType::Boolean,
        };
        ty.hive()
    }
}

/// Where the values of a view's column come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expression {
    /// A column of the table as it is.
    Column(Identity),
    /// A number where it is whole and below 2^53, as an integer; else NULL.
    Whole(Identity),
    /// A number where [`Expression::Whole`] of it is NULL.
    Fraction(Identity),
    /// A partition key: `year`, `month`, `day` or `hour`.
    Partition(String),
    /// The same text in every row.
    Text(String),
    /// NULL.
    Null,
}

/// Whose SQL to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Apache DataFusion.
    DataFusion,
    /// Trino, and so Athena engine 3.
    Trino,
}

impl Dialect {
    /// The word for a type.
    pub fn type_name(self, ty: ViewType) -> &'static str {
        match (ty, self) {
            (ViewType::String, _) => "varchar",
            (ViewType::Integer, _) => "bigint",
            (ViewType::Decimal, _) => "double",
            (ViewType::Boolean, _) => "boolean",
        }
    }
}

impl View {
    /// The `SELECT` statement of this view on a table of this schema.
    pub fn to_sql(&self, schema: &Schema, dialect: Dialect) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| column.to_sql(schema, dialect)).collect();
        format!("SELECT\n  {}\nFROM {}", columns.join(",\n  "), Quoted(&self.table))
    }
}

impl ViewColumn {
    fn to_sql(&self, schema: &Schema, dialect: Dialect) -> String {
        let value = self.from.to_sql(schema);
        let ty = dialect.type_name(self.ty);
        let value = value.unwrap_or_else(|| format!("CAST(NULL AS {ty})"));
        format!("{value} AS {}", Quoted(&self.name))
    }
}

impl Expression {
    /// The expression in SQL; `None` if it is NULL.
    fn to_sql(&self, schema: &Schema) -> Option<String> {
        let column = |identity: &Identity| schema.column(identity).map(|column| Quoted(&column.name));
        let is_whole = |c: &Quoted| format!("{c} = floor({c}) AND abs({c}) < 9007199254740992");
        match self {
            Expression::Column(identity) => column(identity).map(|c| c.to_string()),
            Expression::Whole(identity) => {
                column(identity).map(|c| format!("CASE WHEN {} THEN CAST({c} AS bigint) END", is_whole(&c)))
            }
            Expression::Fraction(identity) => {
                column(identity).map(|c| format!("CASE WHEN {} THEN NULL ELSE {c} END", is_whole(&c)))
            }
            Expression::Partition(key) => {
                PARTITION_KEYS.contains(&key.as_str()).then(|| Quoted(key).to_string())
            }
            Expression::Text(text) => Some(format!("'{}'", text.replace('\'', "''"))),
            Expression::Null => None,
        }
    }
}

/// An identifier in double quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use iotlake_flatten::{Contract, Type};
    use iotlake_flatten::{Kind, Path};

    use super::*;

    #[test]
    fn every_expression_has_its_sql() {
        let schema = Schema::new(Contract::empty().declare("t", Type::Double));
        let t = || Identity::new(Path::dotted("t"), Kind::Double);
        let column = |name: &str, ty, from| ViewColumn { name: name.to_owned(), ty, from };
        let view = View {
            name: "v".to_owned(),
            table: "x-y".to_owned(),
            columns: vec![
                column("t", ViewType::Decimal, Expression::Column(t())),
                column("t.int", ViewType::Integer, Expression::Whole(t())),
                column("t.double", ViewType::Decimal, Expression::Fraction(t())),
                column(
                    "u",
                    ViewType::Boolean,
                    Expression::Column(Identity::new(Path::dotted("u"), Kind::Boolean)),
                ),
                column("all", ViewType::String, Expression::Text("it's".to_owned())),
                column("year", ViewType::String, Expression::Partition("year".to_owned())),
                column("n\"", ViewType::String, Expression::Null),
            ],
        };
        let expected = r#"SELECT
  "t" AS "t",
  CASE WHEN "t" = floor("t") AND abs("t") < 9007199254740992 THEN CAST("t" AS bigint) END AS "t.int",
  CASE WHEN "t" = floor("t") AND abs("t") < 9007199254740992 THEN NULL ELSE "t" END AS "t.double",
  CAST(NULL AS boolean) AS "u",
  'it''s' AS "all",
  "year" AS "year",
  CAST(NULL AS varchar) AS "n"""
FROM "x-y""#;
        assert_eq!(view.to_sql(&schema, Dialect::Trino), expected);
        assert_eq!(view.to_sql(&schema, Dialect::DataFusion), expected);
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<View>(&json).unwrap(), view);
    }
}
