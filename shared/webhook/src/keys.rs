//! What senders prove themselves with.

use std::collections::BTreeMap;

use evidence::Secret;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::DOORS;

/// A key has so many characters at least: anything shorter can be guessed.
pub const SHORTEST: usize = 16;

pub(crate) type Key = Secret<Zeroizing<String>>;

/// The doors' keys, by door, and a token to ask GitHub with. A door without one is closed.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, Vec<Key>>);

/// What is wrong with the keys. It quotes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// They are no JSON object of names and keys.
    Shape,
    /// Something in it that no door here is called. It may be an older or a newer version's.
    Unknown(String),
    /// Neither a key nor a list of keys. Its door stays closed.
    NoKey(String),
    /// A key that can be guessed. Its door stays closed.
    Short(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape => f.write_str(
                "the keys are no JSON object that gives each door a key, or a list of keys: no door can be opened with them",
            ),
            Self::Unknown(name) => write!(f, "`{name}` is no door: its key is of no use"),
            Self::NoKey(name) => write!(f, "what `{name}` has is neither a key nor a list of keys: its door is closed"),
            Self::Short(name) => write!(f, "a key of `{name}` has fewer than {SHORTEST} characters: it is not used"),
        }
    }
}

/// Two of a door's keys hold while one takes the other's place.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Zeroizing<String>),
    More(Vec<Zeroizing<String>>),
}

/// The name of the token that GitHub is asked with, among the keys.
const GITHUB_TOKEN: &str = "github_token";

impl Keys {
    /// Reads `{"github": "KEY", "falco": ["NEW", "OLD"], …}`. What is wrong with one key does not close another's door.
    #[must_use]
    pub fn read(json: &[u8]) -> (Self, Vec<Wrong>) {
        let (mut keys, mut wrong) = (Self::default(), Vec::new());
        let Ok(given) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(json) else {
            return (keys, vec![Wrong::Shape]);
        };
        for (name, given) in given {
            if name != GITHUB_TOKEN && DOORS.iter().all(|door| door.id != name) {
                // Where name and key are exchanged, the name is a key.
                let word = (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                wrong.push(Wrong::Unknown(if word { name } else { "?".to_owned() }));
                continue;
            }
            let given = match serde_json::from_str(given.get()) {
                Ok(OneOrMore::One(key)) => vec![key],
                Ok(OneOrMore::More(keys)) => keys,
                Err(_) => {
                    wrong.push(Wrong::NoKey(name));
                    continue;
                }
            };
            let (long, short): (Vec<_>, Vec<_>) = given.into_iter().partition(|key| key.len() >= SHORTEST);
            if !short.is_empty() {
                wrong.push(Wrong::Short(name.clone()));
            }
            if !long.is_empty() {
                keys.0.insert(name, long.into_iter().map(Secret::new).collect());
            }
        }
        (keys, wrong)
    }

    /// The keys of a door; none if it is closed.
    pub(crate) fn of(&self, door: &str) -> Option<&[Key]> {
        self.0.get(door).map(Vec::as_slice)
    }

    /// Whether a door is open.
    #[must_use]
    pub fn opens(&self, door: &str) -> bool {
        door != GITHUB_TOKEN && self.0.contains_key(door)
    }

    /// The token that GitHub is asked with which key an alert is about, if there is one.
    #[must_use]
    pub fn github_token(&self) -> Option<&Secret<Zeroizing<String>>> {
        self.0.get(GITHUB_TOKEN).and_then(|tokens| tokens.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_key_closes_no_other_door() {
        let (keys, wrong) = Keys::read(
            br#"{"github": "0123456789abcdef", "falco": ["fedcba9876543210", "0123456789abcdef"], "gitguardian": "short",
            "slack": {"another": "version's"}}"#,
        );
        assert_eq!(wrong, [Wrong::Short("gitguardian".to_owned()), Wrong::Unknown("slack".to_owned())]);
        assert!(keys.opens("github") && !keys.opens("gitguardian") && !keys.opens("canary"));
        assert_eq!(keys.of("falco").unwrap().len(), 2);
        assert!(keys.github_token().is_none());
    }

    #[test]
    fn what_cannot_be_read_opens_nothing() {
        for (bad, expected) in [
            ("", Wrong::Shape),
            ("[]", Wrong::Shape),
            (r#"{"github": 1}"#, Wrong::NoKey("github".to_owned())),
            (r#"{"github": null}"#, Wrong::NoKey("github".to_owned())),
            (r#"{"github": {"key": "0123456789abcdef"}}"#, Wrong::NoKey("github".to_owned())),
            (r#"{"0123456789abcdef0123456789abcdef": "github"}"#, Wrong::Unknown("?".to_owned())),
        ] {
            let (keys, wrong) = Keys::read(bad.as_bytes());
            assert_eq!(wrong, [expected], "{bad}");
            assert!(DOORS.iter().all(|door| !keys.opens(door.id)));
        }
        assert!(!format!("{:?}", Keys::read(br#"{"github": "0123456789abcdef"}"#)).contains("0123"));
    }

    /// A token to ask with is no door, whatever somebody calls it.
    #[test]
    fn a_token_is_no_door() {
        let (keys, _) = Keys::read(br#"{"github_token": "0123456789abcdef"}"#);
        assert!(keys.github_token().is_some() && !keys.opens("github_token") && !keys.opens("github"));
    }
}
