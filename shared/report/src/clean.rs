//! Text from outside, on its way in.
//!
//! Much of what a body holds was named by someone else, an attacker among them: tags, domains, finding types. It is cleaned here, once;
//! each format then escapes what is special to it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// No more characters than this are taken of one text.
const LONGEST: usize = 400;

/// `text` without control characters (so without terminal escapes and line breaks) and without characters that reorder or hide others,
/// each replaced by `?`, cut to 400 characters.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned: String = text.chars().take(LONGEST).map(|c| if hides(c) { '?' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// Whether a character could make a text look like another: controls, bidirectional overrides, invisible ones (Unicode TR 36).
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A cleaned text, number or truth value out of a body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Words(String);

impl Words {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.0
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(clean(&text))),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Bool(truth) => Ok(Self(truth.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(serde::de::Error::custom("not a word")),
        }
    }
}

/// A cell that a spreadsheet takes for text. What begins like a formula is given an apostrophe in front (OWASP, "CSV Injection").
pub(crate) fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\r\n\u{9b}2J"), "a?[31mred????2J");
        assert_eq!(clean("invoice\u{202e}fdp.exe\u{200b}"), "invoice?fdp.exe?");
        assert_eq!(clean("Grüße, 東京"), "Grüße, 東京");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_formula_becomes_text() {
        for formula in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "|x", "%0A"] {
            assert!(cell(formula).starts_with('\''), "{formula}");
        }
        assert_eq!(cell("moved eni-1"), "moved eni-1");
    }
}
