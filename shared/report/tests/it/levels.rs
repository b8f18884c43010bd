use evidence::Kind;
use report::{Figures, Measure, Metric, Percent, Period, Slo, Targets, Verdict, slo};
use serde_json::json;

use crate::story::{Course, MINING, Story, at, incident, signal};

fn hour() -> Period {
    Period::new(at(-3_600_000), at(3_600_000)).unwrap()
}

fn levels(story: &Story) -> Slo {
    let (entries, worth) = story.read();
    slo(&entries, hour(), &Targets::default(), &worth)
}

fn metric(metrics: &[Metric], measure: Measure) -> &Metric {
    metrics.iter().find(|metric| metric.measure == measure).unwrap()
}

#[test]
fn nothing_measured_is_no_data_and_never_met() {
    let slo = levels(&Story::new());
    for metric in slo.production.metrics.iter().chain(&slo.drills.metrics) {
        assert_eq!((metric.verdict, metric.count, &metric.percent_in_time), (Verdict::NoData, 0, &None), "{}", metric.measure);
    }
    assert!(!slo.text().contains("100"), "{}", slo.text());
    assert!(slo.html().contains("No data: nothing of this sort began in the period."));
}

#[test]
fn times_are_those_of_the_named_clocks() {
    let mut story = Story::new().sealed();
    let (intent, outcome) = story.goes(&MINING);
    let slo = levels(&story);
    let detection = metric(&slo.production.metrics, Measure::Detection);
    assert_eq!(detection.figures, Some(Figures { p50: 252_000, p95: 252_000, max: 252_000 }));
    assert_eq!((detection.verdict, detection.samples[0].records.as_slice()), (Verdict::Met, [outcome.key].as_slice()));
    let containment = metric(&slo.production.metrics, Measure::Containment);
    assert_eq!(containment.figures.unwrap().max, 61_640);
    // The intent was made 90 ms after and stored in the same second; the outcome likewise: the store's seconds make it 0.
    let evidence = metric(&slo.production.metrics, Measure::EvidenceLag);
    assert_eq!((evidence.count, evidence.figures.unwrap().max, evidence.verdict), (2, 0, Verdict::NoTarget));
    assert_eq!(evidence.samples[0].records, [intent.key]);
    let seal = metric(&slo.production.metrics, Measure::SealLag);
    assert_eq!(seal.figures.unwrap(), Figures { p50: 60_000, p95: 60_000, max: 60_000 });
    assert_eq!(slo.production.established_may_persist, [incident("mining")]);
    insta::assert_snapshot!(slo.text());
}

#[test]
fn a_drill_is_never_counted_with_the_rest() {
    let mut story = Story::new();
    story.goes(&Course { name: "drill", source: "drill", ..MINING });
    let slo = levels(&story);
    assert_eq!((slo.production.incidents, slo.drills.incidents), (0, 1));
    assert!(slo.production.metrics.iter().all(|metric| metric.count == 0 && metric.excluded.is_empty()));
    assert_eq!(metric(&slo.drills.metrics, Measure::Containment).count, 1);
}

#[test]
fn one_that_was_never_contained_is_a_miss_and_not_left_out() {
    let mut story = Story::new();
    for n in 0..9 {
        let name = ["a", "b", "c", "d", "e", "f", "g", "h", "i"][n];
        story.goes(&Course { name, received: i64::try_from(n).unwrap() * 10_000, ..MINING });
    }
    story.goes(&Course { name: "refused", received: 100_000, refused: true, ..MINING });
    let slo = levels(&story);
    let containment = metric(&slo.production.metrics, Measure::Containment);
    assert_eq!((containment.count, containment.in_time, containment.verdict), (10, Some(9), Verdict::Met));
    assert_eq!(containment.percent_in_time.as_deref(), Some("90.0"));

    story.goes(&Course { name: "late", received: 200_000, published_before: 1_800_000, ..MINING });
    let slo = levels(&story);
    let containment = metric(&slo.production.metrics, Measure::Containment);
    assert_eq!((containment.count, containment.in_time, containment.verdict), (11, Some(9), Verdict::Missed));
    assert!(slo.text().contains("never: rec/quarantine/"), "{}", slo.text());
}

#[test]
fn what_is_left_out_has_its_reason() {
    let mut story = Story::new();
    story.goes(&Course { name: "mild", severity: "6.99", ..MINING });
    story.goes(&Course { name: "skewed", received: 20_000, seen_before: -5000, published_before: 0, ..MINING });
    story.goes(&Course { name: "earlier", received: -3_700_000, ..MINING });
    story.write("opaque", Kind::Decision, at(30_000), None, json!("?"));
    let asked = json!({"decision": {"verdict": "ask-human"}, "signal": signal(&MINING)});
    story.write("asked", Kind::Decision, at(40_000), None, asked);
    let slo = levels(&story);
    let why = |measure: Measure, name: &str| {
        let left_out = &metric(&slo.production.metrics, measure).excluded;
        left_out.iter().find(|left_out| left_out.incident == Some(incident(name))).map(|left_out| left_out.reason.clone())
    };
    assert_eq!(why(Measure::Containment, "mild").unwrap(), "severity 6.99 is below 7.0");
    assert_eq!(why(Measure::Detection, "skewed").unwrap(), "its end lies 5.00 s before its beginning: the clocks disagree");
    assert_eq!(why(Measure::Detection, "opaque").unwrap(), "no readable record says when its activity was first seen");
    assert_eq!(why(Measure::Containment, "asked").unwrap(), "nothing was to be contained by Cordon (NoChange: a person was asked)");
    assert!(why(Measure::Detection, "earlier").is_none(), "every record of it lies before the period");
    assert_eq!(why(Measure::Recovery, "mild").unwrap(), "no record closes it");
}

#[test]
fn an_incident_counts_in_the_period_of_its_first_record_only() {
    let mut story = Story::new();
    let (_, outcome) = story.goes(&Course { received: -3_600_100, sealed_after: 400, ..MINING });
    let slo = levels(&story);
    assert_eq!(slo.production.incidents, 0);
    let detection = metric(&slo.production.metrics, Measure::Detection);
    assert!(detection.excluded[0].reason.starts_with("it began before the period"), "{:?}", detection.excluded);
    // The outcome's record lies in the period, and its own lag counts there.
    assert_eq!(metric(&slo.production.metrics, Measure::EvidenceLag).samples[0].records, [outcome.key]);
}

#[test]
fn a_release_closes_and_a_revocation_is_timed() {
    let mut story = Story::new();
    story.goes(&MINING);
    story.write_as("release", "mining", Kind::Outcome, at(1_800_000), None, json!({"outcome": {"state": "Released"}}));
    let revoked = json!({"outcome": {"state": "Revoked"}, "signal": signal(&MINING),
        "timings": {"received": at(0), "received_to_read_back": 4000}});
    story.write_as("revoke", "key", Kind::Outcome, at(4100), None, revoked);
    let slo = levels(&story);
    assert_eq!(metric(&slo.production.metrics, Measure::Recovery).figures.unwrap().max, 2_052_000);
    assert_eq!(metric(&slo.production.metrics, Measure::Revocation).figures.unwrap().max, 65_000);
}

#[test]
fn a_target_is_reached_only_in_whole_numbers() {
    let percent: Percent = "94.99".parse().unwrap();
    assert_eq!((percent.basis_points(), percent.to_string().as_str()), (9499, "94.99"));
    let mut story = Story::new();
    story.goes(&MINING);
    story.goes(&Course { name: "slow", received: 10_000, seen_before: 300_001, ..MINING });
    story.goes(&Course { name: "just", received: 20_000, seen_before: 300_000, ..MINING });
    let (entries, worth) = story.read();
    let judge = |target: &str| {
        let mut targets = Targets::default();
        targets.set(target).unwrap();
        metric(&slo(&entries, hour(), &targets, &worth).production.metrics, Measure::Detection).verdict
    };
    assert_eq!(judge("detection=66.66%@300"), Verdict::Met);
    assert_eq!(judge("detection=66.67%@300"), Verdict::Missed);
}

#[test]
fn what_no_function_has_done_yet_is_no_data_and_says_why() {
    let mut story = Story::new();
    story.goes(&MINING);
    let slo = levels(&story);
    let why = |measure| metric(&slo.production.metrics, measure).no_data.clone();
    assert!(why(Measure::Revocation).unwrap().contains("no outcome of the function `revoke` is here"));
    assert!(why(Measure::Recovery).unwrap().contains("no outcome of the function `release` is here"));
    assert_eq!(why(Measure::SealLag).unwrap(), "all 2 were left out, for the reasons given");
    assert_eq!(why(Measure::Detection), None);
    for said in [slo.text(), slo.html()] {
        assert!(said.contains("only those say that a credential is dead"), "{said}");
    }
    // A revocation that cannot be timed is another thing than none.
    story.write_as("revoke", "mining", Kind::Outcome, at(4100), None, json!({"outcome": {"state": "Revoked"}}));
    story.write_as("revoke", "key", Kind::Outcome, at(4200), None, json!({"outcome": {"state": "Revoked"}}));
    let slo = levels(&story);
    let revocation = metric(&slo.production.metrics, Measure::Revocation);
    assert_eq!((revocation.count, &revocation.no_data, revocation.excluded.len()), (1, &None, 1));
}
