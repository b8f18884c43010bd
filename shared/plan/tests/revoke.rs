//! Plans that end credentials, and what always holds.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use ids::{IncidentId, Sha256, SignalId, Timestamp};
use plan::revoke::{
    CredentialState, DENY_CHANGED, Denied, Denies, Deny, Key, LastUsed, Principal, Revocation, RevocationState, Revoke, Role, Rule,
    Sightings, User, Users, judge_revocation, pattern_of, pattern_seen, patterns, revoke, trusted_services,
};
use plan::{Case, Did, Done, Trouble, TroubleKind};
use proptest::prelude::*;
use signal::{Credential, Door, Excerpt, Leak, parse_leaks};

const DENY: &str = "arn:aws:iam::123456789012:policy/cordon-deny-all";

fn holds() -> Deny {
    Deny::Holds(DENY.to_owned())
}

fn leaks(file: &str) -> Vec<Leak> {
    let bytes = std::fs::read(format!("{}/../../events/leaks/{file}.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    parse_leaks(&bytes, &Door { administrator: None, drill: true }).unwrap()
}

fn leak(file: &str) -> Leak {
    leaks(file).remove(0)
}

fn now() -> Timestamp {
    "2026-11-21T02:10:07.250Z".parse().unwrap()
}

fn rule(leak: &Leak) -> Rule {
    Rule {
        case: Case {
            incident: leak.incident.clone(),
            signal: leak.id.clone(),
            account: leak.account.clone(),
            rule: "high-leak-revokes".parse().unwrap(),
            playbook: Sha256::of(b"playbook"),
            intent: "rec/revoke/2026/11/21/02/10/0.1-intent.json".to_owned(),
            now: now(),
        },
        region: "eu-central-1".parse().unwrap(),
        deny_policy: DENY.to_owned(),
        standing: Denies::default(),
        reported: leak.at,
        since: leak.since,
        attachments_full: false,
        users: None,
    }
}

fn key(id: &str, active: bool, created: &str) -> Key {
    Key { id: id.parse().unwrap(), active, created: Some(created.parse().unwrap()) }
}

/// The user of the sample findings: the leaked key, an old one, and one that somebody made after the leak.
fn user() -> User {
    User {
        name: "ci-deployer".parse().unwrap(),
        arn: "arn:aws:iam::123456789012:user/ci/ci-deployer".to_owned(),
        attached: BTreeSet::from(["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()]),
        boundary: None,
        keys: vec![
            key("AKIARZPUZDIKFJNBPQ4Z", true, "2025-01-01T00:00:00Z"),
            key("AKIARZPUZDIKFJNBOLD2", true, "2024-01-01T00:00:00Z"),
            key("AKIARZPUZDIKFJNBNEW2", true, "2026-11-21T02:09:00Z"),
        ],
    }
}

fn role(name: &str) -> Role {
    Role {
        name: name.parse().unwrap(),
        id: "AROAEXAMPLEROLEID1234".parse().unwrap(),
        arn: format!("arn:aws:iam::123456789012:role/{name}"),
        denies: Denies::default(),
        foreign: None,
        services: BTreeSet::new(),
        longest_session: None,
        last_used: None,
    }
}

fn plan_for(leak: &Leak, seen: Principal) -> Revocation {
    revoke(rule(leak), leak, seen).unwrap()
}

#[test]
fn a_users_key_dies_with_those_that_were_made_since() {
    let leak = leak("user-key-malicious-ip");
    insta::assert_snapshot!(plan_for(&leak, Principal::User(user())));
}

#[test]
fn a_console_session_dies_with_its_user() {
    let leak = leak("user-session-console");
    insta::assert_snapshot!(plan_for(&leak, Principal::User(user())));
}

/// Only the role's trust policy tells a certificate's session from one that somebody called so.
#[test]
fn a_certificates_session_is_told_by_the_roles_trust_and_its_name() {
    let leak = leak("roles-anywhere-session");
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["rolesanywhere.amazonaws.com"]},
        "Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}"#;
    let anywhere = Role { services: trusted_services(trust), ..role("build-agents") };
    insta::assert_snapshot!(plan_for(&leak, Principal::Role(anywhere.clone())));
    assert_eq!(plan_for(&leak, Principal::Role(role("build-agents"))).pattern, "role-session");
    for (session, kind) in [
        ("7C1F9A3E5B6D8021", "roles-anywhere-session"),
        ("00a1b2c3", "roles-anywhere-session"),
        ("cafe", "role-session"),
        ("7c1f9a3e5b6d80214fa2-ci", "role-session"),
        ("7c1f9a3e5b6d80214fa27c1f9a3e5b6d80214fa27", "role-session"),
        ("i-0447a53385d345b29", "instance-session"),
    ] {
        let credential = Credential::of_session("build-agents".parse().unwrap(), None, session.parse().unwrap(), None);
        assert_eq!(pattern_seen(&credential, &Principal::Role(anywhere.clone())).unwrap().id, kind, "{session}");
    }
    // Who is only refused, or trusts nobody that is a service, trusts no certificate.
    for other in [trust.replace("Allow", "Deny"), trust.replace("Service", "AWS"), "{".to_owned(), String::new()] {
        assert!(trusted_services(&other).is_empty(), "{other}");
    }
}

#[test]
fn a_password_is_never_taken_away() {
    let console = leak("user-session-console");
    let plan = plan_for(&console, Principal::User(user()));
    assert_eq!(plan.pattern, "console-password");
    assert!(plan.by_hand.iter().any(|step| step.contains("update-login-profile")), "{plan}");
    // All that is done is what can be undone.
    for step in &plan.steps {
        assert!(matches!(step.action, Revoke::AttachDeny { .. } | Revoke::DisableKey { .. }), "{plan}");
    }
    assert_eq!(plan_for(&leak("user-session-token"), Principal::User(user())).pattern, "user-session");
}

#[test]
fn a_role_session_dies_alone() {
    let leak = leak("role-session");
    let plan = plan_for(&leak, Principal::Role(role("storefront-deploy")));
    insta::assert_snapshot!(plan);
    insta::assert_snapshot!("a_role_session_dies_alone_document", document(&plan));
}

#[test]
fn an_instances_credentials_die_and_its_siblings_go_on() {
    let leak = leak("instance-session-outside");
    let plan = plan_for(&leak, Principal::Role(role("storefront-web")));
    insta::assert_snapshot!(plan);
    insta::assert_snapshot!("an_instances_credentials_die_document", document(&plan));
}

#[test]
fn a_whole_role_dies_up_to_now() {
    let leak = leak("role-without-session");
    insta::assert_snapshot!(document(&plan_for(&leak, Principal::Role(role("storefront-deploy")))));
}

fn denies(plan: &Revocation) -> Denies {
    let written = plan.steps.iter().find_map(|step| match &step.action {
        Revoke::WriteDenies { denies, .. } => Some(denies.clone()),
        _ => None,
    });
    written.unwrap()
}

/// The document, its fields in the order of their names: whether `serde_json` keeps another order depends on who else is built with it.
fn document(plan: &Revocation) -> String {
    fn sorted(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(fields) => {
                let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
                fields.into_iter().collect()
            }
            serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
            other => other,
        }
    }
    serde_json::to_string_pretty(&sorted(serde_json::from_str(&denies(plan).document()).unwrap())).unwrap()
}

#[test]
fn a_user_with_no_room_gets_a_boundary() {
    let leak = leak("user-key-malicious-ip");
    let full = User { attached: (0..10).map(|n| format!("arn:aws:iam::aws:policy/P{n}")).collect(), ..user() };
    let action = |plan: &Revocation| plan.steps.first().map(|step| step.action.clone());
    let bound = |from: Option<&str>| {
        Some(Revoke::BoundByDeny { user: user().name, policy: DENY.to_owned(), from: from.map(str::to_owned) })
    };
    assert_eq!(action(&plan_for(&leak, Principal::User(full))), bound(None));
    // The quota may be lower than we think: then trying has shown it.
    let tried = Rule { attachments_full: true, ..rule(&leak) };
    let bounded = User { boundary: Some("arn:aws:iam::123456789012:policy/team".to_owned()), ..user() };
    let again = revoke(tried, &leak, Principal::User(bounded)).unwrap();
    assert_eq!(action(&again), bound(Some("arn:aws:iam::123456789012:policy/team")));
}

#[test]
fn what_is_ended_already_needs_no_step() {
    let leak = leak("user-key-malicious-ip");
    let mut ended = user();
    ended.attached.insert(DENY.to_owned());
    ended.keys.iter_mut().for_each(|key| key.active = false);
    let plan = plan_for(&leak, Principal::User(ended.clone()));
    assert_eq!(plan.steps, []);
    let outcome = judge_revocation(&plan, Vec::new(), Some(&Principal::User(ended)), &holds());
    assert_eq!(outcome.state, RevocationState::Revoked);
}

#[test]
fn two_incidents_on_one_role_keep_each_others_denies() {
    let (first, second) = (leak("role-session"), leak("resource-credential-outside"));
    let mut seen = role("storefront-deploy");
    seen.denies = denies(&plan_for(&first, Principal::Role(seen.clone())));
    let both = denies(&plan_for(&second, Principal::Role(seen)));
    assert_eq!(both.0.keys().collect::<BTreeSet<_>>(), BTreeSet::from([&first.incident, &second.incident]));

    // Whoever takes the document off does not get rid of what stands in the table.
    let standing = Rule { standing: both, ..rule(&second) };
    let again = revoke(standing, &second, Principal::Role(role("storefront-deploy"))).unwrap();
    assert!(denies(&again).0.contains_key(&first.incident));
}

#[test]
fn a_second_report_of_the_same_ends_no_younger_session() {
    let leak = leak("role-session");
    let mut seen = role("storefront-deploy");
    seen.denies = denies(&plan_for(&leak, Principal::Role(seen.clone())));
    let later = Rule { case: Case { now: now().plus(std::time::Duration::from_secs(600)), ..rule(&leak).case }, ..rule(&leak) };
    let plan = revoke(later.clone(), &leak, Principal::Role(seen.clone())).unwrap();
    assert_eq!(plan.steps, [], "{plan}");
    // One that says it was used since is.
    let used_since = Rule { reported: later.case.now, ..later };
    let plan = revoke(used_since, &leak, Principal::Role(seen)).unwrap();
    assert_eq!(plan.steps.len(), 1, "{plan}");
}

#[test]
fn what_sessions_have_outlived_is_pruned_and_what_somebody_else_wrote_is_replaced() {
    let leak = leak("instance-session-outside");
    let mut seen = role("storefront-web");
    let old = IncidentId::derive("old", "x");
    seen.denies.0.insert(old.clone(), Denied::session("AROAEXAMPLEROLEID1234:x".to_owned(), Timestamp::saturating(0)));
    seen.foreign = Some(r#"{"Statement":[]}"#.to_owned());
    let plan = plan_for(&leak, Principal::Role(seen));
    assert!(!denies(&plan).0.contains_key(&old));
    assert!(plan.remarks.iter().any(|remark| remark.contains("not Cordon's")), "{plan}");
}

#[test]
fn only_people_end_what_no_account_can() {
    for file in ["root-key", "federated-session", "identity-center-session", "service-linked-role"] {
        let leak = leak(file);
        assert_eq!(revoke(rule(&leak), &leak, Principal::User(user())), None, "{file}");
        assert!(!pattern_of(&leak.credential).unwrap().by_hand.is_empty(), "{file}");
    }
}

#[test]
fn the_judge_goes_by_what_was_read_back() {
    let leak = leak("user-key-malicious-ip");
    let plan = plan_for(&leak, Principal::User(user()));
    let done = |step| Done { step, did: Did::Accepted, request_id: None };
    let all: Vec<Done> = (0..plan.steps.len()).map(done).collect();
    let accepted = judge_revocation(&plan, all.clone(), Some(&Principal::User(user())), &holds());
    assert_eq!(accepted.state, RevocationState::NotRevoked, "accepted is not effective");
    assert!(accepted.worth_another_try());

    let mut denied = user();
    denied.attached.insert(DENY.to_owned());
    let half = judge_revocation(&plan, all.clone(), Some(&Principal::User(denied.clone())), &holds());
    assert_eq!(half.state, RevocationState::Partial);

    denied.keys.iter_mut().for_each(|key| key.active = key.id.as_str().ends_with("OLD2"));
    denied.keys.push(key("AKIARZPUZDIKFJNBNEW3", true, "2026-11-21T02:10:07Z"));
    let ended = judge_revocation(&plan, all.clone(), Some(&Principal::User(denied)), &holds());
    assert_eq!(ended.state, RevocationState::Revoked);
    assert!(ended.left_open.iter().any(|open| open.contains("AKIARZPUZDIKFJNBNEW3")), "{ended:?}");
    assert_eq!(judge_revocation(&plan, all, None, &holds()).state, RevocationState::Unverifiable);

    // A policy whose text is another denies nobody, and trying again would not change that; one that cannot be read may hold.
    let mut denied = user();
    denied.attached.insert(DENY.to_owned());
    denied.keys.iter_mut().for_each(|key| key.active = false);
    let (seen, all) = (Principal::User(denied), (0..plan.steps.len()).map(done).collect::<Vec<_>>());
    let changed = judge_revocation(&plan, all.clone(), Some(&seen), &Deny::Changed);
    let end = changed.credentials.first().unwrap();
    assert_eq!((changed.state, end.state), (RevocationState::Partial, CredentialState::Alive));
    assert_eq!(end.trouble.as_ref().map(|trouble| trouble.code.as_str()), Some(DENY_CHANGED));
    assert!(!changed.worth_another_try());
    let unread = judge_revocation(&plan, all, Some(&seen), &Deny::Unread);
    let end = unread.credentials.first().unwrap();
    assert_eq!((unread.state, end.state), (RevocationState::Partial, CredentialState::Unknown));
    assert!(unread.worth_another_try());

    let refused =
        Done { step: 0, did: Did::Failed(Trouble { kind: TroubleKind::Denied, code: "AccessDenied".into() }), request_id: None };
    let refused = judge_revocation(&plan, vec![refused], Some(&Principal::User(user())), &holds());
    assert_eq!(refused.credentials.first().map(|end| end.state), Some(CredentialState::Alive));
    assert!(!refused.worth_another_try());
}

#[test]
fn every_sample_credential_has_exactly_one_kind() {
    let folder = format!("{}/../../events/leaks", env!("CARGO_MANIFEST_DIR"));
    let mut met = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let door = Door { administrator: Some("999988887777".parse().unwrap()), drill: true };
        for leak in parse_leaks(&bytes, &door).into_iter().flatten() {
            met.insert(pattern_of(&leak.credential).unwrap().id);
            let trusting = Role { services: BTreeSet::from(["rolesanywhere.amazonaws.com".to_owned()]), ..role("web") };
            met.insert(pattern_seen(&leak.credential, &Principal::Role(trusting)).unwrap().id);
        }
    }
    // What AWS reports has a name; what webhooks report may have none (events/webhooks).
    let unnamed = Credential::Unnamed { what: Excerpt::of("AWS Keys"), place: Excerpt::of("alert 42 of acme/payments") };
    met.insert(pattern_of(&unnamed).unwrap().id);
    let all: BTreeSet<_> = patterns().map(|pattern| pattern.id).collect();
    assert_eq!(met, all, "a kind without a sample");
}

/// A session's beginning, as CloudTrail tells of it.
fn begun(by: &str, role: &str, session: &str, at: &str) -> String {
    let (kind, who) = if by.starts_with("arn:") { ("AssumedRole", "arn") } else { ("AWSService", "invokedBy") };
    serde_json::json!({
        "eventVersion": "1.08", "eventID": format!("{by}{session}{at}"), "eventTime": at, "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole", "awsRegion": "eu-central-1", "userIdentity": { "type": kind, who: by },
        "requestParameters": { "roleArn": format!("arn:aws:iam::123456789012:role/{role}"), "roleSessionName": session },
    })
    .to_string()
}

#[test]
fn a_roles_users_are_counted_and_what_may_be_missing_is_said() {
    let (region, deployer) = ("eu-central-1".parse().unwrap(), "arn:aws:sts::123456789012:assumed-role/deployer/ci");
    let (at, seen) = ("2026-11-21T01:30:00Z", |events: Vec<String>| Sightings { events, cut: None });
    let web = Role { longest_session: Some(3600), ..role("web") };
    let two = vec![
        begun(deployer, "web", "mallory", at),
        begun(deployer, "web", "mallory", "2026-11-21T02:00:00Z"),
        begun(deployer, "web", "alice", at),
        // Of another role, and of a session that has ended by itself.
        begun(deployer, "api", "eve", at),
        begun(deployer, "web", "old", "2026-11-21T01:00:00Z"),
    ];
    let users = Users::count(&web, &seen(two.clone()), &region, now());
    assert!(users.known() && users.count == 2, "{users}");
    assert_eq!(users.who[0].session, "mallory", "the last one first: {users}");
    assert_eq!(users.since.to_string(), "2026-11-21T01:10:07.250Z");
    // A service's sessions live longer than a person's may.
    let of_service = Role { services: BTreeSet::from(["ec2.amazonaws.com".to_owned()]), ..web.clone() };
    let early = begun("ec2.amazonaws.com", "web", "i-0447a53385d345b29", "2026-11-20T20:00:00Z");
    let users = Users::count(&of_service, &seen(vec![early]), &region, now());
    assert_eq!((users.count, users.since.to_string().as_str()), (1, "2026-11-20T14:10:07.250Z"), "{users}");

    // What was cut off, what could not be read, what IAM knows and CloudTrail does not, what happened elsewhere.
    let used = |at: &str, region: &str| {
        let last_used = Some(LastUsed { at: at.parse().unwrap(), region: Some(region.parse().unwrap()) });
        Role { last_used, ..web.clone() }
    };
    for (role, sightings, says) in [
        (web.clone(), Sightings { cut: Some("CloudTrail has more".to_owned()), ..seen(two.clone()) }, "CloudTrail has more"),
        (web.clone(), seen(vec!["{".to_owned()]), "could not be read"),
        (used("2026-11-21T02:00:00Z", "eu-central-1"), seen(vec![]), "CloudTrail shows no session"),
        (used("2026-11-21T02:00:00Z", "us-east-1"), seen(two), "last used in us-east-1"),
    ] {
        let users = Users::count(&role, &sightings, &region, now());
        assert!(!users.known() && users.to_string().contains(says), "{users}");
        assert!(users.to_string().starts_with("at least "), "{users}");
    }
    assert!(Users::count(&used("2026-11-20T02:00:00Z", "eu-central-1"), &seen(vec![]), &region, now()).known());
    // All are counted, and some named.
    let many = (0..30).map(|n| begun(deployer, "web", &format!("job-{n}"), at)).collect();
    let users = Users::count(&web, &seen(many), &region, now());
    assert_eq!((users.count, users.who.len()), (30, 20));
    assert!(users.to_string().ends_with("and 10 more"), "{users}");
}

/// The page is the registry, in words for people.
#[test]
fn the_page_about_credentials_is_the_registry() {
    let page = std::fs::read_to_string(format!("{}/../../docs/credentials.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for pattern in patterns() {
        let row =
            format!("| `{}` | {} | {} | {} | {} |", pattern.id, pattern.recognised, pattern.done, pattern.shown, pattern.survives);
        assert!(page.contains(&row), "docs/credentials.md lacks this row:\n{row}");
    }
}

fn incident() -> impl Strategy<Value = IncidentId> {
    any::<u64>().prop_map(|n| IncidentId::derive(&n.to_string(), "x"))
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_000_000_000_000).prop_map(Timestamp::saturating)
}

fn denied() -> impl Strategy<Value = Denied> {
    let userid = "AROA[A-Z0-9]{17}:[A-Za-z0-9+=,.@_-]{1,64}";
    prop_oneof![
        (userid, moment()).prop_map(|(userid, at)| Denied::session(userid, at)),
        (userid, "i-[0-9a-f]{17}").prop_map(|(userid, id)| Denied::Instance {
            userid,
            arn: format!("arn:aws:ec2:eu-central-1:123456789012:instance/{id}")
        }),
        moment().prop_map(Denied::older),
    ]
}

fn some_denies() -> impl Strategy<Value = Denies> {
    prop::collection::btree_map(incident(), denied(), 0..8).prop_map(Denies)
}

proptest! {
    #[test]
    fn a_document_can_be_read_back_and_only_denies(denies in some_denies()) {
        let document = denies.document();
        prop_assert_eq!(Denies::parse(&document).unwrap(), denies);
        let value: serde_json::Value = serde_json::from_str(&document).unwrap();
        for statement in value["Statement"].as_array().unwrap() {
            prop_assert_eq!(&statement["Effect"], "Deny");
            prop_assert!(!statement["Condition"].as_object().unwrap().is_empty());
        }
    }

    #[test]
    fn a_document_with_any_change_is_not_ours(denies in some_denies(), field in 0_usize..4) {
        let mut value: serde_json::Value = serde_json::from_str(&denies.document()).unwrap();
        let change = ["Effect", "Action", "Resource", "NotAction"][field];
        let Some(first) = value["Statement"].as_array_mut().unwrap().first_mut() else { return Ok(()) };
        first[change] = "Allow".into();
        prop_assert!(Denies::parse(&value.to_string()).is_err());
    }

    #[test]
    fn no_incidents_deny_is_lost(one in some_denies(), other in some_denies()) {
        let both = one.clone().and(other.clone());
        let wanted: BTreeMap<_, _> = one.0.iter().chain(&other.0).collect();
        prop_assert_eq!(both.0.keys().collect::<BTreeSet<_>>(), wanted.keys().copied().collect::<BTreeSet<_>>());
    }

    #[test]
    fn an_unknown_document_never_panics(text in ".*") {
        let _any = Denies::parse(&text);
    }
}

#[test]
fn a_credential_that_is_not_there_changes_nothing() {
    let by_hand = Credential::UserKey { key: "AKIARZPUZDIKFJNBGQNE".parse().unwrap(), user: None };
    let leak = Leak { credential: by_hand, id: SignalId::of_bytes(&Sha256::of(b"x")), ..leak("user-key-malicious-ip") };
    let plan = plan_for(&leak, Principal::User(User { keys: Vec::new(), ..user() }));
    assert!(plan.remarks.iter().any(|remark| remark.contains("is gone")), "{plan}");
}
