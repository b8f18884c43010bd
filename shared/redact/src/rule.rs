//! One kind of thing that is taken out, and how it is found.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A single argument or field.
    Word,
    /// Anything longer.
    Text,
}

/// How many bytes of what an expression found count; none if it is not what it looks like.
pub(crate) type Check = fn(&[u8]) -> Option<usize>;

/// One kind of thing that is taken out. Group 1 of the expression, or all of it where it has none, is what goes.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) kind: Cow<'static, str>,
    /// Whatever the expression finds has one of these in it, in upper or lower case. Where none is, the expression is not even compiled:
    /// a function that starts for one finding has no time for forty of them. Empty: it is always tried.
    pub(crate) anchors: &'static [&'static str],
    find: Lazy,
    /// Only where a single argument is looked at.
    pub(crate) word: bool,
    /// What the form alone does not tell.
    pub(crate) check: Option<Check>,
}

impl Rule {
    /// A rule that comes with this program.
    pub(crate) fn shipped(kind: &'static str, anchors: &'static [&'static str], source: String) -> Self {
        Self { kind: Cow::Borrowed(kind), anchors, find: Lazy::new(source), word: false, check: None }
    }

    /// The same rule, for single arguments only.
    pub(crate) fn of_a_word(self) -> Self {
        Self { word: true, ..self }
    }

    /// The same rule, with a check.
    pub(crate) fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// A rule of the user's, compiled already.
    pub(crate) fn own(kind: String, find: Regex) -> Self {
        let find = Lazy { source: String::new(), compiled: OnceLock::from(Some(find)) };
        Self { kind: Cow::Owned(kind), anchors: &[], find, word: false, check: None }
    }

    /// The expression. None if it does not compile, which a test rules out; whoever asks must then take everything for a secret.
    pub(crate) fn find(&self) -> Option<&Regex> {
        self.find.get()
    }

    /// Whether the expression finds anything in `text`.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.find.is_match(text)
    }
}

/// An expression that is compiled when it is first needed.
#[derive(Debug)]
pub(crate) struct Lazy {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Lazy {
    pub(crate) fn new(source: String) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// The expression. What is looked at need not be UTF-8, and `.` has to mean any byte of it.
    pub(crate) fn get(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| RegexBuilder::new(&self.source).unicode(false).build().ok()).as_ref()
    }

    /// Whether it finds anything; true if it cannot be said.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.get().is_none_or(|find| find.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Personal, credentials};

    #[test]
    fn every_expression_compiles() {
        let personal = Personal::ALL.into_iter().flat_map(Personal::rules);
        for rule in credentials::rules().into_iter().chain(personal) {
            assert!(rule.find().is_some(), "{}", rule.kind);
            assert!(!rule.is_match(b""), "{} matches nothing at all", rule.kind);
            assert!(rule.anchors.iter().all(|anchor| anchor.bytes().all(|b| !b.is_ascii_uppercase())), "{}", rule.kind);
        }
    }
}
