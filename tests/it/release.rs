//! Undoing a revocation, on the local AWS with IAM enforced: a second person, exactly one incident's deny, and nothing without evidence.

use std::collections::BTreeSet;
use std::time::Duration;

use evidence::Standing;
use futures_util::future::join_all;
use revoke::Said;
use serde_json::{Value, json};

use crate::privilege::allowed_actions;
use crate::stage::{
    Answered, Asked, DENIES, Fate, Filed, Person, Stage, Wire, iam_error, json_error, key_finding, s3_error, session_finding, text,
    texts,
};

/// Ends what an event is about. The incident.
async fn revoked(stage: &Stage, event: &Value) -> String {
    let revoker = stage.revoker();
    // Boxed: a test's own future would hold each of these, and policies are evaluated at the bottom of it.
    let answer = Box::pin(revoker.deliver(event)).await.unwrap();
    assert_eq!(answer.outcome, Said::Revoked, "{answer:?}");
    answer.credentials[0].incident.as_ref().unwrap().to_string()
}

async fn records(stage: &Stage, incident: &str) -> Vec<Filed> {
    stage.records(&incident.parse().unwrap()).await.into_iter().filter(|filed| filed.key.starts_with("rec/release/")).collect()
}

fn kinds(records: &[Filed]) -> Vec<&str> {
    records.iter().map(Filed::kind).collect()
}

#[track_caller]
fn refused(answer: &Answered, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.text("detail").contains(words), "{}", answer.body);
}

async fn key_status(stage: &Stage, thief: &Person) -> String {
    let listed = stage.root.query("iam", "ListAccessKeys", &[("UserName", &thief.name)]).await.unwrap();
    let (keys, states) = (texts(&listed, "AccessKeyId"), texts(&listed, "Status"));
    keys.into_iter().zip(states).find(|(key, _)| *key == thief.key).unwrap().1
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_users_deny_is_lifted_by_a_second_person_and_its_leaked_key_stays_dead() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    // What was issued instead is denied for as long as the deny stays.
    let new = stage.another_key(&thief.name).await;
    assert!(!thief.works().await && !new.works().await);

    let (alice, bob) = (stage.an_approver("alice@example.com").await, stage.an_approver("bob@example.com").await);
    let releaser = stage.releaser();
    let asked = releaser.ask(&alice, &incident).await;
    assert_eq!((asked.status, asked.text("state")), (201, "Open".to_owned()), "{}", asked.body);
    let digest = asked.text("digest");
    let proposal: plan::release::Proposal = serde_json::from_value(asked.body["proposal"].clone()).unwrap();
    assert_eq!(proposal.digest().unwrap().to_string(), digest, "anyone can compute what is approved");
    // The same wish again is the same request; another one has to wait.
    let again = releaser.ask(&alice, &incident).await;
    assert_eq!((again.status, again.text("digest")), (200, digest.clone()));
    refused(&releaser.ask(&bob, &incident).await, 409, "has asked already");

    // Alice is who asked, whatever permission set and spelling she comes with.
    refused(&releaser.approve(&alice, &incident, &digest).await, 403, "nobody-approves-their-own");
    let other_set = stage.an_approver("Alice@Example.com").await;
    refused(&releaser.approve(&other_set, &incident, &digest).await, 403, "nobody-approves-their-own");
    assert!(!new.works().await);

    let shown = releaser.show(&bob, &incident).await;
    assert_eq!(shown.text("digest"), digest);
    assert!(shown.text("text").contains("never made active again"), "{}", shown.text("text"));
    let released = releaser.approve(&bob, &incident, &digest).await;
    assert_eq!((released.status, released.text("state")), (200, "Released".to_owned()), "{}", released.body);
    assert!(new.works().await, "the user's new key works");
    assert!(!thief.works().await, "the leaked key never does again");
    assert_eq!(key_status(&stage, &thief).await, "Inactive");
    let repeat = stage.releaser().approve(&bob, &incident, &digest).await;
    assert_eq!((repeat.status, &repeat.body), (200, &released.body), "a repeat answers the same");

    let row = stage.principal_row("user", &thief.name).await;
    assert!(row.get(format!("holder#{incident}")).is_none() && row.get("lease_owner").is_none(), "{row}");
    let records = records(&stage, &incident).await;
    assert_eq!(kinds(&records), ["decision", "decision", "decision", "decision", "intent", "outcome"], "{records:?}");
    assert_eq!(records[5].body()["outcome"]["state"], "Released");
    assert_eq!(records[5].body()["request"]["key"], json!(records[0].key));
    assert_eq!(records[3].body()["word"], "approved");
    assert_eq!(records[3].body()["by"]["name"], "bob@example.com");
    let report = stage.verify(&incident.parse().unwrap()).await;
    assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]));

    // It has let go; and whoever finds the key leaked again denies the user again.
    refused(&releaser.ask(&alice, &incident).await, 409, "has let go already");
    revoked(&stage, &key_finding(&stage, &thief)).await;
    assert!(!new.works().await);
    let second = releaser.ask(&alice, &incident).await;
    assert_eq!(second.status, 201, "{}", second.body);
    refused(&releaser.approve(&bob, &incident, &digest).await, 409, "the digest is not that of the open request");
    assert!(!new.works().await, "an old approval opens nothing new");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn of_two_incidents_on_a_role_one_goes_and_the_other_still_bites() {
    let stage = Stage::open();
    let role = stage.a_role().await;
    let instance = stage.a_session(&role, "i-0447a53385d345b29").await;
    let mallory = stage.a_session(&role, "mallory").await;
    let of_instance = revoked(&stage, &session_finding(&stage, &instance)).await;
    let of_session = revoked(&stage, &session_finding(&stage, &mallory)).await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(!stage.a_session(&role, "i-0447a53385d345b29").await.works().await, "an instance is denied whatever it gets");

    let (alice, bob) = (stage.an_automation("nightly").await, stage.an_approver("bob@example.com").await);
    let releaser = stage.releaser();
    let asked = releaser.ask(&alice, &of_instance).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let released = releaser.approve(&bob, &of_instance, &asked.text("digest")).await;
    assert_eq!(released.text("state"), "Released", "{}", released.body);
    assert!(stage.a_session(&role, "i-0447a53385d345b29").await.works().await, "a new session of the instance");
    assert!(!mallory.works().await, "the other incident's deny");
    let document = stage.denies(&role).await.unwrap();
    assert_eq!(document["Statement"].as_array().unwrap().len(), 1, "{document}");
    let row = stage.principal_row("role", &role).await;
    assert!(row.get(format!("deny#{of_instance}")).is_none() && row.get(format!("deny#{of_session}")).is_some(), "{row}");
    // Whoever writes the document next does not put it back.
    let eve = stage.a_session(&role, "eve").await;
    revoked(&stage, &session_finding(&stage, &eve)).await;
    assert!(stage.a_session(&role, "i-0447a53385d345b29").await.works().await);

    // The others go one by one; with the last one the document goes.
    for incident in [of_session, text(&records_of_role(&stage, &role).await[0])] {
        let asked = releaser.ask(&alice, &incident).await;
        let released = releaser.approve(&bob, &incident, &asked.text("digest")).await;
        assert_eq!(released.text("state"), "Released", "{}", released.body);
    }
    assert_eq!(stage.denies(&role).await, None);
}

/// The incidents that deny something on a role, but for those that are known by then.
async fn records_of_role(stage: &Stage, role: &str) -> Vec<Value> {
    let row = stage.principal_row("role", role).await;
    let denies =
        row.as_object().unwrap().iter().filter(|(name, value)| name.starts_with("deny#") && value.to_string().contains("eve"));
    denies.map(|(name, _)| json!(name.trim_start_matches("deny#"))).collect()
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_user_that_two_incidents_hold_stays_denied_until_both_let_go() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let second = stage.another_key(&thief.name).await;
    let one = revoked(&stage, &key_finding(&stage, &thief)).await;
    let two = revoked(&stage, &key_finding(&stage, &second)).await;
    let new = stage.another_key(&thief.name).await;
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let releaser = stage.releaser();
    for (incident, state) in [(&one, "Kept"), (&two, "Released")] {
        assert!(!new.works().await, "while anybody holds the user");
        let asked = releaser.ask(&alice, incident).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        assert_eq!(releaser.approve(&bob, incident, &asked.text("digest")).await.text("state"), state);
    }
    assert!(new.works().await && !thief.works().await && !second.works().await);
    assert_eq!(
        (key_status(&stage, &thief).await, key_status(&stage, &second).await),
        ("Inactive".to_owned(), "Inactive".to_owned())
    );
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_bounded_user_gets_its_boundary_back() {
    let stage = Stage::open();
    for before in [None, Some("arn:aws:iam::aws:policy/AdministratorAccess")] {
        let thief = stage.a_user().await;
        if let Some(boundary) = before {
            let asked = [("UserName", thief.name.as_str()), ("PermissionsBoundary", boundary)];
            stage.root.query("iam", "PutUserPermissionsBoundary", &asked).await.unwrap();
        }
        let full = stage.revoker_with(
            &[],
            Wire::with(|asked| if asked.operation == "AttachUserPolicy" { iam_error(409, "LimitExceeded") } else { Fate::Pass }),
        );
        let answer = Box::pin(full.deliver(&key_finding(&stage, &thief))).await.unwrap();
        let incident = answer.credentials[0].incident.as_ref().unwrap().to_string();
        let new = stage.another_key(&thief.name).await;
        assert!(!new.works().await);
        let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
        let releaser = stage.releaser();
        let asked = releaser.ask(&alice, &incident).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let released = releaser.approve(&bob, &incident, &asked.text("digest")).await;
        assert_eq!(released.text("state"), "Released", "{}", released.body);
        assert!(new.works().await && !thief.works().await);
        let user = stage.root.query("iam", "GetUser", &[("UserName", &thief.name)]).await.unwrap();
        assert_eq!(texts(&user, "PermissionsBoundaryArn").first().map(String::as_str), before);
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn nobody_but_a_second_approvers_person_approves() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let releaser = stage.releaser();
    // Alice asks through a role, which calls its session like her; by herself she is no second person.
    let through = stage.an_automation("alice").await;
    let asked = releaser.ask(&through, &incident).await;
    assert_eq!((asked.status, asked.body["asked_by"]["kind"].as_str()), (201, Some("role")), "{}", asked.body);
    let digest = asked.text("digest");
    let (alice, carol) = (stage.an_approver("alice").await, stage.a_person("carol").await);
    let (automation, impostor) = (stage.an_automation("bob").await, stage.an_impostor("bob").await);
    for (who, rule) in [
        (&alice, "nobody-approves-through-a-role"),
        (&carol, "no-rule"),
        (&automation, "only-persons-approve"),
        (&impostor, "only-persons-approve"),
        (&through, "[nobody-approves-their-own]"),
    ] {
        refused(&releaser.approve(who, &incident, &digest).await, 403, rule);
    }
    for who in [&carol, &automation, &impostor] {
        refused(&releaser.deny(who, &incident).await, 403, "no-rule");
    }
    // Each attempt is on record, with who made it.
    let tried = records(&stage, &incident).await;
    assert_eq!((tried.len(), tried[1].body()["by"]["name"].as_str()), (9, Some("alice")), "{tried:?}");
    assert!(tried[1..].iter().all(|filed| filed.body()["decision"]["verdict"] == "notify-only"));
    // What is early has to be said, and is bound by the approval.
    let other = stage.a_user().await;
    let quiet = revoked(&stage, &key_finding(&stage, &other)).await;
    let early = releaser.ask_as(&carol, &json!({ "incident": quiet, "reason": "a decoy" })).await;
    refused(&early, 403, "early-must-be-said");
    assert!(early.body["revives"]["until"].is_string(), "{}", early.body);
    assert!(!thief.works().await);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn drift_is_refused_with_the_difference_whenever_it_shows() {
    let stage = Stage::open();
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let releaser = stage.releaser();
    let deny = stage.output("DenyPolicyArn");
    let read = "arn:aws:iam::aws:policy/ReadOnlyAccess";

    // Between asking and approving: another policy is attached, or ours is detached.
    for (operation, policy) in [("AttachUserPolicy", read), ("DetachUserPolicy", deny.as_str())] {
        let thief = stage.a_user().await;
        let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
        let asked = releaser.ask(&alice, &incident).await;
        let change = [("UserName", thief.name.as_str()), ("PolicyArn", policy)];
        stage.root.query("iam", operation, &change).await.unwrap();
        let answer = releaser.approve(&bob, &incident, &asked.text("digest")).await;
        refused(&answer, 409, policy);
        assert!(answer.body["differences"][0]["found"].is_string(), "{}", answer.body);
        assert_eq!(kinds(&records(&stage, &incident).await), ["decision", "decision"], "refused on record, nothing approved");
        // And before asking.
        assert!(!thief.works().await);
    }
    // A leaked key that somebody made active again; another boundary.
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let active = [("UserName", thief.name.as_str()), ("AccessKeyId", &thief.key), ("Status", "Active")];
    stage.root.query("iam", "UpdateAccessKey", &active).await.unwrap();
    refused(&releaser.ask(&alice, &incident).await, 409, "left as inactive, found as active");
    let inactive = [active[0], active[1], ("Status", "Inactive")];
    stage.root.query("iam", "UpdateAccessKey", &inactive).await.unwrap();
    let boundary = [("UserName", thief.name.as_str()), ("PermissionsBoundary", read)];
    stage.root.query("iam", "PutUserPermissionsBoundary", &boundary).await.unwrap();
    refused(&releaser.ask(&alice, &incident).await, 409, "the permissions boundary: left as none");

    // A role's document that somebody edited.
    let role = stage.a_role().await;
    let mallory = stage.a_session(&role, "mallory").await;
    let incident = revoked(&stage, &session_finding(&stage, &mallory)).await;
    let mut document = stage.denies(&role).await.unwrap();
    document["Statement"][0]["Condition"]["StringEquals"]["aws:userid"] = json!("AROAEXAMPLEROLEID1234:nobody");
    let document = document.to_string();
    let edit = [("RoleName", role.as_str()), ("PolicyName", DENIES), ("PolicyDocument", document.as_str())];
    stage.root.query("iam", "PutRolePolicy", &edit).await.unwrap();
    refused(&releaser.ask(&alice, &incident).await, 409, "found as AROAEXAMPLEROLEID1234:nobody");

    // No drift, and yet not what was asked for: a new key turned up. The approver has not seen it.
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let asked = releaser.ask(&alice, &incident).await;
    let new = stage.another_key(&thief.name).await;
    let answer = releaser.approve(&bob, &incident, &asked.text("digest")).await;
    refused(&answer, 409, "not what was asked for any more");
    assert!(answer.body["changed"].as_array().unwrap().contains(&json!("before")), "{}", answer.body);
    refused(&releaser.approve(&bob, &incident, &"0".repeat(64)).await, 409, "the digest is not that of the open request");
    assert!(!new.works().await);
    // Taken back, and asked again: now it is seen.
    assert_eq!(releaser.deny(&alice, &incident).await.text("state"), "Denied");
    let asked = releaser.ask(&alice, &incident).await;
    assert_eq!((asked.status, asked.text("text").contains(&new.key)), (201, true), "{}", asked.body);
    assert_eq!(releaser.approve(&bob, &incident, &asked.text("digest")).await.text("state"), "Released");
    assert!(new.works().await);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_has_run_out_or_was_denied_is_not_approved() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let (alice, bob, carol) = (stage.a_person("alice").await, stage.an_approver("bob").await, stage.an_approver("carol").await);
    let short = stage.releaser_with(&[("CORDON_RELEASE_SECONDS", "1")], Wire::good());
    let first = short.ask(&alice, &incident).await.text("digest");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    refused(&short.approve(&bob, &incident, &first).await, 410, "ran out");
    assert_eq!(short.show(&alice, &incident).await.text("state"), "Expired");
    let releaser = stage.releaser();
    let second = releaser.ask(&alice, &incident).await;
    assert_eq!(second.status, 201, "{}", second.body);
    let digest = second.text("digest");
    let denied = releaser.deny(&bob, &incident).await;
    assert_eq!((denied.status, denied.text("state")), (200, "Denied".to_owned()), "{}", denied.body);
    refused(&releaser.approve(&carol, &incident, &digest).await, 409, "has denied it already");
    // Not even if the table says that it is open: what counts is on record.
    stage.update_request(&incident, "REMOVE ended").await;
    refused(&releaser.approve(&carol, &incident, &digest).await, 409, "has denied it already");
    assert_eq!(releaser.deny(&carol, &incident).await.body, denied.body, "a repeat answers the same");
    assert!(!thief.works().await);
    for (incident, words) in [("inc-00000000000000000000", "no revocation of"), ("inc-1", "is not")] {
        let asked = releaser.ask(&alice, incident).await;
        assert!([400, 404].contains(&asked.status), "{}: {words}", asked.body);
    }
    refused(&releaser.show(&alice, "inc-00000000000000000000").await, 404, "nobody has asked");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn of_any_number_that_race_one_verdict_counts() {
    let stage = Stage::open();
    let names = ["bob", "carol", "dave"];
    let approvers = join_all(names.map(|name| stage.an_approver(name))).await;
    let alice = stage.a_person("alice").await;
    for _ in 0..3 {
        let thief = stage.a_user().await;
        let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
        let new = stage.another_key(&thief.name).await;
        let sandboxes = [stage.releaser(), stage.releaser(), stage.releaser(), stage.releaser()];
        // The same wish at once is one request.
        let asked = join_all(sandboxes.iter().map(|sandbox| sandbox.ask(&alice, &incident))).await;
        let digests: BTreeSet<_> = asked.iter().map(|asked| asked.text("digest")).collect();
        let requests: BTreeSet<_> = asked.iter().map(|asked| text(&asked.body["records"][0])).collect();
        assert_eq!((digests.len(), requests.len()), (1, 1), "{asked:?}");
        let digest = digests.first().unwrap();
        // Two approve, one denies, and who asked takes it back.
        let (one, two, three, four) = tokio::join!(
            sandboxes[0].approve(&approvers[0], &incident, digest),
            sandboxes[1].approve(&approvers[1], &incident, digest),
            sandboxes[2].deny(&approvers[2], &incident),
            sandboxes[3].deny(&alice, &incident),
        );
        let verdicts: Vec<_> =
            records(&stage, &incident).await.into_iter().filter(|filed| filed.body()["word"].is_string()).collect();
        assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        let approved = verdicts[0].body()["word"] == "approved";
        assert_eq!(new.works().await, approved, "{:?}", [one, two, three, four]);
        let outcomes = records(&stage, &incident).await.iter().filter(|filed| filed.kind() == "outcome").count();
        assert_eq!(outcomes, usize::from(approved));
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn without_evidence_table_or_a_vouched_key_nothing_is_lifted() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let new = stage.another_key(&thief.name).await;
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let digest = stage.releaser().ask(&alice, &incident).await.text("digest");
    let lifts = |wire: &Wire| wire.sent().iter().any(|asked| asked.operation == "DetachUserPolicy");

    let store = Wire::with(|asked| if asked.service == "s3" { s3_error(503, "SlowDown") } else { Fate::Pass });
    // Reads go on: the approval and the intent cannot be written.
    let writes =
        Wire::with(|asked| if asked.service == "s3" && asked.operation == "PUT" { s3_error(503, "SlowDown") } else { Fate::Pass });
    let table = Wire::with(|asked| if asked.service == "dynamodb" { json_error(500, "InternalServerError") } else { Fate::Pass });
    let kms = Wire::with(|asked| if asked.service == "kms" { json_error(400, "KMSInternalException") } else { Fate::Pass });
    for wire in [store, writes, table, kms] {
        let sandbox = stage.releaser_with(&[], wire);
        let answer = sandbox.approve(&bob, &incident, &digest).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.text("detail").contains("try again"), "{}", answer.body);
        assert!(!lifts(&sandbox.wire) && !new.works().await, "{}", answer.body);
    }
    // A process that our own key does not vouch for.
    let other = text(&stage.stack["other_function"]["signing_key_arn"]);
    let forged = stage.releaser_with(&[("CORDON_SIGNING_KEY", &other)], Wire::good());
    assert!(forged.approve(&bob, &incident, &digest).await.status >= 409);
    assert!(!new.works().await);
    // All is back: the same approval goes through.
    let answer = stage.releaser().approve(&bob, &incident, &digest).await;
    assert_eq!(answer.text("state"), "Released", "{}", answer.body);
    assert!(new.works().await);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_anywhere_the_same_approval_finishes_with_one_intent() {
    let stage = Stage::open();
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let puts = (0..3).flat_map(|nth| [("PUT", nth, Fate::Hang), ("PUT", nth, Fate::Deaf)]);
    let others = [("DetachUserPolicy", 0, Fate::Hang), ("DetachUserPolicy", 0, Fate::Deaf), ("UpdateItem", 0, Fate::Deaf)];
    for (operation, which, effect) in puts.chain(others) {
        let thief = stage.a_user().await;
        let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
        let new = stage.another_key(&thief.name).await;
        let digest = stage.releaser().ask(&alice, &incident).await.text("digest");
        let (fate, seen) = (effect.clone(), std::sync::atomic::AtomicUsize::new(0));
        let dying = stage.releaser_with(
            &[],
            Wire::with(move |asked| {
                let one = asked.operation == operation && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == which;
                if one { fate.clone() } else { Fate::Pass }
            }),
        );
        assert!(dying.approve_until_hung(&bob, &incident, &digest).await.is_none(), "{operation} {which}");
        stage.let_the_principals_lease_run_out("user", &thief.name).await;
        let answer = stage.releaser().approve(&bob, &incident, &digest).await;
        assert_eq!(answer.text("state"), "Released", "{operation} {which} {effect:?}: {}", answer.body);
        assert!(new.works().await && !thief.works().await);
        let row = stage.principal_row("user", &thief.name).await;
        assert!(row.get(format!("holder#{incident}")).is_none(), "{operation} {which} {effect:?}: {row}");
        let records = records(&stage, &incident).await;
        assert_eq!(kinds(&records), ["decision", "decision", "intent", "outcome"], "{operation} {which} {effect:?}");
        let report = stage.verify(&incident.parse().unwrap()).await;
        assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]), "{operation} {which} {effect:?}");
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_iam_refuses_is_told_and_the_hold_stays() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let denied = stage.releaser_with(
        &[],
        Wire::with(|asked| if asked.operation == "DetachUserPolicy" { iam_error(403, "AccessDenied") } else { Fate::Pass }),
    );
    let digest = denied.ask(&alice, &incident).await.text("digest");
    let answer = denied.approve(&bob, &incident, &digest).await;
    assert_eq!((answer.status, answer.text("state")), (200, "NotReleased".to_owned()), "{}", answer.body);
    let row = stage.principal_row("user", &thief.name).await;
    assert!(row.get(format!("holder#{incident}")).is_some(), "{row}");
    // What has an outcome is not run again; it is asked for again.
    assert_eq!(stage.releaser().approve(&bob, &incident, &digest).await.text("state"), "NotReleased");
    let again = stage.releaser().ask(&alice, &incident).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert_eq!(stage.releaser().approve(&bob, &incident, &again.text("digest")).await.text("state"), "Released");
}

/// Least privilege, both ways, as for the other functions.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn every_action_that_the_release_role_may_is_used_and_it_may_no_other() {
    let stage = Stage::open();
    let allowed = allowed_actions(&stage.stack["release"]["role_policies"]);

    let mut used: BTreeSet<String> = ["logs:CreateLogStream", "logs:PutLogEvents"].map(str::to_owned).into();
    let (alice, bob) = (stage.a_person("alice").await, stage.an_approver("bob").await);
    let releaser = stage.releaser();
    let role = stage.a_role().await;
    let (mallory, eve) = (stage.a_session(&role, "mallory").await, stage.a_session(&role, "eve").await);
    let mut incidents =
        vec![revoked(&stage, &session_finding(&stage, &mallory)).await, revoked(&stage, &session_finding(&stage, &eve)).await];
    incidents.push(revoked(&stage, &key_finding(&stage, &stage.a_user().await)).await);
    for boundary in [None, Some("arn:aws:iam::aws:policy/ReadOnlyAccess")] {
        let user = stage.a_user().await;
        if let Some(boundary) = boundary {
            let asked = [("UserName", user.name.as_str()), ("PermissionsBoundary", boundary)];
            stage.root.query("iam", "PutUserPermissionsBoundary", &asked).await.unwrap();
        }
        let full = stage.revoker_with(
            &[],
            Wire::with(|asked| if asked.operation == "AttachUserPolicy" { iam_error(409, "LimitExceeded") } else { Fate::Pass }),
        );
        let answer = Box::pin(full.deliver(&key_finding(&stage, &user))).await.unwrap();
        incidents.push(answer.credentials[0].incident.as_ref().unwrap().to_string());
    }
    for incident in &incidents {
        let asked = releaser.ask(&alice, incident).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        assert_eq!(releaser.approve(&bob, incident, &asked.text("digest")).await.text("state"), "Released");
    }
    used.extend(releaser.wire.sent().iter().map(Asked::action));
    assert_eq!(used, allowed);
}

/// A thief of the release function's credentials tries to climb, or to lift more than the deny.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_release_role_cannot_climb() {
    let stage = Stage::open();
    let thief = stage.release_role();
    let user = stage.a_user().await;
    let (name, deny) = (user.name.as_str(), stage.output("DenyPolicyArn"));
    let read = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    for (operation, what) in [("AttachUserPolicy", "PolicyArn"), ("PutUserPermissionsBoundary", "PermissionsBoundary")] {
        stage.root.query("iam", operation, &[("UserName", name), (what, read)]).await.unwrap();
    }
    let all = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string();
    let own = ["RoleName", "RevokeRoleName", "SealRoleName", "ReleaseRoleName"].map(|output| stage.output(output));
    let mut attempts = Vec::new();
    for role in own.iter().map(String::as_str).chain(["cordon-break-glass"]) {
        let asked = vec![("RoleName", role), ("PolicyName", DENIES), ("PolicyDocument", all.as_str())];
        attempts.push((format!("write on {role}"), "PutRolePolicy", asked));
        attempts.push((format!("delete on {role}"), "DeleteRolePolicy", vec![("RoleName", role), ("PolicyName", "record")]));
    }
    let (key, state) = (user.key.as_str(), "Active");
    for (attempt, operation, parameters) in [
        ("detach another policy", "DetachUserPolicy", vec![("UserName", name), ("PolicyArn", read)]),
        ("take another boundary off", "DeleteUserPermissionsBoundary", vec![("UserName", name)]),
        ("attach", "AttachUserPolicy", vec![("UserName", name), ("PolicyArn", read)]),
        ("revive a key", "UpdateAccessKey", vec![("UserName", name), ("AccessKeyId", key), ("Status", state)]),
        ("make a key", "CreateAccessKey", vec![("UserName", name)]),
        ("write on a user", "PutUserPolicy", vec![("UserName", name), ("PolicyName", "x"), ("PolicyDocument", all.as_str())]),
        ("attach to a role", "AttachRolePolicy", vec![("RoleName", own[0].as_str()), ("PolicyArn", read)]),
        ("change who may assume", "UpdateAssumeRolePolicy", vec![("RoleName", own[1].as_str()), ("PolicyDocument", all.as_str())]),
        ("change the deny", "CreatePolicyVersion", vec![("PolicyArn", deny.as_str()), ("PolicyDocument", all.as_str())]),
    ] {
        attempts.push((attempt.to_owned(), operation, parameters));
    }
    for (attempt, operation, parameters) in attempts {
        match thief.query("iam", operation, &parameters).await {
            Ok(answer) => panic!("{attempt} was allowed: {answer}"),
            Err(refusal) => assert!(refusal.is_denial(), "{attempt}: {} {}", refusal.code, refusal.body),
        }
    }
    let table = stage.output("Table");
    for key in ["hold#ec2:instance:x", "incident#inc-1", "sealed#x"] {
        let row = json!({
            "TableName": table, "Key": { "pk": { "S": key } },
            "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": { ":a": { "S": "x" } },
        });
        let came = thief.json("dynamodb", "DynamoDB_20120810.UpdateItem", &row).await;
        assert!(came.is_err_and(|refusal| refusal.is_denial()), "{key}");
    }
    let path = format!("/{}/rec/revoke/2026/11/23/20/18/x.1-intent.json", stage.output("EvidenceBucket"));
    let came = thief.send("s3", "PUT", &path, &[("if-none-match", "*")], b"forged".to_vec()).await;
    assert!(came.is_err_and(|refusal| refusal.is_denial()));
    let sign = json!({ "KeyId": stage.output("RevokeSigningKeyArn"), "Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256" });
    let came = thief.json("kms", "TrentService.Sign", &sign).await;
    assert!(came.is_err_and(|refusal| refusal.is_denial()));
}

/// The function as deployed, through its API: IAM lets in whom it should, and says who they are.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn through_the_api_iam_says_who_calls() {
    let stage = Stage::open();
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let new = stage.another_key(&thief.name).await;
    let (alice, bob) = (stage.an_approver("alice").await, stage.an_approver("bob").await);
    let base = format!("/_aws/execute-api/{}/$default", stage.output("ReleaseApiId"));
    let headers = [("content-type", "application/json")];
    let send = async |who: &crate::stage::Caller, method: &str, path: &str, body: &Value| {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let came = who.send("execute-api", method, &format!("{base}{path}"), &headers, bytes).await;
        came.map(|answer| serde_json::from_str::<Value>(&answer).unwrap())
    };
    let wish = json!({ "incident": incident, "reason": "the key was a decoy", "early": true });
    // Without the right to call it, the function is not even asked.
    let stranger = stage.a_role().await;
    stage.root.query("iam", "DeleteRolePolicy", &[("RoleName", &stranger), ("PolicyName", "all")]).await.unwrap();
    let stranger = stage.a_session(&stranger, "eve").await;
    assert_eq!(send(&stranger.caller, "POST", "/releases", &wish).await.unwrap_err().status, 403);

    let asked = send(&alice.caller, "POST", "/releases", &wish).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(asked["asked_by"]["name"], "alice", "{asked}");
    let approval = format!("/releases/{incident}/approval");
    let digest = json!({ "digest": asked["digest"] });
    let own = send(&alice.caller, "POST", &approval, &digest).await.unwrap_err();
    assert!(own.status == 403 && own.body.contains("nobody-approves-their-own"), "{own:?}");
    assert!(!new.works().await);
    let shown = send(&bob.caller, "GET", &format!("/releases/{incident}"), &Value::Null).await.unwrap();
    assert_eq!(shown["digest"], asked["digest"]);
    let released = send(&bob.caller, "POST", &approval, &digest).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(released["state"], "Released", "{released}");
    assert!(new.works().await && !thief.works().await);
    assert_eq!(send(&bob.caller, "POST", &approval, &json!({ "digest": 1 })).await.unwrap_err().status, 400);
    assert_eq!(send(&bob.caller, "GET", "/releases/inc-1", &Value::Null).await.unwrap_err().status, 404);
}

/// Nobody is given the right to invoke the function past its API; who has it all the same can make up an event, of this API only.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn past_its_api_only_an_event_of_this_api_is_believed() {
    let stage = Stage::open();
    let policy = stage
        .root
        .send("lambda", "GET", &format!("/2015-03-31/functions/{}/policy", stage.output("ReleaseFunctionName")), &[], vec![])
        .await
        .unwrap();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    let policy: Value = serde_json::from_str(&text(&policy["Policy"])).unwrap();
    let [statement] = policy["Statement"].as_array().unwrap().as_slice() else { panic!("{policy}") };
    assert_eq!(statement["Principal"]["Service"], "apigateway.amazonaws.com", "{statement}");
    assert!(statement.to_string().contains(&stage.output("ReleaseApiId")), "{statement}");
    for role in [stage.release_role(), stage.revoke_role(), stage.role()] {
        let path = format!("/2015-03-31/functions/{}/invocations", stage.output("ReleaseFunctionName"));
        let came = role.send("lambda", "POST", &path, &[], b"{}".to_vec()).await;
        assert!(came.is_err_and(|refusal| refusal.is_denial()));
    }
    let releaser = stage.releaser();
    let bob = stage.an_approver("bob").await;
    let mut event = releaser.event(&bob, "GET", "/releases/inc-00000000000000000000", &Value::Null);
    event["requestContext"]["apiId"] = json!("another");
    refused(&releaser.deliver(&event).await, 400, "own API");
    event["requestContext"].as_object_mut().unwrap().remove("authorizer");
    event["requestContext"]["apiId"] = json!(stage.output("ReleaseApiId"));
    refused(&releaser.deliver(&event).await, 401, "not signed");
    // A role that only calls itself Identity Center's is asked about, whoever says so.
    let impostor = stage.an_impostor("bob").await;
    let thief = stage.a_user().await;
    let incident = revoked(&stage, &key_finding(&stage, &thief)).await;
    let asked = releaser.ask(&impostor, &incident).await;
    assert_eq!(asked.body["asked_by"]["kind"], "role", "{}", asked.body);
}
