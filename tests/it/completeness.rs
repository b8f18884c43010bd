//! The evidence beside the local AWS's own account of who called what.
//!
//! MiniStack's recorder keeps the request id, the time, the Region, the access key and the parameters of every call that it allowed. What it
//! does not know like AWS is put in by [`documented`], from what it does keep: the caller from the access key, whose role is asked of STS;
//! the call's name from the parameter `Action`; the parameters' names from EC2's query form to CloudTrail's. Nothing is added that was not
//! called, and nothing that was is left out. Calls that it denied are not in its record at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::Verifier;
use ids::IncidentId;
use plan::EndState;
use report::{Completeness, Entry, FindingKind, Places, Question, Reconciliation, Responder, TrailReader as _, Worth};
use serde_json::{Map, Value, json};

use crate::stage::{Fate, Machine, Stage, Wire, finding, text, texts};

/// The events that the local AWS has recorded since a moment, as it gives them: its newest fifty at a time, and no token for the rest.
async fn recorded(stage: &Stage, since: f64) -> Vec<Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let mut until: Option<f64> = None;
    loop {
        let mut asked = json!({ "StartTime": since, "MaxResults": 50 });
        if let Some(until) = until {
            asked["EndTime"] = until.into();
        }
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        let answer = stage.root.json("cloudtrail", target, &asked).await.unwrap();
        let page = answer["Events"].as_array().unwrap();
        let before = found.len();
        for event in page {
            found.insert(text(&event["EventId"]), event.clone());
        }
        until = page.iter().filter_map(|event| event["EventTime"].as_f64()).reduce(f64::min);
        if found.len() == before || page.len() < 50 {
            return found.into_values().collect();
        }
    }
}

/// An event as CloudTrail documents it.
fn documented(event: &Value, role: &str, access_key: &str) -> Value {
    let mut record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    if record["userIdentity"]["accessKeyId"] == access_key {
        let name = role.rsplit('/').next().unwrap();
        let account = text(&record["recipientAccountId"]);
        record["userIdentity"] = json!({
            "type": "AssumedRole",
            "arn": format!("arn:aws:sts::{account}:assumed-role/{name}/test"),
            "accountId": account,
            "accessKeyId": access_key,
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": role, "accountId": account } },
        });
    }
    if record["eventSource"] == "ec2.amazonaws.com" {
        let query = record["requestParameters"].as_object().unwrap().clone();
        record["eventName"] = query["Action"].clone();
        // Of a POST it says that it writes, whatever it asks for.
        record["readOnly"] = Value::Null;
        record["requestParameters"] = parameters(&query);
    }
    record
}

/// EC2's query form (`SecurityGroupId.1`) in CloudTrail's (`groupSet.items[].groupId`), for what names a resource.
fn parameters(query: &Map<String, Value>) -> Value {
    let list = |prefix: &str, name: &str| {
        let items = query.iter().filter(|(field, _)| field.starts_with(prefix)).map(|(_, id)| json!({ name: id }));
        json!({ "items": items.collect::<Vec<_>>() })
    };
    let mut told = Map::new();
    for (field, name) in
        [("NetworkInterfaceId", "networkInterfaceId"), ("GroupId", "groupId"), ("VpcId", "vpcId"), ("GroupName", "groupName")]
    {
        if let Some(value) = query.get(field) {
            told.insert(name.to_owned(), value.clone());
        }
    }
    for (prefix, name, item) in [("SecurityGroupId.", "groupSet", "groupId"), ("ResourceId.", "resourcesSet", "resourceId")] {
        if query.keys().any(|field| field.starts_with(prefix)) {
            told.insert(name.to_owned(), list(prefix, item));
        }
    }
    Value::Object(told)
}

/// One test's part of the local AWS: its machine, and what the records and the recorder have of it.
struct Part {
    stage: Stage,
    machine: Machine,
    since: f64,
}

impl Part {
    async fn new(interfaces: usize) -> Self {
        let stage = Stage::open();
        let machine = stage.machine(interfaces).await;
        // The recorder's clock and ours are one; a second is as fine as an event's time is.
        let since = calls::now().millis() as f64 / 1000.0 - 2.0;
        Self { stage, machine, since }
    }

    fn access_key(&self) -> String {
        text(&self.stage.stack["role_credentials"]["access_key_id"])
    }

    /// Whose access key it is, by STS's own word.
    async fn role(&self) -> String {
        let role = self.stage.output("RoleArn");
        let whose = self.stage.role().query("sts", "GetCallerIdentity", &[]).await.unwrap();
        let arn = texts(&whose, "Arn").remove(0);
        assert!(arn.contains(&format!(":assumed-role/{}/", role.rsplit('/').next().unwrap())), "{arn}");
        role
    }

    /// Every event since the test began, without what the same role does for other tests at the same time: those name other machines.
    async fn events(&self) -> Vec<Value> {
        // So that the trail reaches past the last call by as much as its clock is fine.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        self.stage.ec2("DescribeVpcs", &[]).await;
        let (role, key) = (self.role().await, self.access_key());
        let groups: BTreeSet<String> = self.stage.sealed_groups(&self.machine.vpc).await.into_iter().map(|(id, _)| id).collect();
        let own = |record: &Value| {
            let said = record["requestParameters"].to_string();
            let machine = [&self.machine.vpc, &self.machine.instance];
            machine.into_iter().chain(&self.machine.interfaces).chain(&groups).any(|id| said.contains(id.as_str()))
        };
        let all = recorded(&self.stage, self.since).await;
        all.iter()
            .map(|event| documented(event, &role, &key))
            .filter(|record| {
                record["userIdentity"]["accessKeyId"] != key || (record["eventSource"] == "ec2.amazonaws.com" && own(record))
            })
            .collect()
    }

    async fn compare(&self, incident: &IncidentId, now: ids::Timestamp) -> Completeness {
        let mut verifier = Verifier::new(Vec::new());
        let mut entries = Vec::new();
        for filed in self.stage.records(incident).await {
            verifier.add(&filed.key, &filed.bytes, None, calls::now());
            let (statement, sha256) = evidence::open::<Value>(&filed.key.parse().unwrap(), &filed.bytes).unwrap();
            entries.push(Entry::new(sha256, None, None, &statement));
        }
        let responder: Responder = format!("quarantine={}", self.role().await).parse().unwrap();
        let question = Question {
            responders: vec![responder],
            period: None,
            delay: Duration::ZERO,
            now,
            checkpoints: Vec::new(),
            places: Places::default(),
        };
        let mut reconciliation = Reconciliation::new(&entries, question);
        let file = json!({ "Records": self.events().await }).to_string();
        reconciliation.file();
        trail::read(file.as_bytes(), &mut |event| reconciliation.see(&event.unwrap()));
        // One incident of a session is not all of it: what the verifier says of gaps is not asked here.
        reconciliation.finish(&Worth::of(&verifier.finish(calls::now()), calls::now(), None))
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn every_call_of_a_containment_is_in_both() {
    let part = Part::new(2).await;
    // Nothing is prepared: a group is made, emptied, and both interfaces are moved.
    let answer = part.stage.sandbox().deliver(&finding(&part.stage, &part.machine)).await.unwrap();
    assert_eq!(answer.state, Some(EndState::Contained), "{}", answer.reason);
    let found = part.compare(answer.incident.as_ref().unwrap(), calls::now()).await;
    assert!(!found.has_findings(), "{:#?}", found.findings);
    // A group, at least one direction of its rules, two interfaces and the tags.
    assert!(found.compared.claimed >= 5, "{:?}", found.compared);
    assert_eq!((found.compared.in_both, found.compared.resource_not_compared), (found.compared.claimed, 0), "{:?}", found.compared);
    assert_eq!((found.compared.not_covered, found.compared.earlier_attempts, found.compared.by_plan), (0, 0, 0));
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_preparations_calls_are_in_both() {
    let part = Part::new(1).await;
    let answer = part.stage.sandbox().deliver(&json!({ "cordon": "prepare", "vpcs": [part.machine.vpc] })).await.unwrap();
    // All preparations are one incident: those of other tests are not asked for.
    let outcome = part.stage.record(&answer.records[1]).await;
    let ids: BTreeSet<String> = outcome.body()["calls"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|call| call["request_id"].as_str())
        .map(str::to_owned)
        .collect();
    let changes: Vec<_> = part
        .events()
        .await
        .into_iter()
        .filter(|record| {
            let name = record["eventName"].as_str().unwrap();
            record["userIdentity"]["type"] == "AssumedRole" && (name.starts_with("Create") || name.starts_with("Revoke"))
        })
        .collect();
    assert!(changes.len() >= 2, "{changes:?}");
    for change in changes {
        assert!(ids.contains(change["requestID"].as_str().unwrap()), "{change}");
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_change_with_the_functions_credentials_that_no_record_announced_is_found() {
    let part = Part::new(2).await;
    part.stage.prepare(&part.machine.vpc).await;
    let part = Part { since: calls::now().millis() as f64 / 1000.0 + 1.0, ..part };
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = part.stage.sandbox().deliver(&finding(&part.stage, &part.machine)).await.unwrap();
    // A thief of the credentials tags the machine, as the role may.
    let tags = [
        ("ResourceId.1", part.machine.instance.as_str()),
        ("Tag.1.Key", "cordon:incident"),
        ("Tag.1.Value", "inc-00000000000000000000"),
    ];
    part.stage.role().query("ec2", "CreateTags", &tags).await.unwrap();
    // And tries what it may not: the local AWS keeps no record of that, AWS does.
    let denied =
        part.stage.role().query("ec2", "TerminateInstances", &[("InstanceId.1", &part.machine.instance)]).await.unwrap_err();
    assert!(denied.is_denial(), "{}", denied.body);

    let found = part.compare(answer.incident.as_ref().unwrap(), calls::now()).await;
    let [stolen] = found.findings.as_slice() else { panic!("{:#?}", found.findings) };
    assert_eq!((stolen.kind, stolen.call.as_ref().unwrap().operation.as_str()), (FindingKind::Unannounced, "CreateTags"));
    assert_eq!(stolen.call.as_ref().unwrap().on, part.machine.instance);
    assert_eq!(found.compared.in_both, found.compared.claimed);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_function_that_died_after_its_changes_leaves_them_unconcluded_until_another_finishes() {
    let part = Part::new(2).await;
    // The group is there: making it once more would be refused, and the local AWS keeps no refusal of EC2's.
    part.stage.prepare(&part.machine.vpc).await;
    let part = Part { since: calls::now().millis() as f64 / 1000.0 + 1.0, ..part };
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let event = finding(&part.stage, &part.machine);
    // It dies when it writes down what it did.
    let dying = part.stage.sandbox_with(
        &[],
        Wire::with(|asked| if asked.service == "s3" && asked.text.contains("-outcome.json") { Fate::Hang } else { Fate::Pass }),
    );
    assert!(dying.deliver_until_hung(&event).await.is_none());
    drop(dying);
    part.stage.assert_sealed(&part.machine).await;
    let asked = json!({ "cordon": "plan", "event": event });
    let incident = part.stage.sandbox().deliver(&asked).await.unwrap().incident.unwrap();
    // Not due yet, and then due.
    let found = part.compare(&incident, calls::now()).await;
    assert!(!found.has_findings() && found.compared.under_way >= 3, "{:#?}", found.findings);
    let later = calls::now().plus(Duration::from_secs(20 * 60));
    let found = part.compare(&incident, later).await;
    assert_eq!(found.totals.keys().collect::<Vec<_>>(), [&FindingKind::Unconcluded], "{:#?}", found.findings);
    assert!(found.findings.iter().all(|finding| finding.intent.is_some()));
    let died = found.totals[&FindingKind::Unconcluded];

    // What is delivered again finishes it, and says that an earlier run began.
    part.stage.let_the_lease_run_out(&part.machine).await;
    part.stage.sandbox().deliver(&event).await.unwrap();
    let found = part.compare(&incident, later).await;
    assert!(!found.has_findings(), "{:#?}", found.findings);
    assert_eq!(found.compared.by_an_earlier_run, died);
}
