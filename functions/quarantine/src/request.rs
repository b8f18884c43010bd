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
