//! Writing a contract.

use std::fmt::Write;

use iotlake_flatten::{Contract, Declared, Kind, Numbers, Path, Schema, Type};

/// The contract as a TOML file, which [`super::parse()`] reads back as the same contract.
pub fn to_toml(contract: &Contract) -> String {
    let mut text = options(contract);
    for declared in &contract.columns {
        text.push_str(&column(declared));
    }
    text
}

/// A contract, as a TOML file, that declares every column `schema` has: to make another table with the same columns.
///
/// Columns keep their names; those of one path come to stand next to each other. A path whose values were arrays and
/// objects cannot be declared, for its `json` column would take the objects too: it is left out with a comment.
pub fn table_to_toml(schema: &Schema) -> String {
    let contract = schema.contract();
    let mut all: Vec<Declared> = Vec::new();
    for column in schema.columns() {
        let (path, kind) = (&column.identity.path, column.identity.kind);
        match all.iter_mut().find(|declared| declared.path == *path) {
            Some(declared) => declared.also.push(kind),
            None => {
                let known = contract.columns.iter().find(|declared| declared.path == *path);
                let ty = known.map_or(type_of(kind), |known| known.ty);
                all.push(Declared { path: path.clone(), ty, also: Vec::new() });
            }
        }
    }
    let ignored = contract.columns.iter().filter(|declared| declared.ty == Type::Ignore);
    all.extend(ignored.cloned());

    let mut text = options(contract);
    for declared in &all {
        let is_whole =
            declared.ty == Type::Json && all.iter().any(|other| is_below(&other.path, &declared.path));
        if is_whole {
            let path = path(&declared.path);
            let _ = writeln!(
                text,
                "\n# {path} held arrays beside objects: its `json` column registers by itself."
            );
        } else {
            text.push_str(&column(declared));
        }
    }
    text
}

fn is_below(path: &Path, above: &Path) -> bool {
    path.len() > above.len() && path.keys().zip(above.keys()).all(|(a, b)| a == b)
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Double => Type::Double,
        Kind::Long => Type::Bigint,
        Kind::Boolean => Type::Boolean,
        Kind::String => Type::String,
        Kind::Json => Type::Json,
        Kind::Timestamp => Type::Timestamp,
    }
}

fn options(contract: &Contract) -> String {
    let numbers = match contract.numbers {
        Numbers::Double => "double",
        Numbers::Exact => "exact",
    };
    let bytes = contract.part_bytes;
    let part_bytes = match bytes {
        bytes if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("\"{} MiB\"", bytes >> 20),
        bytes => bytes.to_string(),
    };
    let mut text = format!("numbers = \"{numbers}\"\npart_bytes = {part_bytes}\n");
    if !contract.sort.is_empty() {
        let paths: Vec<_> = contract.sort.iter().map(path).collect();
        let _ = writeln!(text, "sort = [{}]", paths.join(", "));
    }
    text
}

fn column(declared: &Declared) -> String {
    let Declared { path: keys, ty, also } = declared;
    let mut text = format!("\n[[column]]\npath = {}\ntype = \"{ty}\"\n", path(keys));
    if !also.is_empty() {
        let words: Vec<_> = also.iter().map(|kind| quoted(type_of(*kind).word())).collect();
        let _ = writeln!(text, "also = [{}]", words.join(", "));
    }
    text
}

/// With dots where that is unambiguous.
fn path(path: &Path) -> String {
    if path.keys().any(|key| key.is_empty() || key.contains('.')) {
        let keys: Vec<_> = path.keys().map(quoted).collect();
        return format!("[{}]", keys.join(", "));
    }
    quoted(&path.to_string())
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
