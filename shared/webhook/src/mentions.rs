//! Ids of access keys that a text mentions.

use std::collections::BTreeSet;

use ids::AccessKeyId;
use serde_json::Value;

/// The long-lived keys that `body` mentions, each once. An id is no secret; what stands beside it may be, and is not looked at.
pub(crate) fn keys(body: &[u8]) -> BTreeSet<AccessKeyId> {
    let mut found = BTreeSet::new();
    match serde_json::from_slice(body) {
        // As the texts are, not as JSON writes them: `\n` before an id is a new line, and no letter of it.
        Ok(value) => look(&value, &mut found),
        Err(_) => found.extend(words(&String::from_utf8_lossy(body))),
    }
    found
}

fn look(value: &Value, found: &mut BTreeSet<AccessKeyId>) {
    match value {
        Value::String(text) => found.extend(words(text)),
        Value::Array(items) => items.iter().for_each(|item| look(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            found.extend(words(name));
            look(value, found);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The ids in a text. What is no letter or digit ends one.
pub(crate) fn words(text: &str) -> impl Iterator<Item = AccessKeyId> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 20 && word.starts_with("AKIA")).filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_stands_and_nothing_longer() {
        for body in [
            r#"{"output":"env AWS_ACCESS_KEY_ID=AKIARZPUZDIKFJNBPQ4Z AKIARZPUZDIKFJNBPQ4Z"}"#,
            r#"{"output":"[default]\nAKIARZPUZDIKFJNBPQ4Z\tx"}"#,
            r#"{"output":"id\u003dAKIARZPUZDIKFJNBPQ4Z\u0026"}"#,
            r#"[[{"AKIARZPUZDIKFJNBPQ4Z":1}]]"#,
            "no JSON: AKIARZPUZDIKFJNBPQ4Z",
        ] {
            let found = keys(body.as_bytes());
            assert_eq!(found.iter().map(AccessKeyId::as_str).collect::<Vec<_>>(), ["AKIARZPUZDIKFJNBPQ4Z"], "{body}");
        }
        for none in ["xAKIARZPUZDIKFJNBPQ4Y AKIARZPUZDIKFJNBPQ4YX ASIARZPUZDIKFJNBPQ4Z akiarzpuzdikfjnbpq4z", ""] {
            assert!(keys(none.as_bytes()).is_empty(), "{none}");
        }
    }
}
