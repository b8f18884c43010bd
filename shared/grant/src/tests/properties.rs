//! What holds for all of them.

use ids::{GrantId, RoleArn, SourceIdentity};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Closed, Count, Ending, LONGEST_SESSION, ROLE_POLICIES, Refused, SHORTEST_SESSION};

fn role() -> RoleArn {
    "arn:aws:iam::123456789012:role/jit/prod-read".parse().unwrap()
}

fn closed() -> impl Strategy<Value = Closed> {
    (0..40u32, "[a-zA-Z@.+]{0,60}", prop::option::of(0..120u64)).prop_map(|(n, name, until)| {
        let grant = GrantId::derive(&n.to_string(), "");
        Closed { source: SourceIdentity::of(&name, &grant), grant, role: role(), deny_until: until.map(at) }
    })
}

fn approver() -> impl Strategy<Value = Who> {
    let names = [
        "alice@example.com",
        "Alice@example.com",
        "bob@example.com",
        "BOB@example.com",
        "carol@example.com",
        "dave@example.com",
        "eve@example.com",
    ];
    let people = (prop::sample::select(names.to_vec()), "[A-Z][a-z]{0,3}").prop_map(|(name, set)| person(name, &set));
    let role = prop::sample::select(names.to_vec())
        .prop_map(|name| Who::Role { id: "role/123456789012/ci".to_owned(), session: Some(name.to_owned()) });
    prop_oneof![4 => people, 1 => role]
}

proptest! {
    /// However they come, those who count are different people whom policy lets, without the requester; and in any order.
    #[test]
    fn only_distinct_eligible_others_count(approvals in prop::collection::vec((approver(), 0..300u64, any::<bool>(), any::<bool>()), 0..12), needed in 1..4u8) {
        let class = Class::Approved { needed: NonZeroU8::new(needed).unwrap() };
        let grant = requested(class);
        let mut basis = basis(&grant, &[]);
        basis.records.approvals = approvals.iter().map(|(by, minutes, same_terms, same_grant)| {
            let mut approval = approval(&grant, by.clone(), *minutes);
            if !same_terms { approval.terms = Sha256::of(b"other"); }
            if !same_grant { approval.grant = GrantId::derive("other", ""); }
            approval
        }).collect();
        let expected: BTreeSet<String> = approvals.iter().filter_map(|(by, minutes, same_terms, same_grant)| {
            let name = by.person()?.name.to_lowercase();
            let counts = *same_terms && *same_grant && *minutes < 240 && ["bob@example.com", "carol@example.com", "dave@example.com"].contains(&name.as_str());
            counts.then(|| format!("person/{name}"))
        }).collect();
        let count = Count::of(&grant, &basis.records.approvals, &basis.eligible);
        prop_assert_eq!(count.people.keys().cloned().collect::<BTreeSet<_>>(), expected);
        let decided = grant.step(Event::Decide(&basis), at(0));
        prop_assert_eq!(decided.is_ok(), count.people.len() >= usize::from(needed));
        let mut turned = basis.clone();
        turned.records.approvals.reverse();
        prop_assert_eq!(Count::of(&grant, &turned.records.approvals, &basis.eligible).people, count.people);
        prop_assert_eq!(grant.step(Event::Decide(&turned), at(0)), decided);
    }

    /// Whenever it is minted and renewed, and however late STS is called: no session outlives the grant, none is shorter or longer than STS makes them.
    #[test]
    fn no_session_outlives_its_grant(seconds in 900..=7200u32, session in 900..=3600u32, began in 1..31_000u64, renewals in prop::collection::vec(0..4_000u64, 0..12)) {
        let millis = |offset: u64| at(0).plus(Duration::from_millis(offset));
        let asked = Ask { seconds, ..ask(alice()) };
        let entitlement = Entitlement { session_seconds: session, ..entitlement(two()) };
        let grant = Grant::request(&asked, &entitlement, at(0), &BTreeSet::new()).unwrap().grant;
        let mut basis = basis(&grant, &[bob(), carol()]);
        basis.derived = grant.terms.clone();
        let mut now = millis(began * 60);
        let Ok(step) = grant.step(Event::Decide(&basis), now) else { return Ok(()) };
        let step = step.grant.step(Event::Mint(&basis), now).unwrap();
        let mint = step.mint.unwrap();
        let State::Active { ends, .. } = step.grant.state else { panic!("not active") };
        prop_assert_eq!(ends.millis_since(now), i64::from(seconds) * 1000 + 60_000);
        prop_assert_eq!(mint.seconds, seconds.min(session));
        let mut row = step.grant;
        let mut mints = vec![mint];
        for wait in renewals {
            basis.records.minted = mints.iter().map(|mint| mint.record.clone()).collect();
            now = now.plus(Duration::from_secs(wait));
            match row.step(Event::Renew { by: &alice(), basis: &basis }, now) {
                Ok(step) => {
                    row = step.grant;
                    mints.push(step.mint.unwrap());
                }
                Err(refused) => prop_assert!(matches!(refused, Refused::LittleLeft { .. } | Refused::TooLate(_)), "{}", refused),
            }
        }
        for (n, mint) in mints.iter().enumerate() {
            prop_assert!((SHORTEST_SESSION..=LONGEST_SESSION).contains(&mint.seconds));
            prop_assert!(mint.call_before.plus(Duration::from_secs(mint.seconds.into())) <= ends);
            prop_assert_eq!(usize::try_from(mint.record.serial).unwrap(), n + 1);
            prop_assert_eq!(mint.record.ends, ends);
        }
        let ended = row.step(end(&Ending::Returned { by: alice() }), now).unwrap().grant;
        prop_assert!(ended.closed().unwrap().deny_until.unwrap() > ends);
    }

    /// The same ends make the same document, in whatever order and however often; none is lost, none stays too long.
    #[test]
    fn denies_are_a_function_of_the_ends(mut ends in prop::collection::vec(closed(), 0..40), now in 0..130u64) {
        let denies = Denies::derive(&role(), &ends, at(now));
        for end in &ends {
            let live = |end: &Closed| end.deny_until.is_some_and(|until| until > at(now));
            prop_assert_eq!(denies.has(&end.grant), ends.iter().any(|other| other.grant == end.grant && live(other)));
        }
        ends.reverse();
        let twice = Denies::derive(&role(), ends.iter().chain(&ends), at(now));
        prop_assert_eq!(&twice, &denies);
        if let Some(document) = denies.document() {
            prop_assert_eq!(Denies::parse(&document), Ok(denies.clone()));
            prop_assert_eq!(document.chars().filter(|c| !c.is_whitespace()).count(), denies.size());
            let value: Value = serde_json::from_str(&document).unwrap();
            let statements = value["Statement"].as_array().unwrap();
            prop_assert_eq!(statements.len(), 2);
            for statement in statements {
                prop_assert_eq!(&statement["Effect"], &json!("Deny"));
                prop_assert!(statement["Condition"]["StringEquals"].as_object().is_some_and(|condition| condition.len() == 1));
            }
        } else {
            prop_assert!(denies.is_empty());
        }
        prop_assert_eq!(serde_json::from_value::<Denies>(serde_json::to_value(&denies).unwrap()).unwrap(), denies);
    }

    /// Nobody gets an allow in by writing the document first.
    #[test]
    fn a_changed_document_is_not_ours(ends in prop::collection::vec(closed(), 1..5), which in 0..6usize) {
        let Some(document) = Denies::derive(&role(), &ends, at(0)).document() else { return Ok(()) };
        let mut value: Value = serde_json::from_str(&document).unwrap();
        match which {
            0 => value["Statement"][0]["Effect"] = json!("Allow"),
            1 => value["Statement"][1]["Condition"]["StringEquals"]["aws:PrincipalTag/cordon:grant"] = json!([]),
            2 => value["Statement"].as_array_mut().unwrap().push(json!({"Effect": "Allow", "Action": "*", "Resource": "*"})),
            3 => value["Statement"][0]["Resource"] = json!("arn:aws:s3:::x"),
            4 => value["Statement"][0]["Condition"]["StringEquals"]["aws:SourceIdentity"] = json!(["alice"]),
            _ => value["Id"] = json!("x"),
        }
        prop_assert!(Denies::parse(&value.to_string()).is_err());
    }

    /// Nothing that can be read makes a digest meet another's: parts are hashed by length.
    #[test]
    fn a_reason_cannot_spell_another_field(a in "[a-z:\" ]{1,20}", b in "[a-z:\" ]{1,20}") {
        let with = |reason: &str| Some(Terms::derive(&Ask { reason: reason.parse().ok()?, ..ask(alice()) }, &entitlement(two())).unwrap());
        if let (Some(first), Some(second)) = (with(&a), with(&b)) {
            prop_assert_eq!(first.digest() == second.digest(), first == second);
        }
    }
}

/// All that a token said of who asks is in what is approved.
#[test]
fn an_approval_binds_all_of_a_subject() {
    let digest = |change: fn(&mut Subject)| {
        let mut requester = subject("00u-alice", Some("alice@example.com"));
        if let Who::Subject(subject) = &mut requester {
            change(subject);
        }
        Terms::derive(&ask(requester), &entitlement(two())).unwrap().digest()
    };
    let digests = [
        digest(|_| {}),
        digest(|subject| subject.issuer.push('/')),
        digest(|subject| subject.subject = "00u-Alice".to_owned()),
        digest(|subject| subject.name = None),
        digest(|subject| subject.name = Some("no name".to_owned())),
        digest(|subject| subject.groups.clear()),
        digest(|subject| subject.groups.push("mfa".to_owned())),
        digest(|subject| subject.groups = vec!["sg-1".to_owned(), "mfa".to_owned(), at(0).millis().to_string()]),
        digest(|subject| subject.mfa_at = None),
        digest(|subject| subject.mfa_at = Some(at(1))),
    ];
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
}

/// How many grants one role holds, so that the README's figure is true.
#[test]
fn about_a_hundred_ended_grants_fit_on_a_role() {
    let end = |n: usize| {
        let grant = GrantId::derive(&n.to_string(), "");
        Closed {
            source: SourceIdentity::of("firstname.lastname@example.com-and-longer-than-it-is", &grant),
            grant,
            role: role(),
            deny_until: Some(at(9)),
        }
    };
    let ends: Vec<Closed> = (0..200).map(end).collect();
    let most = (0..200).take_while(|n| Denies::derive(&role(), &ends[..*n], at(0)).fits_beside(0)).last().unwrap();
    assert!((100..120).contains(&most), "{most}");
    let denies = Denies::derive(&role(), &ends[..=most], at(0));
    assert!(denies.size() > ROLE_POLICIES && !denies.fits_beside(0));
    assert!(Denies::derive(&role(), &ends, at(9)).is_empty());
}
