//! A finding is written by someone else, an attacker among them.

use evidence::Kind;
use proptest::prelude::*;
use report::{Period, Targets, controls, ocsf, oscal, population, slo, timeline, to_json};
use serde_json::{Value, json};

use crate::story::{Course, MINING, Story, at, incident, signal};

const SCRIPT: &str = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
const FORMULA: &str = "=cmd|' /C calc'!A0";
const ESCAPE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nVERIFIED: all is well";

/// An incident that carries `text` wherever a body holds words.
fn poisoned(text: &str) -> Story {
    let mut story = Story::new();
    let mut of_finding = signal(&MINING);
    for field in ["id", "kind"] {
        of_finding["finding"][field] = text.into();
    }
    of_finding["instance"]["id"] = text.into();
    of_finding["account"] = text.into();
    of_finding["remote"] = json!([{"host": text, "port": 3333}]);
    let intent = json!({"remarks": [text], "steps": [{"wave": 0, "action": {"create_group": {"vpc": text, "name": text}}}, {"action": {text: {}}}]});
    let intent = story.write("poisoned", Kind::Intent, at(0), None, intent);
    let body = json!({
        "signal": of_finding,
        "outcome": {
            "state": text, "still_reachable": [text], "left_open": [text], "rules_on_sealed_groups": {text: 3},
            "interfaces": [{"id": text, "before": [text], "after": [text], "state": text, "trouble": {"kind": text, "code": text}}],
            "steps": [{"step": 0, "did": {"failed": {"kind": text, "code": text}}, "request_id": text}, {"step": 1, "did": text}],
        },
        "decision": {"verdict": text, "rule": text, "reason": text},
        "timings": {"received": at(0), "received_to_sealed": 10, "received_to_read_back": 12, "received_to_intent": 5},
        "calls": [{"service": text, "operation": text, "request_id": "other", "status": 500, "started": at(1), "ended": at(2)}],
        "evidence": format!("degraded: {text}"), "hold": text,
    });
    story.write("poisoned", Kind::Outcome, at(100), Some(intent), body);
    leaked(&mut story, text);
    story.write("asked", Kind::Decision, at(200), None, json!({"reason": text, "decision": {"verdict": text, "rule": text}}));
    story
}

/// The same of a credential, whose user somebody else has named.
fn leaked(story: &mut Story, text: &str) {
    let intent = json!({"by_hand": [text], "remarks": [text], "steps": [
        {"action": {"attach_deny": {"user": text, "policy": text}}}, {"action": {"write_denies": {"role": text}}}]});
    let intent = story.write_as("revoke", "leaked", Kind::Intent, at(0), None, intent);
    let body = json!({
        "signal": {
            "source": "health", "account": text, "at": at(-50), "since": at(-100), "remote": [{"host": text}],
            "credential": {"kind": "user_key", "key": text, "user": text},
        },
        "outcome": {
            "state": "Partial", "left_open": [text], "survives": [{"what": text, "until": text}, {"what": text, "until": at(0)}],
            "credentials": [{"id": text, "state": text, "trouble": {"kind": text, "code": text}}, {"id": text, "state": "alive"}],
            "steps": [{"step": 0, "did": "accepted"}, {"step": 1, "did": {"failed": {"kind": text, "code": text}}, "request_id": text}],
        },
        "timings": {"received": at(0), "received_to_denied": 10, "received_to_read_back": 12, "received_to_intent": 5},
        "hold": "not available",
    });
    story.write_as("revoke", "leaked", Kind::Outcome, at(100), Some(intent), body);
    let credential = json!({"kind": text, "role": text, "session": text, "instance": text, "name": text});
    let again = json!({"signal": {"source": text, "credential": credential}, "reason": text, "by_hand": [text]});
    story.write_as("revoke", "leaked", Kind::Decision, at(200), None, again);
}

fn hour() -> Period {
    Period::new(at(-3_600_000), at(3_600_000)).unwrap()
}

#[test]
fn no_page_holds_a_tag_that_came_from_outside() {
    let (entries, worth) = poisoned(SCRIPT).read_with(vec![("rec/<script>x</script>", SCRIPT)]);
    let pages = [
        timeline(&entries, &incident("poisoned"), &worth).unwrap().html(),
        timeline(&entries, &incident("leaked"), &worth).unwrap().html(),
        slo(&entries, hour(), &Targets::default(), &worth).html(),
    ];
    for page in pages {
        assert!(!page.contains("<script") && !page.contains("<img"), "a tag came through");
        assert!(page.contains("&lt;script&gt;"), "the text is shown as text");
        assert!(page.contains("default-src 'none'"));
        // One file: nothing is fetched, nothing runs.
        for outside in ["src=", "http://", "https://", "url(", "@import", "javascript:"] {
            assert!(!page.replace("src=x", "").contains(outside), "{outside}");
        }
    }
}

#[test]
fn no_terminal_is_told_what_to_do() {
    let (entries, worth) = poisoned(ESCAPE).read_with(vec![(ESCAPE, ESCAPE)]);
    let texts = [
        timeline(&entries, &incident("poisoned"), &worth).unwrap().text(),
        timeline(&entries, &incident("leaked"), &worth).unwrap().text(),
        slo(&entries, hour(), &Targets::default(), &worth).text(),
        population(&entries, hour(), &worth).text(),
        controls(&entries, None, &worth).text(),
    ];
    for text in texts {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.starts_with("FAILED: "), "the failure comes first: {text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("VERIFIED")), "a line was forged: {text}");
    }
}

#[test]
fn no_cell_is_a_formula() {
    for text in [FORMULA, "+1+1", "-1", "@SUM(1)", "\t=1", "\"\n=1,2"] {
        let (entries, worth) = poisoned(text).read();
        let iris = |name: &str| timeline(&entries, &incident(name), &worth).unwrap().iris().unwrap();
        for csv in [iris("poisoned"), iris("leaked"), population(&entries, hour(), &worth).csv().unwrap()] {
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            for row in reader.records() {
                for cell in &row.unwrap() {
                    let number = cell == "+00:00";
                    assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                    assert!(!cell.contains('\n'), "{cell:?}");
                }
            }
        }
    }
}

#[test]
fn no_line_of_json_lines_is_broken() {
    let (entries, worth) = poisoned("a\nb\u{2028}c\"").read();
    let mut lines = timeline(&entries, &incident("poisoned"), &worth).unwrap().timesketch();
    lines.extend(timeline(&entries, &incident("leaked"), &worth).unwrap().timesketch());
    lines.extend(ocsf(&entries, hour(), "0", &worth, true));
    let text = report::to_json_lines(&lines).unwrap();
    assert_eq!(text.lines().count(), lines.len());
    for line in text.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the bodies hold, every report is made and none holds a raw tag or a control character.
    #[test]
    fn every_report_is_made_of_anything(text in ".{0,40}", number in any::<i64>(), state in "\\PC{0,12}") {
        let mut story = poisoned(&text);
        let body = json!({
            "outcome": {"state": state, "interfaces": number, "steps": [{"step": number, "did": {"failed": number}}]},
            "timings": {"received": at(0), "received_to_sealed": number, "received_to_read_back": u64::MAX},
            "calls": [{"started": at(0), "ended": "9999-12-31T23:59:59Z", "operation": state, "service": "EC2"}],
            "signal": {"finding": {"first_seen": "0001-01-01T00:00:00Z", "updated_at": "9999-12-31T23:59:59Z", "severity": number}},
        });
        story.write("poisoned", Kind::Outcome, at(300_000), None, body);
        story.goes(&Course { name: "ordinary", received: 400_000, ..MINING });
        let (entries, worth) = story.sealed().read();
        for name in ["poisoned", "leaked", "asked", "ordinary"] {
            let timeline = timeline(&entries, &incident(name), &worth).unwrap();
            prop_assert!(!timeline.text().chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(!timeline.html().contains("<script"));
            prop_assert!(timeline.iris().is_ok() && to_json(&timeline).is_ok());
        }
        let slo = slo(&entries, hour(), &Targets::default(), &worth);
        prop_assert!(!slo.html().is_empty() && !slo.text().is_empty());
        prop_assert!(ocsf(&entries, hour(), "0", &worth, true).iter().all(Value::is_object));
        let documents = oscal(&entries, hour(), &worth);
        prop_assert!(documents.results.is_object());
    }
}
