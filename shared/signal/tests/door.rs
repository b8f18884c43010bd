//! The rules of the door, one by one.
#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

use serde_json::{Value, json};
use signal::{Door, FindingType, MAX_EVENT_BYTES, Refusal, Refused, Signal, parse};

const MINING: &str = include_str!("../../../events/guardduty/crypto-mining-actor-two-interfaces.json");
const ADMINISTRATOR_COPY: &str = include_str!("../../../events/guardduty/org-administrator-copy.json");
const MINING_BY_DNS: &str = include_str!("../../../events/guardduty/crypto-mining-dns.json");
const UPDATE: &str = include_str!("../../../events/guardduty/update-new-actor.json");

fn open() -> Door {
    Door { administrator: Some("999988887777".parse().unwrap()), drill: true }
}

/// The mining event with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> Result<Signal, Box<Refused>> {
    let mut event: Value = serde_json::from_str(MINING).unwrap();
    *event.pointer_mut(pointer).unwrap() = value;
    parse(event.to_string().as_bytes(), &open())
}

#[test]
fn the_organisations_copy_is_the_same_signal() {
    let own = parse(MINING.as_bytes(), &open()).unwrap();
    let copy = parse(ADMINISTRATOR_COPY.as_bytes(), &open()).unwrap();
    assert_eq!((&own.id, &own.incident, &own.account), (&copy.id, &copy.incident, &copy.account));
    assert_ne!(own.event_id, copy.event_id);
}

#[test]
fn an_update_is_another_signal_of_the_same_incident() {
    let first = parse(MINING.as_bytes(), &open()).unwrap();
    let update = parse(UPDATE.as_bytes(), &open()).unwrap();
    assert_eq!(first.finding.id, update.finding.id);
    assert_eq!(first.incident, update.incident);
    assert_ne!(first.id, update.id);
}

#[test]
fn two_findings_of_one_technique_are_one_incident() {
    let traffic = parse(MINING.as_bytes(), &open()).unwrap();
    let dns = parse(MINING_BY_DNS.as_bytes(), &open()).unwrap();
    assert_eq!(traffic.incident, dns.incident);
    assert_ne!(traffic.id, dns.id);
}

#[test]
fn a_target_is_named_wherever_it_is() {
    let signal = parse(MINING.as_bytes(), &open()).unwrap();
    assert_eq!(signal.target(), format!("ec2:instance:123456789012:eu-central-1:{}", signal.instance.id));
    assert_eq!(signal.vpcs().len(), 1);
}

#[test]
fn each_required_field_is_named_when_it_is_wrong() {
    for (pointer, path) in [
        ("/account", "account"),
        ("/region", "region"),
        ("/detail", "detail"),
        ("/detail/accountId", "detail.accountId"),
        ("/detail/region", "detail.region"),
        ("/detail/id", "detail.id"),
        ("/detail/type", "detail.type"),
        ("/detail/severity", "detail.severity"),
        ("/detail/updatedAt", "detail.updatedAt"),
        ("/detail/resource", "detail.resource"),
        ("/detail/resource/resourceType", "detail.resource.resourceType"),
        ("/detail/resource/instanceDetails", "detail.resource.instanceDetails"),
        ("/detail/resource/instanceDetails/instanceId", "detail.resource.instanceDetails.instanceId"),
    ] {
        for wrong in [json!([]), json!(true), json!("\u{1b}[2J"), json!("x".repeat(5000))] {
            let text = wrong.to_string();
            let refused = with(pointer, wrong).unwrap_err();
            match &refused.refusal {
                Refusal::BadField { path: found, .. } => assert_eq!(found, path),
                Refusal::UnknownResourceType { .. } => assert_eq!(path, "detail.resource.resourceType"),
                other => panic!("{path}: {text}: {other:?}"),
            }
            let message = refused.to_string();
            assert!(message.len() < 300 && message.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{message}");
        }
    }
}

#[test]
fn a_field_we_read_is_there_once() {
    let event: Value = serde_json::from_str(MINING).unwrap();
    let text = event.to_string();
    for pointer in [
        "/account",
        "/source",
        "/detail/accountId",
        "/detail/id",
        "/detail/updatedAt",
        "/detail/resource/instanceDetails/instanceId",
    ] {
        let key = pointer.rsplit('/').next().unwrap();
        let member = format!("\"{key}\":{}", event.pointer(pointer).unwrap());
        let escaped = format!("\"{}\":null", key.bytes().map(|b| format!("\\u{b:04x}")).collect::<String>());
        for twice in [format!("{member},{member}"), format!("{member},{escaped}")] {
            let twice = text.replacen(&member, &twice, 1);
            let refused = parse(twice.as_bytes(), &open()).unwrap_err();
            assert!(
                refused.to_string().starts_with(&format!("malformed event: duplicate field `{key}` at line 1 column ")),
                "{refused}"
            );
        }
    }
}

#[test]
fn an_intruder_cannot_make_a_finding_a_sample() {
    let tags = json!([{"key": "GeneratedFindingInstanceTag1", "value": "i-99999999"}, {"key": "sample", "value": "true"}]);
    assert!(!with("/detail/resource/instanceDetails/tags", tags).unwrap().finding.sample);
    assert!(!with("/detail/title", json!("[SAMPLE] nothing to see here")).unwrap().finding.sample);
    assert!(with("/detail/resource/instanceDetails/instanceId", json!("i-99999999")).unwrap().finding.sample);
}

#[test]
fn lists_are_bounded() {
    let tags: Vec<_> = (0..1000).map(|n| json!({"key": format!("k{n}"), "value": "v"})).collect();
    assert_eq!(with("/detail/resource/instanceDetails/tags", json!(tags)).unwrap().instance.tags.len(), 100);
    let interfaces = json!(vec![json!({}); 1000]);
    assert_eq!(with("/detail/resource/instanceDetails/networkInterfaces", interfaces).unwrap().instance.interfaces.len(), 256);
    let tags =
        json!([{"key": "k".repeat(129)}, {"key": "k", "value": "v".repeat(257)}, {"key": "a\nb"}, {"key": "", "value": "v"}]);
    assert!(with("/detail/resource/instanceDetails/tags", tags).unwrap().instance.tags.is_empty());
}

#[test]
fn an_event_is_at_most_a_mebibyte() {
    let padded = |length: usize| format!("{MINING}{}", " ".repeat(length - MINING.len()));
    assert!(parse(padded(MAX_EVENT_BYTES).as_bytes(), &open()).is_ok());
    let refused = parse(padded(MAX_EVENT_BYTES + 1).as_bytes(), &open()).unwrap_err();
    assert_eq!(refused.to_string(), "event of 1048577 bytes: the limit is 1048576");
}

#[test]
fn depth_costs_nothing_where_we_do_not_look() {
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    for nested in [deep, objects] {
        for key in ["future", "title", "createdAt", "service"] {
            let mut event: Value = serde_json::from_str(MINING).unwrap();
            event["detail"][key] = json!("HERE");
            let text = event.to_string().replacen("\"HERE\"", &nested, 1);
            parse(text.as_bytes(), &open()).unwrap();
        }
        assert!(parse(nested.as_bytes(), &open()).is_err());
    }
    assert!(parse("[".repeat(MAX_EVENT_BYTES).as_bytes(), &open()).is_err());
}

#[test]
fn every_documented_type_is_admitted() {
    for kind in FindingType::all() {
        assert_eq!(with("/detail/type", json!(kind.as_str())).unwrap().finding.kind, kind);
    }
}

#[test]
fn a_refusal_is_recorded_under_its_code() {
    for pointer in ["/detail/type", "/source", "/detail-type", "/region", "/account", "/detail/resource/resourceType", "/detail"] {
        for value in
            [json!("Recon:EC2/Nothing"), json!("us-east-1"), json!("210987654321"), json!("S3Bucket"), json!("cordon.drill")]
        {
            let mut event: Value = serde_json::from_str(MINING).unwrap();
            *event.pointer_mut(pointer).unwrap() = value;
            let Err(refused) = parse(event.to_string().as_bytes(), &Door::default()) else { continue };
            assert_eq!(serde_json::to_value(&refused.refusal).unwrap()["code"], refused.refusal.code());
        }
    }
}

#[test]
fn a_refused_event_says_what_it_was() {
    let refused = with("/detail/severity", json!("high")).unwrap_err();
    assert_eq!(refused.finding.unwrap().as_str(), "43adcdb13299ddb7124d05ba5e8e6180");
    assert_eq!(refused.account.unwrap().as_str(), "123456789012");
    let refused = parse(b"{", &open()).unwrap_err();
    assert_eq!((refused.finding, refused.account), (None, None));
    assert_eq!(refused.sha256, ids::Sha256::of(b"{"));
}
