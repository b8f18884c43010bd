//! What the function can be asked.

use serde::Deserialize;
use serde_json::value::RawValue;
use signal::{ByHand, Leak};

/// An event, sorted.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    /// From EventBridge, or anything else that is not asked by hand: `signal` makes of it what it can.
    Event(&'a [u8]),
    /// "What would you do about this?" Nothing is changed, claimed or recorded.
    Plan(Asked<'a>),
    /// "Revoke this."
    Revoke(ByHand),
    /// What the intake function read from a webhook.
    Relay(Vec<Leak>),
    /// Anything else, through the alias that takes only relays.
    Astray,
}

/// The alias that the intake function may invoke, and nothing else of this function: whoever has that one's credentials has the word of a
/// webhook's sender here, and never a person's.
const RELAY: &str = "relay";

/// What a plan is asked for.
#[derive(Debug)]
pub(crate) enum Asked<'a> {
    Event(&'a [u8]),
    Credential(ByHand),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking<'a> {
    cordon: Verb,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    credential: Option<ByHand>,
    leaks: Option<Vec<Leak>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Plan,
    Revoke,
    Relay,
}

impl<'a> Request<'a> {
    /// The request in `bytes`. `qualifier` is the alias that it came through.
    pub(crate) fn sort(bytes: &'a [u8], qualifier: Option<&str>) -> Self {
        match Self::read(bytes) {
            Self::Relay(leaks) => Self::Relay(leaks),
            _ if qualifier == Some(RELAY) => Self::Astray,
            other => other,
        }
    }

    fn read(bytes: &'a [u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(Asking { cordon: Verb::Plan, event: Some(event), credential: None, leaks: None }) => {
                Self::Plan(Asked::Event(event.get().as_bytes()))
            }
            Ok(Asking { cordon: Verb::Plan, event: None, credential: Some(credential), leaks: None }) => {
                Self::Plan(Asked::Credential(credential))
            }
            Ok(Asking { cordon: Verb::Revoke, event: None, credential: Some(credential), leaks: None }) => Self::Revoke(credential),
            Ok(Asking { cordon: Verb::Relay, event: None, credential: None, leaks: Some(leaks) }) if !leaks.is_empty() => {
                Self::Relay(leaks)
            }
            _ => Self::Event(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(text: &str) -> Request<'_> {
        Request::sort(text.as_bytes(), None)
    }

    #[test]
    fn what_is_asked_by_hand_is_told_from_an_event() {
        let key = r#"{"key":"AKIARZPUZDIKFJNBPQ4Z"}"#;
        assert!(matches!(sort(&format!(r#"{{"cordon":"revoke","credential":{key}}}"#)), Request::Revoke(_)));
        assert!(matches!(sort(&format!(r#"{{"cordon":"plan","credential":{key}}}"#)), Request::Plan(Asked::Credential(_))));
        assert!(matches!(sort(r#"{"cordon":"plan","event":{}}"#), Request::Plan(Asked::Event(_))));
        // Anything more, less or else goes the way of an event, where it is refused and recorded.
        for event in [
            r#"{"cordon":"revoke"}"#,
            r#"{"cordon":"revoke","credential":{"key":"AKIARZPUZDIKFJNBPQ4Z","secret":"x"}}"#,
            r#"{"cordon":"revoke","credential":{"key":"no key"}}"#,
            r#"{"cordon":"revoke","event":{},"credential":{}}"#,
            r#"{"cordon":"release"}"#,
            r#"{"cordon":"relay","leaks":[]}"#,
            r#"{"cordon":"relay","leaks":[{}]}"#,
            "nonsense",
        ] {
            assert!(matches!(sort(event), Request::Event(_)), "{event}");
        }
    }
}
