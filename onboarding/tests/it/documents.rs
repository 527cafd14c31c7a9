//! What README.md and openapi.yaml promise is what the code has.

use std::fs;
use std::path::Path;

use iotlake_onboarding::error::Failure;
use iotlake_onboarding::settings::VARIABLES;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn every_variable_is_documented_as_it_is() {
    let readme = document("README.md");
    for variable in VARIABLES {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", variable.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in README.md", variable.name));
        assert!(row.contains(variable.about), "{row}\nis about: {}", variable.about);
        let default = if variable.default.is_empty() { "needed" } else { variable.default };
        assert!(row.contains(default), "{row}\ndefault: {default}");
    }
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("_") && !line.contains("ERROR"));
    assert_eq!(rows.count(), VARIABLES.len());
}

#[test]
fn every_code_is_documented_with_its_status() {
    let readme = document("README.md");
    for failure in Failure::all() {
        let row = format!("| `{}` | {} |", failure.code(), failure.status());
        assert!(readme.contains(&row), "{row} is not in README.md");
    }
}

#[test]
fn the_openapi_document_is_about_the_same_routes() {
    let document = document("openapi.yaml");
    for part in
        ["openapi: 3.1", "/onboard/{id}:", "post:", "get:", "delete:", "options:", "^[a-zA-Z0-9:_-]{1,128}$"]
    {
        assert!(document.contains(part), "{part}");
    }
}
