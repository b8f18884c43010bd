use evidence::Kind;
use report::{Clock, timeline};
use serde_json::json;

use crate::story::{Course, MINING, Story, at, incident, signal, without_digests};

#[test]
fn a_containment_is_told_moment_by_moment() {
    let mut story = Story::new().sealed();
    story.goes(&MINING);
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("mining"), &worth).unwrap();
    insta::assert_snapshot!(without_digests(&timeline.text()));
    let times: Vec<_> = timeline.rows.iter().map(|row| row.time).collect();
    assert!(times.is_sorted());
    // Each moment comes from one clock, and each of the five has its say.
    for clock in [Clock::GuardDuty, Clock::EventBridge, Clock::Function, Clock::Store, Clock::Log] {
        assert!(timeline.rows.iter().any(|row| row.clock == clock), "{clock}");
    }
    let requests: Vec<_> = timeline.rows.iter().filter_map(|row| row.request_id.as_deref()).collect();
    assert_eq!(requests, ["req-3", "req-1", "req-2"]);
}

#[test]
fn what_failed_and_what_is_open_is_said_first() {
    let mut story = Story::new();
    story.goes(&Course { refused: true, ..MINING });
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("mining"), &worth).unwrap();
    assert_eq!(timeline.end_state, "Partial");
    assert!(timeline.summary.contains("is not contained (Partial): 1 of 2 interfaces"), "{}", timeline.summary);
    let failed: Vec<_> = timeline.rows.iter().filter(|row| row.good == Some(false)).map(|row| row.event).collect();
    assert_eq!(failed, ["change_answered", "read_back", "outcome"]);
    assert!(timeline.html().contains("the role may not (UnauthorizedOperation)"));
}

#[test]
fn an_intent_without_an_outcome_is_open() {
    let mut story = Story::new();
    let intent = story.write("lost", Kind::Intent, at(0), None, json!({"steps": []}));
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("lost"), &worth).unwrap();
    assert_eq!(timeline.end_state, "NoOutcome");
    assert!(timeline.open.iter().any(|said| said.contains(&intent.key.to_string())), "{:?}", timeline.open);
    assert!(timeline.rows.iter().any(|row| row.event == "outcome_due" && row.time == at(900_000)));
}

#[test]
fn a_decision_names_its_rule_and_does_not_undo_a_containment() {
    let mut story = Story::new();
    story.goes(&MINING);
    let declined = json!({
        "decision": {"verdict": "notify-only", "rule": "global-stop", "reason": "The stop is pulled."},
        "signal": signal(&MINING), "reason": "The stop is pulled.",
    });
    story.write("mining", Kind::Decision, at(5_000_000), None, declined.clone());
    story.write("other", Kind::Decision, at(5_000_000), None, declined);
    let (entries, worth) = story.read();
    let first = timeline(&entries, &incident("mining"), &worth).unwrap();
    assert_eq!(first.end_state, "Contained");
    assert!(first.rows.iter().any(|row| row.what == "Nothing was changed: The stop is pulled. [global-stop]"));
    assert_eq!(timeline(&entries, &incident("other"), &worth).unwrap().end_state, "NoChange: people were told");
}

#[test]
fn a_finding_is_told_once_however_many_records_repeat_it() {
    let mut story = Story::new();
    story.goes(&MINING);
    story.write("mining", Kind::Decision, at(9000), None, json!({"signal": signal(&MINING), "reason": "again"}));
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("mining"), &worth).unwrap();
    assert_eq!(timeline.rows.iter().filter(|row| row.event == "finding_published").count(), 1);
}

#[test]
fn a_record_whose_body_nobody_knows_is_still_told() {
    let mut story = Story::new();
    let intent = story.write("old", Kind::Intent, at(0), None, json!("what the function has to say"));
    story.write("old", Kind::Outcome, at(1000), Some(intent), json!(["of", 3000, "AD"]));
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("old"), &worth).unwrap();
    assert_eq!(timeline.end_state, "(unknown)");
    assert_eq!(timeline.rows.len(), 4, "{:#?}", timeline.rows);
    assert!(timeline.html().contains("not recorded"));
}

#[test]
fn another_incident_is_not_here() {
    let mut story = Story::new();
    story.goes(&MINING);
    let (entries, worth) = story.read();
    assert!(timeline(&entries, &incident("elsewhere"), &worth).is_none());
}
