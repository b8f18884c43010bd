//! Records as `quarantine` writes them: real signals, real plans, real judgements, signed and endorsed.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{
    Control, Draft, Endorsement, Kind, Link, PublicKey, RecordId, RecordKey, Session, Signed, Subject, Verifier, Version, dsse,
    open,
};
use ids::{FunctionName, IncidentId, SessionId, SgId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use plan::{After, Case, Did, Done, Group, Instance, Interface, Observed, Trouble, TroubleKind};
use report::{Entry, Sealed, Tree, Worth};
use serde_json::{Value, json};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + millis).unwrap()
}

/// How an incident goes.
#[derive(Clone)]
pub(crate) struct Course {
    /// Tells incidents apart.
    pub(crate) name: &'static str,
    /// `guardduty` or `drill`.
    pub(crate) source: &'static str,
    pub(crate) severity: &'static str,
    /// When it reaches the function.
    pub(crate) received: i64,
    /// So long before was it first seen.
    pub(crate) seen_before: i64,
    /// So long before was it published.
    pub(crate) published_before: i64,
    /// So long after is the last interface sealed.
    pub(crate) sealed_after: i64,
    /// Whether EC2 refuses one of the two interfaces.
    pub(crate) refused: bool,
}

pub(crate) const MINING: Course = Course {
    name: "mining",
    source: "guardduty",
    severity: "8.00",
    received: 0,
    seen_before: 252_000,
    published_before: 61_000,
    sealed_after: 640,
    refused: false,
};

/// Everything that was written, as a reader finds it.
pub(crate) struct Story {
    session: Session,
    written: Vec<(Signed, Timestamp)>,
    sealed_in_log: bool,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::of("quarantine")
    }

    /// What one function wrote: its session has no business to speak for another.
    pub(crate) fn of(function: &str) -> Self {
        let mut session = Session::new(SessionId::from_random([7; 16]), SigningKey::from_slice(&[7; 32]).unwrap()).unwrap();
        let kms = SigningKey::from_slice(&[1; 32]).unwrap();
        let endorsement = Endorsement {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: function.parse().unwrap(),
            code_sha256: Some(Sha256::of(b"bootstrap")),
            not_before: at(-3_600_000),
            not_after: at(11 * 3_600_000),
            endorser: PublicKey::of(kms.verifying_key()).unwrap(),
        };
        let endorser = endorsement.prepare().unwrap();
        let signature: Signature = kms.sign_prehash(endorser.digest().as_bytes()).unwrap();
        let envelope: dsse::Envelope = endorser.finish(signature.to_der().as_bytes()).unwrap();
        session.endorse(envelope);
        Self { session, written: Vec::new(), sealed_in_log: false }
    }

    /// Seals everything in a log, a minute after it was stored.
    pub(crate) fn sealed(mut self) -> Self {
        self.sealed_in_log = true;
        self
    }

    pub(crate) fn write(&mut self, name: &str, kind: Kind, time: Timestamp, answers: Option<Link>, body: Value) -> Link {
        self.write_as("quarantine", name, kind, time, answers, body)
    }

    pub(crate) fn write_as(
        &mut self,
        function: &str,
        name: &str,
        kind: Kind,
        time: Timestamp,
        answers: Option<Link>,
        body: Value,
    ) -> Link {
        // A revocation's body says which rule decided; a containment has one rule here.
        let of_credential = function == "revoke";
        let rule = ["/decision/rule", "/case/rule"].iter().find_map(|rule| body.pointer(rule)).and_then(Value::as_str);
        let rule = rule.filter(|_| of_credential).unwrap_or("high-actor-isolates").to_owned();
        let controls = if of_credential { ["IA-5", "IR-4(1)"] } else { ["IR-4(1)", "SC-7"] };
        let function: FunctionName = function.parse().unwrap();
        let incident = incident(name);
        let signal = SignalId::of_bytes(&Sha256::of(name.as_bytes()));
        let id = RecordId::derive(&function, Some(&incident), &signal);
        let control = |id: &str| Control { framework: "NIST SP 800-53 Rev. 5".to_owned(), id: id.to_owned() };
        let signed = self
            .session
            .sign(Draft {
                key: RecordKey::new(function, time, id, 1, kind),
                subject: vec![Subject::new(format!("finding/{name}"), Sha256::of(b"finding"))],
                incident: Some(incident),
                signal,
                time,
                answers,
                due: (kind == Kind::Intent).then(|| time.plus(Duration::from_secs(900))),
                playbook: Sha256::of(b"playbook"),
                rule: Some(rule.parse().unwrap()),
                controls: controls.map(control).to_vec(),
                anomalies: Vec::new(),
                body,
            })
            .unwrap();
        self.session.kept(&signed);
        let link = signed.link();
        // S3 counts in whole seconds.
        let stored = Timestamp::from_millis((time.millis() + 40) / 1000 * 1000).unwrap();
        self.written.push((signed, stored));
        link
    }

    /// An incident from its finding to its outcome.
    pub(crate) fn goes(&mut self, course: &Course) -> (Link, Link) {
        let received = at(course.received);
        let after = |millis: i64| received.plus(Duration::from_millis(millis.try_into().unwrap()));
        let (plan, outcome) = containment(course);
        let intent = self.write(course.name, Kind::Intent, after(90), None, serde_json::to_value(&plan).unwrap());
        let call = |service: &str, operation: &str, id: Option<&str>, from: i64, to: i64| {
            json!({"service": service, "operation": operation, "request_id": id, "status": 200, "attempts": 1,
                "started": after(from), "ended": after(to)})
        };
        let last = course.sealed_after;
        let body = json!({
            "outcome": outcome,
            "signal": signal(course),
            "decision": {"verdict": "do", "mitigation": "isolate-instance", "rule": "high-actor-isolates", "reason": "It acts.",
                "controls": [], "would": null},
            "timings": {"received": received, "received_to_observed": 80, "received_to_intent": 180, "received_to_sealed": last,
                "received_to_read_back": last + 70},
            "round_trips": {"evidence_before_first_change": 1, "depth_to_sealed": 3, "cold_vpc": false},
            "calls": [
                call("EC2", "DescribeInstances", None, 2, 70),
                call("EC2", "DescribeSecurityGroups", None, 2, 55),
                call("DynamoDB", "UpdateItem", None, 3, 20),
                call("S3", "PutObject", None, 92, 180),
                call("EC2", "ModifyNetworkInterfaceAttribute", Some("req-1"), 181, last - 200),
                call("EC2", "ModifyNetworkInterfaceAttribute", Some("req-2"), 181, last),
                call("EC2", "CreateTags", Some("req-3"), 181, last - 230),
                call("EC2", "DescribeNetworkInterfaces", None, last + 1, last + 69),
            ],
            "evidence": "durable",
            "hold": "claimed",
        });
        let outcome = self.write(course.name, Kind::Outcome, after(last + 75), Some(intent.clone()), body);
        (intent, outcome)
    }

    /// Every record, and when it was stored.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&Signed, Timestamp)> {
        self.written.iter().map(|(signed, stored)| (signed, *stored))
    }

    /// What a reader gets: the entries, and what the verifier says of them.
    pub(crate) fn read(&self) -> (Vec<Entry>, Worth) {
        self.read_with(Vec::new())
    }

    pub(crate) fn read_with(&self, faults: Vec<(&str, &str)>) -> (Vec<Entry>, Worth) {
        let now = at(12 * 3_600_000);
        let mut verifier = Verifier::new(Vec::new());
        let mut entries = Vec::new();
        for (n, (signed, stored)) in self.written.iter().enumerate() {
            verifier.add(&signed.key.to_string(), &signed.bytes, Some(&Version { id: "v1".to_owned(), stored: *stored }), now);
            let (statement, sha256) = open::<Value>(&signed.key, &signed.bytes).unwrap();
            let sealed = Sealed { index: u64::try_from(n).unwrap() + 1, batch: 1, time: stored.plus(Duration::from_secs(60)) };
            entries.push(Entry::new(sha256, Some(*stored), self.sealed_in_log.then_some(sealed), &statement));
        }
        for (object, reason) in faults {
            verifier.fault(evidence::FaultKind::Failure, object, reason);
        }
        let records: u64 = self.written.len().try_into().unwrap();
        // The batch has a leaf of its own.
        let size = records + 1;
        let (log, root) = ("example.com/cordon".to_owned(), Sha256::of(b"root"));
        let tree = self.sealed_in_log.then(|| Tree { log, size, root, records, signed: size, newest: at(4 * 3_600_000) });
        (entries, Worth::of(&verifier.finish(now), now, tree))
    }
}

pub(crate) fn incident(name: &str) -> IncidentId {
    IncidentId::derive(&format!("ec2:instance:123456789012:us-east-1:{name}"), "CryptoCurrency/BitcoinTool")
}

/// A real finding, at the times of the course.
pub(crate) fn signal(course: &Course) -> Value {
    let event = include_bytes!("../../../../events/guardduty/crypto-mining-actor-two-interfaces.json");
    let signal = signal::parse(event, &signal::Door { administrator: None, drill: true }).unwrap();
    let mut signal = serde_json::to_value(signal).unwrap();
    signal["source"] = course.source.into();
    signal["finding"]["severity"] = course.severity.into();
    signal["finding"]["sample"] = false.into();
    signal["finding"]["first_seen"] = json!(at(course.received - course.seen_before));
    signal["finding"]["created_at"] = json!(at(course.received - course.published_before));
    signal["finding"]["updated_at"] = json!(at(course.received - course.published_before));
    signal["finding"]["last_seen"] = json!(at(course.received - course.published_before - 5000));
    signal["event_time"] = json!(at(course.received - 900));
    signal
}

fn containment(course: &Course) -> (plan::Plan<plan::Isolate>, plan::Outcome) {
    let sealed: SgId = "sg-0000000000000seal".replace("seal", "5ea1").parse().unwrap();
    let vpc: ids::VpcId = "vpc-0123456789abcdef0".parse().unwrap();
    let interface = |n: u8, groups: &[&str]| Interface {
        id: format!("eni-0123456789abcdef{n}").parse().unwrap(),
        vpc: vpc.clone(),
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
    };
    let group = Group {
        id: sealed.clone(),
        name: plan::SEALED_NAME.to_owned(),
        vpc: vpc.clone(),
        owner: "123456789012".parse().unwrap(),
        tagged: true,
        rules: 0,
    };
    let seen = Observed {
        instance: Instance {
            id: "i-99999999".parse().unwrap(),
            state: "running".to_owned(),
            interfaces: vec![interface(1, &["sg-11111111", "sg-22222222"]), interface(2, &["sg-33333333"])],
            tags: BTreeMap::new(),
        },
        groups: vec![group.clone()],
        pins: BTreeMap::new(),
    };
    let case = Case {
        incident: incident(course.name),
        signal: SignalId::of_bytes(&Sha256::of(course.name.as_bytes())),
        account: "123456789012".parse().unwrap(),
        rule: "high-actor-isolates".parse().unwrap(),
        playbook: Sha256::of(b"playbook"),
        intent: "rec/…".to_owned(),
        now: at(course.received),
    };
    let plan = plan::isolate(case, &seen, &BTreeMap::new());
    let done = |step: usize| {
        let refused = course.refused && step == 1;
        let trouble = Trouble { kind: TroubleKind::Denied, code: "UnauthorizedOperation".to_owned() };
        Done {
            step,
            did: if refused { Did::Failed(trouble) } else { Did::Accepted },
            request_id: Some(format!("req-{}", step + 1)),
        }
    };
    let after = After {
        interfaces: vec![
            interface(1, &[sealed.as_str()]),
            interface(2, &[if course.refused { "sg-33333333" } else { sealed.as_str() }]),
        ],
        groups: vec![group],
    };
    let outcome = plan::judge(&plan, (0..plan.steps.len()).map(done).collect(), Some(&after));
    (plan, outcome)
}

/// `text` with its digests taken out: the order of fields in a body made here, and so its digest, depends on how `serde_json` was built.
pub(crate) fn without_digests(text: &str) -> String {
    let digest = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_inclusive(|c: char| !c.is_ascii_hexdigit())
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            if digest(word) { piece.replace(word, "<sha256>") } else { piece.to_owned() }
        })
        .collect()
}

/// `value` with its fields in order of their names, for the same reason.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, field)| (name.clone(), sorted(field))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
