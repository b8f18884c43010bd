//! What reports say of credentials that were ended, and of those that were not.

use evidence::Kind;
use report::{
    Clock, Completeness, FindingKind, Measure, Metric, Period, Question, Targets, Timeline, Verdict, controls, ocsf, oscal,
    population, slo, timeline,
};
use serde_json::{Value, json};

use crate::leaked::{Course, EXPOSED, KEY, ROLE, SESSION};
use crate::reconciled::{compare, event, only};
use crate::story::{Story, at, incident, sorted, without_digests};

const HOUR: i64 = 3_600_000;

fn told(story: &Story, name: &str) -> Timeline {
    let (entries, worth) = story.read();
    timeline(&entries, &incident(name), &worth).unwrap()
}

/// No form of it may speak of machines.
fn speaks_of_no_machine(timeline: &Timeline) {
    let json = report::to_json(timeline).unwrap();
    let sketch = report::to_json_lines(&timeline.timesketch()).unwrap();
    for said in [timeline.text(), timeline.html(), timeline.iris().unwrap(), sketch, json] {
        // The field of JSON is there for every incident; and people need a clean machine to sign in from.
        let said = said.replace("\"interfaces\": []", "").replace("a machine that you trust", "").to_lowercase();
        for word in ["machine", "interface", "contained", "security group", "connections that were open"] {
            assert!(!said.contains(word), "`{word}` is in\n{said}");
        }
    }
}

#[test]
fn a_users_key_is_told_from_its_report_to_its_end() {
    let mut story = Story::of("revoke").sealed();
    story.ends(&KEY);
    let timeline = told(&story, "key");
    insta::assert_snapshot!(without_digests(&timeline.text()));
    assert_eq!(timeline.end_state, "Revoked");
    assert_eq!(timeline.subject.credential.as_deref(), Some("the key AKIARZPUZDIKFJNBPQ4Z of user ci-deployer"));
    assert!(timeline.subject.talked_to.is_empty() && !timeline.subject.used_from.is_empty(), "{:?}", timeline.subject);
    assert_eq!(timeline.credentials.iter().map(|end| end.state.as_str()).collect::<Vec<_>>(), ["ended"; 3]);
    assert!(timeline.rows.iter().all(|row| row.good != Some(false)));
    speaks_of_no_machine(&timeline);
    let html = timeline.html();
    for said in ["Credentials, as they were read back", "user ci-deployer", "To be done by hand", "it was used from"] {
        assert!(html.contains(said), "{said}");
    }
    assert!(
        timeline.iris().unwrap().contains("To make the key AKIARZPUZDIKFJNBPQ4Z of user ci-deployer inactive: AWS accepted it")
    );
}

/// Undone with a second person: the incident is closed, and the timeline says who asked, who approved and what was lifted.
#[test]
fn a_release_is_told_as_one() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    let decision = |rule: &str| json!({"verdict": "ask-human", "rule": rule, "reason": "x"});
    let request =
        json!({"decision": decision("anyone-may-ask"), "reason": "alice asks for the release of user ci-deployer: a decoy"});
    story.write_as("release", "key", Kind::Decision, at(3_600_000), None, request);
    let approval = json!({"decision": decision("second-person-approves"), "reason": "bob approves what alice asked for"});
    story.write_as("release", "key", Kind::Decision, at(3_660_000), None, approval);
    let lift = json!({"detach_deny": {"user": "ci-deployer", "policy": "arn:aws:iam::123456789012:policy/cordon-deny-all"}});
    let plan = json!({"steps": [{"wave": 0, "action": lift}], "before": {"kind": "user"}});
    let intent = story.write_as("release", "key", Kind::Intent, at(3_661_000), None, plan);
    let outcome = json!({
        "outcome": {"state": "Released", "steps": [{"step": 0, "did": "accepted", "request_id": "r-9"}], "left_open": []},
        "timings": {"received": at(3_660_000), "received_to_lifted": 1500, "received_to_read_back": 1600},
        "calls": [{"service": "IAM", "operation": "DetachUserPolicy", "request_id": "r-9", "status": 200,
                   "started": at(3_661_400), "ended": at(3_661_500)}],
        "evidence": "durable",
    });
    story.write_as("release", "key", Kind::Outcome, at(3_662_000), Some(intent), outcome);
    let timeline = told(&story, "key");
    assert_eq!(timeline.end_state, "Released");
    assert!(timeline.summary.contains("was undone since: a second person approved it"), "{}", timeline.summary);
    let said = |event: &str, words: &str| timeline.rows.iter().any(|row| row.event == event && row.what.contains(words));
    assert!(said("decision", "alice asks") && said("decision", "bob approves"), "{:?}", timeline.rows);
    assert!(!said("decision", "Nothing was changed"));
    assert!(said("change_answered", "To take the deny of everything off user ci-deployer: AWS accepted it"), "{:?}", timeline.rows);
    assert!(said("read_back", "Released") && said("received", "The approval reached release"), "{:?}", timeline.rows);
    assert!(timeline.durations.iter().any(|took| took.what == "first seen → closed"), "{:?}", timeline.durations);
}

#[test]
fn a_roles_session_is_told_with_what_survives_it() {
    let mut story = Story::of("revoke");
    story.ends(&SESSION);
    let timeline = told(&story, "session");
    insta::assert_snapshot!(without_digests(&timeline.text()));
    // The record knows where there is no end; of a user's sessions it knows the latest.
    assert!(timeline.open.iter().any(|said| said.ends_with("(no end is known).")), "{:?}", timeline.open);
    speaks_of_no_machine(&timeline);
}

#[test]
fn a_report_without_a_finding_is_told_by_its_sources_clock() {
    let mut story = Story::of("revoke");
    story.ends(&EXPOSED);
    let timeline = told(&story, "exposed");
    insta::assert_snapshot!(without_digests(&timeline.text()));
    let reported: Vec<_> = timeline.rows.iter().filter(|row| row.event == "reported").map(|row| (row.time, row.clock)).collect();
    assert_eq!(reported, [(at(-95_000), Clock::Health)]);
    let took = timeline.durations.iter().find(|took| took.what == "reported → revoked").unwrap();
    assert_eq!((took.millis, took.from, took.to), (96_020, Clock::Health, Clock::Function));
    speaks_of_no_machine(&timeline);

    let mut story = Story::of("revoke");
    story.ends(&Course { name: "hand", report: "hand", reported_before: 0, ..KEY });
    let timeline = told(&story, "hand");
    assert!(
        timeline.summary.starts_with(
            "A person asked for it. The end of the sessions of user ci-deployer in account 123456789012 was read back 1.02 s after"
        ),
        "{}",
        timeline.summary
    );
    assert!(timeline.rows.iter().any(|row| row.what == "A person asked for the end of the sessions of user ci-deployer"));
    speaks_of_no_machine(&timeline);
}

#[test]
fn what_of_a_credential_still_works_is_said_first() {
    let mut story = Story::of("revoke");
    story.ends(&Course { refused: &[(1, "AccessDenied")], ..KEY });
    let timeline = told(&story, "key");
    assert_eq!(timeline.end_state, "Partial");
    assert!(timeline.summary.contains("came only in part: 2 of 3 read back as ended"), "{}", timeline.summary);
    assert_eq!(timeline.open[0], "The key AKIARZPUZDIKFJNBPQ4Z is not ended: the role may not (AccessDenied).");
    assert_eq!(timeline.credentials[0].id, "key AKIARZPUZDIKFJNBPQ4Z");
    let failed: Vec<_> = timeline.rows.iter().filter(|row| row.good == Some(false)).map(|row| row.event).collect();
    assert_eq!(failed, ["change_answered", "change_answered", "read_back", "outcome"]);
    insta::assert_snapshot!(without_digests(&timeline.text()));
    speaks_of_no_machine(&timeline);

    let mut story = Story::of("revoke");
    story.ends(&Course { refused: &[(0, "AccessDenied")], ..SESSION });
    let timeline = told(&story, "session");
    assert!(timeline.summary.contains("IAM still accepts the session "), "{}", timeline.summary);
    assert!(timeline.rows.iter().any(|row| row.event == "outcome" && row.good == Some(false)));
}

#[test]
fn a_decision_to_ask_says_what_people_have_to_do() {
    let mut story = Story::of("revoke");
    story.asks(&Course { name: "root", report: "root-key", ..KEY });
    let timeline = told(&story, "root");
    assert_eq!(timeline.end_state, "NoChange: a person was asked");
    insta::assert_snapshot!(without_digests(&timeline.text()));
    assert!(!timeline.by_hand.is_empty());
    assert!(timeline.html().contains("No record states the end of a credential."));
    speaks_of_no_machine(&timeline);
}

#[test]
fn a_plan_whose_outcome_is_missing_is_open() {
    let (entries, worth) = died(&KEY);
    let timeline = timeline(&entries, &incident("key"), &worth).unwrap();
    assert_eq!(timeline.end_state, "NoOutcome");
    // The intent does not say what the report was.
    assert!(
        timeline.summary.starts_with("The end of a credential, which no readable record names, was planned;"),
        "{}",
        timeline.summary
    );
    assert!(timeline.open[0].contains("has no outcome here"), "{:?}", timeline.open);
    assert!(!timeline.by_hand.is_empty());
}

fn hour() -> Period {
    Period::new(at(-HOUR), at(HOUR)).unwrap()
}

fn level(story: &Story, measure: Measure) -> Metric {
    let (entries, worth) = story.read();
    let mut targets = Targets::default();
    targets.set("revocation=90%@97").unwrap();
    let slo = slo(&entries, hour(), &targets, &worth);
    slo.production.metrics.into_iter().find(|metric| metric.measure == measure).unwrap()
}

#[test]
fn the_time_to_revoke_begins_with_the_report() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    // A second report of the same key does not begin it again.
    let mut again = KEY.leak();
    again.finding.as_mut().unwrap().updated_at = at(60_000);
    story.write_as("revoke", "key", Kind::Decision, at(70_000), None, json!({"signal": again, "reason": "again"}));
    story.ends(&Course { received: 120_000, ..EXPOSED });
    story.ends(&Course { name: "hand", report: "hand", received: 180_000, reported_before: 0, ..KEY });
    let revocation = level(&story, Measure::Revocation);
    let took: Vec<_> = revocation.samples.iter().map(|sample| sample.millis).collect();
    assert_eq!(took, [Some(62_020), Some(96_020), Some(1020)]);
    assert_eq!((revocation.count, revocation.in_time, revocation.verdict), (3, Some(3), Verdict::Met));
    assert!(
        revocation.definition.contains("updatedAt") && revocation.definition.contains("signal.at"),
        "{}",
        revocation.definition
    );
}

#[test]
fn a_credential_that_was_not_ended_is_a_miss() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    story.ends(&Course { name: "partial", received: 60_000, refused: &[(1, "AccessDenied")], ..KEY });
    story.ends(&Course { name: "alive", received: 120_000, refused: &[(0, "AccessDenied")], ..SESSION });
    // The function died: the intent does not say when it was reported, and is a miss all the same.
    story.write_as("revoke", "died", Kind::Intent, at(180_000), None, json!({"steps": []}));
    let revocation = level(&story, Measure::Revocation);
    let never = revocation.samples.iter().filter(|sample| sample.millis.is_none() && sample.in_time == Some(false)).count();
    assert_eq!((revocation.count, revocation.in_time, never, revocation.verdict), (4, Some(1), 3, Verdict::Missed));
    assert!(revocation.excluded.is_empty(), "{:?}", revocation.excluded);
    // None of them is a machine that was not contained.
    let containment = level(&story, Measure::Containment);
    assert_eq!((containment.count, containment.excluded.len()), (0, 4));
    assert_eq!(containment.excluded[0].reason, "it is about a credential: revocation measures it");
}

#[test]
fn what_only_people_can_end_is_left_out_of_the_time_to_revoke() {
    let mut story = Story::of("revoke");
    story.asks(&Course { name: "root", report: "root-key", ..KEY });
    let mut told = json!({"decision": {"verdict": "notify-only"}, "reason": "It is low.", "signal": KEY.leak()});
    told["signal"]["at"] = json!(at(60_000));
    story.write_as("revoke", "low", Kind::Decision, at(60_000), None, told);
    let revocation = level(&story, Measure::Revocation);
    let reasons: Vec<_> = revocation.excluded.iter().map(|left_out| left_out.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "nothing was to be ended by Cordon (NoChange: a person was asked)",
            "nothing was to be ended by Cordon (NoChange: people were told)"
        ]
    );
    assert_eq!((revocation.count, revocation.verdict), (0, Verdict::NoData));
    assert_eq!(revocation.no_data.as_deref(), Some("all 2 were left out, for the reasons given"));
}

#[test]
fn credentials_are_of_the_population_and_their_records_bear_on_controls() {
    let mut story = Story::of("revoke").sealed();
    story.ends(&KEY);
    story.ends(&Course { received: 60_000, ..EXPOSED });
    story.ends(&Course { received: 120_000, refused: &[(0, "AccessDenied")], ..SESSION });
    story.asks(&Course { name: "root", report: "root-key", received: 180_000, ..KEY });
    let (entries, worth) = story.read();
    let everyone = population(&entries, hour(), &worth);
    assert!(everyone.complete, "{}", everyone.completeness);
    let ends: Vec<_> = everyone.by_end_state.iter().map(|(state, n)| (state.as_str(), *n)).collect();
    assert_eq!(ends, [("NoChange: a person was asked", 1), ("NotRevoked", 1), ("Revoked", 2)]);
    let text = everyone.text();
    for line in [
        "    UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom with the key AKIARZPUZDIKFJNBPQ4Z of user ci-deployer in account 123456789012\n",
        "    reported by health, without a finding: the key AKIARZPUZDIKFJNBPQ4Z of user ci-deployer in account 123456789012\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let covered = controls(&entries, Some(hour()), &worth);
    let ids: Vec<_> = covered.controls.iter().map(|control| (control.id.as_str(), control.title, control.incidents)).collect();
    assert_eq!(ids, [("IA-5", Some("Authenticator Management"), 4), ("IR-4(1)", Some("Automated Incident Handling Processes"), 4)]);
    assert_eq!(covered.controls[0].kinds["revoke outcome"], 3);
    // One that still works satisfies nothing.
    let results = oscal(&entries, hour(), &worth).results;
    let finding = &results["assessment-results"]["results"][0]["findings"][0];
    assert_eq!(finding["target"]["status"]["state"], "not-satisfied");
    assert!(finding.to_string().contains("NotRevoked"), "{finding}");
}

#[test]
fn ocsf_tells_an_eviction_and_whose_credential_it_was() {
    let mut story = Story::of("revoke");
    let (_, outcome) = story.ends(&KEY);
    story.ends(&Course { received: 60_000, ..EXPOSED });
    story.ends(&Course { name: "partial", received: 120_000, refused: &[(1, "AccessDenied")], ..KEY });
    story.ends(&Course { received: 180_000, refused: &[(0, "AccessDenied")], ..SESSION });
    story.asks(&Course { name: "root", report: "root-key", received: 240_000, ..KEY });
    let (entries, worth) = story.read();
    let events = ocsf(&entries, hour(), "0.1.0", &worth, false);
    let done: Vec<_> = events.iter().filter(|event| event["class_uid"] == 7001).collect();
    let said: Vec<_> = done
        .iter()
        .map(|event| [&event["activity_name"], &event["status"], &event["status_code"]].map(|word| word.as_str().unwrap()))
        .collect();
    let evicted = |status, code| ["Evict", status, code];
    assert_eq!(
        said,
        [
            evicted("Success", "Revoked"),
            evicted("Success", "Revoked"),
            evicted("Partial", "Partial"),
            evicted("Failure", "NotRevoked")
        ]
    );
    for event in &done {
        assert_eq!(event["countermeasures"][0]["d3f_technique"]["uid"], "D3-CE");
        assert_eq!(event["cloud"]["account"]["uid"], "123456789012");
        assert!(event["unmapped"].get("interfaces").is_none() && event["unmapped"]["credentials"].is_array(), "{event:#}");
    }
    // Who reported it without a finding is said of the incident.
    let exposed = events.iter().find(|event| event["metadata"]["correlation_uid"] == incident("exposed").as_str()).unwrap();
    let info = &exposed["finding_info_list"][0];
    assert_eq!((&info["title"], &info["uid"]), (&json!("Leaked credential"), &json!(incident("exposed"))));
    let reported = done.iter().find(|event| event["metadata"]["correlation_uid"] == incident("exposed").as_str()).unwrap();
    let info = &reported["unmapped"]["finding_info"];
    assert_eq!((&info["product"]["name"], &info["created_time"]), (&json!("Health"), &json!(at(-35_000).millis())));
    let asked = events.iter().find(|event| event["metadata"]["correlation_uid"] == incident("root").as_str()).unwrap();
    assert_eq!((&asked["status"], &asked["activity_name"]), (&json!("On Hold"), &json!("Create")));
    let ended = done.iter().find(|event| event["command_uid"] == outcome.key.to_string()).unwrap();
    insta::assert_snapshot!(without_digests(&serde_json::to_string_pretty(&sorted(ended)).unwrap()));
}

/// The evidence of a story beside a trail.
fn beside(story: &Story, events: Vec<Value>, ask: impl FnOnce(Question) -> Question) -> Completeness {
    let (entries, worth) = story.read();
    compare(&entries, &worth, events, |question| {
        ask(Question { responders: vec![format!("revoke={ROLE}").parse().unwrap()], ..question })
    })
}

/// Something else that the role of `revoke` did.
fn also(request: &str, name: &str, parameters: Value) -> Value {
    let mut told = event(request, 1000, "iam", name, parameters);
    told["userIdentity"] = KEY.events()[0]["userIdentity"].clone();
    told
}

#[test]
fn a_revocation_reconciles() {
    let full = Course { name: "full", received: 60_000, full: true, ..KEY };
    let instance = Course { name: "instance", report: "instance-session-outside", received: 120_000, ..KEY };
    let courses = [KEY, Course { received: 180_000, ..SESSION }, Course { received: 240_000, ..EXPOSED }, full, instance];
    let mut story = Story::of("revoke");
    let mut events = Vec::new();
    for course in &courses {
        story.ends(course);
        events.extend(course.events());
    }
    let found = beside(&story, events.clone(), |question| question);
    assert!(found.complete, "{} {:#?}", found.verdict, found.findings);
    let compared = found.compared;
    assert_eq!((compared.claimed, compared.in_both, compared.resource_not_compared), (10, 10, 0));
    // Any one of them that is gone is missed.
    for gone in 0..events.len() {
        let mut events = events.clone();
        let gone = events.remove(gone);
        let finding = only(&beside(&story, events, |question| question), FindingKind::Unseen);
        assert_eq!(finding.request_id.as_deref(), gone["requestID"].as_str());
    }
}

#[test]
fn a_refused_step_says_no_more_than_iam_does() {
    let course = Course { refused: &[(0, "AccessDenied"), (1, "LimitExceededException")], ..KEY };
    let mut story = Story::of("revoke");
    story.ends(&course);
    let found = beside(&story, course.events(), |question| question);
    assert!(found.complete, "{} {:#?}", found.verdict, found.findings);
    assert_eq!((found.compared.in_both, found.compared.resource_not_compared), (3, 1));
}

#[test]
fn iam_is_in_its_own_region_wherever_the_function_is() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    let events = KEY.events();
    assert!(events.iter().all(|event| event["awsRegion"] == "us-east-1"));
    // A record that says where its function is contradicts nothing by that.
    let mut placed = Story::of("revoke");
    let intent = placed.write_as(
        "revoke",
        "key",
        Kind::Intent,
        at(90),
        None,
        json!({"steps": [
        {"action": {"disable_key": {"user": "ci-deployer", "key": "AKIARZPUZDIKFJNBPQ4Z"}}}]}),
    );
    let call = json!({"service": "IAM", "operation": "UpdateAccessKey", "request_id": "key-1", "status": 200, "attempts": 1,
        "started": at(181), "ended": at(420)});
    placed.write_as(
        "revoke",
        "key",
        Kind::Outcome,
        at(1000),
        Some(intent),
        json!({
        "outcome": {"state": "Revoked", "steps": [{"step": 0, "did": "accepted", "request_id": "key-1"}]}, "calls": [call],
        "evidence": "durable", "signal": {"account": "123456789012", "region": "eu-central-1"}}),
    );
    let found = beside(&placed, vec![events[1].clone()], |question| question);
    assert!(found.complete, "{} {:#?}", found.verdict, found.findings);

    // A trail of the function's Region alone has no event of IAM, and misses none. Before, it had an hour of `us-east-1`.
    let elsewhere = |millis: i64| {
        let mut event = also(&format!("elsewhere-{millis}"), "GetUser", json!({}));
        (event["awsRegion"], event["eventTime"], event["readOnly"]) =
            ("eu-central-1".into(), at(millis).to_string().into(), true.into());
        event
    };
    let (entries, worth) = story.read();
    let question = Question {
        responders: vec![format!("revoke={ROLE}").parse().unwrap()],
        period: None,
        delay: std::time::Duration::from_secs(900),
        now: at(12 * HOUR),
        checkpoints: Vec::new(),
        places: report::Places::default(),
    };
    let mut alone = report::Reconciliation::new(&entries, question);
    let file = json!({"Records": [elsewhere(-HOUR), elsewhere(6 * HOUR)]}).to_string();
    trail::read(file.as_bytes(), &mut |event| report::TrailReader::see(&mut alone, &event.unwrap()));
    let found = alone.finish(&worth);
    assert!(!found.has_findings(), "{:#?}", found.findings);
    assert_eq!(found.compared.not_covered, 3);
}

#[test]
fn a_change_of_iam_that_nobody_announced_is_found() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    let admin = json!({"userName": "mallory", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"});
    let more = [
        also("more", "AttachUserPolicy", admin),
        also("more", "CreateAccessKey", json!({"userName": "ci-deployer"})),
        also(
            "more",
            "UpdateAccessKey",
            json!({"userName": "ci-deployer", "accessKeyId": "AKIARZPUZDIKFJNBPQ4Z", "status": "Active"}),
        ),
        also(
            "more",
            "DetachUserPolicy",
            json!({"userName": "ci-deployer", "policyArn": "arn:aws:iam::123456789012:policy/cordon-deny-all"}),
        ),
    ];
    for more in more {
        let finding =
            only(&beside(&story, [KEY.events(), vec![more.clone()]].concat(), |question| question), FindingKind::Unannounced);
        assert_eq!(finding.call.unwrap().operation, more["eventName"].as_str().unwrap());
    }
    // Without its records all of it is.
    let found = beside(&Story::of("revoke"), KEY.events(), |question| question);
    assert_eq!(found.totals[&FindingKind::Unannounced], 3);
    let on: Vec<_> = found.findings.iter().map(|finding| finding.call.as_ref().unwrap().on.as_str()).collect();
    assert!(on.contains(&"policy arn:aws:iam::123456789012:policy/cordon-deny-all and user ci-deployer"), "{on:?}");
}

/// The records of a course without its outcome, as when the function dies.
fn died(course: &Course) -> (Vec<report::Entry>, report::Worth) {
    let mut story = Story::of("revoke");
    let (_, outcome) = story.ends(course);
    let (mut entries, worth) = story.read();
    entries.retain(|entry| *entry.key() != outcome.key);
    (entries, worth)
}

#[test]
fn what_an_intent_announced_whose_function_died_is_unconcluded() {
    for course in [KEY, SESSION, EXPOSED, Course { full: true, ..KEY }] {
        let (entries, worth) = died(&course);
        let beside = |events: Vec<Value>, now: i64| {
            compare(&entries, &worth, events, |question| Question {
                responders: vec![format!("revoke={ROLE}").parse().unwrap()],
                now: at(now),
                ..question
            })
        };
        let found = beside(course.events(), 12 * HOUR);
        let totals: Vec<_> = found.totals.iter().map(|(kind, count)| (*kind, *count)).collect();
        let steps = u64::try_from(course.events().len()).unwrap();
        assert_eq!(totals, [(FindingKind::Unconcluded, steps)], "{:#?}", found.findings);
        assert!(found.findings.iter().all(|finding| finding.intent.as_ref() == Some(entries[0].key())));
        // Before the outcome is due it is only under way.
        let found = beside(course.events(), 2000);
        assert_eq!((found.has_findings(), found.compared.under_way), (false, steps));
        // What it did not announce is no part of it: another principal, another policy, a key that is made active.
        let others = [
            also(
                "o",
                "AttachUserPolicy",
                json!({"userName": "ci-deployer", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            ),
            also(
                "o",
                "PutUserPermissionsBoundary",
                json!({"userName": "alice", "permissionsBoundary": "arn:aws:iam::123456789012:policy/cordon-deny-all"}),
            ),
            also(
                "o",
                "UpdateAccessKey",
                json!({"userName": "ci-deployer", "accessKeyId": "AKIARZPUZDIKFJNBPQ4Z", "status": "Active"}),
            ),
            also("o", "PutRolePolicy", json!({"roleName": "storefront-deploy", "policyName": "another", "policyDocument": "{}"})),
        ];
        for other in others {
            only(&beside(vec![other], 12 * HOUR), FindingKind::Unannounced);
        }
    }
}

#[test]
fn what_an_earlier_run_did_is_told_and_no_finding() {
    let mut story = Story::of("revoke");
    let (intent, _) = story.ends(&KEY);
    let (mut entries, worth) = story.read();
    entries.retain(|entry| entry.key().kind == Kind::Intent);
    // The next run finds the intent, finds all of it done, and says so.
    let mut again = Story::of("revoke");
    let body =
        json!({"outcome": {"state": "Revoked", "steps": []}, "signal": KEY.leak(), "evidence": "durable, by an earlier run"});
    again.write_as("revoke", "key", Kind::Outcome, at(60_000), Some(intent), body);
    entries.extend(again.read().0);
    let found = compare(&entries, &worth, KEY.events(), |question| Question {
        responders: vec![format!("revoke={ROLE}").parse().unwrap()],
        ..question
    });
    assert!(!found.has_findings(), "{:#?}", found.findings);
    assert_eq!(found.compared.by_an_earlier_run, 3);
}

#[test]
fn a_record_that_iam_contradicts_is_found() {
    let mut story = Story::of("revoke");
    story.ends(&KEY);
    story.ends(&Course { received: 60_000, ..SESSION });
    let events = [KEY.events(), Course { received: 60_000, ..SESSION }.events()].concat();
    for (at, field, other) in [
        (0, "userName", "mallory"),
        (0, "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
        (1, "accessKeyId", "AKIARZPUZDIKFJNBOLD2"),
        (1, "status", "Active"),
        (3, "roleName", "storefront-admin"),
        (3, "policyName", "another"),
    ] {
        let mut events = events.clone();
        events[at]["requestParameters"][field] = other.into();
        let finding = only(&beside(&story, events, |question| question), FindingKind::Contradicted);
        assert!(finding.what.contains("it acted on") && finding.what.contains(other), "{}", finding.what);
    }
}
