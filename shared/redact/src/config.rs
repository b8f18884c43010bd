//! What else is to be taken out: kinds of personal data, and expressions of one's own.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A compiled expression may take this many bytes: far more than any that a person writes.
const LARGEST_EXPRESSION: usize = 1 << 20;

/// A kind of personal data that can be recognised by its form, with few mistakes.
///
/// Names, addresses and dates of birth are no such kinds: they look like any other words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Personal {
    /// An email address.
    Email,
    /// A telephone number with its country code: `+` and 8 to 15 digits (ITU-T E.164).
    Phone,
    /// A bank account's number whose length is its country's and whose check digits hold (ISO 13616).
    Iban,
    /// A payment card's number: of a known issuer's range and length, and its check digit holds (ISO/IEC 7812).
    PaymentCard,
    /// A public IP address. Private, documentation and other special ranges name nobody, and stay.
    IpAddress,
}

impl Personal {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::Iban, Self::PaymentCard, Self::IpAddress];

    /// How a configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Iban => "iban",
            Self::PaymentCard => "payment-card",
            Self::IpAddress => "ip-address",
        }
    }
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An expression of one's own. Group 1 of it is taken out, or all of it where it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What the mark and the record call it.
    pub name: String,
    /// The expression, in the syntax of Rust's `regex` crate.
    pub find: String,
}

impl Pattern {
    /// The expression, compiled.
    ///
    /// # Errors
    /// If it is none, is too large, or matches the empty text.
    pub(crate) fn compile(&self) -> Result<Regex, String> {
        // The first line draws the expression, the last says what is wrong with it.
        let short = |error: regex::Error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        let compiled = RegexBuilder::new(&self.find).size_limit(LARGEST_EXPRESSION).build().map_err(short)?;
        if compiled.is_match(b"") { Err("it matches the empty text, which is everywhere".to_owned()) } else { Ok(compiled) }
    }
}

/// What is to be taken out besides credentials.
///
/// A configuration is text. A line is a comment (`# …`), kinds of personal data (`email, phone`), or an expression with a name before it:
///
/// ```
/// let config: redact::Config = "# what we may not keep\nemail, phone\ncase number = \\bCASE-([0-9]{6})\\b".parse()?;
/// let redactor = redact::Redactor::new(&config)?;
/// let (text, removed) = redactor.text("ask alice@corp.test about CASE-123456");
/// assert_eq!(text, "ask [redacted: email] about CASE-[redacted: case number]");
/// assert_eq!(removed.len(), 2);
/// # Ok::<(), redact::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Kinds of personal data.
    pub personal: BTreeSet<Personal>,
    /// Expressions of one's own, in their order.
    pub patterns: Vec<Pattern>,
}

/// A line of a configuration that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct ConfigError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Config {
    /// This, and `other` as well.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.personal.extend(other.personal);
        self.patterns.extend(other.patterns);
        self
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.personal.is_empty() && self.patterns.is_empty()
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut config = Self::default();
        for (line, number) in text.lines().zip(1..) {
            config.take_in(line.trim()).map_err(|problem| ConfigError { line: number, problem })?;
        }
        Ok(config)
    }
}

impl Config {
    fn take_in(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some((name, find)) = line.split_once('=') {
            let (name, find) = (name.trim(), find.trim());
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
            if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
                return Err(format!(
                    "`{}` is no name for an expression: up to 40 letters, digits, spaces, dots and dashes",
                    name.escape_debug()
                ));
            }
            if find.is_empty() {
                return Err(format!("`{name}` has no expression: NAME = EXPRESSION"));
            }
            let pattern = Pattern { name: name.to_owned(), find: find.to_owned() };
            pattern.compile().map_err(|problem| format!("the expression of `{name}` cannot be used: {problem}"))?;
            self.patterns.push(pattern);
            return Ok(());
        }
        for word in line.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
            let kind = Personal::ALL.into_iter().find(|kind| kind.as_str() == word);
            self.personal.insert(kind.ok_or_else(|| {
                let known = Personal::ALL.map(Personal::as_str).join(", ");
                format!("`{}` is no kind of personal data ({known}), and no `NAME = EXPRESSION`", word.escape_debug())
            })?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_what_it_says() {
        let config: Config = "\n# x = (\nemail,phone\n  iban  payment-card \nstaff id = \\bE[0-9]{5}=\nip-address".parse().unwrap();
        assert_eq!(config.personal, BTreeSet::from(Personal::ALL));
        assert_eq!(config.patterns, [Pattern { name: "staff id".to_owned(), find: "\\bE[0-9]{5}=".to_owned() }]);
        assert!("# nothing".parse::<Config>().unwrap().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_wrong() {
        for (text, line, part) in [
            ("email\ne-mail", 2, "`e-mail` is no kind of personal data (email, phone, iban, payment-card, ip-address)"),
            ("x = (", 1, "the expression of `x` cannot be used: unclosed group"),
            ("\n\nx = [0-9]*", 3, "it matches the empty text"),
            ("x =", 1, "`x` has no expression"),
            ("= x", 1, "is no name"),
            ("a]b = x", 1, "is no name"),
            ("x = \\w{500}{500}", 1, "exceeds size limit"),
        ] {
            let error = text.parse::<Config>().unwrap_err();
            assert!(error.line == line && error.problem.contains(part), "{text}: {error}");
        }
    }
}
