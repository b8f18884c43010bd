//! Just-in-time access on the local AWS with IAM enforced: nothing without a quorum on record, minutes sealed to whoever asked, and an end that ends.

use std::collections::BTreeSet;
use std::time::Duration;

use evidence::{Kind, Standing};
use futures_util::future::join_all;
use mint::Outcome;
use serde_json::{Value, json};

use crate::privilege::allowed_actions;
use crate::stage::{Answered, Asking, Fate, Filed, Stage, Wire, eventually, s3_error, session_finding_of, unique};

#[track_caller]
fn refused(answer: &Answered, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.text("detail").contains(words), "{}", answer.body);
}

/// Runs a test that has whole functions in its own process: unoptimised, with policies evaluated at the bottom of their futures, they take more stack
/// than a test thread has.
fn roomy<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let run = move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Tries until nobody else is at work on the same role: tests share the few that there are.
async fn in_turn<T: std::fmt::Debug>(run: impl AsyncFn() -> Result<T, responder::Transient>) -> T {
    let started = std::time::Instant::now();
    loop {
        match run().await {
            Ok(done) => return done,
            Err(transient) => assert!(started.elapsed() < Duration::from_secs(90), "{transient:?}"),
        }
    }
}

/// A grant that two people have approved, whose credentials were fetched.
async fn approved(stage: &Stage, who: &crate::stage::Colleague) -> Asking {
    let asking = stage.asks(who, "prod-read").await;
    for name in ["bob", "carol"] {
        let approver = stage.a_person_of("Security", name).await;
        assert_eq!(stage.approves(&approver, &asking).await.status, 200);
    }
    asking
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn two_approvals_give_narrow_minutes_and_a_revocation_ends_them_and_nobody_elses() {
    let stage = Stage::open();
    let (alice, dave) = (stage.a_person_of("Developer", "alice").await, stage.a_person_of("Developer", "dave").await);
    let (bob, carol) = (stage.a_person_of("Security", "bob").await, stage.a_person_of("Security", "carol").await);
    let bucket = format!("prod-orders-{}", stage.account());
    let _there_already = stage.root.send("s3", "PUT", &format!("/{bucket}"), &[], Vec::new()).await;

    let asking = stage.asks(&alice, "prod-read").await;
    assert_eq!((asking.body["state"].as_str(), asking.body["needed"].as_u64()), (Some("requested"), Some(2)), "{}", asking.body);
    assert_eq!(asking.body["approvers"], json!(["Security"]));
    // What an approver sees is what the server derived; anyone can compute its digest.
    let terms: grant::Terms = serde_json::from_value(asking.body["terms"].clone()).unwrap();
    assert_eq!(terms.digest().to_string(), asking.digest);
    assert_eq!(terms.session_policy, ids::Sha256::of(asking.body["session_policy"].to_string().as_bytes()));
    assert_eq!(terms.role.as_str(), stage.stack["targets"]["prod-read"].as_str().unwrap());

    refused(&stage.fetches(&alice, &asking).await, 409, "there are no credentials yet");
    let first = stage.approves(&bob, &asking).await;
    assert_eq!((first.status, first.text("state")), (200, "requested".to_owned()), "{}", first.body);
    let again = stage.approves(&bob, &asking).await;
    assert_eq!(again.text("state"), "requested", "the same approver twice is one: {}", again.body);
    let second = stage.approves(&carol, &asking).await;
    assert!(["approved", "active"].contains(&second.text("state").as_str()), "{}", second.body);

    let session = stage.opens(&alice, &asking, 1).await;
    assert!(session.works().await);
    let listed = session.caller.send("s3", "GET", &format!("/{bucket}?list-type=2"), &[], Vec::new()).await;
    assert!(listed.is_ok(), "{listed:?}");
    // The role may do everything that its boundary lets it: the session policy does not.
    assert!(session.caller.query("iam", "ListUsers", &[]).await.unwrap_err().is_denial());
    let chained = [("RoleArn", terms.role.as_str()), ("RoleSessionName", "on")];
    assert!(
        session.caller.query("sts", "AssumeRole", &chained).await.unwrap_err().is_denial(),
        "nothing outlives its end by chaining"
    );

    // Another's session of the same role.
    let other = approved(&stage, &dave).await;
    let others = stage.opens(&dave, &other, 1).await;
    assert!(others.works().await);

    let ended = stage.ends(&bob, &asking).await;
    assert_eq!((ended.status, ended.text("state")), (200, "ended".to_owned()), "{}", ended.body);
    let shown = stage.refused_at(&bob, &asking).await;
    assert!(!session.works().await && others.works().await, "{shown}");
    refused(&stage.fetches(&alice, &asking).await, 409, "ended");
    assert_eq!(shown["ended"]["how"]["kind"], "revoked");

    // Everything is on record: the request, two approvals, the session and its outcome, the end; each vouched for by its own function.
    let keys: Vec<&str> = shown["records"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let of = |prefix: &str| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((of("rec/access/"), of("rec/mint/")), (4, 1), "{keys:?}");
    let minted = keys.iter().find(|key| key.starts_with("rec/mint/")).unwrap();
    let outcome = stage.record(&minted.replace("-intent", "-outcome")).await;
    assert_eq!(outcome.body()["state"], "Minted");
    assert!(outcome.body()["approved_to_usable"].as_i64().unwrap() > 0, "{}", outcome.predicate);
    let denied = closing_records(&stage, &asking).await;
    let milliseconds = denied.iter().find_map(|body| body["ended_to_refused"][&asking.id].as_i64());
    assert!(milliseconds.is_some_and(|milliseconds| milliseconds < 20_000), "{denied:?}");
}

/// What `reconcile` recorded of a role on which this grant ended.
async fn closing_records(stage: &Stage, asking: &Asking) -> Vec<Value> {
    eventually("the end's outcome", async || {
        let all = stage.all_records().await;
        let of = all.into_iter().filter(|filed| filed.key.starts_with("rec/reconcile/") && filed.kind() != Kind::Intent.as_str());
        let bodies: Vec<Value> =
            of.map(|filed| filed.body().clone()).filter(|body| body.to_string().contains(&asking.id)).collect();
        (!bodies.is_empty()).then_some(bodies)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn nobody_approves_their_own_by_whatever_way_they_come() {
    let stage = Stage::open();
    let alice = stage.a_person_of("Developer", "alice@example.com").await;
    let asking = stage.asks(&alice, "prod-read").await;
    // By another permission set, in capital letters, as a role that is called like an approver's, and through a role's session.
    for (who, words) in [
        (stage.a_person_of("Developer", "alice@example.com").await, "nobody-approves-their-own"),
        (stage.a_person_of("Security", "alice@example.com").await, "nobody-approves-their-own"),
        (stage.a_person_of("Security", "Alice@Example.com").await, "nobody-approves-their-own"),
        (stage.an_impostor_of("Security", "bob").await, "only-persons"),
        (stage.an_automation("bob").await, "only-persons"),
        (stage.an_automation("alice@example.com").await, "nobody-approves-as-a-namesake"),
        (stage.a_person_of("ReadOnly", "bob").await, "not-an-approver"),
    ] {
        refused(&stage.approves(&who, &asking).await, 403, words);
    }
    // Alice asks through the role that may: by herself she is no second person.
    let through = stage.a_session_of("ci", "alice@example.com").await;
    let deploy = stage.asks(&through, "prod-deploy").await;
    let own = stage.approves(&stage.a_person_of("Security", "alice@example.com").await, &deploy).await;
    refused(&own, 403, "nobody-approves-for-a-namesake");
    assert_eq!(stage.approves(&stage.a_person_of("Security", "bob").await, &deploy).await.status, 200);
    let shown = stage.shows(&alice, &asking).await;
    assert_eq!(
        (shown.text("state"), shown.body["approvals"].as_array().unwrap().len()),
        ("requested".to_owned(), 0),
        "{}",
        shown.body
    );
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_is_asked_for_is_bounded_by_its_own_entitlement_and_told_clearly() {
    let stage = Stage::open();
    let (alice, oncall) = (stage.a_person_of("Developer", &unique()).await, stage.a_person_of("OnCall", &unique()).await);
    let wish = |change: Value| {
        let (_, mut wish) = stage.wish("prod-read");
        wish.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        wish
    };
    for (who, change, status, words) in [
        (&alice, json!({ "seconds": 7201 }), 403, "too-long"),
        (&alice, json!({ "entitlement": "prod-deploy", "seconds": 7200, "ticket": "OPS-7" }), 403, "too-long"),
        (&alice, json!({ "seconds": 60 }), 403, "too-short"),
        (&alice, json!({ "entitlement": "prod-deploy" }), 403, "ticket-needed"),
        (&alice, json!({ "entitlement": "no-such" }), 404, "no entitlement"),
        (&oncall, json!({}), 403, "not-a-requester"),
        (&alice, json!({ "entitlement": "break-glass" }), 403, "not-a-requester"),
        (&alice, json!({ "role": "arn:aws:iam::123456789012:role/admin" }), 400, "not what is asked for"),
        (&alice, json!({ "reason": "\u{202e}harmless" }), 400, "not what is asked for"),
        (&alice, json!({ "reason": "a\u{0}b" }), 400, "not what is asked for"),
        (&alice, json!({ "recipient": "age1nobody" }), 400, "not what is asked for"),
    ] {
        refused(&stage.access(who, "POST", "/grants", &wish(change)).await, status, words);
    }
    // A replay is the same grant; the same key for something else is neither.
    let base = format!("/_aws/execute-api/{}/$default/grants", stage.output("AccessApiId"));
    let key = unique();
    let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
    let send = async |body: &Value| alice.caller.send("execute-api", "POST", &base, &headers, body.to_string().into_bytes()).await;
    let body = wish(json!({ "reason": "one: two\n\"three\" \\ four" }));
    let first: Value = serde_json::from_str(&send(&body).await.unwrap()).unwrap();
    let second: Value = serde_json::from_str(&send(&body).await.unwrap()).unwrap();
    assert_eq!((&first["grant"], &first["digest"]), (&second["grant"], &second["digest"]));
    assert_eq!(first["terms"]["reason"], "one: two\n\"three\" \\ four", "kept as it was typed");
    assert_eq!(send(&wish(json!({}))).await.unwrap_err().status, 409);
    refused(&stage.access(&alice, "GET", "/grants/gr-1", &Value::Null).await, 404, "a grant id");
    refused(&stage.access(&alice, "GET", "/grants/gr-0123456789abcdef0123", &Value::Null).await, 404, "there is no grant");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_forged_row_and_a_forged_event_open_nothing() {
    let stage = Stage::open();
    let alice = stage.a_person_of("Developer", &unique()).await;
    let asking = stage.asks(&alice, "prod-read").await;
    // The event names a grant, and nobody believes more of it.
    let minted = stage.invokes("Mint", &json!({ "grant": asking.id })).await;
    assert_eq!((minted["outcome"].as_str(), minted["reason"].as_str()), (Some("Refused"), Some("it is not approved")), "{minted}");
    let nonsense = stage.invokes("Mint", &json!({ "grant": asking.id, "approved": true, "by": ["bob", "carol"] })).await;
    assert_eq!(nonsense["outcome"], "Refused", "{nonsense}");
    // Whoever can write the table says that two have approved.
    stage
        .forge_row(&asking.id, |grant| {
            grant["revision"] = json!(7);
            grant["state"] = json!({ "state": "approved", "by": ["person/bob", "person/carol"], "at": calls::now(), "mint_by": "2099-01-01T00:00:00.000Z" });
        })
        .await;
    let minted = stage.invokes("Mint", &json!({ "grant": asking.id })).await;
    assert_eq!(minted["outcome"], "Refused", "{minted}");
    // Or that it is active.
    stage
        .forge_row(&asking.id, |grant| {
            grant["revision"] = json!(8);
            grant["sessions"] = json!(1);
            grant["state"] = json!({ "state": "active", "since": calls::now(), "ends": "2099-01-01T00:00:00.000Z" });
        })
        .await;
    let minted = stage.invokes("Mint", &json!({ "grant": asking.id })).await;
    assert_eq!(minted["outcome"], "NeedsHuman", "{minted}");
    assert!(stage.grant_row(&asking.id).await["sealed"].is_null());

    // One that was approved, for somebody else's key: neither the approvals nor the request fit any more.
    let bob = stage.a_person_of("Security", "bob").await;
    let other = stage.asks(&alice, "prod-read").await;
    assert_eq!(stage.approves(&bob, &other).await.status, 200);
    let mallory = age::x25519::Identity::generate().to_public().to_string();
    stage.forge_row(&other.id, |grant| grant["terms"]["recipient"] = json!(mallory)).await;
    let carol = stage.a_person_of("Security", "carol").await;
    refused(&stage.approves(&carol, &other).await, 409, "not the digest");
    let shown = stage.shows(&carol, &other).await;
    let forged = json!({ "digest": shown.text("digest") });
    let approval = stage.access(&carol, "POST", &format!("/grants/{}/approval", other.id), &forged).await;
    refused(&approval, 409, "something else than the record");
    assert_eq!(stage.invokes("Mint", &json!({ "grant": other.id })).await["outcome"], "Refused");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn of_an_approval_and_a_denial_at_once_one_wins_and_what_is_denied_never_lives() {
    let stage = Stage::open();
    let (alice, bob, carol) = (
        stage.a_person_of("Developer", &unique()).await,
        stage.a_person_of("Security", "bob").await,
        stage.a_person_of("Security", "carol").await,
    );
    for _ in 0..3 {
        let asking = stage.asks(&alice, "prod-read").await;
        stage.approves(&bob, &asking).await;
        let (approved, denied) = tokio::join!(stage.approves(&carol, &asking), stage.denies_grant(&bob, &asking));
        let shown = stage.shows(&alice, &asking).await;
        let denials = [denied.status == 200, shown.text("state") == "denied"];
        assert!(denials == [true, true] || denied.status == 409, "{} {}", denied.body, shown.body);
        if denied.status == 200 {
            // Set back to what it was, it is still denied.
            stage
                .forge_row(&asking.id, |grant| {
                    grant["revision"] = json!(grant["revision"].as_u64().unwrap() + 1);
                    grant["state"] = json!({ "state": "approved", "by": ["person/bob", "person/carol"], "at": calls::now(), "mint_by": "2099-01-01T00:00:00.000Z" });
                })
                .await;
            let minted = stage.invokes("Mint", &json!({ "grant": asking.id })).await;
            assert!(
                minted["outcome"] == "Refused" && minted["reason"].as_str().unwrap().contains("denied"),
                "{minted} {}",
                approved.body
            );
            assert!(stage.grant_row(&asking.id).await["sealed"].is_null());
        } else {
            stage.ends(&alice, &asking).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn credentials_go_to_their_requester_and_to_nobody_else_and_end_with_their_return() {
    let stage = Stage::open();
    let alice = stage.a_person_of("Developer", &unique()).await;
    let asking = approved(&stage, &alice).await;
    let session = stage.opens(&alice, &asking, 1).await;
    let eve = stage.a_person_of("Developer", &unique()).await;
    refused(&stage.fetches(&eve, &asking).await, 403, "only-for-oneself");
    refused(&stage.fetches(&stage.a_person_of("Security", "bob").await, &asking).await, 403, "only-for-oneself");
    refused(&stage.shows(&eve, &asking).await, 403, "no-rule");
    refused(&stage.ends(&eve, &asking).await, 403, "not-an-approver");

    // Another session under the live grant: the first one goes on.
    // A session with more than ten minutes left is not replaced; what the row says of that is a hint.
    let renewal = format!("/grants/{}/renewal", asking.id);
    refused(&stage.access(&alice, "POST", &renewal, &json!({})).await, 409, "it can be renewed in its last ten minutes");
    stage.let_the_session_near_its_end(&asking.id).await;
    let renewed = stage.access(&alice, "POST", &format!("/grants/{}/renewal", asking.id), &json!({})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let second = stage.opens(&alice, &asking, 2).await;
    assert!(second.works().await && session.works().await && second.serial == 2);
    refused(&stage.access(&eve, "POST", &format!("/grants/{}/renewal", asking.id), &json!({})).await, 403, "only-for-oneself");

    let returned = stage.ends(&alice, &asking).await;
    assert_eq!(returned.body["ended"]["how"]["kind"], "returned", "{}", returned.body);
    stage.refused_at(&alice, &asking).await;
    assert!(!session.works().await && !second.works().await, "both of its sessions");
    refused(&stage.fetches(&alice, &asking).await, 409, "ended");
    refused(&stage.access(&alice, "POST", &format!("/grants/{}/renewal", asking.id), &json!({})).await, 409, "ended");
    // The secrets are nowhere but where they were opened: not in the table, not in a record, not in a log line.
    let table =
        stage.root.json("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": stage.output("GrantsTable") })).await.unwrap();
    let records: String = stage.all_records().await.iter().map(|filed| filed.predicate.to_string()).collect();
    let mut logs = String::new();
    for group in ["AccessLogGroup", "MintLogGroup", "ReconcileLogGroup"] {
        let asked = json!({ "logGroupName": stage.output(group) });
        logs += &stage
            .root
            .json("logs", "Logs_20140328.FilterLogEvents", &asked)
            .await
            .map(|events| events.to_string())
            .unwrap_or_default();
    }
    for (place, text) in [("the table", table.to_string()), ("records", records), ("logs", logs)] {
        for secret in [&session.secret, &session.token, &second.secret, &second.token] {
            assert!(!text.contains(secret.as_str()), "a secret is in {place}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn break_glass_is_at_once_and_loud_and_its_user_waits_for_the_review() {
    let stage = Stage::open();
    let oncall = stage.a_person_of("OnCall", &unique()).await;
    let asking = stage.asks(&oncall, "break-glass").await;
    let session = stage.opens(&oncall, &asking, 1).await;
    assert!(session.works().await);
    let shown = stage.shows(&oncall, &asking).await;
    assert_eq!((shown.text("state"), shown.body["review"]["kind"].as_str()), ("active".to_owned(), Some("due")), "{}", shown.body);
    let (_, wish) = stage.wish("break-glass");
    refused(&stage.access(&oncall, "POST", "/grants", &wish).await, 409, &asking.id);
    stage.ends(&oncall, &asking).await;
    refused(&stage.access(&oncall, "POST", "/grants", &wish).await, 409, &asking.id);

    let review = format!("/grants/{}/review", asking.id);
    let note = json!({ "note": "right: the queue was full" });
    refused(&stage.access(&oncall, "POST", &review, &note).await, 403, "nobody-approves-their-own");
    let bob = stage.a_person_of("Security", "bob").await;
    let reviewed = stage.access(&bob, "POST", &review, &note).await;
    assert_eq!((reviewed.status, reviewed.body["review"]["kind"].as_str()), (200, Some("done")), "{}", reviewed.body);
    assert_eq!(stage.access(&oncall, "POST", "/grants", &wish).await.status, 200);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn two_ends_at_once_on_one_role_lose_nothing() {
    let stage = Stage::open();
    let people = join_all((0..4).map(async |_| stage.a_person_of("Developer", &unique()).await)).await;
    let grants = join_all(people.iter().map(async |who| approved(&stage, who).await)).await;
    let sessions = join_all(people.iter().zip(&grants).map(async |(who, asking)| stage.opens(who, asking, 1).await)).await;
    assert!(join_all(sessions.iter().map(async |session| session.works().await)).await.iter().all(|works| *works));
    let ended = join_all(people.iter().zip(&grants).take(3).map(async |(who, asking)| stage.ends(who, asking).await)).await;
    assert!(ended.iter().all(|answer| answer.text("state") == "ended"), "{ended:?}");
    for (who, asking) in people.iter().zip(&grants).take(3) {
        stage.refused_at(who, asking).await;
    }
    let works = join_all(sessions.iter().map(async |session| session.works().await)).await;
    assert_eq!(works, [false, false, false, true]);
    stage.ends(&people[3], &grants[3]).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_finding_about_a_session_ends_its_grant_and_one_about_a_person_bars_them() {
    let stage = Stage::open();
    let (name, other) = (unique(), unique());
    let (alice, dave) = (stage.a_person_of("Developer", &name).await, stage.a_person_of("Developer", &other).await);
    let (of_alice, of_dave) = (approved(&stage, &alice).await, approved(&stage, &dave).await);
    let (session, others) = (stage.opens(&alice, &of_alice, 1).await, stage.opens(&dave, &of_dave, 1).await);
    // GuardDuty names the role and the session, and the session's name names the grant.
    let source = format!("{name}+{}", of_alice.id.trim_start_matches("gr-"));
    let finding = session_finding_of(&stage, ("prod-read", "AROAEXAMPLEROLEID123"), &source);
    let told = stage.invokes("Reconcile", &finding).await;
    assert_eq!(told["ended"], json!([of_alice.id]), "{told}");
    stage.refused_at(&alice, &of_alice).await;
    assert!(!session.works().await && others.works().await);

    // About the person: all that they have, and nothing new for a day.
    let finding = session_finding_of(&stage, (&dave.role, &dave.role_id), &other);
    let told = stage.invokes("Reconcile", &finding).await;
    assert_eq!(told["ended"], json!([of_dave.id]), "{told}");
    stage.refused_at(&dave, &of_dave).await;
    assert!(!others.works().await);
    let (_, wish) = stage.wish("prod-read");
    refused(&stage.access(&dave, "POST", "/grants", &wish).await, 403, "barred-opens-nothing");
    // A role's session may be called like anybody: that bars nobody.
    let third = unique();
    let innocent = stage.a_person_of("Developer", &third).await;
    let like = stage.an_impostor_of("Developer", &third).await;
    for (role, id) in [("automation", "AROAEXAMPLEROLEID123"), (like.role.as_str(), like.role_id.as_str())] {
        stage.invokes("Reconcile", &session_finding_of(&stage, (role, id), &third)).await;
    }
    stage.asks(&innocent, "prod-read").await;
}

#[test]
#[ignore = "needs the local AWS"]
fn without_evidence_nothing_is_minted_and_an_end_ends_all_the_same() {
    roomy(|| async {
        let stage = Stage::open();
        let alice = stage.a_person_of("Developer", &unique()).await;
        let (bob, carol) = (stage.a_person_of("Security", "bob").await, stage.a_person_of("Security", "carol").await);
        let down = || {
            Wire::with(
                |asked| if asked.service == "s3" && asked.operation == "PUT" { s3_error(503, "SlowDown") } else { Fate::Pass },
            )
        };
        let (identity, wish) = stage.wish("prod-read");
        assert_eq!(stage.accesses(&alice, ("POST", "/grants"), &wish, down()).await.status, 503);
        let asking = stage.asking(identity, stage.accesses(&alice, ("POST", "/grants"), &wish, Wire::good()).await);
        let approval = format!("/grants/{}/approval", asking.id);
        let digest = json!({ "digest": asking.digest });
        assert_eq!(stage.accesses(&bob, ("POST", &approval), &digest, down()).await.status, 503);
        for who in [&bob, &carol] {
            assert_eq!(stage.accesses(who, ("POST", &approval), &digest, Wire::good()).await.status, 200);
        }
        let wire = down();
        assert!(stage.mints(&asking.id, wire.clone()).await.is_err());
        assert!(wire.sent().iter().all(|asked| asked.service != "sts"), "no evidence, no access");
        let minted = in_turn(async || stage.mints(&asking.id, Wire::good()).await).await;
        assert_eq!((minted.outcome, minted.serial), (Outcome::Minted, Some(1)), "{minted:?}");
        let session = stage.opens(&alice, &asking, 1).await;

        let end = format!("/grants/{}/end", asking.id);
        let ended = stage.accesses(&alice, ("POST", &end), &json!({}), down()).await;
        assert_eq!((ended.status, ended.text("state")), (200, "ended".to_owned()), "{}", ended.body);
        let told = in_turn(async || {
            stage.reconciles(&json!({ "grant": asking.id }), &[("CORDON_EVIDENCE_DEADLINE_MS", "200")], down()).await
        })
        .await;
        assert!(!session.works().await, "{told:?}");
    });
}

#[test]
#[ignore = "needs the local AWS"]
fn whoever_dies_between_record_row_and_call_leaves_nothing_open_and_nothing_stuck() {
    roomy(|| async {
        let stage = Stage::open();
        let alice = stage.a_person_of("Developer", &unique()).await;
        let bob = stage.a_person_of("Security", "bob").await;
        for (dies_at, serial) in [("TransactWriteItems", 2), ("PUT", 1), ("AssumeRole", 2)] {
            let (identity, wish) = stage.wish("prod-deploy");
            let asking = stage.asking(identity, stage.accesses(&alice, ("POST", "/grants"), &wish, Wire::good()).await);
            for who in [&bob] {
                let approval = format!("/grants/{}/approval", asking.id);
                stage.accesses(who, ("POST", &approval), &json!({ "digest": asking.digest }), Wire::good()).await;
            }
            let wire = Wire::with(move |asked| if asked.operation == dies_at { Fate::Hang } else { Fate::Pass });
            assert!(stage.mints_until_hung(&asking.id, wire).await.is_none(), "it does not die at {dies_at}");
            // Another run is not held up by the dead one's lease for long, and makes the next number.
            let minted = eventually_minted(&stage, &asking.id).await;
            assert_eq!(minted.serial, Some(serial), "{dies_at}: {minted:?}");
            assert!(stage.opens(&alice, &asking, serial.into()).await.works().await);
            // The end denies all of it, and so do its records.
            stage.ends(&alice, &asking).await;
            stage.refused_at(&alice, &asking).await;
        }
    });
}

/// A lease runs out after forty seconds; the call of a dead run is waited for a minute.
async fn eventually_minted(stage: &Stage, grant: &str) -> mint::Answer {
    let started = std::time::Instant::now();
    loop {
        match stage.mints(grant, Wire::good()).await {
            Ok(answer) if answer.outcome == Outcome::Minted => return answer,
            other => assert!(started.elapsed() < Duration::from_secs(100), "{other:?}"),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_table_that_was_emptied_re_opens_nothing_and_a_foreign_document_is_replaced() {
    let stage = Stage::open();
    let alice = stage.a_person_of("Developer", &unique()).await;
    let asking = approved(&stage, &alice).await;
    let session = stage.opens(&alice, &asking, 1).await;
    stage.ends(&alice, &asking).await;
    stage.refused_at(&alice, &asking).await;
    let gone = json!({ "TableName": stage.output("GrantsTable"), "Key": { "pk": { "S": format!("grant#{}", asking.id) } } });
    stage.root.json("dynamodb", "DynamoDB_20120810.DeleteItem", &gone).await.unwrap();
    // Nor does one that is set back to a request: its records know better.
    let back = approved(&stage, &alice).await;
    let second = stage.opens(&alice, &back, 1).await;
    stage.ends(&alice, &back).await;
    stage.refused_at(&alice, &back).await;
    stage
        .forge_row(&back.id, |grant| {
            grant["revision"] = json!(40);
            grant["sessions"] = json!(0);
            grant["state"] = json!({ "state": "requested" });
        })
        .await;
    // Others come and go on the role; what nobody knows any more stays denied.
    let other = approved(&stage, &alice).await;
    stage.opens(&alice, &other, 1).await;
    stage.ends(&alice, &other).await;
    stage.refused_at(&alice, &other).await;
    assert!(!session.works().await && !second.works().await);

    // Somebody writes something harmless under our name: it is replaced, and told.
    let document =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*" }] });
    let (policy, document) = (format!("cordon-ended-{}", stage.root.region), document.to_string());
    let put = [("RoleName", "prod-read"), ("PolicyName", policy.as_str()), ("PolicyDocument", document.as_str())];
    let told = eventually("what is told of it", async || {
        stage.root.query("iam", "PutRolePolicy", &put).await.unwrap();
        let told = stage.invokes("Reconcile", &json!({ "grant": other.id })).await;
        told["by_hand"].to_string().contains("find out who wrote it").then_some(told)
    })
    .await;
    let written = stage.ended_on("prod-read").await.unwrap_or_default();
    assert!(written.contains("CordonEndedTag") && written.contains(&other.id), "{told} {written}");
}

#[test]
#[ignore = "needs the local AWS"]
fn each_function_of_access_may_do_what_it_does_and_nothing_else() {
    roomy(|| async {
        let stage = Stage::open();
        let alice = stage.a_person_of("Developer", &unique()).await;
        let (bob, carol) = (stage.a_person_of("Security", "bob").await, stage.a_person_of("Security", "carol").await);
        let oncall = stage.a_person_of("OnCall", &unique()).await;
        let (access, mint, reconcile) = (Wire::good(), Wire::good(), Wire::good());
        let (identity, wish) = stage.wish("prod-read");
        let asking = stage.asking(identity, stage.accesses(&alice, ("POST", "/grants"), &wish, access.clone()).await);
        for who in [&bob, &carol] {
            let approval = format!("/grants/{}/approval", asking.id);
            stage.accesses(who, ("POST", &approval), &json!({ "digest": asking.digest }), access.clone()).await;
        }
        assert_eq!(in_turn(async || stage.mints(&asking.id, mint.clone()).await).await.outcome, Outcome::Minted);
        let (identity, wish) = stage.wish("break-glass");
        let glass = stage.asking(identity, stage.accesses(&oncall, ("POST", "/grants"), &wish, access.clone()).await);
        assert_eq!(in_turn(async || stage.mints(&glass.id, mint.clone()).await).await.outcome, Outcome::Minted);
        for (who, asking) in [(&alice, &asking), (&oncall, &glass)] {
            let end = format!("/grants/{}/end", asking.id);
            assert_eq!(stage.accesses(who, ("POST", &end), &json!({}), access.clone()).await.status, 200);
            let told = in_turn(async || stage.reconciles(&json!({ "grant": asking.id }), &[], reconcile.clone()).await).await;
            assert_eq!(told.refused.len(), 1, "{told:?}");
        }
        stage.accesses(&bob, ("POST", &format!("/grants/{}/review", glass.id)), &json!({ "note": "right" }), access.clone()).await;
        // A finding about somebody who has nothing: whose role it names is looked at.
        let bystander = stage.a_person_of("Developer", &unique()).await;
        let finding = session_finding_of(&stage, (&bystander.role, &bystander.role_id), &bystander.session);
        in_turn(async || stage.reconciles(&finding, &[], reconcile.clone()).await).await;

        // All of it holds, by the three keys.
        let about = |filed: &&Filed| [&asking.id, &glass.id].iter().any(|id| filed.predicate.to_string().contains(id.as_str()));
        let sessions: BTreeSet<String> = stage.all_records().await.iter().filter(about).map(Filed::session).collect();
        assert!(sessions.len() >= 10, "one for each sandbox: {sessions:?}");
        let report = stage.verify_sessions(&sessions).await;
        assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]));

        // What has been run out is pruned: the policy goes when nothing is left, which only time brings about; so it is written here by hand.
        for (function, wire, exercised_elsewhere) in [
            ("access", &access, BTreeSet::new()),
            ("mint", &mint, BTreeSet::from(["sts:SetSourceIdentity", "sts:TagSession"])),
            ("reconcile", &reconcile, BTreeSet::from(["iam:DeleteRolePolicy"])),
        ] {
            let allowed = allowed_actions(&stage.stack[function]["role_policies"]);
            let made: BTreeSet<String> = wire
                .sent()
                .iter()
                .map(crate::stage::Asked::action)
                .map(|action| if action == "dynamodb:TransactWriteItems" { "dynamodb:UpdateItem".to_owned() } else { action })
                .collect();
            let lambdas_own = BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"]);
            let idle: Vec<&String> = allowed
                .iter()
                .filter(|action| {
                    !made.contains(*action)
                        && !lambdas_own.contains(action.as_str())
                        && !exercised_elsewhere.contains(action.as_str())
                })
                .collect();
            assert!(idle.is_empty(), "{function} is allowed what it never does: {idle:?}");
            let unheard: Vec<&String> = made.iter().filter(|action| !allowed.contains(*action)).collect();
            assert!(unheard.is_empty(), "{function} does what it is not allowed: {unheard:?}");
        }
        // No ladder: who can assume the roles writes nothing on them, and the other way round; neither touches Cordon's own.
        let target = stage.stack["targets"]["prod-read"].as_str().unwrap();
        let everything =
            json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string();
        let put = [("RoleName", "prod-read"), ("PolicyName", "more"), ("PolicyDocument", everything.as_str())];
        let assume = [("RoleArn", target), ("RoleSessionName", "x"), ("SourceIdentity", "x-x")];
        for function in ["access", "mint"] {
            assert!(stage.role_of(function).query("iam", "PutRolePolicy", &put).await.unwrap_err().is_denial(), "{function}");
        }
        for function in ["access", "reconcile"] {
            assert!(stage.role_of(function).query("sts", "AssumeRole", &assume).await.unwrap_err().is_denial(), "{function}");
        }
        let own = stage.output("MintRoleName");
        let put = [("RoleName", own.as_str()), ("PolicyName", "more"), ("PolicyDocument", everything.as_str())];
        assert!(stage.role_of("reconcile").query("iam", "PutRolePolicy", &put).await.unwrap_err().is_denial());
        // Whoever assumes a role that is granted does it with a source identity and a tag, or not at all.
        assert!(
            stage
                .role_of("mint")
                .query("sts", "AssumeRole", &[("RoleArn", target), ("RoleSessionName", "x")])
                .await
                .unwrap_err()
                .is_denial()
        );
        // And what `reconcile` could write there gives nothing that the boundary does not.
        let planted = [("RoleName", "prod-deploy"), ("PolicyName", "planted"), ("PolicyDocument", everything.as_str())];
        stage.role_of("reconcile").query("iam", "PutRolePolicy", &planted).await.unwrap();
        stage.root.query("iam", "DeleteRolePolicy", &planted[..2]).await.unwrap();
    });
}
