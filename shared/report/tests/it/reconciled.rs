//! The evidence beside CloudTrail: whatever happened reconciles, and any one thing that is taken away, added or changed is found, by its name.
#![expect(
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "counts are small, and a test reads better so"
)]

use std::time::Duration;

use evidence::{Kind, RecordKey};
use proptest::prelude::*;
use proptest::sample::Index;
use report::{
    Compared, Completeness, Entry, FindingKind, Left, ParseResponderError, Period, Places, Question, Reconciliation, Responder,
    TrailReader as _, Watch, Worth,
};
use serde_json::{Value, json};

use crate::story::{Story, at};

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/cordon/QuarantineRole";
const HOUR: i64 = 3_600_000;

/// How one containment goes, or a preparation.
#[derive(Debug, Clone)]
struct Course {
    received: i64,
    interfaces: u8,
    /// A sealed group is made and emptied first.
    cold: bool,
    /// This interface's swap is refused.
    refused: Option<u8>,
    /// So many attempts of the first swap come before the one whose answer counts.
    attempts: u8,
    /// The last swap gets no answer; its event is there all the same.
    unheard: bool,
    /// The outcome lists no calls, as a preparation's does not in its first form.
    no_calls: bool,
}

/// A call that was made.
#[derive(Debug, Clone)]
struct Made {
    /// The incident's name.
    incident: String,
    event: Value,
    /// Whether the outcome has its request id.
    named: bool,
}

fn id(incident: usize, n: usize) -> String {
    format!("{incident:08}-0000-4000-8000-{n:012}")
}

pub(crate) fn event(request: &str, millis: i64, service: &str, name: &str, parameters: Value) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": format!("event-of-{request}"), "requestID": request,
        // Whole seconds, as CloudTrail has them.
        "eventTime": at(millis.div_euclid(1000) * 1000).to_string(),
        "eventSource": format!("{service}.amazonaws.com"), "eventName": name, "awsRegion": "us-east-1", "readOnly": false,
        "eventType": "AwsApiCall", "eventCategory": "Management", "managementEvent": true, "recipientAccountId": ACCOUNT,
        "sourceIPAddress": "198.51.100.7", "userAgent": "aws-sdk-rust", "requestParameters": parameters,
        "responseElements": {"requestId": request, "_return": true},
        "userIdentity": {
            "type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/QuarantineRole/cordon", "accountId": ACCOUNT,
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": ROLE, "accountId": ACCOUNT}},
        },
    })
}

pub(crate) fn refused(mut event: Value, code: &str) -> Value {
    event["errorCode"] = code.into();
    event["responseElements"] = Value::Null;
    event
}

/// What others do all day.
fn bystander(millis: i64) -> Value {
    let mut event = event(&format!("bystander-{millis}"), millis, "ec2", "RunInstances", json!({}));
    event["userIdentity"] = json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice", "accountId": ACCOUNT});
    event
}

/// Writes the records of a course, and tells what CloudTrail has to tell of it.
fn go(story: &mut Story, nth: usize, course: &Course) -> Vec<Made> {
    let name = format!("incident-{nth}");
    let (mut steps, mut done, mut calls, mut made) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (vpc, group) = (format!("vpc-{nth:08x}"), format!("sg-{nth:08x}"));
    let sealed = if course.cold { json!({"created": vpc}) } else { json!({"known": group}) };
    let mut ids = 0;
    let mut call = |operation: &str, parameters: Value, from: i64, error: Option<&str>, attempts: u8, heard: bool| {
        for attempt in 1..=attempts {
            ids += 1;
            let request = id(nth, ids);
            let told = event(&request, course.received + from + 40, "ec2", operation, parameters.clone());
            let last = attempt == attempts;
            let told = match error {
                _ if !last => refused(told, "Client.RequestLimitExceeded"),
                Some(code) => refused(told, code),
                None => told,
            };
            made.push(Made { incident: name.clone(), event: told, named: last && heard });
            if last {
                let (id, status) =
                    if heard { (json!(request), json!(if error.is_some() { 403 } else { 200 })) } else { Default::default() };
                calls.push(
                    json!({"service": "EC2", "operation": operation, "request_id": id, "status": status, "attempts": attempts,
                    "started": at(course.received + from), "ended": at(course.received + from + 80)}),
                );
                return if error.is_none() && heard { json!(request) } else { Value::Null };
            }
        }
        Value::Null
    };
    if course.cold {
        let request = call("CreateSecurityGroup", json!({"vpcId": vpc, "groupName": "cordon-sealed"}), 200, None, 1, true);
        steps.push(json!({"wave": 0, "action": {"create_group": {"vpc": vpc, "name": "cordon-sealed"}}}));
        done.push(json!({"step": 0, "did": {"group": group}, "request_id": request}));
        let rules = json!({"groupId": group, "ipPermissions": {"items": [{"groups": {"items": [{"groupId": "sg-99999999"}]}}]}});
        call("RevokeSecurityGroupIngress", rules.clone(), 300, None, 1, true);
        let request = call("RevokeSecurityGroupEgress", rules, 400, None, 1, true);
        steps.push(json!({"wave": 1, "action": {"empty_group": {"group": sealed}}}));
        done.push(json!({"step": 1, "did": "accepted", "request_id": request}));
    }
    for n in 0..course.interfaces {
        let interface = format!("eni-{nth:04x}{n:04x}");
        let error = (course.refused == Some(n)).then_some("Client.UnauthorizedOperation");
        let heard = !(course.unheard && n + 1 == course.interfaces);
        let attempts = if n == 0 { course.attempts } else { 1 };
        let parameters = json!({"networkInterfaceId": interface, "groupSet": {"items": [{"groupId": group}]}});
        let request = call("ModifyNetworkInterfaceAttribute", parameters, 500 + i64::from(n), error, attempts, heard);
        let did = match (error, heard) {
            (None, true) => json!("accepted"),
            (Some(_), _) => json!({"failed": {"kind": "denied", "code": "UnauthorizedOperation"}}),
            (None, false) => json!({"failed": {"kind": "no_answer", "code": "timeout"}}),
        };
        done.push(json!({"step": steps.len(), "did": did, "request_id": request}));
        steps.push(json!({"wave": 2, "action": {"swap_groups": {"interface": interface, "from": ["sg-99999999"], "to": sealed}}}));
    }
    let instance = format!("i-{nth:08x}");
    let tagged =
        json!({"resourcesSet": {"items": [{"resourceId": instance}]}, "tagSet": {"items": [{"key": "k", "value": "i-99999999"}]}});
    let request = call("CreateTags", tagged, 500, None, 1, true);
    done.push(json!({"step": steps.len(), "did": "accepted", "request_id": request}));
    steps.push(json!({"wave": 2, "action": {"tag": {"instance": instance, "tags": {"cordon:incident": "inc"}}}}));

    let intent = story.write(&name, Kind::Intent, at(course.received + 100), None, json!({"steps": steps}));
    let body = if course.no_calls {
        for made in &mut made {
            let of_a_step = done.iter().any(|done| done["request_id"] == made.event["requestID"]);
            made.named &= of_a_step;
        }
        json!({"steps": done, "ready": [], "not_ready": []})
    } else {
        calls.insert(
            0,
            json!({"service": "EC2", "operation": "DescribeInstances", "request_id": id(nth, 900), "status": 200, "attempts": 1,
            "started": at(course.received), "ended": at(course.received + 50)}),
        );
        json!({"outcome": {"state": "Contained", "steps": done}, "calls": calls, "evidence": "durable",
            "signal": {"account": ACCOUNT, "region": "us-east-1"}})
    };
    story.write(&name, Kind::Outcome, at(course.received + 1000), Some(intent), body);
    made
}

fn courses() -> impl Strategy<Value = Vec<Course>> {
    // Within one minute: a record's key has the minute of its cause, and here each record is its own.
    let received = (0..240_i64, 0..38_000_i64).prop_map(|(minute, millis)| minute * 60_000 + millis);
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let course = (received, 1..5_u8, prop::option::of(0..5_u8), 1..4_u8, flags).prop_map(
        |(received, interfaces, refused, attempts, (cold, unheard, no_calls))| Course {
            received,
            interfaces,
            cold,
            refused,
            attempts: if no_calls { 1 } else { attempts },
            unheard: unheard && refused.is_none() && !no_calls,
            no_calls,
        },
    );
    prop::collection::vec(course, 1..4)
}

struct Told {
    entries: Vec<Entry>,
    worth: Worth,
    made: Vec<Made>,
}

impl Told {
    fn new(courses: &[Course]) -> Self {
        let mut story = Story::new();
        let made = courses.iter().enumerate().flat_map(|(n, course)| go(&mut story, n + 1, course)).collect();
        let (entries, worth) = story.read();
        Self { entries, worth, made }
    }

    fn events(&self) -> Vec<Value> {
        self.made.iter().map(|made| made.event.clone()).collect()
    }

    /// Those whose request ids are in the evidence.
    fn named(&self) -> Vec<usize> {
        (0..self.made.len()).filter(|at| self.made[*at].named).collect()
    }

    fn incident(&self, at: usize, kind: Kind) -> RecordKey {
        let incident = crate::story::incident(&self.made[at].incident);
        self.entries.iter().find(|entry| entry.incident() == Some(&incident) && entry.key().kind == kind).unwrap().key().clone()
    }

    fn compare(&self, events: Vec<Value>) -> Completeness {
        compare(&self.entries, &self.worth, events, |question| question)
    }
}

pub(crate) fn compare(
    entries: &[Entry],
    worth: &Worth,
    mut events: Vec<Value>,
    ask: impl FnOnce(Question) -> Question,
) -> Completeness {
    events.extend([bystander(-HOUR), bystander(6 * HOUR)]);
    let question = ask(Question {
        responders: vec![format!("quarantine={ROLE}").parse().unwrap()],
        period: None,
        delay: Duration::from_secs(900),
        now: at(12 * HOUR),
        checkpoints: Vec::new(),
        places: Places::default(),
    });
    let mut reconciliation = Reconciliation::new(entries, question);
    reconciliation.file();
    let file = json!({"Records": events}).to_string();
    let sum = trail::read(file.as_bytes(), &mut |event| match event {
        Ok(event) => reconciliation.see(&event),
        Err(why) => reconciliation.refused("file.json", &why),
    });
    assert_eq!(sum.events as usize + sum.refused as usize, events.len());
    reconciliation.finish(worth)
}

/// The only finding.
pub(crate) fn only(found: &Completeness, kind: FindingKind) -> report::Finding {
    assert!(!found.complete);
    assert_eq!(
        found.findings.iter().map(|finding| (finding.kind, &finding.what)).collect::<Vec<_>>().len(),
        1,
        "{:#?}",
        found.findings
    );
    assert_eq!(found.totals.iter().map(|(kind, count)| (*kind, *count)).collect::<Vec<_>>(), [(kind, 1)], "{:#?}", found.findings);
    found.findings[0].clone()
}

fn warm() -> Course {
    Course { received: 0, interfaces: 2, cold: false, refused: None, attempts: 1, unheard: false, no_calls: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_complete_trail_reconciles(courses in courses(), twice in any::<Index>(), rotated in any::<Index>()) {
        let told = Told::new(&courses);
        let mut events = told.events();
        let copy = events[twice.index(events.len())].clone();
        events.rotate_left(rotated.index(told.made.len()));
        events.push(copy);
        let found = told.compare(events);
        prop_assert!(found.findings.is_empty(), "{:#?}", found.findings);
        prop_assert!(found.complete, "{}", found.verdict);
        let Compared { claimed, in_both, earlier_attempts, by_plan, .. } = found.compared;
        prop_assert_eq!(claimed, in_both);
        prop_assert_eq!(claimed as usize, told.named().len());
        prop_assert_eq!((in_both + earlier_attempts + by_plan) as usize, told.made.len());
        prop_assert_eq!(found.coverage.left_out.get(&Left::SeenBefore), Some(&1));
    }

    #[test]
    fn an_event_that_is_gone_is_missed(courses in courses(), which in any::<Index>()) {
        let told = Told::new(&courses);
        let named = told.named();
        let at = named[which.index(named.len())];
        let mut events = told.events();
        let gone = events.remove(at);
        let found = told.compare(events);
        let finding = only(&found, FindingKind::Unseen);
        prop_assert_eq!(finding.request_id.as_deref(), gone["requestID"].as_str());
        prop_assert_eq!(finding.record, Some(told.incident(at, Kind::Outcome)));
    }

    #[test]
    fn an_outcome_that_is_gone_leaves_its_changes_unconcluded(courses in courses(), which in any::<Index>()) {
        let mut told = Told::new(&courses);
        let at = which.index(told.made.len());
        let (outcome, intent) = (told.incident(at, Kind::Outcome), told.incident(at, Kind::Intent));
        told.entries.retain(|entry| *entry.key() != outcome);
        let found = told.compare(told.events());
        let own = told.made.iter().filter(|made| made.incident == told.made[at].incident).count();
        prop_assert_eq!(found.totals.iter().map(|(kind, count)| (*kind, *count as usize)).collect::<Vec<_>>(),
            [(FindingKind::Unconcluded, own)]);
        prop_assert!(found.findings.iter().all(|finding| finding.intent.as_ref() == Some(&intent)));
        // Before it is due it is only under way.
        let found = compare(&told.entries, &told.worth, told.events(), |question| Question { now: at_of(&told, 500), ..question });
        prop_assert!(!found.has_findings() && !found.complete, "{}", found.verdict);
        prop_assert_eq!(found.compared.under_way as usize, own);
    }

    #[test]
    fn a_containment_without_records_is_unannounced(courses in courses(), which in any::<Index>()) {
        let mut told = Told::new(&courses);
        let at = which.index(told.made.len());
        let gone = [told.incident(at, Kind::Outcome), told.incident(at, Kind::Intent)];
        told.entries.retain(|entry| !gone.contains(entry.key()));
        let found = told.compare(told.events());
        let own: Vec<_> = told.made.iter().filter(|made| made.incident == told.made[at].incident).collect();
        prop_assert_eq!(found.totals.iter().map(|(kind, count)| (*kind, *count as usize)).collect::<Vec<_>>(),
            [(FindingKind::Unannounced, own.len())]);
        for made in own {
            prop_assert!(found.findings.iter().any(|finding| finding.request_id.as_deref() == made.event["requestID"].as_str()));
        }
    }

    #[test]
    fn a_result_that_is_another_is_a_contradiction(courses in courses(), which in any::<Index>()) {
        let told = Told::new(&courses);
        let named = told.named();
        let at = named[which.index(named.len())];
        let mut events = told.events();
        let code = events[at].get("errorCode").cloned();
        events[at]["errorCode"] = if code.is_some() { Value::Null } else { "Client.UnauthorizedOperation".into() };
        let finding = only(&told.compare(events), FindingKind::Contradicted);
        prop_assert_eq!(finding.request_id.as_deref(), told.made[at].event["requestID"].as_str());
        prop_assert_eq!(finding.record, Some(told.incident(at, Kind::Outcome)));
        prop_assert!(finding.what.contains(if code.is_some() { "it was carried out" } else { "it was refused" }), "{}", finding.what);
    }

    #[test]
    fn anything_else_that_is_another_is_a_contradiction(courses in courses(), which in any::<Index>(), what in 0..7_usize) {
        let told = Told::new(&courses);
        let named = told.named();
        let at = named[which.index(named.len())];
        let mut events = told.events();
        let event = &mut events[at];
        let parameters = &mut event["requestParameters"];
        let told_as = match what {
            0 => {
                for resource in ["/networkInterfaceId", "/vpcId", "/groupId", "/resourcesSet/items/0/resourceId"] {
                    if let Some(id) = parameters.pointer_mut(resource) {
                        *id = format!("{}-0123456789abcdef0", id.as_str().unwrap().split('-').next().unwrap()).into();
                    }
                }
                "it acted on"
            }
            1 => {
                let more = json!({"items": [{"groupId": "sg-0123456789abcdef0"}, {"groupId": "sg-11111111"}]});
                parameters["groupSet"] = more;
                "it acted on"
            }
            2 => {
                event["eventName"] = "TerminateInstances".into();
                "it was ec2 TerminateInstances"
            }
            3 => {
                event["eventSource"] = "iam.amazonaws.com".into();
                "it was iam"
            }
            4 => {
                event["eventTime"] = at_time(6 * HOUR).into();
                "it was at"
            }
            5 => {
                event["userIdentity"] = json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/mallory"});
                "which is no responder's role"
            }
            _ => {
                event["requestParameters"] = json!({"instancesSet": {"items": [{"instanceId": "i-0123456789abcdef0"}]}});
                "it acted on"
            }
        };
        let finding = only(&told.compare(events), FindingKind::Contradicted);
        prop_assert_eq!(finding.request_id.as_deref(), told.made[at].event["requestID"].as_str());
        prop_assert!(finding.what.contains(told_as), "{}", finding.what);
    }

    #[test]
    fn whatever_else_the_role_does_is_unannounced(
        courses in courses(),
        name in prop::sample::select(vec!["ec2 TerminateInstances", "iam CreateUser", "s3 PutBucketPolicy", "sts AssumeRole", "ec2 CreateTags",
            "dynamodb DeleteTable", "kms ScheduleKeyDeletion", "s3 PutObject"]),
        denied in any::<bool>(),
        region in prop::sample::select(vec!["us-east-1", "ap-southeast-2"]),
    ) {
        let told = Told::new(&courses);
        let (service, operation) = name.split_once(' ').unwrap();
        let parameters = json!({"bucketName": "elsewhere", "key": "loot.tar", "resourcesSet": {"items": [{"resourceId": "i-0123456789abcdef0"}]}});
        let mut stranger = event("stranger", 1000, service, operation, parameters);
        stranger["awsRegion"] = region.into();
        stranger["readOnly"] = (operation == "AssumeRole").into();
        if denied {
            stranger = refused(stranger, "AccessDenied");
        }
        let mut events = told.events();
        events.push(stranger);
        let finding = only(&told.compare(events), FindingKind::Unannounced);
        let call = finding.call.unwrap();
        prop_assert_eq!((call.service.as_str(), call.operation.as_str(), call.region.as_str()), (service, operation, region));
        prop_assert_eq!(call.error.is_some(), denied);
    }
}

fn at_time(millis: i64) -> String {
    at(millis).to_string()
}

/// A moment while every intent of the story is under way.
fn at_of(told: &Told, millis: i64) -> ids::Timestamp {
    let newest =
        told.made.iter().map(|made| made.event["eventTime"].as_str().unwrap().parse::<ids::Timestamp>().unwrap()).min().unwrap();
    newest.plus(Duration::from_millis(millis.try_into().unwrap()))
}

#[test]
fn a_finding_says_all_that_a_responder_needs() {
    let told = Told::new(&[warm()]);
    let mut events = told.events();
    events[0]["errorCode"] = "Client.UnauthorizedOperation".into();
    let mut stranger =
        event("stranger", 2000, "ec2", "TerminateInstances", json!({"instancesSet": {"items": [{"instanceId": "i-99999999"}]}}));
    stranger["awsRegion"] = "eu-west-1".into();
    events.push(stranger);
    let gone = events.remove(1);
    assert_eq!(gone["eventName"], "ModifyNetworkInterfaceAttribute");
    let found = told.compare(events);
    insta::assert_snapshot!(crate::story::without_digests(&found.text()));
    let json = report::to_json(&found).unwrap();
    assert!(json.contains(r#""kind": "unannounced""#) && json.contains(r#""kind": "unseen""#), "{json}");
}

#[test]
fn a_complete_answer_says_what_it_rests_on() {
    let told = Told::new(&[warm(), Course { cold: true, received: HOUR, ..warm() }]);
    let found = told.compare(told.events());
    assert!(found.complete);
    insta::assert_snapshot!(crate::story::without_digests(&found.text()));
}

#[test]
fn nothing_measured_is_never_complete() {
    let told = Told::new(&[warm()]);
    let verdict = |found: Completeness| {
        assert!(!found.complete && !found.has_findings(), "{:#?}", found.findings);
        found.verdict
    };
    // Nothing at all.
    assert!(verdict(compare(&[], &told.worth, Vec::new(), |question| question)).contains("has no event of"));
    // A trail that ends too soon after, one that begins too late, one of another Region, and one of another account.
    let before = |events: Vec<Value>, at: i64| {
        let mut reconciliation = Reconciliation::new(&told.entries, question());
        let file = json!({"Records": events.into_iter().chain([bystander(-HOUR), bystander(at)]).collect::<Vec<_>>()}).to_string();
        trail::read(file.as_bytes(), &mut |event| reconciliation.see(&event.unwrap()));
        reconciliation.finish(&told.worth)
    };
    let events = told.events();
    assert!(verdict(before(events[1..].to_vec(), 10 * 60_000)).contains("does not reach 1 of the 3 changes"));
    assert_eq!(only(&before(events[1..].to_vec(), 20 * 60_000), FindingKind::Unseen).request_id, Some(id(1, 1)));
    let mut elsewhere = told.events();
    for event in &mut elsewhere {
        event["awsRegion"] = "eu-west-1".into();
    }
    assert_eq!(told.compare(elsewhere).totals, [(FindingKind::Contradicted, 3)].into());
    // The role of another function.
    let other: Responder = format!("revoke={ROLE}").parse().unwrap();
    let found = compare(&told.entries, &told.worth, Vec::new(), |question| Question { responders: vec![other], ..question });
    assert!(found.notices.iter().any(|notice| notice == "no record of `revoke` is in this evidence"), "{:?}", found.notices);
    assert_eq!((found.compared.of_no_given_role, found.has_findings()), (3, false));
    // Part of the trail that could not be read.
    let mut events = told.events();
    events.push(json!({"eventVersion": "1.11"}));
    let verdict = verdict(told.compare(events));
    assert!(verdict.contains("part of the trail could not be read"), "{verdict}");
    // Evidence that does not hold.
    let mut story = Story::new();
    let made = go(&mut story, 1, &warm());
    let (entries, worth) = story.read_with(vec![("rec/x", "does not hold")]);
    let found = compare(&entries, &worth, made.into_iter().map(|made| made.event).collect(), |question| question);
    assert!(!found.complete && found.text().starts_with("FAILED: "));
}

fn question() -> Question {
    Question {
        responders: vec![format!("quarantine={ROLE}").parse().unwrap()],
        period: None,
        delay: Duration::from_secs(900),
        now: at(12 * HOUR),
        checkpoints: Vec::new(),
        places: Places::default(),
    }
}

#[test]
fn one_functions_role_does_not_speak_for_another() {
    let told = Told::new(&[warm()]);
    let revoke = "arn:aws:iam::123456789012:role/RevokeRole";
    let mut events = told.events();
    events[0]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] = revoke.into();
    let responders = vec![format!("quarantine={ROLE}").parse().unwrap(), format!("revoke={revoke}").parse().unwrap()];
    let found = compare(&told.entries, &told.worth, events, |question| Question { responders, ..question });
    let finding = only(&found, FindingKind::Contradicted);
    assert!(finding.what.contains("it was made by the role of revoke"), "{}", finding.what);
}

#[test]
fn a_period_leaves_out_what_is_outside_of_it() {
    let told = Told::new(&[warm(), Course { received: 3 * HOUR, ..warm() }]);
    let period = Period::new(at(-1000), at(HOUR)).unwrap();
    let events = told.events();
    // The later incident is neither missed …
    let found = compare(&told.entries, &told.worth, events[..3].to_vec(), |question| Question { period: Some(period), ..question });
    assert!(found.complete, "{}", found.verdict);
    assert_eq!(found.compared.outside_the_period, 3);
    // … nor, without its records, unannounced.
    let later = told.incident(3, Kind::Outcome);
    let entries: Vec<_> = told.entries.iter().filter(|entry| !entry.key().is_sibling(&later)).cloned().collect();
    let found = compare(&entries, &told.worth, events, |question| Question { period: Some(period), ..question });
    assert!(found.complete, "{}", found.verdict);
    assert_eq!(found.coverage.left_out[&Left::OutsideThePeriod], 3);
}

#[test]
fn a_run_that_was_finished_by_another_is_told_and_no_finding() {
    let mut story = Story::new();
    let step =
        json!({"wave": 0, "action": {"swap_groups": {"interface": "eni-11111111", "from": [], "to": {"known": "sg-11111111"}}}});
    let intent = story.write("crashed", Kind::Intent, at(0), None, json!({"steps": [step]}));
    let call = |id: &str, from: i64| {
        json!({"service": "EC2", "operation": "ModifyNetworkInterfaceAttribute", "request_id": id, "status": 200, "attempts": 1,
            "started": at(from), "ended": at(from + 50)})
    };
    let body = |evidence: &str| {
        json!({"outcome": {"steps": [{"step": 0, "did": "accepted", "request_id": "second"}]}, "calls": [call("second", 60_000)],
            "evidence": evidence})
    };
    let parameters = json!({"networkInterfaceId": "eni-11111111", "groupSet": {"items": [{"groupId": "sg-11111111"}]}});
    let events = ["first", "second"].into_iter().zip([100, 60_020]);
    let events: Vec<_> =
        events.map(|(id, time)| event(id, time, "ec2", "ModifyNetworkInterfaceAttribute", parameters.clone())).collect();
    let mut honest = Story::new();
    std::mem::swap(&mut honest, &mut story);
    honest.write("crashed", Kind::Outcome, at(61_000), Some(intent), body("durable, by an earlier run"));
    let (entries, worth) = honest.read();
    let found = compare(&entries, &worth, events.clone(), |question| question);
    assert!(!found.has_findings() && found.compared.by_an_earlier_run == 1, "{:#?}", found.findings);
    assert!(found.notices[0].contains("1 change was made by a run that left no outcome"), "{:?}", found.notices);
    // Where no earlier run is told of, there should have been one call.
    let mut story = Story::new();
    let intent = story.write("crashed", Kind::Intent, at(0), None, json!({"steps": [step]}));
    story.write("crashed", Kind::Outcome, at(61_000), Some(intent), body("durable"));
    let (entries, worth) = story.read();
    let found = compare(&entries, &worth, events, |question| question);
    assert_eq!(only(&found, FindingKind::Unannounced).request_id.as_deref(), Some("first"));
}

#[test]
fn calls_that_only_read_are_left_out_unless_a_record_says_that_they_did_not() {
    let told = Told::new(&[warm()]);
    let read = |request: &str, name: &str| {
        let mut event = event(request, 10, "ec2", name, json!({}));
        event["readOnly"] = true.into();
        event
    };
    let mut events = told.events();
    events.push(read("another", "DescribeVpcs"));
    events.push(read(&id(1, 900), "DescribeInstances"));
    let found = told.compare(events.clone());
    assert!(found.complete, "{:#?}", found.findings);
    assert_eq!(found.coverage.left_out[&Left::OnlyReads], 1);
    // The record says that it looked; it terminated.
    *events.last_mut().unwrap() = event(&id(1, 900), 10, "ec2", "TerminateInstances", json!({}));
    let finding = only(&told.compare(events), FindingKind::Contradicted);
    assert!(
        finding.what.contains("it was ec2 TerminateInstances, where the record says EC2 DescribeInstances"),
        "{}",
        finding.what
    );
}

#[test]
fn signatures_beyond_those_in_the_evidence_are_a_notice() {
    let told = Told::new(&[warm()]);
    let sign = |n: i64| {
        let mut event = event(&format!("sign-{n}"), n, "kms", "Sign", json!({"keyId": "k", "messageType": "DIGEST"}));
        event["readOnly"] = true.into();
        // The same key, whether an event has its ARN or what was asked for.
        event["requestParameters"]["keyId"] = format!("{}", n / 2).into();
        if n != 0 {
            event["resources"] =
                json!([{"type": "AWS::KMS::Key", "ARN": format!("arn:aws:kms:us-east-1:123456789012:key/{}", n / 2)}]);
        }
        event
    };
    let with = |signatures: i64| {
        let mut events = told.events();
        events.extend((0..signatures).map(sign));
        told.compare(events)
    };
    // One session, one endorsement.
    let found = with(1);
    assert!(found.complete && found.notices.is_empty(), "{:?}", found.notices);
    assert_eq!((found.own_writes[ROLE].signed, found.own_writes[ROLE].accounted_for), (1, 1));
    assert_eq!(with(2).own_writes[ROLE].keys.len(), 1);
    let found = with(3);
    assert!(found.complete, "a notice is no finding");
    assert!(found.notices[0].contains("3 times for") && found.notices[0].contains("2 more than the 1"), "{:?}", found.notices);
    assert!(found.notices[1].contains("signed with more than one key"), "{:?}", found.notices);
    // Checkpoints account for the sealer's.
    let seal: Responder = format!("seal={ROLE}").parse().unwrap();
    let question = |question: Question| Question { responders: vec![seal], checkpoints: vec![at(0), at(HOUR)], ..question };
    let mut events = Vec::new();
    events.extend((0..3).map(sign));
    let found = compare(&told.entries, &told.worth, events, question);
    assert_eq!((found.own_writes[ROLE].signed, found.own_writes[ROLE].accounted_for), (3, 2));
}

#[test]
fn a_record_that_was_written_and_is_not_here_is_missing() {
    let mut told = Told::new(&[warm()]);
    let put = |key: &str, error: Option<&str>| {
        let mut event = event(&format!("put-{key}"), 200, "s3", "PutObject", json!({"bucketName": "evidence", "key": key}));
        (event["eventCategory"], event["managementEvent"]) = ("Data".into(), false.into());
        if let Some(code) = error { refused(event, code) } else { event }
    };
    let keys: Vec<_> = told.entries.iter().map(|entry| entry.key().to_string()).collect();
    let mut events = told.events();
    events.extend(keys.iter().map(|key| put(key, None)));
    events.push(put("rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-intent.json", Some("PreconditionFailed")));
    events.push(put("keys/quarantine/x", None));
    let found = told.compare(events.clone());
    assert!(found.complete, "{:#?}", found.findings);
    let own = &found.own_writes[ROLE];
    assert_eq!((own.put, own.put_and_here, own.put_refused), (3, 2, 1));
    assert!(!found.coverage.cannot_see.iter().any(|text| text.contains("no S3 data events")));

    // Decisions and refusals change nothing: only their write tells of them.
    let mut story = Story::new();
    let made = go(&mut story, 1, &warm());
    let decision = story.write("asked", Kind::Decision, at(300), None, json!({"reason": "asked"}));
    let (entries, worth) = story.read();
    told = Told { entries, worth, made };
    told.entries.retain(|entry| *entry.key() != decision.key);
    let mut events = told.events();
    events.push(put(&decision.key.to_string(), None));
    assert_eq!(only(&told.compare(events), FindingKind::Missing).record, Some(decision.key));
}

fn put(bucket: &str, key: &str) -> Value {
    let mut event = event(&format!("put-{bucket}-{key}"), 200, "s3", "PutObject", json!({"bucketName": bucket, "key": key}));
    (event["eventCategory"], event["managementEvent"]) = ("Data".into(), false.into());
    event
}

/// The role's way out must not be an object with one of our names in somebody else's bucket.
#[test]
fn a_write_is_its_own_by_bucket_and_key() {
    let told = Told::new(&[warm()]);
    let with = |places: Places, more: &[Value]| {
        compare(&told.entries, &told.worth, [told.events(), more.to_vec()].concat(), |question| Question { places, ..question })
    };
    let places = Places { evidence: Some("evidence".into()), tiles: Some("tiles".into()), ..Places::default() };
    let ours = [put("evidence", "keys/quarantine/x"), put("tiles", "tile/0/000"), put("tiles", "checkpoint")];
    let found = with(places.clone(), &ours);
    assert!(found.complete, "{:#?}", found.findings);
    let buckets: Vec<_> = found.own_writes[ROLE].buckets.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(buckets, [("evidence", 1), ("tiles", 2)]);
    assert!(!found.coverage.cannot_see.iter().any(|text| text.contains("--tile-bucket")), "{:?}", found.coverage.cannot_see);
    for (bucket, key) in [("elsewhere", "rec/x"), ("elsewhere", "tile/0/000"), ("tiles", "rec/x"), ("evidence", "checkpoint")] {
        let finding = only(&with(places.clone(), &[put(bucket, key)]), FindingKind::Unannounced);
        assert!(finding.what.starts_with("no record names this call"), "{}", finding.what);
    }
    // A folder does not say where it was taken from. Then the buckets are told, and that nobody compared them.
    let found = with(Places::default(), &[put("elsewhere", "rec/x"), put("elsewhere", "tile/0/000")]);
    assert!(found.complete && found.text().contains("elsewhere: 2"), "{}", found.text());
    let unseen = |option: &str| found.coverage.cannot_see.iter().any(|text| text.contains(option));
    assert!(unseen("--evidence-bucket") && unseen("--tile-bucket"), "{:?}", found.coverage.cannot_see);
}

#[test]
fn the_copy_of_a_checkpoint_in_another_account_is_the_sealers_own() {
    let told = Told::new(&[warm()]);
    let with = |role: &str, places: Places, more: &[Value]| {
        let responders = vec![role.parse().unwrap()];
        compare(&told.entries, &told.worth, [told.events(), more.to_vec()].concat(), |question| Question {
            responders,
            places,
            ..question
        })
    };
    let places = |copies: &[&str]| Places {
        copies: copies.iter().map(|&bucket| bucket.to_owned()).collect(),
        copy_keys: ["cordon/x/8.note", "cordon/x/9.note"].map(str::to_owned).into(),
        ..Places::default()
    };
    let given = || places(&["copies"]);
    // Any function's role may be the sealer's.
    let found = with(ROLE, given(), &[put("copies", "cordon/x/8.note"), put("copies", "cordon/x/9.note")]);
    assert!(found.complete, "{:#?}", found.findings);
    assert_eq!((found.own_writes[ROLE].put, found.own_writes[ROLE].copies), (2, 2));

    // Nobody said that this bucket is one: the finding says what it may be.
    let finding = only(&with(ROLE, places(&[]), &[put("copies", "cordon/x/8.note")]), FindingKind::Unannounced);
    assert!(finding.what.contains("--copy-bucket copies"), "{}", finding.what);
    // Another place, another name, another function.
    for (bucket, key) in
        [("elsewhere", "cordon/y/8.note"), ("copies", "cordon/y/8.note"), ("copies", "loot.tar"), ("copies", "rec/x")]
    {
        let evidence = Places { evidence: Some("evidence".into()), ..given() };
        let finding = only(&with(ROLE, evidence, &[put(bucket, key)]), FindingKind::Unannounced);
        assert!(!finding.what.contains("--copy-bucket"), "{}", finding.what);
    }
    only(&with(&format!("quarantine={ROLE}"), given(), &[put("copies", "cordon/x/8.note")]), FindingKind::Unannounced);
    // A checkpoint that was copied, and is not here: the log that is here was cut off.
    let finding = only(&with(ROLE, given(), &[put("copies", "cordon/x/12.note")]), FindingKind::Missing);
    assert!(finding.what.contains("over 12 leaves"), "{}", finding.what);
    let no_log = Places { copy_keys: [].into(), ..given() };
    only(&with(ROLE, no_log, &[put("copies", "cordon/x/12.note")]), FindingKind::Missing);
    // A copy that S3 refused, because it was there, is no second one.
    let found = with(ROLE, given(), &[refused(put("copies", "cordon/x/8.note"), "PreconditionFailed")]);
    assert!(found.complete && found.own_writes[ROLE].put_refused == 1, "{:#?}", found.findings);
}

#[test]
fn events_of_others_are_counted_with_their_reasons() {
    let told = Told::new(&[warm()]);
    let mut events = told.events();
    let mut other_account = bystander(10);
    other_account["recipientAccountId"] = "999988887777".into();
    let mut service = bystander(20);
    service["userIdentity"] = json!({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"});
    // A copy in another account has an id of its own, and shares another.
    events[0]["sharedEventID"] = "shared".into();
    let mut copy = events[0].clone();
    (copy["eventID"], copy["recipientAccountId"]) = ("copy".into(), "999988887777".into());
    events.extend([other_account, service, copy, json!({"eventCategory": "Insight", "eventVersion": "1.09", "eventID": "x"})]);
    let found = told.compare(events);
    assert!(found.complete, "{} {:#?}", found.verdict, found.findings);
    let left: Vec<_> = found.coverage.left_out.iter().map(|(why, count)| (*why, *count)).collect();
    assert_eq!(left, [(Left::AnotherPrincipal, 2), (Left::AnotherAccount, 1), (Left::AwsService, 1), (Left::SeenBefore, 1)]);
    assert_eq!((found.coverage.refused, found.coverage.unread), (1, 0));
    assert_eq!(found.coverage.places.keys().collect::<Vec<_>>(), ["123456789012 us-east-1", "999988887777 us-east-1"]);
}

#[test]
fn nothing_from_a_trail_reaches_a_terminal_as_it_came() {
    let told = Told::new(&[warm()]);
    let escape = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nCOMPLETE";
    let mut stranger = event(&format!("r{escape}"), 1000, "ec2", "TerminateInstances", json!({}));
    for field in ["eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "eventID"] {
        stranger[field] = format!("x{escape}").into();
    }
    stranger["userIdentity"]["arn"] = format!("arn{escape}").into();
    let mut broken = stranger.clone();
    broken["eventVersion"] = escape.into();
    let mut events = told.events();
    events.extend([stranger, broken]);
    let found = told.compare(events);
    assert_eq!(found.totals[&FindingKind::Unannounced], 1);
    let text = found.text();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("COMPLETE")), "{text}");
}

#[test]
fn a_flood_is_counted_and_its_beginning_told() {
    let told = Told::new(&[warm()]);
    let mut events = told.events();
    events.extend((0..12_000).map(|n| event(&format!("flood-{n}"), 1000, "ec2", "TerminateInstances", json!({}))));
    let found = told.compare(events);
    assert_eq!((found.totals[&FindingKind::Unannounced], found.findings.len()), (12_000, 10_000));
    assert!(found.text().contains("and 11800 more findings"), "{}", found.verdict);
}

#[test]
fn a_role_is_given_by_its_whole_arn() {
    let role: Responder = format!("quarantine={ROLE}").parse().unwrap();
    assert_eq!((role.function.unwrap().as_str(), role.role.as_str()), ("quarantine", ROLE));
    for good in ["arn:aws-us-gov:iam::123456789012:role/R", "arn:aws-cn:iam::123456789012:role/a/b/R+=,.@_-"] {
        assert_eq!(good.parse::<Responder>().unwrap().function, None);
    }
    for bad in [
        "",
        "QuarantineRole",
        "arn:aws:iam::123456789012:user/alice",
        "arn:aws:sts::123456789012:assumed-role/R/session",
        "arn:aws:iam::12345678901:role/R",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam:us-east-1:123456789012:role/R",
        "Quarantine!=arn:aws:iam::123456789012:role/R",
    ] {
        assert_eq!(bad.parse::<Responder>(), Err(ParseResponderError), "{bad}");
    }
}

fn s3(n: i64, name: &str, caller: &str, parameters: Value) -> Value {
    let mut event = event(&format!("s3-{n}"), n * 1000, "s3", name, parameters);
    (event["eventCategory"], event["managementEvent"]) = ("Data".into(), false.into());
    event["readOnly"] = ["Get", "Head", "List"].iter().any(|verb| name.starts_with(verb)).into();
    if caller != "role" {
        event["userIdentity"] = json!({"type": "IAMUser", "arn": format!("arn:aws:iam::123456789012:user/{caller}")});
    }
    event
}

fn watched(key: &RecordKey, roles: &[String], events: &[Value]) -> report::Accesses {
    let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
    let mut watch = Watch::new(key.clone(), Some("evidence".to_owned()), roles);
    watch.file();
    trail::read(json!({"Records": events}).to_string().as_bytes(), &mut |event| watch.see(&event.unwrap()));
    watch.finish()
}

#[test]
fn custody_tells_who_touched_a_record() {
    let told = Told::new(&[warm()]);
    let key = told.incident(0, Kind::Intent);
    let on = |bucket: &str| json!({"bucketName": bucket, "key": key.to_string()});
    let source = format!("evidence/{}?versionId=v1", key.to_string().replace('/', "%2F"));
    let events = vec![
        s3(1, "PutObject", "role", on("evidence")),
        s3(2, "GetObject", "alice", on("evidence")),
        refused(s3(3, "GetObject", "mallory", on("evidence")), "AccessDenied"),
        refused(s3(4, "DeleteObject", "mallory", on("evidence")), "AccessDenied"),
        s3(5, "ListObjectVersions", "alice", json!({"bucketName": "evidence", "prefix": "rec/"})),
        s3(6, "ListObjectVersions", "alice", json!({"bucketName": "evidence", "prefix": "log/"})),
        s3(7, "CopyObject", "alice", json!({"bucketName": "elsewhere", "key": "copy.json", "x-amz-copy-source": source})),
        s3(8, "GetObject", "alice", json!({"bucketName": "evidence", "key": told.incident(0, Kind::Outcome).to_string()})),
        s3(9, "PutObject", "alice", on("archive-of-the-auditor")),
        bystander(10),
    ];
    let role = [format!("quarantine={ROLE}")];
    let found = watched(&key, &role, &events);
    assert_eq!((found.total, &found.findings[..]), (6, &[][..]));
    assert_eq!(found.notices.len(), 1, "{:?}", found.notices);
    assert!(found.notices[0].contains("user/mallory tried to delete it"), "{:?}", found.notices);
    let custody = report::custody(&told.entries, &key, &told.worth).unwrap().with(found);
    insta::assert_snapshot!(crate::story::without_digests(&custody.text()));
    assert!(report::to_json(&custody).unwrap().contains(r#""kind": "copied""#));
}

#[test]
fn custody_finds_what_should_not_have_been() {
    let told = Told::new(&[warm()]);
    let key = told.incident(0, Kind::Intent);
    let on = json!({"bucketName": "evidence", "key": key.to_string()});
    let role = [format!("quarantine={ROLE}")];
    let put = s3(1, "PutObject", "role", on.clone());
    let of = |event: Value| watched(&key, &role, &[put.clone(), event]).findings;
    assert!(
        of(s3(2, "PutObject", "mallory", on.clone()))[0].contains("user/mallory, which is not the role of `quarantine`, wrote it")
    );
    assert!(of(refused(s3(2, "PutObject", "mallory", on.clone()), "AccessDenied"))[0].contains("tried to write it"));
    assert!(of(s3(2, "PutObject", "role", on.clone()))[0].contains("written 2 times"));
    assert!(of(s3(2, "DeleteObject", "mallory", on.clone()))[0].contains("deleted it, or hid it"));
    assert!(of(refused(s3(2, "PutObject", "role", on), "PreconditionFailed")).is_empty(), "create-once did its work");
    assert!(of(put.clone()).is_empty(), "the same event twice is one");
    // Whose role it is was not asked, and no data event is there.
    let found = watched(&key, &[], &[bystander(1)]);
    assert_eq!(found.total, 0);
    assert!(
        found.notices[0].contains("give --role quarantine=ARN") && found.notices[1].contains("no S3 data events"),
        "{:?}",
        found.notices
    );
    // Another function's role is a stranger here.
    let found = watched(&key, &[format!("quarantine={ROLE}2"), format!("revoke={ROLE}")], &[put]);
    assert!(found.findings[0].contains("is not the role of `quarantine`"), "{:?}", found.findings);
}
