//! Reading a contract.

use std::collections::HashMap;
use std::ops::Range;

use iotlake_flatten::{Contract, Declared, Kind, Numbers, Path, Type, UnknownType};
use serde::Deserialize;
use toml::Spanned;

use super::ContractError;

/// The smallest and the largest window of a part: below, files are not worth opening; above, memory is not bounded.
const PART_BYTES: Range<u64> = 4 << 10..(1 << 30) + 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    numbers: Option<Spanned<String>>,
    part_bytes: Option<Spanned<Size>>,
    #[serde(default)]
    sort: Vec<Spanned<Keys>>,
    #[serde(default)]
    column: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    path: Spanned<Keys>,
    r#type: Spanned<String>,
    #[serde(default)]
    also: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes or a text such as \"64 MiB\"")]
enum Size {
    Bytes(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text such as \"a.b\" or a list of keys such as [\"a\", \"b\"]")]
enum Keys {
    Dotted(String),
    List(Vec<String>),
}

/// What is wrong, and where in the text.
struct Wrong(Range<usize>, String);

/// Reads a contract from `text`; `origin` is its file, for messages.
///
/// # Errors
/// [`ContractError`], with the place in `text`.
pub fn parse(origin: &str, text: &str) -> Result<Contract, ContractError> {
    let document = toml::from_str::<Document>(text).map_err(|error| {
        let message = error.message().replace('\n', "; ");
        Wrong(error.span().unwrap_or_default(), message)
    });
    document.and_then(contract).map_err(|Wrong(span, message)| {
        let before = &text[..span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ContractError { origin: origin.to_owned(), line, column, message }
    })
}

fn contract(document: Document) -> Result<Contract, Wrong> {
    let mut contract = Contract::empty();
    if let Some(numbers) = document.numbers {
        contract.numbers = match numbers.as_ref().as_str() {
            "double" => Numbers::Double,
            "exact" => Numbers::Exact,
            word => {
                let message = format!("unknown `numbers = \"{word}\"`: expected one of double, exact");
                return Err(Wrong(numbers.span(), message));
            }
        };
    }
    if let Some(size) = document.part_bytes {
        contract.part_bytes = part_bytes(&size).map_err(|message| Wrong(size.span(), message))?;
    }
    for keys in &document.sort {
        let path = path(keys.as_ref()).map_err(|message| Wrong(keys.span(), message))?;
        if contract.sort.contains(&path) {
            return Err(Wrong(keys.span(), format!("`sort` names path {path} twice")));
        }
        contract.sort.push(path);
    }
    let mut seen = Paths::default();
    for column in document.column {
        let declared = declared(&column)?;
        seen.add(&declared).map_err(|message| Wrong(column.path.span(), message))?;
        contract.columns.push(declared);
    }
    Ok(contract)
}

fn part_bytes(size: &Spanned<Size>) -> Result<u64, String> {
    let bytes = match size.as_ref() {
        Size::Bytes(bytes) => *bytes,
        Size::Text(text) => bytes_of(text).ok_or_else(|| {
            format!(
                "`{text}` is no size: expected a whole number and one of B, KiB, MiB, GiB, such as \"64 MiB\""
            )
        })?,
    };
    match PART_BYTES.contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("`part_bytes` is {bytes}: expected 4 KiB to 1 GiB")),
    }
}

/// The number of bytes that a text such as `64 MiB`, `64MiB` or `4096` means; `None` if it is no size.
pub fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn declared(column: &Column) -> Result<Declared, Wrong> {
    let path = path(column.path.as_ref()).map_err(|message| Wrong(column.path.span(), message))?;
    let ty: Type = column
        .r#type
        .as_ref()
        .parse()
        .map_err(|error: UnknownType| Wrong(column.r#type.span(), error.to_string()))?;
    let mut also = Vec::new();
    for word in &column.also {
        let wrong = |message| Wrong(word.span(), message);
        let kind = kind(word.as_ref()).map_err(wrong)?;
        if ty == Type::Ignore {
            return Err(wrong(format!("path {path} is ignored and so has no columns; remove `also`")));
        }
        if ty.kind() == Some(kind) || also.contains(&kind) {
            return Err(wrong(format!("path {path} has a {} column already", word.as_ref())));
        }
        also.push(kind);
    }
    Ok(Declared { path, ty, also })
}

fn path(keys: &Keys) -> Result<Path, String> {
    match keys {
        Keys::Dotted(text) if text.split('.').any(str::is_empty) => Err(format!(
            "`{text}` has an empty key; if that is meant, write the path as a list of keys, such as [\"a\", \"\"]"
        )),
        Keys::Dotted(text) => Ok(Path::dotted(text)),
        Keys::List(keys) if keys.is_empty() => Err("a path has at least one key".to_owned()),
        Keys::List(keys) => Ok(Path::new(keys.iter().map(String::as_str))),
    }
}

fn kind(word: &str) -> Result<Kind, String> {
    // Contracts call integers `bigint`, names of columns `long`; both are understood.
    let found =
        Kind::ALL.into_iter().find(|kind| kind.word() == word || (word == "bigint" && *kind == Kind::Long));
    found.ok_or_else(|| {
        format!("unknown type `{word}`: expected one of double, bigint, boolean, string, json, timestamp")
    })
}

/// The paths declared so far, and what lies above them.
#[derive(Default)]
struct Paths {
    declared: HashMap<Path, Type>,
    /// Paths that lead to declared ones, with one of those.
    above: HashMap<Path, Path>,
}

impl Paths {
    fn add(&mut self, declared: &Declared) -> Result<(), String> {
        let Declared { path, ty, .. } = declared;
        let swallows = |ty: Type| matches!(ty, Type::Json | Type::Ignore);
        if self.declared.contains_key(path) {
            return Err(format!("path {path} is declared twice"));
        }
        let mut above = path.clone();
        while let Some((parent, _)) = above.split_last() {
            if let Some(ty) = self.declared.get(&parent).filter(|ty| swallows(**ty)) {
                return Err(format!("path {path} can have no values: {parent} is declared as {ty}, whole"));
            }
            self.above.entry(parent.clone()).or_insert_with(|| path.clone());
            above = parent;
        }
        if let Some(below) = self.above.get(path).filter(|_| swallows(*ty)) {
            return Err(format!("path {path} cannot be {ty}: {below} below it is declared too"));
        }
        self.declared.insert(path.clone(), *ty);
        Ok(())
    }
}
