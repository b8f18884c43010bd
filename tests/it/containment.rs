//! What becomes of a finding, on the local AWS, with the template's role enforced on every call.

use futures_util::future::join_all;
use plan::{EndState, InterfaceState};
use quarantine::Said;
use responder::{Attention, Transient};
use serde_json::{Value, json};

use crate::stage::{Fate, Stage, Wire, ec2_error, finding, from_base64, json_error, text};

fn groups_before(body: &Value) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = body["outcome"]["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| serde_json::from_value(end["before"].clone()).unwrap())
        .collect();
    all.iter_mut().for_each(|groups| groups.sort());
    all.sort();
    all
}

fn sorted(mut groups: Vec<Vec<String>>) -> Vec<Vec<String>> {
    groups.sort();
    groups
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_finding_isolates_the_machine() {
    let stage = Stage::open();
    let machine = stage.machine(2).await;
    // A warm sandbox: in a cold one the endorsement may still be on its way, two calls to KMS deep.
    let sandbox = stage.sandbox();
    sandbox.deliver(&json!({ "cordon": "prepare", "vpcs": [machine.vpc] })).await.unwrap();
    let answer = sandbox.deliver(&finding(&stage, &machine)).await.unwrap();
    assert_eq!((answer.outcome, answer.state, answer.attention), (Said::Contained, Some(EndState::Contained), Attention::Notify));
    assert_eq!(answer.degraded, [""; 0]);
    stage.assert_sealed(&machine).await;

    let records = stage.records(&answer.incident.unwrap()).await;
    let [intent, outcome] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((intent.kind(), outcome.kind()), ("intent", "outcome"));
    assert_eq!(answer.records, [intent.key.clone(), outcome.key.clone()]);
    assert_eq!(outcome.body()["round_trips"]["evidence_before_first_change"], 1);
    assert!(outcome.body()["round_trips"]["depth_to_sealed"].as_u64().unwrap() <= 3, "{}", outcome.body()["round_trips"]);
    assert_eq!(outcome.body()["round_trips"]["cold_vpc"], false);
    assert_eq!(outcome.body()["evidence"], "durable");
    assert_eq!(groups_before(outcome.body()), sorted(machine.before.clone()));
    // The machine says where to look.
    let tags = stage.tags(&machine).await;
    assert_eq!(tags["cordon:intent"], intent.key);
    assert_eq!(tags["cordon:incident"], text(&intent.predicate["record"]["incident"]));
    // The row: one holder, one original for each interface, no lease, nothing open.
    let row = stage.row(&machine).await;
    let mut names: Vec<_> = row.as_object().unwrap().keys().map(|name| name.split('#').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["done", "eni", "eni", "holder", "pk"], "{row}");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_same_event_five_times_at_once_is_one_containment() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let sandboxes: Vec<_> = (0..5).map(|_| stage.sandbox()).collect();
    let answers = join_all(sandboxes.iter().map(|sandbox| sandbox.deliver(&event))).await;
    let did = answers.iter().filter(|answer| matches!(answer, Ok(answer) if answer.outcome == Said::Contained)).count();
    let waits =
        |answer: &Result<_, Transient>| answer.as_ref().is_err_and(|Transient(why)| why.contains("another invocation works on it"));
    let already = answers.iter().filter(|answer| matches!(answer, Ok(answer) if answer.outcome == Said::AlreadyDone)).count();
    assert_eq!((did, already + answers.iter().filter(|answer| waits(answer)).count()), (1, 4), "{answers:?}");
    stage.assert_sealed(&machine).await;
    // Those that had to wait are delivered again, and find it done.
    let again = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(again.outcome, Said::AlreadyDone);
    let records = stage.records(&again.incident.unwrap()).await;
    assert_eq!(records.iter().map(|filed| filed.kind()).collect::<Vec<_>>(), ["intent", "outcome"]);
    assert_eq!(again.records, [records[1].key.clone()]);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn two_techniques_on_one_machine_are_two_holders_and_one_before() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let mining = finding(&stage, &machine);
    let mut scanning = mining.clone();
    scanning["detail"]["type"] = json!("Backdoor:EC2/C&CActivity.B");
    scanning["detail"]["id"] = json!(text(&mining["detail"]["id"]).replacen('0', "e", 1));
    let sandbox = stage.sandbox();
    let one = sandbox.deliver(&mining).await.unwrap();
    let two = sandbox.deliver(&scanning).await.unwrap();
    assert_eq!((one.outcome, two.outcome), (Said::Contained, Said::Contained), "{}", two.reason);
    assert_ne!(one.incident, two.incident);
    // Sealed is never a "before": the second intent and outcome say what the machine had in the beginning.
    for incident in [one.incident.unwrap(), two.incident.unwrap()] {
        let records = stage.records(&incident).await;
        assert_eq!(groups_before(records.last().unwrap().body()), sorted(machine.before.clone()));
        let row = stage.row(&machine).await;
        assert!(row.get(format!("holder#{incident}")).is_some(), "{row}");
    }
    let row = stage.row(&machine).await;
    for (interface, before) in machine.interfaces.iter().zip(&machine.before) {
        let original = row[format!("eni#{interface}")]["L"].as_array().unwrap();
        let mut original: Vec<_> = original.iter().map(|group| text(&group["S"])).collect();
        original.sort();
        assert_eq!(original, *before);
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_update_with_a_new_actor_is_looked_at_and_an_older_one_is_not() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let older = finding(&stage, &machine);
    let mut newer = older.clone();
    newer["detail"]["updatedAt"] = json!(calls::now().plus(std::time::Duration::from_secs(60)).to_string());
    newer["detail"]["service"]["action"]["networkConnectionAction"]["remoteIpDetails"]["ipAddressV4"] = json!("192.0.2.77");
    newer["detail"]["service"]["count"] = json!(7);
    let sandbox = stage.sandbox();
    let first = sandbox.deliver(&older).await.unwrap();
    let second = sandbox.deliver(&newer).await.unwrap();
    assert_eq!((first.outcome, second.outcome), (Said::Contained, Said::Contained));
    assert_eq!(first.incident, second.incident, "the same technique on the same machine");
    assert_ne!(first.signal, second.signal);
    let records = stage.records(&second.incident.unwrap()).await;
    assert_eq!(records.len(), 4);
    assert!(records[3].body()["signal"].to_string().contains("192.0.2.77"), "the new actor is on record");
    assert_eq!(groups_before(records[3].body()), sorted(machine.before.clone()));
    // A copy of the older update, delivered late, changes nothing.
    assert_eq!(sandbox.deliver(&older).await.unwrap().outcome, Said::AlreadyDone);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn of_fifteen_interfaces_one_refuses_and_fourteen_are_sealed() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(15).await;
    let refusing = &machine.interfaces[7];
    // As a guard rule of the organisation would: nobody touches this one.
    let deny = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Action": "ec2:ModifyNetworkInterfaceAttribute", "Resource": format!("arn:aws:ec2:*:*:network-interface/{refusing}"),
    }] });
    let role = stage.output("RoleName");
    let name = format!("deny-{refusing}");
    let asked = [("RoleName", role.as_str()), ("PolicyName", &name), ("PolicyDocument", &deny.to_string())];
    stage.root.query("iam", "PutRolePolicy", &asked).await.unwrap();
    let event = finding(&stage, &machine);
    let sandbox = stage.sandbox();
    let answer = sandbox.deliver(&event).await;
    stage.root.query("iam", "DeleteRolePolicy", &asked[..2]).await.unwrap();
    let answer = answer.unwrap();

    assert_eq!((answer.outcome, answer.state, answer.attention), (Said::NeedsHuman, Some(EndState::Partial), Attention::Page));
    assert!(
        answer.reason.contains(refusing) && answer.reason.contains("the role may not (UnauthorizedOperation)"),
        "{}",
        answer.reason
    );
    let open: Vec<_> =
        answer.interfaces.iter().filter(|end| end.state != InterfaceState::Sealed).map(|end| end.id.to_string()).collect();
    assert_eq!((answer.interfaces.len(), open), (15, vec![refusing.clone()]));
    let now = stage.groups(&machine).await;
    assert_eq!(now[7], machine.before[7], "what refused is as it was");
    assert!(now.iter().enumerate().all(|(n, groups)| n == 7 || groups.len() == 1 && !machine.before[n].contains(&groups[0])));
    // It is on record and concluded: a redelivery does not begin again, a new update does.
    assert_eq!(sandbox.deliver(&event).await.unwrap().outcome, Said::AlreadyDone);
    let mut later = event.clone();
    later["detail"]["updatedAt"] = json!(calls::now().plus(std::time::Duration::from_secs(60)).to_string());
    assert_eq!(sandbox.deliver(&later).await.unwrap().outcome, Said::Contained);
    stage.assert_sealed(&machine).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_instance_that_is_gone_is_recorded_as_such() {
    let stage = Stage::open();
    let machine = stage.machine(1).await;
    stage.ec2("TerminateInstances", &[("InstanceId.1", &machine.instance)]).await;
    let mut unknown = finding(&stage, &machine);
    unknown["detail"]["resource"]["instanceDetails"]["instanceId"] = json!("i-0dead0dead0dead00");
    unknown["detail"]["id"] = json!(format!("{:0>32}", calls::now().millis()));
    let mut again = unknown.clone();
    again["detail"]["updatedAt"] = json!(calls::now().plus(std::time::Duration::from_secs(60)).to_string());
    for event in [finding(&stage, &machine), unknown, again] {
        let answer = stage.sandbox().deliver(&event).await.unwrap();
        assert_eq!((answer.outcome, answer.attention), (Said::NothingToContain, Attention::Notify), "{}", answer.reason);
        let record = stage.record(&answer.records[0]).await;
        assert_eq!(record.kind(), "decision");
        assert!(text(&record.body()["reason"]).ends_with("is gone: there is nothing to contain"));
        // Concluded, not held.
        assert_eq!(stage.sandbox().deliver(&event).await.unwrap().outcome, Said::AlreadyDone);
    }
    let row = stage.row(&machine).await;
    assert!(!row.as_object().unwrap().keys().any(|name| name.starts_with("holder#") || name.starts_with("lease")), "{row}");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_account_without_a_role_needs_a_human() {
    let stage = Stage::open();
    let machine = stage.machine(1).await;
    let mut event = finding(&stage, &machine);
    event["detail"]["accountId"] = json!("210987654321");
    // The organisation's administrator delivers its members' findings.
    let account = stage.account();
    let sandbox = stage.sandbox_with(&[("CORDON_ADMINISTRATOR", &account)], Wire::good());
    let answer = sandbox.deliver(&event).await.unwrap();
    assert_eq!((answer.outcome, answer.attention), (Said::NeedsHuman, Attention::Page));
    assert!(answer.reason.contains("in 210987654321 us-east-1, where this function has no role"), "{}", answer.reason);
    assert_eq!(stage.record(&answer.records[0]).await.kind(), "decision");
    assert_eq!(stage.groups(&machine).await, machine.before);
}

/// What the configuration or the playbook keeps from being done: told, on record, and nothing is touched or held.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_is_not_to_be_done_is_recorded_and_not_done() {
    let stage = Stage::open();
    let machine = stage.machine(1).await;
    let profile = "arn:aws:iam::123456789012:instance-profile/storefront-web";
    let mut sample = finding(&stage, &machine);
    sample["detail"]["service"]["additionalInfo"]["sample"] = json!(true);
    let plain = finding(&stage, &machine);
    for (variables, event, rule) in [
        (vec![("CORDON_DRILL", "false")], &sample, "samples-only-in-drills"),
        (vec![("CORDON_MODE", "observe")], &plain, "observe-mode"),
        (vec![("CORDON_STOP", "true")], &plain, "global-stop"),
        (vec![("CORDON_PROTECTED", machine.instance.as_str())], &plain, "protected-never-contained"),
        (vec![("CORDON_PROTECTED", profile)], &plain, "protected-never-contained"),
    ] {
        let sandbox = stage.sandbox_with(&variables, Wire::good());
        // Of each its own update, so that one does not find the other's record.
        let mut event = event.clone();
        event["detail"]["updatedAt"] = json!(calls::now().to_string());
        let answer = sandbox.deliver(&event).await.unwrap();
        assert_eq!((answer.outcome, answer.rule.unwrap().as_str()), (Said::NotifyOnly, rule), "{}", answer.reason);
        let record = stage.record(&answer.records[0]).await;
        assert_eq!((record.kind(), text(&record.body()["decision"]["rule"])), ("decision", rule.to_owned()));
        assert_eq!(text(&record.body()["decision"]["would"]), "high-actor-isolates", "what would have been is on record");
        assert!(
            sandbox.wire.sent().iter().all(|asked| asked.service == "s3" || asked.service == "kms"),
            "{:?}",
            sandbox.wire.sent()
        );
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(stage.groups(&machine).await, machine.before);
    assert_eq!(stage.row(&machine).await, Value::Null);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_exempt_tag_on_the_instance_asks_a_human() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    // Not in the finding: only who looks at the instance sees it.
    stage.ec2("CreateTags", &[("ResourceId.1", &machine.instance), ("Tag.1.Key", "cordon:exempt"), ("Tag.1.Value", "")]).await;
    let event = finding(&stage, &machine);
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(
        (answer.outcome, answer.attention, answer.rule.unwrap().as_str()),
        (Said::AskHuman, Attention::Page, "exempt-tag-asks")
    );
    assert_eq!(stage.groups(&machine).await, machine.before);
    assert_eq!(stage.sandbox().deliver(&event).await.unwrap().outcome, Said::AlreadyDone);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_rule_on_the_sealed_group_is_taken_off_first_and_reported() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let (sealed, true) = stage.sealed_groups(&machine.vpc).await.remove(0) else { panic!("no sealed group") };
    stage.allow(&sealed).await;
    let answer = stage.sandbox().deliver(&finding(&stage, &machine)).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained, "{}", answer.reason);
    assert_eq!(stage.assert_sealed(&machine).await, sealed);
    let records = stage.records(&answer.incident.unwrap()).await;
    assert!(records[0].body()["remarks"].to_string().contains("someone added them"), "{}", records[0].body()["remarks"]);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_squatted_group_name_is_left_alone() {
    let stage = Stage::open();
    let machine = stage.machine(2).await;
    let made = stage
        .ec2(
            "CreateSecurityGroup",
            &[("VpcId", &machine.vpc), ("GroupName", "cordon-sealed"), ("GroupDescription", "not what it seems")],
        )
        .await;
    let squatter = crate::stage::texts(&made, "groupId").remove(0);
    stage.allow(&squatter).await;
    let answer = stage.sandbox().deliver(&finding(&stage, &machine)).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained, "{}", answer.reason);
    assert_ne!(stage.assert_sealed(&machine).await, squatter);
    assert!(stage.rules(&squatter).await >= 1, "nobody touches what is not ours");
    let records = stage.records(&answer.incident.unwrap()).await;
    assert!(records[0].body()["remarks"].to_string().contains("is not ours: left alone"), "{}", records[0].body()["remarks"]);
    assert_eq!(records[1].body()["round_trips"]["cold_vpc"], true);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn two_incidents_may_make_the_sealed_group_at_once() {
    let stage = Stage::open();
    let one = stage.machine(1).await;
    let two = stage.machine_in(&one.vpc, 2).await;
    let sandboxes = [stage.sandbox(), stage.sandbox()];
    let events = [finding(&stage, &one), finding(&stage, &two)];
    let answers = join_all(sandboxes.iter().zip(&events).map(|(sandbox, event)| sandbox.deliver(event))).await;
    for (answer, event) in answers.iter().zip(&events) {
        // Whoever came second may have to try again; then it finds the other's group.
        let outcome = match answer {
            Ok(answer) => answer.outcome,
            Err(_) => stage.sandbox().deliver(event).await.unwrap().outcome,
        };
        assert_eq!(outcome, Said::Contained, "{answers:?}");
    }
    assert_eq!(stage.assert_sealed(&one).await, stage.assert_sealed(&two).await);
    assert_eq!(stage.sealed_groups(&one.vpc).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_pinned_group_that_is_gone_is_replaced_for_good() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let (gone, true) = stage.sealed_groups(&machine.vpc).await.remove(0) else { panic!("no sealed group") };
    stage.ec2("DeleteSecurityGroup", &[("GroupId", &gone)]).await;
    assert_eq!(stage.sandbox().deliver(&finding(&stage, &machine)).await.unwrap().outcome, Said::Contained);
    let new = stage.assert_sealed(&machine).await;
    let key = format!("sealed#{}#{}#{}", stage.account(), stage.root.region, machine.vpc);
    let asked = json!({ "TableName": stage.output("Table"), "Key": { "pk": { "S": key } }, "ConsistentRead": true });
    let pin = stage.root.json("dynamodb", "DynamoDB_20120810.GetItem", &asked).await.unwrap();
    assert_eq!(text(&pin["Item"]["group"]["S"]), new);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn throttling_and_server_errors_are_tried_again_until_the_machine_is_sealed() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let never = Wire::with(|asked| match asked.operation.as_str() {
        "ModifyNetworkInterfaceAttribute" => ec2_error(503, "RequestLimitExceeded"),
        _ => Fate::Pass,
    });
    let throttled = stage.sandbox_with(&[], never).deliver(&event).await.unwrap_err();
    assert!(throttled.0.contains("NotContained") && throttled.0.contains("throttled (RequestLimitExceeded)"), "{throttled}");
    assert_eq!(stage.groups(&machine).await, machine.before);
    // Its lease is given back: the retry need not wait for it. The first of each of its calls fails, which the SDK gets over.
    let stumbling = Wire::with(|asked| match (asked.nth, asked.service.as_str()) {
        (0, "ec2") => ec2_error(503, "Unavailable"),
        (0, "s3") => Fate::Break,
        (0, "dynamodb") => json_error(500, "InternalServerError"),
        _ => Fate::Pass,
    });
    let answer = stage.sandbox_with(&[], stumbling).deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained, "{}", answer.reason);
    stage.assert_sealed(&machine).await;
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(
        records.iter().map(|filed| filed.kind()).collect::<Vec<_>>(),
        ["intent", "outcome", "outcome"],
        "one plan, carried out twice"
    );
    assert_eq!(records[1].body()["outcome"]["state"], "NotContained");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_cannot_be_read_back_is_not_called_contained() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let event = finding(&stage, &machine);
    let blind = Wire::with(|asked| match asked.operation.as_str() {
        "DescribeNetworkInterfaces" => ec2_error(500, "InternalError"),
        _ => Fate::Pass,
    });
    let unverifiable = stage.sandbox_with(&[], blind).deliver(&event).await.unwrap_err();
    assert!(unverifiable.0.contains("Unverifiable"), "{unverifiable}");
    stage.assert_sealed(&machine).await;
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
    // The before is still the before, although this run found the machine sealed.
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(groups_before(records.last().unwrap().body()), machine.before);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_role_that_may_not_look_needs_a_human_and_says_so() {
    let stage = Stage::open();
    let machine = stage.machine(1).await;
    let denied = Wire::with(|asked| match asked.operation.as_str() {
        "DescribeInstances" => ec2_error(403, "UnauthorizedOperation"),
        _ => Fate::Pass,
    });
    let answer = stage.sandbox_with(&[], denied).deliver(&finding(&stage, &machine)).await.unwrap();
    assert_eq!((answer.outcome, answer.attention), (Said::NeedsHuman, Attention::Page));
    assert!(answer.reason.contains("could not observe") && answer.reason.contains("UnauthorizedOperation"), "{}", answer.reason);
    assert_eq!(stage.record(&answer.records[0]).await.kind(), "decision");
}

/// If the table fails, containment goes on: what it does is idempotent.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn without_its_table_the_machine_is_sealed_all_the_same() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let down = || Wire::with(|asked| if asked.service == "dynamodb" { json_error(500, "InternalServerError") } else { Fate::Pass });
    for _ in 0..2 {
        let answer = stage.sandbox_with(&[], down()).deliver(&event).await.unwrap();
        assert_eq!(answer.outcome, Said::Contained, "{}", answer.reason);
        assert_eq!(answer.degraded, ["the table of holds did not answer: nothing holds the machine"]);
        stage.assert_sealed(&machine).await;
    }
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
    // The later runs found it sealed; in a later minute they make an intent of their own. The first record says what it had.
    let records = stage.records(&answer.incident.unwrap()).await;
    let first = records.iter().find(|record| record.kind() == "outcome").unwrap();
    assert_eq!(groups_before(first.body()), sorted(machine.before.clone()));
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_cannot_be_understood_is_refused_on_record() {
    let stage = Stage::open();
    let sandbox = stage.sandbox();
    for name in ["malformed", "wrong-detail-type", "unknown-finding-type", "account-mismatch", "bad-instance-id"] {
        let event = std::fs::read(scenarios::repository().join(format!("events/guardduty/{name}.json"))).unwrap();
        let answer = sandbox.deliver_bytes(&event).await.unwrap();
        assert_eq!((answer.outcome, answer.attention), (Said::Refused, Attention::Notify), "{name}");
        let record = stage.record(&answer.records[0]).await;
        assert_eq!(record.kind(), "refusal");
        assert!(!answer.reason.is_empty() && record.body().to_string().len() < 4096, "{name}: {}", record.body());
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_signature_of_another_key_is_not_taken_for_ours() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let sandbox = stage.sandbox();
    let answer = sandbox.deliver(&finding(&stage, &machine)).await.unwrap();
    let record = stage.record(&answer.records[0]).await;
    // The endorsement carries the deployed KMS key's public half, and nothing but that is our identity.
    let envelope = &record.predicate["endorsement"];
    let endorsement: Value = serde_json::from_slice(&from_base64(&text(&envelope["payload"]))).unwrap();
    let pem = text(&stage.stack["signing_key_pem"]);
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(endorsement.to_string().contains(&der), "{endorsement}");
}
