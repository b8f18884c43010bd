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

#[test]
fn what_is_still_open_begins_with_the_interface_that_is() {
    let mut story = Story::new();
    story.goes(&Course { refused: true, ..MINING });
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("mining"), &worth).unwrap();
    assert!(timeline.open[0].starts_with("The interface eni-0123456789abcdef2 is open: the role may not"), "{:?}", timeline.open);
    assert_eq!(timeline.interfaces.iter().map(|end| end.state.as_str()).collect::<Vec<_>>(), ["open", "sealed"]);
    // An outcome that says so itself is not repeated.
    let mut story = Story::new();
    let said = "eni-1: the role may not";
    let outcome =
        json!({"outcome": {"state": "NotContained", "left_open": [said], "interfaces": [{"id": "eni-1", "state": "open"}]}});
    story.write("mining", Kind::Outcome, at(100), None, outcome);
    let (entries, worth) = story.read();
    let timeline = report::timeline(&entries, &incident("mining"), &worth).unwrap();
    assert_eq!(timeline.open.iter().filter(|open| open.contains("eni-1")).collect::<Vec<_>>(), [said]);
}

#[test]
fn what_comes_a_hundred_times_is_drawn_on_one_line() {
    let mut story = Story::new();
    story.goes(&MINING);
    for n in 1..100 {
        let mut again = signal(&MINING);
        again["finding"]["updated_at"] = json!(at(n * 60_000));
        story.write("mining", Kind::Decision, at(n * 60_000 + 5000), None, json!({"reason": "again", "signal": again}));
    }
    let (entries, worth) = story.read();
    let html = timeline(&entries, &incident("mining"), &worth).unwrap().html();
    assert_eq!(html.matches(">finding published · GuardDuty</text>").count(), 1);
    assert!(html.contains("100 ×<tspan class=\"wide\"> from +3 min 11 s</tspan>") && html.matches("class=\"mark \"").count() > 200);
    // The list has them all.
    assert_eq!(html.matches("GuardDuty published finding").count(), 100);
}
