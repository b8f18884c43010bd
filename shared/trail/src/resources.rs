//! The resources that a request names.

use std::collections::BTreeSet;

use serde_json::Value;

/// No more of them are kept of one event: no call that this project makes names as many.
const MOST: usize = 256;
/// What is inside these is not what the call acts on: tags, and the rules that are added or taken off (which may name other groups).
const ABOUT: [&str; 5] = ["tagSet", "tagSpecificationSet", "ipPermissions", "securityGroupRules", "filterSet"];

/// IAM's parameters that say what a call acts on, and what each is. Names alone would not do: a user and a role may share one.
const OF_IAM: [(&str, &str); 7] = [
    ("userName", "user"),
    ("roleName", "role"),
    ("accessKeyId", "key"),
    ("policyArn", "policy"),
    ("permissionsBoundary", "boundary"),
    ("policyName", "inline policy"),
    // Of a key: to make one active is the opposite of making it inactive, and is the same call on the same key.
    ("status", "status"),
];

/// What a call of IAM acts on, as `user ci-deployer`. All of it stands at the top of the request.
pub(crate) fn named_in_iam(parameters: &Value) -> BTreeSet<String> {
    let text = |(name, kind): (&str, &str)| Some(format!("{kind} {}", parameters.get(name)?.as_str()?));
    OF_IAM.into_iter().filter_map(text).collect()
}

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

    #[test]
    fn a_user_and_a_role_of_one_name_are_two() {
        let of = |parameters: Value| named_in_iam(&parameters).into_iter().collect::<Vec<_>>();
        assert_eq!(
            of(json!({"userName": "web", "policyArn": "arn:aws:iam::aws:policy/P"})),
            ["policy arn:aws:iam::aws:policy/P", "user web"]
        );
        // What a document says is not what the call acts on.
        let document = json!({"roleName": "web", "policyName": "p", "policyDocument": "{\"userName\": \"alice\"}", "tags": [{"userName": "x"}]});
        assert_eq!(of(document), ["inline policy p", "role web"]);
        assert_eq!(
            of(json!({"userName": "web", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "status": "Active"})),
            ["key AKIAIOSFODNN7EXAMPLE", "status Active", "user web"]
        );
        for nothing in [json!(null), json!({"userName": 7}), json!("userName"), json!([{"userName": "x"}])] {
            assert!(of(nothing).is_empty());
        }
    }
}
