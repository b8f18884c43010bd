//! Evidence that cannot be written, or not in time: what closes goes on, says so, and is filed later.

use std::time::Duration;

use quarantine::Said;
use responder::Attention;
use serde_json::{Value, json};

use crate::stage::{Fate, Filed, Stage, Wire, finding, from_base64, s3_error, text};

const IMPATIENT: (&str, &str) = ("CORDON_EVIDENCE_DEADLINE_MS", "200");

/// The signed intents that wait in a hold's row, by their keys.
fn parked(row: &Value) -> Vec<(String, Vec<u8>)> {
    let found = row.as_object().unwrap().iter();
    found.filter_map(|(name, value)| Some((name.strip_prefix("parked#")?.to_owned(), from_base64(&text(&value["B"]))))).collect()
}

async fn object(stage: &Stage, key: &str) -> Vec<u8> {
    stage.root.send("s3", "GET", &format!("/{}/{key}", stage.output("EvidenceBucket")), &[], Vec::new()).await.unwrap().into_bytes()
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn with_the_evidence_store_down_the_machine_is_sealed_and_the_retry_files_the_intent() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    for fate in [s3_error(503, "ServiceUnavailable"), s3_error(403, "AccessDenied"), Fate::Break] {
        let down = Wire::with(move |asked| if asked.service == "s3" { fate.clone() } else { Fate::Pass });
        let failed = stage.sandbox_with(&[IMPATIENT], down).deliver(&event).await.unwrap_err();
        assert!(failed.0.contains("evidence store"), "not done while the intent is missing: {failed}");
        stage.assert_sealed(&machine).await;
        // One intent waits, whoever tried: the first one's, which says what the machine had.
        assert_eq!(parked(&stage.row(&machine).await).len(), 1);
    }
    let waiting = parked(&stage.row(&machine).await);
    let (key, bytes) = &waiting[0];

    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained, "{}", answer.reason);
    assert_eq!(object(&stage, key).await, *bytes, "the parked intent is filed as it was signed");
    assert_eq!(parked(&stage.row(&machine).await), []);
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(records.iter().map(Filed::kind).collect::<Vec<_>>(), ["intent", "outcome"]);
    let mut before = machine.before.concat();
    let mut said: Vec<String> = records[1].body()["outcome"]["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|end| serde_json::from_value::<Vec<String>>(end["before"].clone()).unwrap())
        .collect();
    before.sort();
    said.sort();
    assert_eq!(said, before);
    assert_eq!(stage.sandbox().deliver(&event).await.unwrap().outcome, Said::AlreadyDone);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn past_the_deadline_the_machine_is_sealed_first_and_marked_degraded() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let slow = Wire::with(|asked| if asked.service == "s3" { Fate::Late(Duration::from_millis(900)) } else { Fate::Pass });
    let answer = stage.sandbox_with(&[IMPATIENT], slow).deliver(&event).await.unwrap();
    assert_eq!((answer.outcome, answer.attention), (Said::Contained, Attention::Notify));
    assert_eq!(answer.degraded, ["the intent was late: kept in the hold's row meanwhile, and filed since"]);
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(records.iter().map(Filed::kind).collect::<Vec<_>>(), ["intent", "outcome"]);
    let body = records[1].body();
    assert_eq!(body["evidence"], "degraded: late, kept in the hold's row meanwhile, filed since");
    let sealed = body["timings"]["received_to_sealed"].as_i64().unwrap();
    assert!(sealed < 900, "sealed after {sealed} ms: the write was waited for");
    assert_eq!(parked(&stage.row(&machine).await), []);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn with_neither_store_nor_table_the_machine_is_sealed_all_the_same() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let event = finding(&stage, &machine);
    let alone = Wire::with(|asked| match asked.service.as_str() {
        "s3" => s3_error(503, "ServiceUnavailable"),
        "dynamodb" => Fate::Break,
        _ => Fate::Pass,
    });
    stage.sandbox_with(&[IMPATIENT], alone).deliver(&event).await.unwrap_err();
    stage.assert_sealed(&machine).await;
    // The signed intent is in the log, whole; the retry makes its own record of what it finds.
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_write_whose_answer_is_lost_is_found_again_and_is_not_degraded() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    // S3 has the object, the connection breaks, the SDK sends it again, S3 says 412: it is ours, and durable.
    let lied = std::sync::atomic::AtomicBool::new(false);
    let first_answer_lost = Wire::with(move |asked| {
        if asked.service == "s3" && asked.operation == "PUT" && !lied.swap(true, std::sync::atomic::Ordering::SeqCst) {
            Fate::Lost
        } else {
            Fate::Pass
        }
    });
    let answer = stage.sandbox_with(&[], first_answer_lost).deliver(&finding(&stage, &machine)).await.unwrap();
    assert_eq!((answer.outcome, answer.degraded.len()), (Said::Contained, 0), "{:?}", answer.degraded);
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(records.iter().map(Filed::kind).collect::<Vec<_>>(), ["intent", "outcome"]);
    assert_eq!(records[1].body()["evidence"], "durable");
    assert_eq!(records[1].predicate["record"]["session"]["lost"], json!([]));
}

/// The init phase never fails on KMS: the machine is sealed, and nobody is told that the records are vouched for.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_endorsement_that_kms_refuses_or_never_gives_degrades_and_stops_nothing() {
    let stage = Stage::open();
    let other = text(&stage.stack["other_function"]["signing_key_arn"]);
    let silent = || Wire::with(|asked| if asked.service == "kms" { Fate::Hang } else { Fate::Pass });
    for (variables, wire) in [(vec![("CORDON_SIGNING_KEY", other.as_str())], Wire::good()), (vec![], silent())] {
        let machine = stage.prepared_machine(1).await;
        let event = finding(&stage, &machine);
        let answer = stage.sandbox_with(&variables, wire).deliver(&event).await.unwrap();
        assert_eq!(answer.outcome, Said::Contained);
        assert_eq!(answer.degraded, ["KMS did not vouch for this session: its records are signed, but nothing says by whom"]);
        stage.assert_sealed(&machine).await;
        for filed in stage.records(&answer.incident.unwrap()).await {
            assert_eq!(filed.predicate["endorsement"], Value::Null, "{}", filed.key);
        }
    }
}

/// Someone who can write where our records go, or who guesses our key: passed by, and named in the next record.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_squatted_record_id_is_passed_by_and_reported() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let event = finding(&stage, &machine);
    // The same cause, recorded by a session that nobody vouches for: where the real one will want to write.
    let other = text(&stage.stack["other_function"]["signing_key_arn"]);
    let thief = stage.sandbox_with(
        &[("CORDON_SIGNING_KEY", &other)],
        Wire::with(|asked| if asked.service == "ec2" && asked.operation.starts_with("Modify") { Fate::Hang } else { Fate::Pass }),
    );
    assert!(thief.deliver_until_hung(&event).await.is_none());
    drop(thief);
    stage.let_the_lease_run_out(&machine).await;
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
    stage.assert_sealed(&machine).await;
    let records = stage.records(&answer.incident.unwrap()).await;
    assert_eq!(records.iter().map(Filed::kind).collect::<Vec<_>>(), ["intent", "intent", "outcome"]);
    let anomalies = &records[1].predicate["record"]["anomalies"];
    assert_eq!(anomalies[0]["key"], json!(records[0].key));
    assert_eq!(anomalies[0]["reason"], "a record that nobody vouches for, in our place");
    assert!(records[1].key.contains(".2-intent"), "{}", records[1].key);
}
