//! Text from outside, made safe to show.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first 64 characters of something that came from outside, with `?` for whatever is not printable ASCII.
///
/// For people and for evidence; nothing is decided on it.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Excerpt(String);

impl Excerpt {
    /// The excerpt of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.chars().take(64).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect())
    }

    /// The excerpt as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Excerpt {
    fn from(text: String) -> Self {
        Self::of(&text)
    }
}

impl From<Excerpt> for String {
    fn from(excerpt: Excerpt) -> Self {
        excerpt.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
