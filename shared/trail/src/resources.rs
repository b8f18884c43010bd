//! The EC2 resources that a request names.

use std::collections::BTreeSet;

use serde_json::Value;

/// No more of them are kept of one event: no call that this project makes names as many.
const MOST: usize = 256;
/// What is inside these is not what the call acts on: tags, and the rules that are added or taken off (which may name other groups).
const ABOUT: [&str; 5] = ["tagSet", "tagSpecificationSet", "ipPermissions", "securityGroupRules", "filterSet"];

/// Every EC2 resource id in `parameters`, wherever it stands, apart from those in tags and rules.
pub(crate) fn named(parameters: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // As deep as the JSON reader goes, which is 128 levels.
    let mut next = vec![parameters];
    while let Some(value) = next.pop() {
        match value {
            Value::Object(fields) => {
                next.extend(fields.iter().filter(|(name, _)| !ABOUT.contains(&name.as_str())).map(|(_, value)| value));
            }
            Value::Array(values) => next.extend(values),
            Value::String(text) if is_id(text) && found.len() < MOST => drop(found.insert(text.clone())),
            _ => {}
        }
    }
    found
}

/// A resource id of EC2: words, a dash, then 8 or 17 hex digits ("Resource IDs", EC2 user guide).
pub(crate) fn is_id(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(kind, hex)| {
        (1..=32).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && (hex.len() == 8 || hex.len() == 17)
            && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_call_acts_on_is_found_and_what_it_says_is_not() {
        let swap = json!({"networkInterfaceId": "eni-0123456789abcdef1", "groupSet": {"items": [{"groupId": "sg-11111111"}]}});
        assert_eq!(named(&swap), ["eni-0123456789abcdef1", "sg-11111111"].map(str::to_owned).into());
        let tags = json!({
            "resourcesSet": {"items": [{"resourceId": "i-99999999"}]},
            "tagSet": {"items": [{"key": "moved", "value": "i-11111111"}]},
        });
        assert_eq!(named(&tags), ["i-99999999".to_owned()].into());
        let rules =
            json!({"groupId": "sg-11111111", "ipPermissions": {"items": [{"groups": {"items": [{"groupId": "sg-22222222"}]}}]}});
        assert_eq!(named(&rules), ["sg-11111111".to_owned()].into());
        for not in ["web-server", "i-", "-99999999", "i-9999999g", "I-99999999", "0123456789abcdef0", "a b-99999999"] {
            assert!(!is_id(not), "{not}");
        }
        assert!(is_id("vpc-0123456789abcdef0") && is_id("eni-attach-43348162"));
    }
}
