//! Leaks in other accounts of the organisation, on the local AWS, which evaluates trust policies across accounts.

use std::collections::BTreeSet;

use evidence::Standing;
use plan::revoke::RevocationState;
use responder::{Attention, Transient};
use revoke::Said;
use serde_json::{Value, json};

use crate::privilege::allowed_actions;
use crate::revocation::{is_inactive, only, until_refused};
use crate::stage::{Asked, DENIES, Fate, Stage, Wire, iam_error, key_finding, session_finding, text, texts};

/// An account of the organisation without the member role, as the management account is, which StackSets skip.
const MANAGEMENT: &str = "111122223333";
/// An account of nobody's organisation.
const STRANGER: &str = "999988887777";

fn assumed(wire: &Wire) -> Vec<Asked> {
    wire.sent().into_iter().filter(|asked| asked.operation == "AssumeRole").collect()
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_leak_in_another_account_is_ended_there_and_the_same_name_at_home_goes_on() {
    let stage = Stage::open();
    let there = stage.member();
    let thief = there.a_user().await;
    let namesake = stage.a_user_called(&thief.name).await;
    let role = there.a_role().await;
    let session = there.a_session(&role, "mallory").await;
    stage.a_role_called(&role).await;
    let colleagues = [there.a_session(&role, "alice").await, stage.a_session(&role, "mallory").await, namesake];
    assert!(thief.works().await && session.works().await);

    let sandbox = stage.revoker();
    // A warm sandbox, but for the account.
    sandbox.deliver(&json!({ "cordon": "revoke", "credential": { "key": "AKIARZPUZDIKFJNBQQQQ" } })).await.unwrap();
    let before = assumed(&sandbox.wire).len();
    let event = key_finding(&there, &thief);
    let (answer, after) = tokio::join!(sandbox.deliver(&event), until_refused(&thief));
    println!("a user's key in another account: refused {after} ms after the finding came in");
    let answer = answer.unwrap();
    let told = only(&answer);
    assert_eq!((answer.outcome, told.state), (Said::Revoked, Some(RevocationState::Revoked)), "{answer:?}");
    assert!(is_inactive(&there, &thief).await);
    let incident = told.incident.clone().unwrap();
    let records = stage.records(&incident).await;
    assert_eq!(records[0].body()["case"]["account"], json!(there.account()), "{}", records[0].body());
    let deny = text(&stage.stack["member"]["outputs"]["DenyPolicyArn"]);
    assert!(records[0].body()["steps"].to_string().contains(&deny), "{}", records[0].body());
    let cold = &records[1].body()["round_trips"];
    println!("the way to the deny where the account's session is not there yet: {cold}");
    assert_eq!((&cold["depth_to_denied"], &cold["evidence_before_first_change"]), (&json!(4), &json!(1)), "{cold}");
    let assumed_now = assumed(&sandbox.wire);
    assert_eq!(assumed_now.len(), before + 1);
    let name = format!("RoleSessionName=cordon-revoke-{incident}");
    assert!(assumed_now.last().unwrap().text.contains(&name), "{assumed_now:?}");
    let report = stage.verify(&incident).await;
    assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]));

    // It cannot be undone from here: who asks is told so, and where the steps are.
    let asked = stage.releaser().ask(&stage.a_person("alice").await, &incident.to_string()).await;
    assert_eq!(asked.status, 409, "{asked:?}");
    let said = asked.text("detail");
    assert!(said.contains(&format!("account {}", there.account())) && said.contains("docs/runbooks/revoke.md"), "{said}");

    // The account's session is there by now: the same way as at home.
    let event = session_finding(&there, &session);
    let (answer, after) = tokio::join!(sandbox.deliver(&event), until_refused(&session));
    println!("a role's session in another account: refused {after} ms after the finding came in");
    let answer = answer.unwrap();
    assert_eq!(answer.outcome, Said::Revoked, "{answer:?}");
    let records = stage.records(only(&answer).incident.as_ref().unwrap()).await;
    let warm = &records[1].body()["round_trips"];
    println!("the way to the deny where it is: {warm}");
    assert!(warm["depth_to_denied"].as_u64().unwrap() <= 3, "{warm} {}", records[1].body()["calls"]);
    assert_eq!(assumed(&sandbox.wire).len(), before + 1);
    assert!(there.denies(&role).await.is_some());
    assert_eq!(stage.denies(&role).await, None);
    for colleague in &colleagues {
        assert!(colleague.works().await, "{colleague:?}");
    }

    // By hand, with nothing but the key and its account; the plan first, which changes nothing.
    let other = there.a_user().await;
    let credential = json!({ "key": other.key, "account": there.account() });
    let planned = sandbox.deliver(&json!({ "cordon": "plan", "credential": credential })).await.unwrap();
    assert!(only(&planned).plan.as_ref().unwrap().contains(&deny), "{planned:?}");
    assert!(other.works().await);
    let answer = sandbox.deliver(&json!({ "cordon": "revoke", "credential": credential })).await.unwrap();
    assert_eq!(answer.outcome, Said::Revoked, "{answer:?}");
    assert!(!other.works().await);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_account_that_does_not_let_us_in_is_a_persons_matter_and_is_named() {
    let stage = Stage::open();
    for account in [MANAGEMENT, STRANGER] {
        let there = stage.in_account(account);
        if account == STRANGER {
            // A stranger's role of that name lets us in, and our own role keeps us from it.
            let trust = json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": stage.output("RevokeRoleArn") },
            }]});
            let asked = [("RoleName", "CordonMember"), ("AssumeRolePolicyDocument", &trust.to_string())];
            there.root.query("iam", "CreateRole", &asked).await.unwrap();
        }
        let thief = there.a_user().await;
        let event = key_finding(&there, &thief);
        let answer = stage.revoker().deliver(&event).await.unwrap();
        assert_eq!((answer.outcome, answer.attention), (Said::NeedsHuman, Attention::Page), "{answer:?}");
        for part in [account, "AccessDenied", "deploy infra/member.yaml", "StackSets skip the organisation's management account"] {
            assert!(answer.reason.contains(part), "{part}: {}", answer.reason);
        }
        assert!(thief.works().await);
        let records = stage.records(only(&answer).incident.as_ref().unwrap()).await;
        assert_eq!(records.iter().map(|filed| filed.kind()).collect::<Vec<_>>(), ["decision"]);
        // A dry run says the same, and so does a key whose user has to be asked for.
        let credential = json!({ "key": thief.key, "account": account });
        for verb in ["plan", "revoke"] {
            let answer = stage.revoker().deliver(&json!({ "cordon": verb, "credential": credential })).await.unwrap();
            assert!(answer.reason.contains("deploy infra/member.yaml"), "{answer:?}");
        }
    }

    let there = stage.member();
    let thief = there.a_user().await;
    let event = key_finding(&there, &thief);
    // Without the parameter nothing is tried.
    let off = stage.revoker_with(&[("CORDON_MEMBER_ROLE", "")], Wire::good());
    let answer = off.deliver(&event).await.unwrap();
    assert_eq!((answer.outcome, answer.attention), (Said::NeedsHuman, Attention::Page), "{answer:?}");
    assert!(answer.reason.contains("MemberRoleName") && assumed(&off.wire).is_empty(), "{answer:?}");
    // What passes is tried again.
    let busy = stage.revoker_with(
        &[],
        Wire::with(|asked| if asked.operation == "AssumeRole" { iam_error(400, "Throttling") } else { Fate::Pass }),
    );
    let again = key_finding(&there, &there.a_user().await);
    let Err(Transient(why)) = busy.deliver(&again).await else { panic!("a throttled call can be repeated") };
    assert!(why.contains("Throttling"), "{why}");
    assert_eq!(stage.revoker().deliver(&again).await.unwrap().outcome, Said::Revoked);
}

/// The answer of STS with a session that ends in a minute.
fn ending(answer: &str) -> String {
    let until = texts(answer, "Expiration").remove(0);
    let soon = ids::Timestamp::saturating(calls::now().millis() + 60_000);
    answer.replace(&until, &soon.to_string())
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_session_that_lapses_is_renewed_and_one_that_does_not_is_used_again() {
    let stage = Stage::open();
    let there = stage.member();
    let role = there.a_role().await;
    // By our own clock.
    let short = stage
        .revoker_with(&[], Wire::with(|asked| if asked.operation == "AssumeRole" { Fate::Changed(ending) } else { Fate::Pass }));
    for name in ["mallory", "eve"] {
        let event = session_finding(&there, &there.a_session(&role, name).await);
        assert_eq!(short.deliver(&event).await.unwrap().outcome, Said::Revoked);
    }
    assert!(assumed(&short.wire).len() >= 2, "{:?}", assumed(&short.wire));
    // By AWS's word, whatever the clock says.
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let lapsed = stage.revoker_with(
        &[],
        Wire::with(move |asked| {
            let first = asked.operation == "GetRole" && looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            if first { iam_error(403, "ExpiredToken") } else { Fate::Pass }
        }),
    );
    let event = session_finding(&there, &there.a_session(&role, "trudy").await);
    assert_eq!(lapsed.deliver(&event).await.unwrap().outcome, Said::Revoked);
    assert_eq!(assumed(&lapsed.wire).len(), 2);
    // Many at once wait for one session.
    let thieves = [there.a_user().await, there.a_user().await, there.a_user().await];
    let mut event: Value = serde_json::from_str(include_str!("../../events/leaks/health-exposed.json")).unwrap();
    event["source"] = json!("cordon.drill");
    event["account"] = json!(there.account());
    event["detail"]["affectedAccount"] = json!(there.account());
    event["detail"]["eventArn"] = json!(format!("arn:aws:health:us-east-1::event/RISK/M/{}", thieves[0].key));
    event["detail"]["affectedEntities"] = thieves.iter().map(|thief| json!({ "entityValue": thief.key })).collect();
    let sandbox = stage.revoker();
    let answer = sandbox.deliver(&event).await.unwrap();
    assert_eq!(answer.credentials.iter().map(|told| told.outcome).collect::<Vec<_>>(), [Said::Revoked; 3], "{answer:?}");
    assert_eq!(assumed(&sandbox.wire).len(), 1);
    for thief in &thieves {
        assert!(!thief.works().await);
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn who_is_protected_is_protected_in_each_account() {
    let stage = Stage::open();
    let there = stage.member();
    let thief = there.a_user().await;
    let namesake = stage.a_user_called(&thief.name).await;
    let arn = format!("arn:aws:iam::{}:user/ops/{}", there.account(), thief.name);
    let guarded = stage.revoker_with(&[("CORDON_PROTECTED", &arn)], Wire::good());
    let answer = guarded.deliver(&key_finding(&there, &thief)).await.unwrap();
    assert_eq!(only(&answer).rule.as_ref().unwrap().as_str(), "protected-never-revoked", "{answer:?}");
    assert!(thief.works().await);
    // The same name at home is another user.
    assert_eq!(guarded.deliver(&key_finding(&stage, &namesake)).await.unwrap().outcome, Said::Revoked);
    // Cordon's own way in, whatever the configuration says, in every account.
    for account in [stage.account(), there.account()] {
        let own = json!({ "role": "CordonMember", "session": "cordon-revoke-x", "account": account });
        let answer = guarded.deliver(&json!({ "cordon": "revoke", "credential": own })).await.unwrap();
        assert_eq!(only(&answer).rule.as_ref().unwrap().as_str(), "protected-never-revoked", "{answer:?}");
    }
    // Whom IAM protects there: our own configuration has forgotten it.
    let glass = text(&stage.stack["member"]["break_glass"]);
    there.a_role_called(&glass).await;
    let session = there.a_session(&glass, "responder").await;
    let answer = stage.revoker().deliver(&session_finding(&there, &session)).await.unwrap();
    assert_eq!((answer.outcome, answer.attention), (Said::NeedsHuman, Attention::Page), "{answer:?}");
    assert!(session.works().await);
}

/// What the member role may do is what the function does there.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn every_action_that_the_member_role_may_is_used_and_it_may_no_other() {
    let stage = Stage::open();
    let there = stage.member();
    let policies = &stage.stack["member"]["role_policies"];
    let allowed = allowed_actions(policies);
    // The two templates say the same, so neither is forgotten.
    let home = stage.stack["revoke"]["role_policies"]["end"]["Statement"].as_array().unwrap();
    let sids = |statements: &[Value]| statements.iter().map(|statement| text(&statement["Sid"])).collect::<BTreeSet<_>>();
    let mut at_home = sids(home);
    at_home.remove("NeverOnAMemberRole");
    assert_eq!(sids(policies["end"]["Statement"].as_array().unwrap()), at_home);
    // Nothing but leaks of that account comes into these sandboxes.
    let role = there.a_role().await;
    let (normal, key) = (stage.revoker(), there.a_user().await.key);
    let hand = json!({ "cordon": "revoke", "credential": { "key": key, "account": there.account() } });
    assert_eq!(normal.deliver(&hand).await.unwrap().outcome, Said::Revoked);
    let event = session_finding(&there, &there.a_session(&role, "mallory").await);
    assert_eq!(normal.deliver(&event).await.unwrap().outcome, Said::Revoked);
    let whole = json!({ "role": there.a_role().await, "every_session": true, "users": 0, "account": there.account() });
    assert_eq!(normal.deliver(&json!({ "cordon": "revoke", "credential": whole })).await.unwrap().outcome, Said::Revoked);
    let full = stage.revoker_with(
        &[],
        Wire::with(|asked| if asked.operation == "AttachUserPolicy" { iam_error(409, "LimitExceeded") } else { Fate::Pass }),
    );
    assert_eq!(full.deliver(&key_finding(&there, &there.a_user().await)).await.unwrap().outcome, Said::Revoked);
    let sent = normal.wire.sent().into_iter().chain(full.wire.sent());
    let there_only = |asked: &Asked| !["s3", "kms", "dynamodb", "sts"].contains(&asked.service.as_str());
    let used: BTreeSet<_> = sent.filter(there_only).map(|asked| asked.action()).collect();
    assert_eq!(used, allowed);
}

/// A thief of the revoke function's credentials goes on into another account, and tries to climb there.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_member_role_cannot_climb_and_lets_nobody_else_in() {
    let stage = Stage::open();
    let there = stage.member();
    let arn = text(&stage.stack["member"]["outputs"]["RoleArn"]);
    let enter = [("RoleArn", arn.as_str()), ("RoleSessionName", "thief")];
    // An administrator of Cordon's own account, and another function.
    for other in [crate::privilege::administrator(&stage).await, stage.role()] {
        let came = other.query("sts", "AssumeRole", &enter).await;
        assert!(came.is_err_and(|refusal| refusal.is_denial()));
    }
    let made = stage.revoke_role().query("sts", "AssumeRole", &enter).await.unwrap();
    let thief = crate::revocation::session_of(&stage, &made);
    let (user, deny) = (there.a_user().await, text(&stage.stack["member"]["outputs"]["DenyPolicyArn"]));
    let (name, admin) = (user.name.as_str(), "arn:aws:iam::aws:policy/AdministratorAccess");
    let home_deny = stage.output("DenyPolicyArn");
    let all = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string();
    let glass = text(&stage.stack["member"]["break_glass"]);
    let write = |role| vec![("RoleName", role), ("PolicyName", DENIES), ("PolicyDocument", all.as_str())];
    for (attempt, operation, parameters) in [
        ("write on itself", "PutRolePolicy", write("CordonMember")),
        ("write on another role of Cordon's", "PutRolePolicy", write("CordonSomethingElse")),
        ("write on one that a stack called cordon made", "PutRolePolicy", write("cordon-RevokeRole-1ABC")),
        ("write on break-glass", "PutRolePolicy", write(&glass)),
        ("attach another policy", "AttachUserPolicy", vec![("UserName", name), ("PolicyArn", admin)]),
        ("attach the deny of another account", "AttachUserPolicy", vec![("UserName", name), ("PolicyArn", home_deny.as_str())]),
        ("bound by another policy", "PutUserPermissionsBoundary", vec![("UserName", name), ("PermissionsBoundary", admin)]),
        ("take the deny off", "DetachUserPolicy", vec![("UserName", name), ("PolicyArn", deny.as_str())]),
        ("take the boundary off", "DeleteUserPermissionsBoundary", vec![("UserName", name)]),
        ("attach to a role", "AttachRolePolicy", vec![("RoleName", "CordonMember"), ("PolicyArn", admin)]),
        ("write on a user", "PutUserPolicy", vec![("UserName", name), ("PolicyName", "x"), ("PolicyDocument", all.as_str())]),
        ("make a key", "CreateAccessKey", vec![("UserName", name)]),
        ("delete a key", "DeleteAccessKey", vec![("UserName", name), ("AccessKeyId", user.key.as_str())]),
        ("delete a document", "DeleteRolePolicy", vec![("RoleName", "CordonMember"), ("PolicyName", "end")]),
        (
            "change the deny",
            "CreatePolicyVersion",
            vec![("PolicyArn", deny.as_str()), ("PolicyDocument", all.as_str()), ("SetAsDefault", "true")],
        ),
        ("change who may assume", "UpdateAssumeRolePolicy", vec![("RoleName", "CordonMember"), ("PolicyDocument", all.as_str())]),
        ("make a user", "CreateUser", vec![("UserName", "raised")]),
        ("see every user", "ListUsers", vec![]),
    ] {
        match thief.query("iam", operation, &parameters).await {
            Ok(answer) => panic!("{attempt} was allowed: {answer}"),
            Err(refusal) => assert!(refusal.is_denial(), "{attempt}: {} {}", refusal.code, refusal.body),
        }
    }
    let came = thief.query("sts", "AssumeRole", &enter).await;
    assert!(came.is_err_and(|refusal| refusal.is_denial()), "it cannot go on from there");
    assert!(user.works().await);
}
