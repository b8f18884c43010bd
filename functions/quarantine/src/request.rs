//! What the function can be asked.

use std::collections::BTreeSet;

use ids::VpcId;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event, sorted.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    /// From EventBridge, or anything else that is not asked by hand: `signal` makes of it what it can.
    Event(&'a [u8]),
    /// "What would you do about this?" Nothing is changed, claimed or recorded.
    Plan(&'a [u8]),
    /// "Make the sealed groups of these VPCs ahead"; of all, if none is named.
    Prepare(BTreeSet<VpcId>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand<'a> {
    cordon: Verb,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(default)]
    vpcs: BTreeSet<VpcId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Plan,
    Prepare,
}

impl<'a> Request<'a> {
    pub(crate) fn sort(bytes: &'a [u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(ByHand { cordon: Verb::Plan, event: Some(event), .. }) => Self::Plan(event.get().as_bytes()),
            Ok(ByHand { cordon: Verb::Prepare, event: None, vpcs }) => Self::Prepare(vpcs),
            _ => Self::Event(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_by_hand_is_told_from_an_event() {
        assert!(matches!(Request::sort(br#"{"cordon":"prepare"}"#), Request::Prepare(vpcs) if vpcs.is_empty()));
        assert!(matches!(Request::sort(br#"{"cordon":"plan","event":{"source":"aws.guardduty"}}"#), Request::Plan(_)));
        // Anything more, less or else goes the way of an event, where it is refused and recorded.
        for event in [
            r#"{"cordon":"prepare","source":"aws.guardduty"}"#,
            r#"{"cordon":"prepare","vpcs":["everything"]}"#,
            r#"{"cordon":"plan"}"#,
            r#"{"cordon":"release"}"#,
            r#"{"source":"aws.guardduty","detail":{"cordon":"prepare"}}"#,
            "nonsense",
        ] {
            assert!(matches!(Request::sort(event.as_bytes()), Request::Event(_)), "{event}");
        }
    }
}
