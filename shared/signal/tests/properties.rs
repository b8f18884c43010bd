//! What holds for any input.
#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

use ids::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use signal::{Door, Refusal, parse};

const MINING: &str = include_str!("../../../events/guardduty/crypto-mining-actor-two-interfaces.json");

/// What parsing cannot do without. Whatever is on none of these paths is optional.
const REQUIRED: &[&str] = &[
    "/source",
    "/detail-type",
    "/account",
    "/region",
    "/detail/id",
    "/detail/type",
    "/detail/accountId",
    "/detail/region",
    "/detail/severity",
    "/detail/updatedAt",
    "/detail/resource/resourceType",
    "/detail/resource/instanceDetails/instanceId",
];

fn mining() -> Value {
    serde_json::from_str(MINING).unwrap()
}

/// The pointer to every value inside `value`, itself included.
fn pointers(value: &Value, here: &str, into: &mut Vec<String>) {
    into.push(here.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| pointers(value, &format!("{here}/{key}"), into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| pointers(value, &format!("{here}/{n}"), into)),
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["", "true", "198.51.100.7", "2001:db8::1", "i-99999999", "{\"sample\":true}", "1e999"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![any::<String>(), prop::sample::select(vec!["detail", "id", "port", "value"]).prop_map(str::to_owned)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in any::<Vec<u8>>()) {
        prop_assert!(parse(&bytes, &Door::default()).is_err());
    }

    #[test]
    fn any_json_is_refused(value in any_json()) {
        prop_assert!(parse(value.to_string().as_bytes(), &Door::default()).is_err());
    }

    #[test]
    fn any_flipped_byte_is_survived(at in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = MINING.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(parse(&bytes, &Door::default()));
    }

    /// Whatever an optional field holds, it can neither refuse the event nor move it to another incident.
    #[test]
    fn an_optional_field_can_be_anything(at in any::<Index>(), value in any_json()) {
        let (mut event, mut all) = (mining(), Vec::new());
        let sound = parse(MINING.as_bytes(), &Door::default()).unwrap();
        pointers(&event, "", &mut all);
        let pointer = at.get(&all);
        *event.pointer_mut(pointer).unwrap() = value;
        let outcome = parse(event.to_string().as_bytes(), &Door::default());
        if !REQUIRED.iter().any(|path| *path == pointer || path.starts_with(&format!("{pointer}/"))) {
            let signal = outcome.unwrap();
            prop_assert_eq!((signal.id, signal.incident), (sound.id, sound.incident));
        }
    }

    /// A delivery has its own envelope id and time, and an update its own count and time of update.
    #[test]
    fn only_an_update_is_a_new_signal(
        id in any::<String>(), time in any_json(), severity in 0u32..=10, count in any::<u64>(),
        update in prop_oneof![1 => Just(0i64), 3 => 0i64..1_000_000_000], form in 0usize..4,
    ) {
        let sound = parse(MINING.as_bytes(), &Door::default()).unwrap();
        let updated_at = Timestamp::from_millis(sound.finding.updated_at.millis() + update).unwrap();
        let iso = updated_at.to_string();
        let mut event = mining();
        event["id"] = json!(id);
        event["time"] = time;
        event["detail"]["severity"] = json!(severity);
        event["detail"]["service"]["count"] = json!(count);
        event["detail"]["updatedAt"] = [
            json!(iso),
            json!(iso.trim_end_matches('Z').replace('T', " ")),
            json!(updated_at.millis()),
            json!(updated_at.millis().to_string()),
        ][form].clone();
        let signal = parse(event.to_string().as_bytes(), &Door::default()).unwrap();
        prop_assert_eq!(signal.id == sound.id, update == 0);
        prop_assert_eq!(signal.incident, sound.incident);
    }
}

#[test]
fn every_truncation_is_malformed() {
    for length in 0..MINING.trim_end().len() {
        let refused = parse(&MINING.as_bytes()[..length], &Door::default()).unwrap_err();
        assert!(matches!(refused.refusal, Refusal::Malformed { .. }), "{length}: {refused}");
    }
}
