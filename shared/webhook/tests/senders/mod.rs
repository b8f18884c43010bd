//! Senders, as they prove themselves.
#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ids::Timestamp;
use sha2::Sha256;
use webhook::{Keys, Wrong};

pub(crate) fn keys() -> (Keys, Vec<Wrong>) {
    Keys::read(
        br#"{"github": ["github-key-0123456789", "github-key-9876543210"], "gitguardian": "gitguardian-key-0123456789",
        "falco": "falco-key-0123456789", "canary": "canary-key-0123456789"}"#,
    )
}

pub(crate) fn hmac(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The headers and the rest of the path that a sender who knows the door's key sends.
pub(crate) fn proof(door: &str, body: &[u8], now: Timestamp) -> (BTreeMap<String, String>, Option<String>) {
    let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json; charset=utf-8".to_owned())]);
    let mut set = |name: &str, value: String| headers.insert(name.to_owned(), value);
    let mut ticket = None;
    match door {
        "github" => {
            set("x-hub-signature-256", hmac("github-key-0123456789", body));
        }
        "gitguardian" => {
            let sent = (now.millis() / 1000).to_string();
            set("gitguardian-signature", hmac(&format!("{sent}gitguardian-key-0123456789"), body));
            set("timestamp", sent);
        }
        "falco" => {
            set("authorization", "Bearer falco-key-0123456789".to_owned());
        }
        _ => ticket = Some("canary-key-0123456789".to_owned()),
    }
    (headers, ticket)
}
