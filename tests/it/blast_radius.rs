//! Who is hit when every session of a role ends, on the local AWS with IAM enforced: counted first, and asked where they are many.

use std::time::Duration;

use plan::revoke::RevocationState;
use responder::Attention;
use revoke::Said;
use serde_json::{Value, json};

use crate::revocation::only;
use crate::stage::{Fate, Person, Stage, Wire, json_error, session_finding};

/// A finding that names a role and none of its sessions.
fn unnamed(stage: &Stage, thief: &Person) -> Value {
    let mut event = session_finding(stage, thief);
    event["detail"]["resource"]["accessKeyDetails"]["principalId"] = json!("AROAEXAMPLEROLEID1234");
    event["detail"]["severity"] = json!(8);
    event
}

fn every_session(stage: &Stage, verb: &str, role: &str, users: Option<u32>) -> Value {
    let mut credential = json!({ "role": role, "every_session": true, "account": stage.account() });
    if let Some(users) = users {
        credential["users"] = json!(users);
    }
    json!({ "cordon": verb, "credential": credential })
}

/// The local AWS shows a call in its CloudTrail at once.
async fn rule(sandbox: &crate::stage::Revoker, event: &Value) -> (revoke::Answer, String) {
    let answer = sandbox.deliver(event).await.unwrap();
    let rule = only(&answer).rule.as_ref().unwrap().to_string();
    (answer, rule)
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_role_with_one_user_is_ended_and_one_with_many_is_asked_about() {
    let stage = Stage::open();
    let there = stage.member();
    let sandbox = stage.revoker();
    // At home and in another account: one user, whose session it must be that leaked.
    for place in [&stage, &there] {
        let role = place.a_role().await;
        let thief = place.a_session(&role, "mallory").await;
        let (answer, rule) = rule(&sandbox, &unnamed(place, &thief)).await;
        assert_eq!((answer.outcome, rule.as_str()), (Said::Revoked, "whole-role-of-few-revokes"), "{answer:?}");
        assert_eq!(only(&answer).state, Some(RevocationState::Revoked));
        assert!(!thief.works().await);
        let users = only(&answer).users.as_ref().unwrap();
        assert_eq!((users.count, users.who[0].session.as_str()), (1, "mallory"), "{users}");
        let records = stage.records(only(&answer).incident.as_ref().unwrap()).await;
        assert_eq!(records[0].body()["users"]["who"][0]["session"], "mallory", "{}", records[0].body());
        println!("the way to the deny of a whole role: {}", records[1].body()["round_trips"]);
    }

    let role = stage.a_role().await;
    let thief = stage.a_session(&role, "mallory").await;
    let (alice, bob) = (stage.a_session(&role, "alice").await, stage.a_session(&role, "bob").await);
    let (answer, said) = rule(&sandbox, &unnamed(&stage, &thief)).await;
    assert_eq!(
        (answer.outcome, answer.attention, said.as_str()),
        (Said::AskHuman, Attention::Page, "whole-role-asks"),
        "{answer:?}"
    );
    // The reason is in it word for word: a redactor has taken part of it for a credential before.
    assert!(answer.reason.contains("Nobody knows which session it is"), "{}", answer.reason);
    assert!(answer.reason.contains("3 users since") && answer.reason.contains("alice"), "{}", answer.reason);
    let steps = only(&answer).by_hand.join("; ");
    assert!(steps.contains(&format!("--role {role}")) && steps.contains("--users 3"), "{steps}");
    let records = stage.records(only(&answer).incident.as_ref().unwrap()).await;
    assert!(records[0].body()["reason"].as_str().unwrap().contains("bob"), "{}", records[0].body());

    // By hand: asked again, with the number. A smaller one does not do. Whoever asks is at the keyboard, so nobody is woken.
    for users in [None, Some(2)] {
        let (answer, said) = rule(&sandbox, &every_session(&stage, "revoke", &role, users)).await;
        assert_eq!((answer.outcome, said.as_str()), (Said::AskHuman, "whole-role-by-hand-asks-again"), "{answer:?}");
        assert_eq!(answer.attention, Attention::Notify);
    }
    let (planned, _) = rule(&sandbox, &every_session(&stage, "plan", &role, None)).await;
    assert!(only(&planned).plan.as_ref().unwrap().contains("it hits: 3 users"), "{planned:?}");
    assert!(thief.works().await && alice.works().await && bob.works().await);
    assert_eq!(stage.denies(&role).await, None);
    let (answer, said) = rule(&sandbox, &every_session(&stage, "revoke", &role, Some(3))).await;
    assert_eq!((answer.outcome, said.as_str()), (Said::Revoked, "whole-role-by-hand-revokes"), "{answer:?}");
    assert!(!thief.works().await && !alice.works().await && !bob.works().await);
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(stage.a_session(&role, "alice").await.works().await, "a new session");
    // A larger cap is the deployment's decision.
    let role = stage.a_role().await;
    let thief = stage.a_session(&role, "mallory").await;
    stage.a_session(&role, "alice").await;
    let (answer, said) = rule(&stage.revoker_with(&[("CORDON_ROLE_USERS", "2")], Wire::good()), &unnamed(&stage, &thief)).await;
    assert_eq!((answer.outcome, said.as_str()), (Said::Revoked, "whole-role-of-few-revokes"), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn users_that_are_not_known_are_asked_about() {
    let stage = Stage::open();
    let elsewhere = |answer: &str| {
        let used =
            format!("<RoleLastUsed><LastUsedDate>{}</LastUsedDate><Region>eu-west-1</Region></RoleLastUsed></Role>", calls::now());
        answer.replace("</Role>", &used)
    };
    let on = |operation: &'static str, fate: Fate| {
        Wire::with(move |asked| if asked.operation == operation { fate.clone() } else { Fate::Pass })
    };
    for (wire, says) in [
        (on("LookupEvents", json_error(400, "AccessDeniedException")), "AccessDenied"),
        (on("LookupEvents", json_error(400, "ThrottlingException")), "could not be asked"),
        (on("LookupEvents", Fate::Hang), "given up on after 4 seconds"),
        (on("GetRole", Fate::Changed(elsewhere)), "last used in eu-west-1"),
    ] {
        let role = stage.a_role().await;
        let thief = stage.a_session(&role, "mallory").await;
        let sandbox = stage.revoker_with(&[], wire);
        let (answer, said) = rule(&sandbox, &unnamed(&stage, &thief)).await;
        assert_eq!((answer.outcome, said.as_str()), (Said::AskHuman, "whole-role-asks"), "{says}: {answer:?}");
        assert!(answer.reason.contains("at least") && answer.reason.contains(says), "{says}: {}", answer.reason);
        assert!(thief.works().await);
        // A person who has seen that goes on with what is seen.
        let seen = only(&answer).users.as_ref().unwrap().count;
        let (answer, _) = rule(&sandbox, &every_session(&stage, "revoke", &role, None)).await;
        assert_eq!(answer.outcome, Said::AskHuman, "{says}: {answer:?}");
        let (answer, _) = rule(&sandbox, &every_session(&stage, "revoke", &role, Some(seen))).await;
        assert_eq!(answer.outcome, Said::Revoked, "{says}: {answer:?}");
        assert!(!thief.works().await);
    }
}

/// Nobody is asked for anything where the count cannot change the answer.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn nothing_is_counted_where_nothing_would_be_done() {
    let stage = Stage::open();
    let role = stage.a_role().await;
    let event = unnamed(&stage, &stage.a_session(&role, "mallory").await);
    let protected = format!("arn:aws:iam::{}:role/{role}", stage.account());
    for (variable, value, rule_id) in [
        ("CORDON_MODE", "observe", "leak-observe-mode"),
        ("CORDON_STOP", "true", "leak-global-stop"),
        ("CORDON_PROTECTED", protected.as_str(), "protected-never-revoked"),
    ] {
        let sandbox = stage.revoker_with(&[(variable, value)], Wire::good());
        let (answer, said) = rule(&sandbox, &event).await;
        assert_eq!(said, rule_id, "{answer:?}");
        assert!(sandbox.wire.sent().iter().all(|asked| !["GetRole", "LookupEvents"].contains(&asked.operation.as_str())));
    }
    assert_eq!(stage.denies(&role).await, None);
}
