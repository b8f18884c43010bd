//! Secrets and personal data, planted in every text of a finding, and searched for in everything that comes of it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use aws_smithy_types::retry::RetryConfig;
use calls::CallLog;
use evidence::{RecordKey, open};
use evidence_store::{Created, StoreError, Worm};
use quarantine::{Environment, handle};
use responder::{Invocation, Settings};
use serde_json::Value;

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

/// What stands around it, and what must be found nowhere. Put together here, so that no scanner finds it in this file.
fn plants() -> Vec<(String, String)> {
    let secret = ["wJalrXUtnFEMI", "/K7MDENG/bPxRfiCYEXAMPLEKEY"].concat();
    let token = ["gh", "p_", "a7Bq9ZkR3mXw5TfY1nLc8VhJ2pGd4SuE6a7B"].concat();
    let plain = |text: &str| (text.to_owned(), text.to_owned());
    vec![
        plain(&token),
        ("db password=planted-4711 ".to_owned(), "planted-4711".to_owned()),
        (format!("{} {secret}", ["AKIA", "IOSFODNN7EXAMPLE"].concat()), secret),
        ("https://bob:planted-4712@db.example/".to_owned(), "planted-4712".to_owned()),
        plain("planted@corp.example"),
        plain("+49 30 47114711"),
        plain("DE89370400440532013000"),
        plain("4111 1111 1111 1111"),
    ]
}

/// The path of every string in `value`.
fn texts(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(path.to_owned()),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| texts(item, &format!("{path}/{n}"), found)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| texts(field, &format!("{path}/{name}"), found)),
        _ => {}
    }
}

/// A function whose AWS is not there.
fn environment(mode: &str, store: &Memory) -> Environment<Memory> {
    let get = |name: &'static str| {
        let value = match name {
            "CORDON_FUNCTION" => "quarantine",
            "CORDON_REDACT" => "email, phone, iban, payment-card",
            "CORDON_MODE" => mode,
            "CORDON_DRILL" => "true",
            "AWS_REGION" => "eu-central-1",
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:9",
            name if name.starts_with("CORDON_ACT") || name.starts_with("CORDON_STOP") || name.starts_with("CORDON_ADM") => {
                return None;
            }
            "CORDON_PROTECTED" | "CORDON_EVIDENCE_DEADLINE_MS" | "AWS_USE_FIPS_ENDPOINT" => return None,
            _ => "x",
        };
        Some(value.to_owned())
    };
    let config = responder::sdk_config(get).unwrap().into_builder().retry_config(RetryConfig::disabled()).build();
    Environment::new(Settings::read(get).unwrap(), &config, CallLog::default(), store.clone(), || None).unwrap()
}

/// Everything that the records say, and the answer, or the error.
async fn produced(event: &Value, environment: &Environment<Memory>, store: &Memory) -> (String, Vec<Value>) {
    store.0.lock().unwrap().clear();
    let invocation = Invocation::read("planted", "");
    let answer = handle(event.to_string().as_bytes(), &invocation, environment).await;
    let mut text = match answer {
        Ok(answer) => serde_json::to_string(&answer).unwrap(),
        Err(error) => error.to_string(),
    };
    let mut bodies = Vec::new();
    for (key, bytes) in store.0.lock().unwrap().iter() {
        let key: RecordKey = key.parse().unwrap();
        let (statement, _) = open::<Value>(&key, bytes).unwrap();
        text.push_str(&serde_json::to_string(&statement).unwrap());
        bodies.push(statement.predicate.body);
    }
    (text, bodies)
}

/// Run by the test below, which looks at what it leaves in the log.
#[tokio::test]
#[ignore = "run by what_is_planted_in_any_text_of_a_finding_comes_out_nowhere, in a process of its own"]
async fn records_answers_and_errors() {
    let text = include_str!("../../../events/guardduty/crypto-mining-actor-two-interfaces.json");
    let finding: Value = serde_json::from_str(text).unwrap();
    let mut paths = Vec::new();
    texts(&finding, "", &mut paths);
    // The finding's id is its name: it says which finding a record is about, and AWS makes it.
    paths.retain(|path| path != "/detail/id");
    assert!(paths.len() > 30, "{paths:?}");
    let (store, mut said) = (Memory::default(), 0);
    let environments = [environment("observe", &store), environment("act", &store)];
    for (around, needle) in plants() {
        for path in &paths {
            for whole in [false, true] {
                let mut event = finding.clone();
                let field = event.pointer_mut(path).unwrap();
                let own = field.as_str().unwrap().to_owned();
                *field = if whole { around.clone() } else { format!("{around} {own}") }.into();
                for environment in &environments {
                    let (text, bodies) = produced(&event, environment, &store).await;
                    assert!(!text.contains(&needle) && !text.contains(&needle.to_lowercase()), "{needle} from {path}: {text}");
                    let marked = text.contains("[redacted: ");
                    let told = bodies
                        .iter()
                        .any(|body| body.get("redacted").and_then(Value::as_array).is_some_and(|list| !list.is_empty()));
                    assert_eq!(marked, told, "{path}: a mark, and the record says what it was: {text}");
                    said += usize::from(told);
                }
            }
        }
    }
    assert!(said > 100, "{said}: the plants do reach what is recorded");
}

#[test]
fn what_is_planted_in_any_text_of_a_finding_comes_out_nowhere() {
    let arguments = ["--exact", "records_answers_and_errors", "--ignored", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains("records are degraded") && log.contains("going on without a hold"), "the log is captured");
    for (_, needle) in plants() {
        assert!(!log.contains(&needle), "{needle}");
    }
}
