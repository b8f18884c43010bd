use evidence::Kind;
use report::{Naming, Nature, Period, controls, custody, population, to_json};
use serde_json::json;

use crate::story::{Course, MINING, Story, at, incident, without_digests};

fn hour() -> Period {
    Period::new(at(-3_600_000), at(3_600_000)).unwrap()
}

#[test]
fn a_population_is_complete_only_over_a_whole_sealed_tree() {
    let mut story = Story::new();
    story.goes(&MINING);
    story.goes(&Course { name: "drill", source: "drill", received: 10_000, ..MINING });
    let (entries, worth) = story.read();
    let open = population(&entries, hour(), &worth);
    assert!(!open.complete && open.completeness.starts_with("Not proved: no sealed log is here"), "{}", open.completeness);
    assert!(open.text().contains("2 incidents from") && open.text().contains("NOT PROVED"), "{}", open.text());
    assert_eq!((open.total, open.by_nature[&Nature::Production], open.by_nature[&Nature::Drill]), (2, 1, 1));

    let story = story.sealed();
    let (mut entries, worth) = story.read();
    let whole = population(&entries, hour(), &worth);
    assert!(whole.complete, "{}", whole.completeness);
    insta::assert_snapshot!(without_digests(&whole.text()));
    // With one leaf held back it is not.
    entries.remove(1);
    let part = population(&entries, hour(), &worth);
    assert!(!part.complete && part.completeness.contains("names 4 records, and 3 of them were read"), "{}", part.completeness);
    // And with a failure it is not, however many leaves were read.
    let (entries, worth) = story.read_with(vec![("rec/x", "does not hold")]);
    let failed = population(&entries, hour(), &worth);
    assert!(!failed.complete && failed.text().starts_with("FAILED: "), "{}", failed.text());
}

#[test]
fn a_count_is_proved_no_further_than_its_checkpoint() {
    let mut story = Story::new().sealed();
    story.goes(&MINING);
    story.goes(&Course { name: "late", received: 10_000, ..MINING });
    let (mut entries, mut worth) = story.read();
    let mut tree = worth.tree.clone().unwrap();
    let whole = population(&entries, hour(), &worth);
    assert_eq!((whole.complete, whole.sealed, whole.incidents[1].leaves.as_slice()), (true, 2, [3, 4].as_slice()));
    for said in ["`example.com/cordon` (5 leaves, root ", &tree.root.to_string(), "log/cp/000000000005.note", "nobody named"] {
        assert!(whole.completeness.contains(said), "{}", whole.completeness);
    }
    // Verified up to a key that the reader named.
    worth.standing = evidence::Standing::Verified;
    assert!(population(&entries, hour(), &worth).completeness.contains("by a key that you named"));
    // The newest leaves are under no checkpoint yet.
    tree.signed = 3;
    worth.tree = Some(tree.clone());
    let part = population(&entries, hour(), &worth);
    assert_eq!((part.complete, part.sealed), (false, 1));
    assert!(part.completeness.contains("the last 2 leaves of the log"), "{}", part.completeness);
    // The log ends before the period does, and one record is not in it.
    (tree.signed, tree.newest) = (5, at(0));
    worth.tree = Some(tree);
    let mut more = Story::new();
    more.goes(&Course { name: "unsealed", received: 20_000, ..MINING });
    entries.extend(more.read().0);
    let beside = population(&entries, hour(), &worth);
    assert_eq!((beside.complete, beside.total, beside.sealed), (true, 3, 2));
    assert!(beside.completeness.contains("2 records of the period are not in the log yet"), "{}", beside.completeness);
    assert!(
        beside.completeness.contains("The log ends at") && beside.csv().unwrap().contains(",3 4,VERIFIED"),
        "{}",
        beside.completeness
    );
}

#[test]
fn an_incident_that_began_before_is_listed_and_marked() {
    let mut story = Story::new();
    story.goes(&Course { received: -3_600_100, sealed_after: 400, ..MINING });
    let (entries, worth) = story.read();
    let listed = population(&entries, hour(), &worth);
    assert!(listed.incidents[0].began_before);
    let earlier = Period::new(at(-9_000_000), at(-3_700_000)).unwrap();
    assert_eq!(population(&entries, earlier, &worth).total, 0);
    assert!(Period::new(at(0), at(0)).is_err());
}

#[test]
fn controls_are_counted_with_samples() {
    let mut story = Story::new();
    for (n, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        story.goes(&Course { name, received: i64::try_from(n).unwrap() * 60_000, ..MINING });
    }
    let (entries, worth) = story.read();
    let coverage = controls(&entries, Some(hour()), &worth);
    let ids: Vec<_> = coverage.controls.iter().map(|control| (control.id.as_str(), control.records, control.incidents)).collect();
    assert_eq!(ids, [("IR-4(1)", 12, 6), ("SC-7", 12, 6)]);
    assert_eq!(coverage.controls[0].kinds["quarantine intent"], 6);
    assert_eq!(coverage.controls[0].samples.len(), 5);
    assert_eq!(coverage.controls[0].samples.first().unwrap(), entries.first().unwrap().key());
    assert_eq!(coverage.controls[0].samples.last().unwrap(), entries.last().unwrap().key());
    let csv = coverage.csv().unwrap();
    assert_eq!(csv.lines().count(), 1 + 22, "{csv}");
    assert_eq!(
        (coverage.controls[0].title, coverage.controls[0].statement),
        (Some("Automated Incident Handling Processes"), Some("ir-4.1_smt"))
    );
    // What the records could name and do not is said as well: the whole of SOC 2, here.
    let uncovered: Vec<_> = coverage.uncovered.iter().map(|control| control.id).collect();
    assert_eq!(
        uncovered,
        [
            "AC-2(6)", "AC-2(13)", "AC-3", "AC-3(2)", "AC-3(8)", "AC-4", "AC-5", "AC-6", "AC-6(7)", "AU-3", "IA-5", "IR-4", "IR-5",
            "SI-4(7)", "CC6.1", "CC6.2", "CC6.3", "CC7.3", "CC7.4", "CC7.5"
        ]
    );
    assert!(coverage.text().contains("no record here names\n") && csv.contains("SOC 2 (TSC 2017),CC7.4,"), "{csv}");
    assert!(csv.contains("6 quarantine intent; 6 quarantine outcome"), "{csv}");
}

#[test]
fn custody_names_who_leans_on_a_record() {
    let mut story = Story::new().sealed();
    let (intent, outcome) = story.goes(&MINING);
    let (entries, worth) = story.read();
    let custody = custody(&entries, &intent.key, &worth).unwrap();
    let named: Vec<_> = custody.named_by.iter().map(|by| (by.how, by.key.clone(), by.digest_fits)).collect();
    assert_eq!(named, [(Naming::Answers, outcome.key.clone(), true), (Naming::ChainsTo, outcome.key, true)]);
    assert_eq!(custody.vouched.as_ref().unwrap().endorser, *worth.endorsers.keys().next().unwrap());
    assert!(custody.text().contains("Only CloudTrail's S3 data events"));
    insta::assert_snapshot!(without_digests(&custody.text()));
}

#[test]
fn custody_says_when_a_record_leans_on_another_object() {
    let mut story = Story::new();
    let (intent, _) = story.goes(&MINING);
    let bent = evidence::Link { sha256: ids::Sha256::of(b"another"), ..intent.clone() };
    story.write("bent", Kind::Outcome, at(5000), Some(bent), json!(null));
    let (entries, worth) = story.read();
    let custody = custody(&entries, &intent.key, &worth).unwrap();
    assert!(custody.named_by.iter().any(|by| by.how == Naming::Answers && !by.digest_fits));
    assert!(custody.text().contains("with ANOTHER digest"));
    assert!(report::custody(&entries, &intent.key.sibling(9, Kind::Intent), &worth).is_none());
}

#[test]
fn json_begins_with_the_standing() {
    let mut story = Story::new();
    story.goes(&MINING);
    let (entries, worth) = story.read();
    let json = to_json(&report::timeline(&entries, &incident("mining"), &worth).unwrap()).unwrap();
    assert!(json.starts_with("{\n  \"evidence\": {\n    \"standing\": \"self_consistent\""), "{json}");
}
