//! A function that dies: at every call it makes, before the call has had its effect and after. What is delivered again must finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evidence::Standing;
use quarantine::Said;

use crate::stage::{Fate, Filed, Machine, Stage, Wire, finding};

/// A wire that lets everything through up to the `nth` call that is not to KMS, and then does not answer any more.
///
/// KMS does not count: its call begins with the process, beside all others, and has scenarios of its own.
fn dead_at(nth: usize, fate: Fate) -> Wire {
    let sent = Arc::new(AtomicUsize::new(0));
    Wire::with(move |asked| {
        if asked.service == "kms" {
            return Fate::Pass;
        }
        match sent.fetch_add(1, Ordering::SeqCst) {
            before if before < nth => Fate::Pass,
            at if at == nth => fate.clone(),
            _ => Fate::Hang,
        }
    })
}

fn kinds(records: &[Filed]) -> Vec<&str> {
    records.iter().map(Filed::kind).collect()
}

async fn is_untouched(stage: &Stage, machine: &Machine) -> bool {
    stage.groups(machine).await == machine.before && stage.tags(machine).await.is_empty()
}

/// Kills the function at its `nth` call. False if it had ended before.
async fn die_and_be_delivered_again(stage: &Stage, nth: usize, fate: Fate, prepared: bool) -> bool {
    let machine = if prepared { stage.prepared_machine(2).await } else { stage.machine(2).await };
    let event = finding(stage, &machine);
    let incident = signal_incident(stage, &event).await;
    let dying = stage.sandbox_with(&[], dead_at(nth, fate.clone()));
    let lived = dying.deliver_until_hung(&event).await;
    if let Some(answer) = lived {
        assert_eq!(answer.unwrap().outcome, Said::Contained);
        return false;
    }
    let at = dying.wire.sent().last().map(|asked| format!("{} {} ({fate:?}, call {nth})", asked.service, asked.operation)).unwrap();
    drop(dying);

    // No change without an intent, wherever it died.
    let records = stage.records(&incident).await;
    let intended = records.iter().any(|filed| filed.kind() == "intent");
    assert!(intended || is_untouched(stage, &machine).await, "dead at {at}: changed, and no intent says so");

    // Lambda delivers again: too early, and then when the lease has run out.
    stage.let_the_lease_run_out(&machine).await;
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert!([Said::Contained, Said::AlreadyDone].contains(&answer.outcome), "dead at {at}: {}", answer.reason);
    stage.assert_sealed(&machine).await;

    // One plan, however often it ran; every run that came so far said what it saw; the before is the before.
    let records = stage.records(&incident).await;
    assert_eq!(kinds(&records)[0], "intent", "dead at {at}");
    assert_eq!(kinds(&records).iter().filter(|kind| **kind == "intent").count(), 1, "dead at {at}: {:?}", kinds(&records));
    assert_eq!(records.last().unwrap().body()["outcome"]["state"], "Contained", "dead at {at}");
    let row = stage.row(&machine).await;
    for (interface, before) in machine.interfaces.iter().zip(&machine.before) {
        let mut original: Vec<_> =
            row[format!("eni#{interface}")]["L"].as_array().unwrap().iter().map(|group| crate::stage::text(&group["S"])).collect();
        original.sort();
        assert_eq!(original, *before, "dead at {at}: {interface}");
    }
    assert!(row.get(format!("holder#{incident}")).is_some(), "dead at {at}");
    let left: Vec<_> =
        row.as_object().unwrap().keys().filter(|name| name.starts_with("claim#") || name.starts_with("parked#")).collect();
    assert!(left.is_empty(), "dead at {at}: {left:?}");
    let report = stage.verify(&incident).await;
    assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]), "dead at {at}");
    // And now it is done.
    assert_eq!(stage.sandbox().deliver(&event).await.unwrap().outcome, Said::AlreadyDone, "dead at {at}");
    true
}

/// The incident of an event, by asking the function what it would do.
async fn signal_incident(stage: &Stage, event: &serde_json::Value) -> ids::IncidentId {
    let asked = serde_json::json!({ "cordon": "plan", "event": event });
    stage.sandbox().deliver(&asked).await.unwrap().incident.unwrap()
}

async fn die_everywhere(fate: Fate, prepared: bool, at_least: usize) {
    let stage = Stage::open();
    let mut nth = 0;
    while die_and_be_delivered_again(&stage, nth, fate.clone(), prepared).await {
        nth += 1;
        assert!(nth < 60, "it never ends");
    }
    assert!(nth >= at_least, "it died at {nth} calls only");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_before_any_of_its_calls_the_next_delivery_seals_the_machine() {
    die_everywhere(Fate::Hang, true, 11).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_after_any_of_its_calls_the_next_delivery_seals_the_machine() {
    die_everywhere(Fate::Deaf, true, 11).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_while_it_makes_the_sealed_group_the_next_delivery_seals_the_machine() {
    die_everywhere(Fate::Deaf, false, 15).await;
}

/// The lease: while the first may be alive the second waits, and says until when.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_right_after_the_claim_the_redelivered_event_seals_the_machine() {
    let stage = Stage::open();
    let machine = stage.prepared_machine(2).await;
    let event = finding(&stage, &machine);
    let claims = |asked: &crate::stage::Asked| asked.operation == "UpdateItem";
    let dying = stage.sandbox_with(&[], Wire::with(move |asked| if claims(asked) { Fate::Deaf } else { Fate::Pass }));
    assert!(dying.deliver_until_hung(&event).await.is_none());
    drop(dying);
    assert!(is_untouched(&stage, &machine).await);
    let too_early = stage.sandbox().deliver(&event).await.unwrap_err();
    assert!(too_early.0.starts_with("another invocation works on it until "), "{too_early}");
    stage.let_the_lease_run_out(&machine).await;
    let answer = stage.sandbox().deliver(&event).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
    stage.assert_sealed(&machine).await;
}
