//! Through the alias `relay` the function takes relays, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_types::retry::RetryConfig;
use calls::CallLog;
use docket::RefusalBody;
use evidence::{RecordKey, open};
use evidence_store::{Created, StoreError, Worm};
use responder::{Attention, Invocation, Settings};
use revoke::{Environment, Said, handle};
use serde_json::{Value, json};

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:cordon-Revoke-1";

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Worm for Memory {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.0.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
        Ok(Created::New)
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }
}

/// A function whose AWS is not there.
fn environment(store: &Memory) -> Environment<Memory> {
    let get = |name: &'static str| {
        let value = match name {
            "CORDON_FUNCTION" => "revoke",
            "CORDON_MODE" => "act",
            "CORDON_DENY_POLICY" => "arn:aws:iam::123456789012:policy/cordon-DenyEverything-1",
            "AWS_REGION" => "eu-central-1",
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:9",
            "CORDON_TABLE" | "CORDON_EVIDENCE_BUCKET" | "CORDON_SIGNING_KEY" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "x",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = responder::sdk_config(get).unwrap().into_builder().retry_config(RetryConfig::disabled()).build();
    let settings = Settings::read(get).unwrap();
    Environment::new(settings, get, &config, CallLog::default(), store.clone(), || None).unwrap()
}

/// Whether it is refused, with the code of the refusal on record.
async fn refusal(event: &Value, through: &str, store: &Memory) -> Option<String> {
    store.0.lock().unwrap().clear();
    let invocation = Invocation::read("r-1", through);
    let answer = handle(event.to_string().as_bytes(), &invocation, &environment(store)).await.ok()?;
    let kept = store.0.lock().unwrap().clone();
    let bodies = kept.iter().filter_map(|(key, bytes)| {
        let key: RecordKey = key.parse().unwrap();
        open::<RefusalBody>(&key, bytes).ok().map(|(statement, _)| statement.predicate.body)
    });
    let codes: Vec<_> = bodies.map(|body| body.refused.refusal.code().to_owned()).collect();
    assert_eq!(codes.len(), usize::from(answer.outcome == Said::Refused), "{answer:?} {codes:?}");
    if let [code] = codes.as_slice() {
        assert_eq!(answer.attention == Attention::Page, code == "not_relayed", "{answer:?}");
    }
    codes.into_iter().next()
}

#[tokio::test]
async fn through_the_relay_alias_nothing_has_a_persons_word() {
    let store = Memory::default();
    let alias = format!("{FUNCTION}:relay");
    let key = json!({ "key": "AKIARZPUZDIKFJNBPQ4Z" });
    let finding: Value = serde_json::from_str(include_str!("../../../events/leaks/user-key-malicious-ip.json")).unwrap();
    for event in [
        json!({ "cordon": "revoke", "credential": key }),
        json!({ "cordon": "plan", "credential": key }),
        json!({ "cordon": "plan", "event": finding }),
        json!({ "cordon": "relay", "leaks": [] }),
        finding,
        json!({}),
    ] {
        assert_eq!(refusal(&event, &alias, &store).await.as_deref(), Some("not_relayed"), "{event}");
    }
    // By its name, the same is read for what it says.
    let by_name = refusal(&json!({}), FUNCTION, &store).await;
    assert!(by_name.is_some_and(|code| code != "not_relayed"));

    let report = signal::Report {
        source: signal::LeakSource::GitHub,
        about: "alert".to_owned(),
        name: signal::Excerpt::of("alert"),
        suspected: true,
        closed: false,
        rated: None,
        at: calls::now(),
        remote: Vec::new(),
        sha256: ids::Sha256::of(b"a body"),
    };
    let credential = signal::Credential::UserKey { key: "AKIARZPUZDIKFJNBPQ4Z".parse().unwrap(), user: None };
    let mut leak = serde_json::to_value(report.of(credential, "123456789012".parse().unwrap())).unwrap();
    let relay = |leak: &Value| json!({ "cordon": "relay", "leaks": [leak] });
    assert_eq!(refusal(&relay(&leak), &alias, &store).await, None, "a relay is worked on");
    leak["trust"] = json!("person");
    assert_eq!(refusal(&relay(&leak), &alias, &store).await.as_deref(), Some("bad_field"), "and looked at as ever");
}
