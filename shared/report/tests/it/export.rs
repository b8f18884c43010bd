use evidence::Kind;
use report::{PLAN_FILE, Period, ocsf, oscal, timeline, to_json_lines};
use serde_json::{Value, json};

use crate::story::{Course, MINING, Story, at, incident, signal, sorted, without_digests};

fn hour() -> Period {
    Period::new(at(-3_600_000), at(3_600_000)).unwrap()
}

#[test]
fn timesketch_gets_its_four_fields_on_every_line() {
    let mut story = Story::new();
    story.goes(&MINING);
    let (entries, worth) = story.read();
    let lines = timeline(&entries, &incident("mining"), &worth).unwrap().timesketch();
    assert!(lines[0]["message"].as_str().unwrap().starts_with("SELF-CONSISTENT: "));
    for line in &lines {
        let datetime = line["datetime"].as_str().unwrap();
        assert!(datetime.ends_with("+00:00"), "{datetime}");
        let parsed: ids::Timestamp = datetime.parse().unwrap();
        assert_eq!(line["timestamp"].as_i64().unwrap(), parsed.millis() * 1000);
        assert!(!line["message"].as_str().unwrap().is_empty() && !line["timestamp_desc"].as_str().unwrap().is_empty());
    }
    assert_eq!(to_json_lines(&lines).unwrap().lines().count(), lines.len());
}

#[test]
fn iris_gets_its_exact_header_and_no_asset() {
    let mut story = Story::new();
    story.goes(&MINING);
    let (entries, worth) = story.read();
    let timeline = timeline(&entries, &incident("mining"), &worth).unwrap();
    let csv = timeline.iris().unwrap();
    assert!(csv.starts_with(
        "event_date,event_tz,event_title,event_category,event_content,event_raw,event_source,event_assets,event_iocs,event_tags\n"
    ));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), timeline.rows.len() + 1);
    for row in rows {
        assert_eq!((row.len(), &row[1], &row[7], &row[8]), (10, "+00:00", "", ""));
        assert!(format!("{}Z", &row[0]).parse::<ids::Timestamp>().is_ok(), "{}", &row[0]);
    }
}

#[test]
fn ocsf_tells_the_incident_and_the_remediation() {
    let mut story = Story::new();
    let (_, outcome) = story.goes(&MINING);
    story.goes(&Course { name: "refused", received: 10_000, severity: "9.10", refused: true, ..MINING });
    story.write(
        "asked",
        Kind::Decision,
        at(20_000),
        None,
        json!({"decision": {"verdict": "ask-human"}, "signal": signal(&MINING)}),
    );
    story.write_as("release", "mining", Kind::Outcome, at(30_000), None, json!({"outcome": {"state": "Released"}}));
    let (entries, worth) = story.read();
    let events = ocsf(&entries, hour(), "0.1.0", &worth, false);
    for event in &events {
        let number = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event:#}"));
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), number("class_uid") / 1000);
        assert!(number("time") > 1_795_000_000_000 && number("severity_id") <= 5);
        assert_eq!(event["metadata"]["product"]["version"], "0.1.0");
        // This session has no business to speak for `release`.
        assert_eq!(event["unmapped"]["evidence_standing"], "failed");
        match number("class_uid") {
            7001 => assert!(event["command_uid"].as_str().unwrap().starts_with("rec/")),
            2005 => assert!(
                event["metadata"]["profiles"] == json!(["incident", "cloud"])
                    && event["assignee"].is_object()
                    && event["status_id"].is_u64()
                    && event["finding_info_list"][0]["uid"].is_string()
            ),
            other => panic!("{other}"),
        }
    }
    let remediations: Vec<_> = events
        .iter()
        .filter(|event| event["class_uid"] == 7001)
        .map(|event| {
            (event["activity_name"].as_str().unwrap(), event["status_id"].as_u64().unwrap(), event["severity_id"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(remediations, [("Isolate", 1, 4), ("Isolate", 4, 5), ("Restore", 1, 4)]);
    let lives: Vec<_> = events
        .iter()
        .filter(|event| event["class_uid"] == 2005 && event["metadata"]["correlation_uid"] == incident("mining").as_str())
        .map(|event| event["activity_name"].as_str().unwrap())
        .collect();
    assert_eq!(lives, ["Create", "Update", "Close"]);
    // The first event must not know how it ends.
    let created = events.iter().find(|event| event["activity_name"] == "Create").unwrap();
    assert!(created["message"].as_str().unwrap().ends_with(": intent recorded"), "{created:#}");
    let isolated = events.iter().find(|event| event["command_uid"] == outcome.key.to_string()).unwrap();
    insta::assert_snapshot!(without_digests(&serde_json::to_string_pretty(&sorted(isolated)).unwrap()));
}

#[test]
fn attested_events_are_a_chain_over_all_records_of_their_session() {
    let mut story = Story::new();
    story.goes(&MINING);
    story.goes(&Course { name: "later", received: 3_000_000, ..MINING });
    let (entries, worth) = story.read();
    let plain = ocsf(&entries, hour(), "0.1.0", &worth, false);
    let events = ocsf(&entries, hour(), "0.1.0", &worth, true);
    assert_eq!((events.len(), plain.len()), (6, 6));
    for (plain, event) in plain.iter().zip(&events) {
        assert!(plain.get("attestation_list").is_none() && plain["metadata"]["version"] == "1.6.0");
        assert_eq!(event["metadata"]["version"], "1.9.0");
        assert!(event["metadata"]["profiles"].as_array().unwrap().contains(&json!("record_integrity")));
        assert_eq!(event["attestation_list"][0]["chain_uid"], event["unmapped"]["session"]);
        // The record that it tells of is under the fingerprint by its own digest.
        let digest = &event["unmapped"]["record_sha256"];
        assert!(
            story
                .written()
                .any(|(signed, _)| *digest == json!(signed.link().sha256) && event["unmapped"]["record"] == json!(signed.key))
        );
    }
    assert_eq!(events, ocsf(&entries, hour(), "0.1.0", &worth, true));
    let by_uid = |uid: &Value| events.iter().find(|event| event["metadata"]["uid"] == *uid);
    let first: Vec<_> = events.iter().filter(|event| event["attestation_list"][0].get("prev_event").is_none()).collect();
    assert_eq!(first.len(), 1);
    for event in events.iter().filter(|event| event["metadata"]["uid"] != first[0]["metadata"]["uid"]) {
        let link = &event["attestation_list"][0]["prev_event"];
        let before = by_uid(&link["uid"]).unwrap();
        assert_eq!((&link["type_uid"], &link["fingerprint"]), (&before["type_uid"], &before["attestation_list"][0]["fingerprint"]));
    }
    // A period that begins in the middle cuts a piece out: its first event names one that is not in it, by the same fingerprint.
    let cut = ocsf(&entries, Period::new(at(2_000_000), at(3_600_000)).unwrap(), "0.1.0", &worth, true);
    assert_eq!(cut, events[3..]);
    let outside = &cut[0]["attestation_list"][0]["prev_event"];
    assert!(by_uid(&outside["uid"]).is_some() && !cut.iter().any(|event| event["metadata"]["uid"] == outside["uid"]));
}

#[test]
fn oscal_is_the_same_twice_and_every_reference_leads_somewhere() {
    let mut story = Story::new();
    story.goes(&MINING);
    story.goes(&Course { name: "refused", received: 10_000, refused: true, ..MINING });
    let (entries, worth) = story.read();
    let documents = oscal(&entries, hour(), &worth);
    assert_eq!(documents, oscal(&entries, hour(), &worth));
    let results = &documents.results["assessment-results"];
    assert_eq!(results["import-ap"]["href"], PLAN_FILE);
    assert_eq!(documents.plan["assessment-plan"]["reviewed-controls"], results["results"][0]["reviewed-controls"]);
    let result = &results["results"][0];
    let observed: Vec<&Value> = result["observations"].as_array().unwrap().iter().map(|observation| &observation["uuid"]).collect();
    assert_eq!(observed.len(), 4);
    for finding in result["findings"].as_array().unwrap() {
        for related in finding["related-observations"].as_array().unwrap() {
            assert!(observed.contains(&&related["observation-uuid"]));
        }
        // One of the two incidents ended Partial.
        assert_eq!(finding["target"]["status"]["state"], "not-satisfied");
    }
    let keys: Vec<String> = entries.iter().map(|entry| entry.key().to_string()).collect();
    assert!(keys.contains(&result["observations"][0]["relevant-evidence"][0]["href"].as_str().unwrap().to_owned()));
}

#[test]
fn what_fails_satisfies_nothing() {
    let mut story = Story::new();
    story.goes(&MINING);
    let state = |(entries, worth): (Vec<report::Entry>, report::Worth)| {
        oscal(&entries, hour(), &worth).results["assessment-results"]["results"][0]["findings"][0]["target"]["status"]["state"]
            .clone()
    };
    assert_eq!(state(story.read()), "satisfied");
    assert_eq!(state(story.read_with(vec![("rec/x", "does not hold")])), "not-satisfied");
}
