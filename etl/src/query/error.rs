//! What can go wrong with a query, and what helps.
//!
//! DataFusion's messages are for those who know its parts. Here they are brought down to what the writer of the
//! statement can change; the most common mistake by far, a name with dots and without quotes, gets its own hint.

use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::TableSummary;
use super::store::{LakeStore, Refusal};
use crate::catalog::CatalogError;
use crate::error::Hint;
use crate::partition::Partition;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The files of a table cannot be listed.
    #[error(transparent)]
    Lake(crate::error::Error),
    /// A view of the catalog cannot be made.
    #[error("view `{view}` cannot be made")]
    View {
        /// Its name.
        view: String,
        /// What DataFusion said.
        source: Box<DataFusionError>,
    },
    /// The statement is wrong.
    #[error("{message}")]
    Sql {
        /// What is wrong with it.
        message: String,
        /// What to write instead, if that is known.
        hint: Option<String>,
    },
    /// The statement is not a query.
    #[error("only SELECT is allowed; {reason}")]
    Refused {
        /// What it is.
        reason: String,
    },
    /// The lake's storage failed.
    #[error("cannot read the lake: {message}")]
    Storage {
        /// What the storage said.
        message: String,
        /// What the user can do about it.
        hint: Option<String>,
    },
    /// A file of a generation has rows that are not read any more.
    #[error(
        "{table} {partition}: its file has rows of {} that were ingested anew or removed since", plural(*sources)
    )]
    Stale {
        /// The table.
        table: String,
        /// The partition.
        partition: Partition,
        /// Of how many sources.
        sources: usize,
    },
    /// The query broke off.
    #[error("the query failed: {}", reason(.0))]
    Failed(Box<DataFusionError>),
    /// The query was stopped.
    #[error("stopped")]
    Stopped,
    /// No threads for it.
    #[error("cannot start the threads of a query")]
    Runtime(#[source] io::Error),
    /// The answer could not be written.
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

impl QueryError {
    pub(super) fn failed(error: DataFusionError) -> QueryError {
        QueryError::Failed(Box::new(error))
    }

    /// The error of a query that was right. Where the storage is behind it, only its words are of use.
    pub(super) fn of_execution(error: DataFusionError, store: &LakeStore) -> QueryError {
        match store.refusal_behind(&error.to_string()) {
            Some(Refusal { message, hint }) => QueryError::Storage { message, hint },
            None => QueryError::failed(error),
        }
    }

    /// The error of a statement that would change something.
    pub(super) fn refused(error: &DataFusionError) -> QueryError {
        let reason = message(error);
        let reason = ["DDL not supported: ", "DML not supported: ", "Statement not supported: "]
            .iter()
            .find_map(|prefix| reason.strip_prefix(prefix).map(|what| format!("got {}", statement(what))));
        QueryError::Refused { reason: reason.unwrap_or_else(|| message(error)) }
    }

    /// The error of a statement that cannot be planned.
    pub(super) fn of_plan(sql: &str, error: &DataFusionError, tables: &[TableSummary]) -> QueryError {
        let dotted = || unquoted_names(sql).into_iter().find_map(|name| hint_on_name(&name, tables));
        let (message, hint) = match error.find_root() {
            DataFusionError::SchemaError(problem, _) => match problem.as_ref() {
                SchemaError::FieldNotFound { field, .. } => {
                    let hint = dotted().or_else(|| hint_on_column(&field.name, tables));
                    let missing = field.flat_name().replace('"', "");
                    (format!("there is no column `{missing}`"), hint)
                }
                other => (other.to_string(), None),
            },
            root => {
                let message = message(root);
                match missing_table(&message) {
                    Some(name) => {
                        let there: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
                        let hint = match there.as_slice() {
                            [] => "the lake has no tables yet".to_owned(),
                            names => format!("there are {}", names.join(", ")),
                        };
                        (format!("there is no table `{name}`"), dotted().or(Some(hint)))
                    }
                    None => (message, dotted()),
                }
            }
        };
        QueryError::Sql { message, hint }
    }
}

impl Hint for QueryError {
    fn hint(&self) -> Option<&str> {
        match self {
            QueryError::Catalog(error) => error.hint(),
            QueryError::Lake(error) => error.hint(),
            QueryError::Sql { hint, .. } => hint.as_deref(),
            QueryError::Storage { hint, .. } => hint.as_deref(),
            QueryError::Refused { .. } => {
                Some("SHOW TABLES, DESCRIBE and EXPLAIN work as well; nothing was changed")
            }
            QueryError::Failed(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => {
                    Some("add a condition on year, month, day or hour, or a LIMIT")
                }
                DataFusionError::ParquetError(_) => {
                    Some("`iotlake audit` finds files that do not fit their table")
                }
                DataFusionError::ArrowError(error, _) => of_values(error),
                _ => None,
            },
            QueryError::Stale { .. } => Some(
                "`iotlake compact` makes a file without them; `iotlake query` leaves them out until then",
            ),
            QueryError::View { .. } | QueryError::Stopped | QueryError::Runtime(_) | QueryError::Write(_) => {
                None
            }
        }
    }
}

fn plural(sources: usize) -> String {
    if sources == 1 { "1 source".to_owned() } else { format!("{sources} sources") }
}

/// What broke a query off, without the name of the library that says so.
fn reason(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let prefix = ["Arrow error: ", "Execution error: "].into_iter().find(|prefix| text.starts_with(prefix));
    text[prefix.map_or(0, str::len)..].to_owned()
}

/// `DROP TABLE` for `DropTable`.
fn statement(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

/// What helps where the values of a query do not allow what it does with them. The lake is well.
fn of_values(error: &ArrowError) -> Option<&'static str> {
    match error {
        ArrowError::DivideByZero => Some("divide by NULLIF(value, 0) to get NULL instead"),
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            Some("TRY_CAST gives NULL for a value that does not convert")
        }
        ArrowError::ArithmeticOverflow(_) => Some("CAST to DOUBLE or DECIMAL first"),
        _ => None,
    }
}

/// The message of an error without DataFusion's words for where in it the error arose.
fn message(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SQL(error, _) => error.to_string().replacen("sql parser error: ", "", 1),
        other => {
            let text = other.strip_backtrace();
            text.strip_prefix("Error during planning: ").unwrap_or(&text).to_owned()
        }
    }
}

fn missing_table(message: &str) -> Option<&str> {
    let name = message.strip_prefix("table '")?.split_once("' not found")?.0;
    Some(name.strip_prefix("datafusion.public.").unwrap_or(name))
}

/// What would have been meant by an unquoted name with dots or hyphens, in lower case.
fn hint_on_name(name: &str, tables: &[TableSummary]) -> Option<String> {
    let is_table = tables.iter().any(|table| table.name == name);
    let is_column =
        |name: &str| tables.iter().flat_map(|table| &table.columns).any(|column| column.name == name);
    // The first word may be a table or an alias.
    let behind_first = name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains(['.', '-']));
    let meant = match () {
        () if is_table || is_column(name) => name,
        () => behind_first.filter(|rest| is_column(rest))?,
    };
    Some(format!("a name with a dot or a hyphen needs double quotes: \"{meant}\""))
}

/// What may have been meant by a column that is not there.
fn hint_on_column(name: &str, tables: &[TableSummary]) -> Option<String> {
    let columns = || tables.iter().flat_map(|table| &table.columns).map(|column| column.name.as_str());
    let lower = name.to_ascii_lowercase();
    if let Some(column) = columns().find(|column| *column == lower) {
        return Some(format!("column names are lower case: \"{column}\""));
    }
    let last = lower.rsplit('.').next().unwrap_or(&lower);
    let column = columns().find(|column| column.rsplit('.').next() == Some(last))?;
    Some(format!("did you mean \"{column}\"?"))
}

/// Names of the statement that are written without quotes and joined by dots or hyphens, in lower case.
fn unquoted_names(sql: &str) -> Vec<String> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Vec::new() };
    let mut names = Vec::new();
    let mut name = String::new();
    let mut joined = false;
    for token in tokens.iter().chain([&Token::EOF]) {
        match token {
            Token::Word(word)
                if word.quote_style.is_none() && (name.is_empty() || name.ends_with(['.', '-'])) =>
            {
                name.push_str(&word.value.to_ascii_lowercase());
                continue;
            }
            Token::Period | Token::Minus if !name.is_empty() => {
                name.push(if *token == Token::Period { '.' } else { '-' });
                joined = true;
                continue;
            }
            _ => {}
        }
        if joined {
            names.push(std::mem::take(&mut name));
        }
        name.clear();
        joined = false;
    }
    names
}
