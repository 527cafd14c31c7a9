//! The page: one file of HTML with its style, its script and its facts, and nothing that it would have to fetch.
//!
//! In come facts; out comes text. What must stay true: what a device sent cannot end the element that holds it, whatever it
//! is, for no `<`, `>` or `&` stands in there; and if it could, it would not run, for the page allows the one style and the one
//! script whose digests it names, and no address but, where it is served, that of its own server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Facts;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLES: [&str; 2] = [include_str!("page/uplot/uPlot.min.css"), include_str!("page/page.css")];
const SCRIPTS: [&str; 5] = [
    include_str!("page/uplot/uPlot.iife.min.js"),
    include_str!("page/show.js"),
    include_str!("page/charts.js"),
    include_str!("page/tables.js"),
    include_str!("page/page.js"),
];

/// Whether a page can ask for newer facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It is a file.
    Still,
    /// Its server has newer facts at `facts.json`, beside it.
    Served,
}

/// The page that shows `facts`.
pub fn page(facts: &Facts, liveness: Liveness) -> String {
    let (style, script) = (STYLES.join("\n"), SCRIPTS.join("\n"));
    let connect = match liveness {
        Liveness::Still => "'none'",
        Liveness::Served => "'self'",
    };
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src {connect}; img-src data:; base-uri 'none'; \
         form-action 'none'",
        digest(&style),
        digest(&script)
    );
    let facts = harmless(&facts.to_json());
    let values = [("policy", policy), ("style", style), ("script", script), ("facts", facts)];
    fill(TEMPLATE, &values)
}

/// Puts each value in the place of its name in `{{}}`; what is put in is not looked through again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("the template closes what it opens");
        let (_, value) =
            values.iter().find(|(known, _)| *known == name).expect("the template names what there is");
        text.push_str(value);
        text.push_str(rest);
    }
    text
}

/// The same JSON, without what means something to HTML.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + json.len() / 16);
    for letter in json.chars() {
        match letter {
            // In JSON these stand in texts alone.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            _ => text.push(letter),
        }
    }
    text
}

/// As a policy names what may be applied.
fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_json_can_end_its_element() {
        let hostile = "</script><script>alert(1)</script><!-- & \u{2028} \u{202e}";
        let json = serde_json::to_string(hostile).unwrap();
        let text = harmless(&json);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    #[test]
    fn what_is_put_in_is_not_looked_through_again() {
        assert_eq!(fill("a{{x}}b{{y}}c", &[("x", "{{y}}".to_owned()), ("y", "2".to_owned())]), "a{{y}}b2c");
    }

    #[test]
    fn scripts_and_styles_cannot_end_their_elements() {
        for text in SCRIPTS.iter().chain(&STYLES) {
            let text = text.to_ascii_lowercase();
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
    }
}
