//! Findings made up from AWS's own description of them.
//!
//! `CORDON_GUARDDUTY_MODEL` is the path of botocore's `data/guardduty/2017-11-28/service-2.json`, decompressed. Without it these
//! tests say what they lack and pass, except under `CI=true`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's helper may fail the test")]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use signal::{Door, FindingType, parse};

/// Everything that `wire.rs` reads of a finding and that AWS's model describes; a list's elements are named `*`.
const READ: &[&str] = &[
    "id",
    "type",
    "accountId",
    "region",
    "severity",
    "createdAt",
    "updatedAt",
    "resource.resourceType",
    "resource.instanceDetails.instanceId",
    "resource.instanceDetails.instanceState",
    "resource.instanceDetails.imageId",
    "resource.instanceDetails.launchTime",
    "resource.instanceDetails.iamInstanceProfile.arn",
    "resource.instanceDetails.iamInstanceProfile.id",
    "resource.instanceDetails.networkInterfaces.*.networkInterfaceId",
    "resource.instanceDetails.networkInterfaces.*.vpcId",
    "resource.instanceDetails.networkInterfaces.*.subnetId",
    "resource.instanceDetails.networkInterfaces.*.securityGroups.*.groupId",
    "resource.instanceDetails.networkInterfaces.*.privateIpAddress",
    "resource.instanceDetails.networkInterfaces.*.privateIpAddresses.*.privateIpAddress",
    "resource.instanceDetails.networkInterfaces.*.ipv6Addresses.*",
    "resource.instanceDetails.networkInterfaces.*.publicIp",
    "resource.instanceDetails.tags.*.key",
    "resource.instanceDetails.tags.*.value",
    "service.resourceRole",
    "service.archived",
    "service.count",
    "service.eventFirstSeen",
    "service.eventLastSeen",
    "service.additionalInfo.value",
    "service.action.networkConnectionAction.remoteIpDetails.ipAddressV4",
    "service.action.networkConnectionAction.remoteIpDetails.ipAddressV6",
    "service.action.networkConnectionAction.remotePortDetails.port",
    "service.action.portProbeAction.portProbeDetails.*.remoteIpDetails.ipAddressV4",
    "service.action.dnsRequestAction.domain",
    "service.action.awsApiCallAction.remoteIpDetails.ipAddressV4",
    "service.action.awsApiCallAction.domainDetails.domain",
];

struct Model(Value);

impl Model {
    fn load() -> Option<Self> {
        let Some(path) = std::env::var_os("CORDON_GUARDDUTY_MODEL") else {
            let lack = "CORDON_GUARDDUTY_MODEL is not set: AWS's model of a finding was not tried";
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{lack}");
            eprintln!("{lack}");
            return None;
        };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
        Some(Self(serde_json::from_str(&text).unwrap()))
    }

    fn shape(&self, name: &str) -> &Value {
        &self.0["shapes"][name]
    }

    /// A structure's members: the name on the wire, and the shape.
    fn members<'a>(&self, shape: &'a Value) -> impl Iterator<Item = (&'a str, &'a str)> {
        shape["members"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, member)| (member["locationName"].as_str().unwrap_or(name), member["shape"].as_str().unwrap()))
    }

    fn resolve(&self, name: &str, path: &str) -> bool {
        let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
        let shape = self.shape(name);
        let next = if step == "*" {
            shape["member"]["shape"].as_str()
        } else {
            self.members(shape).find(|(wire, _)| *wire == step).map(|(_, shape)| shape)
        };
        next.is_some_and(|next| rest.is_none_or(|rest| self.resolve(next, rest)))
    }

    /// Values of the shape `name`, with members missing, null or of another shape every now and then.
    fn values(&self, name: &str) -> BoxedStrategy<Value> {
        let shape = self.shape(name);
        match shape["type"].as_str().unwrap() {
            "structure" => {
                let others = [json!([]), json!({}), json!(""), json!(-1.5), json!([[{}]]), json!(true)];
                let members = self.members(shape).map(|(wire, shape)| {
                    let wire = wire.to_owned();
                    prop_oneof![
                        12 => self.values(shape).prop_map(Some),
                        1 => Just(None),
                        1 => Just(Some(Value::Null)),
                        1 => prop::sample::select(others.to_vec()).prop_map(Some),
                    ]
                    .prop_map(move |value| value.map(|value| (wire.clone(), value)))
                });
                let members: Vec<_> = members.collect();
                members.prop_map(|members| Value::Object(members.into_iter().flatten().collect())).boxed()
            }
            "list" => {
                prop::collection::vec(self.values(shape["member"]["shape"].as_str().unwrap()), 0..3).prop_map(Value::from).boxed()
            }
            "map" => prop::collection::hash_map("[a-z:]{1,12}", self.values(shape["value"]["shape"].as_str().unwrap()), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
                .boxed(),
            "string" => strings(shape),
            "timestamp" => moments(),
            "integer" | "long" => {
                prop_oneof![any::<i64>().prop_map(Value::from), any::<i32>().prop_map(|n| json!(n.to_string()))].boxed()
            }
            "double" => any::<f64>().prop_map(Value::from).boxed(),
            "boolean" => any::<bool>().prop_map(Value::from).boxed(),
            other => panic!("the model has a new type of shape: {other}"),
        }
    }
}

fn strings(shape: &Value) -> BoxedStrategy<Value> {
    if let Some(values) = shape["enum"].as_array() {
        return prop::sample::select(values.clone()).boxed();
    }
    let plausible =
        ["", "ACTOR", "TARGET", "198.51.100.7", "2001:db8::7", "vpc-0a1b2c3d4e5f60718", "running", "{\"sample\":true}", "{"];
    prop_oneof![prop::sample::select(plausible.to_vec()).prop_map(Value::from), any::<String>().prop_map(Value::from), moments()]
        .boxed()
}

/// A moment in each of the forms that findings have been seen with.
fn moments() -> BoxedStrategy<Value> {
    let moment = (0i64..4_102_444_800_000).prop_map(|millis| ids::Timestamp::from_millis(millis).unwrap());
    let seconds = 0u32..u32::MAX;
    prop_oneof![
        moment.clone().prop_map(|moment| json!(moment.to_string())),
        moment.clone().prop_map(|moment| json!(moment.to_string().trim_end_matches('Z').replace('T', " "))),
        moment.prop_map(|moment| json!(moment.millis())),
        seconds.prop_map(|seconds| json!(f64::from(seconds) + 0.25)),
    ]
    .boxed()
}

fn severities() -> BoxedStrategy<Value> {
    let tenths = 0u16..=100;
    let written = tenths.clone().prop_map(|n| json!(format!("{}.{}", n / 10, n % 10)));
    prop_oneof![(0u8..=10).prop_map(Value::from), tenths.prop_map(|n| json!(f64::from(n) / 10.0)), written].boxed()
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().unwrap()
}

fn envelope(detail: &Value) -> Vec<u8> {
    json!({
        "version": "0", "id": "a5f1f8f0-9d3c-4f0e-8d63-0b2a5b0e4c11", "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
        "account": "123456789012", "time": "2026-11-21T02:10:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    })
    .to_string()
    .into_bytes()
}

#[test]
fn what_we_read_is_what_aws_describes() {
    let Some(model) = Model::load() else { return };
    for path in READ {
        assert!(model.resolve("Finding", path), "AWS's model of a finding has no `{path}`");
    }
}

#[test]
fn any_finding_of_awss_shape_is_read() {
    let Some(model) = Model::load() else { return };
    let kinds: Vec<_> = FindingType::all().collect();
    let required = (prop::sample::select(kinds), moments(), severities(), "[0-9a-f]{32}", "i-[0-9a-f]{17}");
    TestRunner::default()
        .run(&(model.values("Finding"), required), |(mut finding, (kind, updated_at, severity, id, instance))| {
            // As it comes, it may be refused, and that is all.
            drop(parse(&envelope(&finding), &Door::default()));

            let detail = object(&mut finding);
            detail.insert("id".into(), json!(id));
            detail.insert("type".into(), json!(kind));
            detail.insert("accountId".into(), json!("123456789012"));
            detail.insert("region".into(), json!("eu-central-1"));
            detail.insert("severity".into(), severity);
            detail.insert("updatedAt".into(), updated_at);
            let resource = object(detail.entry("resource").or_insert(Value::Null));
            resource.insert("resourceType".into(), json!("Instance"));
            let details = object(resource.entry("instanceDetails").or_insert(Value::Null));
            details.insert("instanceId".into(), json!(instance));

            let signal = parse(&envelope(&finding), &Door::default()).unwrap();
            prop_assert_eq!(signal.instance.id.as_str(), instance);
            prop_assert_eq!(signal.finding.id.as_str(), id);
            prop_assert_eq!(&signal.finding.kind, &kind);
            let text = serde_json::to_string(&signal).unwrap();
            prop_assert_eq!(serde_json::from_str::<signal::Signal>(&text).unwrap(), signal);
            Ok(())
        })
        .unwrap();
}
