//! Ids of access keys that a text mentions.

use std::collections::BTreeSet;

use ids::AccessKeyId;

/// The long-lived keys that `body` mentions, each once. An id is no secret; what stands beside it may be, and is not looked at.
pub(crate) fn keys(body: &[u8]) -> BTreeSet<AccessKeyId> {
    // Whatever the encoding: ids are ASCII, and what is no letter or digit ends one.
    let words = body.split(|byte| !byte.is_ascii_alphanumeric());
    let ids = words.filter(|word| word.len() == 20 && word.starts_with(b"AKIA"));
    ids.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_stands_and_nothing_longer() {
        let found = keys(br#"{"output":"env AWS_ACCESS_KEY_ID=AKIARZPUZDIKFJNBPQ4Z AKIARZPUZDIKFJNBPQ4Z","x":"xAKIARZPUZDIKFJNBPQ4Y AKIARZPUZDIKFJNBPQ4YX ASIARZPUZDIKFJNBPQ4Z akiarzpuzdikfjnbpq4z"}"#);
        assert_eq!(found.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["AKIARZPUZDIKFJNBPQ4Z"]);
    }
}
