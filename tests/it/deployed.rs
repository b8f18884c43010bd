//! The function as deployed: its own process, called by the event bus and by Lambda's asynchronous invocations.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::stage::{Filed, Stage, eventually, finding, text};

async fn invoke(stage: &Stage, kind: &str, event: Vec<u8>) -> String {
    let path = format!("/2015-03-31/functions/{}/invocations", stage.output("FunctionName"));
    stage.root.send("lambda", "POST", &path, &[("x-amz-invocation-type", kind)], event).await.unwrap()
}

async fn put_on_the_bus(stage: &Stage, event: &Value) {
    let entry = json!({ "Source": "cordon.drill", "DetailType": "GuardDuty Finding", "Detail": event["detail"].to_string() });
    let answer = stage.root.json("events", "AWSEvents.PutEvents", &json!({ "Entries": [entry] })).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn five_copies_on_the_bus_are_one_containment() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let planned: Value = serde_json::from_str(
        &invoke(&stage, "RequestResponse", json!({ "cordon": "plan", "event": event }).to_string().into_bytes()).await,
    )
    .unwrap();
    assert_eq!(planned["outcome"], "Planned", "{planned}");
    let incident = text(&planned["incident"]).parse().unwrap();
    join_all((0..5).map(|_| put_on_the_bus(&stage, &event))).await;
    let done = async || stage.records(&incident).await.iter().find(|filed| filed.kind() == "outcome").cloned();
    let outcome = eventually("the outcome", done).await;
    assert_eq!(outcome.body()["outcome"]["state"], "Contained");
    stage.assert_sealed(&machine).await;
    // Time for a second containment to show, if there were one.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let records = stage.records(&incident).await;
    assert_eq!(records.iter().map(Filed::kind).collect::<Vec<_>>(), ["intent", "outcome"]);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn nonsense_is_refused_on_record_and_not_retried() {
    let stage = Stage::open();
    let nonsense = json!({ "not": "a finding", "at": calls::now().to_string() }).to_string();
    let answer: Value = serde_json::from_str(&invoke(&stage, "RequestResponse", nonsense.clone().into_bytes()).await).unwrap();
    assert_eq!((&answer["outcome"], &answer["attention"]), (&json!("Refused"), &json!("notify")), "{answer}");
    let record = stage.record(&text(&answer["records"][0])).await;
    assert_eq!(record.kind(), "refusal");
    assert_eq!(record.predicate["record"]["key"], json!(record.key));
}

/// What no retry gets past ends in the queue that has an alarm, with the event in it.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_finding_that_cannot_be_worked_on_ends_in_the_failures_queue() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(1).await;
    let event = finding(&stage, &machine);
    // Another invocation that never ends: on AWS its lease would run out before the first retry.
    let held = json!({ ":owner": { "S": "another" }, ":until": { "N": "9999999999999" } });
    stage.update_row(&machine, "SET lease_owner = :owner, lease_until = :until", held).await;
    invoke(&stage, "Event", event.to_string().into_bytes()).await;
    let queue = stage.output("FailuresQueueUrl");
    let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0 });
    let message = eventually("the failure's message", async || {
        let answer = stage.root.json("sqs", "AmazonSQS.ReceiveMessage", &asked).await.unwrap();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        messages.into_iter().map(|message| text(&message["Body"])).find(|body| body.contains(&machine.instance))
    })
    .await;
    assert!(message.contains("another invocation works on it until"), "{message}");
    assert_eq!(stage.groups(&machine).await, machine.before);
}
