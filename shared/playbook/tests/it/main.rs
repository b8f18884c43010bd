//! The shipped playbook and the reader, from outside.
#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

mod access;
mod decisions;
mod properties;
mod refusals;
mod shipped;

use std::sync::LazyLock;

use playbook::{Facts, Mode, Playbook, Posture};
use signal::{Door, Role, Severity, Signal};

const POLICIES: &str = include_str!("../../../../infra/policies/quarantine.cedar");
const SCHEMA: &str = include_str!("../../../../infra/policies/cordon.cedarschema");
const MITIGATIONS: &str = include_str!("../../../../infra/policies/mitigations.json");

static SHIPPED: LazyLock<Playbook> = LazyLock::new(|| Playbook::shipped().unwrap());
static MINING: LazyLock<Signal> =
    LazyLock::new(|| event(include_str!("../../../../events/guardduty/crypto-mining-actor-two-interfaces.json")));

const ACT: Posture = Posture { mode: Mode::Act, stop: false, drill: false };
const PLAIN: Facts = Facts { exempt_tag: false, protected: false };

fn event(text: &str) -> Signal {
    signal::parse(text.as_bytes(), &Door { administrator: None, drill: true }).unwrap()
}

/// A finding of this type, severity (in hundredths) and role.
fn finding(kind: &str, severity: u16, role: Role) -> Signal {
    let mut signal = MINING.clone();
    signal.finding.kind = kind.parse().unwrap();
    signal.finding.severity = Severity::from_hundredths(severity).unwrap();
    signal.finding.role = role;
    signal
}

/// The shipped policies and one more.
fn shipped_and(policy: &str) -> Playbook {
    Playbook::parse(&format!("{POLICIES}\n{policy}"), SCHEMA, MITIGATIONS).unwrap()
}
