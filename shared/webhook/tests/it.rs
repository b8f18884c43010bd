//! Who gets through the door.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use ids::{AccountId, Timestamp};
use proptest::prelude::*;
use redact::{Config, Redactor};
use webhook::{Admitted, DOORS, Keys, LONGEST, Refusal, Request, Surroundings, admit, keys_of_alert, named};

mod senders;

const ALERT: &str = include_str!("../../../events/webhooks/github-aws-key-created.json");

fn now() -> Timestamp {
    "2026-11-24T20:00:01Z".parse().unwrap()
}

fn home() -> AccountId {
    "123456789012".parse().unwrap()
}

/// A request that would be admitted, before somebody changes it.
#[derive(Debug, Clone)]
struct Sent {
    door: String,
    ticket: Option<String>,
    query: bool,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Sent {
    fn by(door: &str, body: &[u8]) -> Self {
        let (headers, ticket) = senders::proof(door, body, now());
        Self { door: door.to_owned(), ticket, query: false, headers, body: body.to_vec() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn admitted_at(&self, keys: &Keys, now: Timestamp) -> Result<Admitted, Refusal> {
        let Self { door, ticket, query, headers, body } = self;
        let request = Request { door, ticket: ticket.as_deref(), query: *query, headers, body };
        let redactor = Redactor::new(&Config::default()).unwrap();
        admit(&request, &Surroundings { keys, redactor: &redactor, home: &home(), now })
    }

    fn admitted(&self) -> Result<Admitted, Refusal> {
        self.admitted_at(&senders::keys().0, now())
    }
}

fn status(sent: &Sent) -> u16 {
    sent.admitted().map_or_else(|refusal| refusal.status(), |_| 202)
}

/// A body that each door can read.
fn body(door: &str) -> &'static [u8] {
    match door {
        "github" => ALERT.as_bytes(),
        "gitguardian" => include_bytes!("../../../events/webhooks/gitguardian-incident-triggered.json"),
        "falco" => include_bytes!("../../../events/webhooks/falco-aws-credentials-read.json"),
        _ => include_bytes!("../../../events/webhooks/canary-aws-keys-used.json"),
    }
}

/// The example of GitHub docs, "Validating webhook deliveries": its secret, its payload, its signature.
#[test]
fn githubs_own_example_holds() {
    let (keys, wrong) = Keys::read(br#"{"github": "It's a Secret to Everybody"}"#);
    assert!(wrong.is_empty());
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let sent = Sent::by("github", b"Hello, World!").with("x-hub-signature-256", signature);
    // Nothing that can be read, and signed: a person hears of it.
    let Ok(Admitted::Leaks { leaks, .. }) = sent.admitted_at(&keys, now()) else { panic!("it is GitHub's") };
    assert!(leaks[0].credential.to_string().contains("cannot read"), "{leaks:?}");
    let other = Sent::by("github", b"Hello, World?").with("x-hub-signature-256", signature);
    assert!(matches!(other.admitted_at(&keys, now()), Err(Refusal::NoProof(_))));
}

#[test]
fn whoever_knows_the_key_gets_in_and_nobody_else() {
    for door in DOORS {
        let good = Sent::by(door.id, body(door.id));
        assert_eq!(status(&good), 202, "{}", door.id);
        assert_eq!(good.admitted_at(&Keys::default(), now()), Err(Refusal::NoSuchDoor), "{}: closed without a key", door.id);
        assert_eq!(status(&Sent { door: "gitlab".to_owned(), ..good.clone() }), 404);
        assert_eq!(status(&Sent { query: true, ..good.clone() }), 400);
        assert_eq!(status(&Sent { body: vec![b' '; LONGEST + 1], ..good.clone() }), 413);
        for media in ["application/x-www-form-urlencoded", "text/plain", "", "application/jsonx"] {
            assert_eq!(status(&good.clone().with("content-type", media)), 415, "{media}");
        }
        assert_eq!(status(&good.clone().without("content-type")), 415);
        assert_eq!(status(&good.clone().with("content-encoding", "gzip")), 415);
    }
    let github = Sent::by("github", ALERT.as_bytes());
    let second = github.clone().with("x-hub-signature-256", &senders::hmac("github-key-9876543210", ALERT.as_bytes()));
    assert_eq!(status(&second), 202, "while one key takes the other's place, both hold");
    for (sent, why) in [
        (github.clone().without("x-hub-signature-256"), "missing"),
        (github.clone().with("x-hub-signature-256", ""), "empty"),
        (github.clone().with("x-hub-signature-256", "sha256="), "no signature"),
        (github.clone().with("x-hub-signature-256", "sha256=00"), "short"),
        (github.clone().with("x-hub-signature-256", "sha256=xyz"), "no number"),
        (github.clone().with("x-hub-signature-256", &senders::hmac("another-key-0123456789", ALERT.as_bytes())), "another key"),
        (github.without("x-hub-signature-256").with("x-hub-signature", "sha1=0"), "the old header"),
        (Sent::by("falco", body("falco")).with("authorization", "falco-key-0123456789"), "no bearer"),
        (Sent::by("falco", body("falco")).with("authorization", "Bearer github-key-0123456789"), "another door's key"),
        (Sent::by("falco", body("falco")).with("authorization", "Bearer falco-key-0123456789,Bearer x"), "two headers"),
        (Sent::by("gitguardian", body("gitguardian")).without("timestamp"), "no time"),
        (Sent::by("gitguardian", body("gitguardian")).with("timestamp", "1795550399"), "another time"),
    ] {
        assert_eq!(status(&sent), 401, "{why}");
    }
    for ticket in [None, Some(""), Some("canary-key-012345678"), Some("canary-key-0123456789/")] {
        let sent = Sent { ticket: ticket.map(str::to_owned), ..Sent::by("canary", body("canary")) };
        assert_eq!(status(&sent), 404, "whoever tries paths cannot tell a wrong one from a closed door: {ticket:?}");
    }
}

#[test]
fn gitguardians_signature_is_good_for_five_minutes() {
    let sent = Sent::by("gitguardian", body("gitguardian"));
    let keys = senders::keys().0;
    let at = |millis: i64| sent.admitted_at(&keys, Timestamp::saturating(now().millis() + millis)).is_ok();
    assert!(at(0) && at(4 * 60_000) && at(-4 * 60_000));
    assert!(!at(6 * 60_000) && !at(-6 * 60_000));
}

#[test]
fn a_replay_is_known_by_its_body_and_its_door() {
    let nonce = |sent: &Sent| match sent.admitted() {
        Ok(Admitted::Leaks { nonce, .. }) => nonce,
        other => panic!("{other:?}"),
    };
    let first = Sent::by("gitguardian", body("gitguardian"));
    // The same once more, as GitGuardian sends it: with a new time and a new signature.
    let (headers, _) = senders::proof("gitguardian", body("gitguardian"), Timestamp::saturating(now().millis() + 60_000));
    assert_eq!(nonce(&first), nonce(&Sent { headers, ..first.clone() }));
    let other = include_bytes!("../../../events/webhooks/gitguardian-incident-medium.json");
    assert_ne!(nonce(&first), nonce(&Sent::by("gitguardian", other)));
    // GitHub's delivery id is not signed: another one does not make it another delivery.
    let alert = Sent::by("github", ALERT.as_bytes());
    assert_eq!(nonce(&alert), nonce(&alert.clone().with("x-github-delivery", "another")));
}

fn admitted(body: &serde_json::Value) -> (Vec<signal::Leak>, Option<(webhook::Alert, Box<signal::Report>)>) {
    match Sent::by("github", body.to_string().as_bytes()).admitted() {
        Ok(Admitted::Leaks { leaks, alert, .. }) => (leaks, alert),
        other => panic!("{other:?}"),
    }
}

/// Whoever may push can put a colleague's id beside an invented secret: only that it works makes it more than a suspicion.
#[test]
fn what_github_answers_is_a_key_and_no_secret_and_believed_if_it_works() {
    let mut body: serde_json::Value = serde_json::from_str(ALERT).unwrap();
    // A decoy that somebody wrote where every alert of the repository carries it.
    body["repository"]["description"] = "see AKIARZPUZDIKFJNBPQ4Y".into();
    for (told, answered, suspected) in [
        ("unknown", "\"active\"", false),
        ("active", "\"unknown\"", false),
        ("unknown", "\"unknown\"", true),
        ("unknown", "\"inactive\"", true),
        ("unknown", "null", true),
    ] {
        body["alert"]["validity"] = told.into();
        let answer = format!(r#"{{"number":42,"secret":"AKIARZPUZDIKFJNBPQ4Z","validity":{answered}}}"#);
        let (leaks, alert) = admitted(&body);
        assert!(leaks.iter().all(|leak| leak.suspected && leak.target().ends_with("AKIARZPUZDIKFJNBPQ4Y")), "{leaks:?}");
        let named = named(&alert.unwrap().1, keys_of_alert(answer.as_bytes()), &home());
        assert_eq!((named.len(), named[0].target().as_str()), (1, "iam:key:123456789012:AKIARZPUZDIKFJNBPQ4Z"));
        assert_eq!(named[0].suspected, suspected, "{told} {answered}");
        assert!(named[0].clone().relayed().is_ok());
    }
    for none in ["", "[]", "{}", r#"{"secret":null}"#, r#"{"secret":"wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}"#] {
        assert_eq!(keys_of_alert(none.as_bytes()), webhook::Named::default(), "{none}");
    }
}

proptest! {
    /// Whatever is changed of a signed body, it is refused; and nothing that anybody sends breaks anything.
    #[test]
    fn a_changed_body_is_refused(at in 0..ALERT.len(), bit in 0_u8..8) {
        let mut sent = Sent::by("github", ALERT.as_bytes());
        sent.body[at] ^= 1 << bit;
        prop_assert_eq!(status(&sent), 401);
    }

    #[test]
    fn no_body_breaks_a_door(bytes in proptest::collection::vec(any::<u8>(), 0..200), door in 0..4_usize) {
        let door = DOORS[door].id;
        // Canarytokens proves nothing: what is no report of its is refused. From the others, a person is told.
        let expected = if door == "canary" { 400 } else { 202 };
        prop_assert_eq!(status(&Sent::by(door, &bytes)), expected);
    }

    /// No text of a body that is not meant to be kept is kept, whatever stands there.
    #[test]
    fn what_is_not_read_is_not_kept(secret in "[a-z]{12}[0-9]{4}") {
        let fields = [
            ("falco", "output"), ("falco", "uuid"), ("gitguardian", "message"), ("gitguardian", "target_user"),
            ("canary", "manage_url"), ("canary", "token"),
        ];
        for (door, field) in fields {
            let mut value: serde_json::Value = serde_json::from_slice(body(door)).unwrap();
            value[field] = secret.clone().into();
            let admitted = Sent::by(door, value.to_string().as_bytes()).admitted();
            prop_assert!(admitted.is_ok());
            prop_assert!(!format!("{admitted:?}").contains(&secret), "{} {}", door, field);
        }
    }
}
