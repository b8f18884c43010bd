//! What the evidence behind a report is worth.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evidence::{Fault, FaultKind, Standing};
use ids::{FunctionName, Sha256, Timestamp};
use serde::Serialize;

use crate::clean::clean;
use crate::words::count;

/// So many faults are shown to people; programs get all.
const SHOWN: usize = 20;

/// The sealed log that the records were compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// Its name: the origin line of its checkpoints.
    pub log: String,
    /// Leaves. Some of them name no record: each batch has one of its own.
    pub size: u64,
    /// The Merkle root over them (RFC 9162).
    pub root: Sha256,
    /// How many leaves name a record.
    pub records: u64,
    /// How many leaves are under a signed checkpoint that holds.
    pub signed: u64,
    /// When the newest batch was made, by the sealer's clock.
    pub newest: Timestamp,
}

impl Tree {
    /// The tree that `log` tells of, in which `records` leaves name a record.
    #[must_use]
    pub fn of(log: &evidence::LogReport, records: u64) -> Self {
        Self { log: log.name.clone(), size: log.size, root: log.root, records, signed: log.signed, newest: log.newest }
    }
}

/// What the evidence behind a report is worth: the verifier's answer, computed while the report's records were read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worth {
    /// The answer in a word.
    pub standing: Standing,
    /// What that word means here.
    pub meaning: String,
    /// When it was checked, by the reader's clock.
    pub checked: Timestamp,
    /// Records read.
    pub records: usize,
    /// Fingerprints of the KMS keys that endorsed them, each with the functions that it spoke for.
    pub endorsers: BTreeMap<Sha256, Vec<FunctionName>>,
    /// Hashes of the code that claims to have written them.
    pub code: Vec<Sha256>,
    /// The sealed log, if there is one.
    pub tree: Option<Tree>,
    /// Everything found, worst first.
    pub faults: Vec<Fault>,
}

impl Worth {
    /// The worth of the evidence that `report` is about, checked at `checked`.
    #[must_use]
    pub fn of(report: &evidence::Report, checked: Timestamp, tree: Option<Tree>) -> Self {
        // An object's name may be anything that a file's name can be.
        let cleaned = |fault: &Fault| Fault { kind: fault.kind, object: clean(&fault.object), reason: clean(&fault.reason) };
        let meaning = match report.standing {
            Standing::Verified => "every signature, sequence and link holds, up to a key that the reader named",
            Standing::SelfConsistent => "everything holds together; whose key signed it was not asked",
            Standing::Degraded => "everything holds together, but nobody vouches for the records named",
            Standing::Failed => "something does not hold: do not rely on the objects named, nor on what they should have said",
            Standing::Empty => "there is nothing to verify",
        };
        Self {
            standing: report.standing,
            meaning: meaning.to_owned(),
            checked,
            records: report.records,
            endorsers: report.endorsers.iter().map(|(key, functions)| (*key, functions.iter().cloned().collect())).collect(),
            code: report.code.iter().copied().collect(),
            tree,
            faults: report.faults.iter().map(cleaned).collect(),
        }
    }

    /// The standing as reports print it: `SELF-CONSISTENT`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing::Verified => "VERIFIED",
            Standing::SelfConsistent => "SELF-CONSISTENT",
            Standing::Degraded => "DEGRADED",
            Standing::Failed => "FAILED",
            Standing::Empty => "NOTHING TO VERIFY",
        }
    }

    /// The first line of every report.
    #[must_use]
    pub fn headline(&self) -> String {
        format!("{}: {}. {}, checked at {}", self.word(), self.meaning, count(self.records, "record"), self.checked)
    }

    /// The first lines of a report in text: the headline, and the worst of what was found.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.headline() + "\n";
        for fault in self.shown() {
            let _infallible = writeln!(text, "  {fault}");
        }
        if self.unshown() > 0 {
            let _infallible = writeln!(text, "  and {} more; `cordon evidence verify` lists them all", self.unshown());
        }
        text
    }

    /// The worst faults; mere notices only where there is nothing worse.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().take(SHOWN)
    }

    pub(crate) fn unshown(&self) -> usize {
        self.faults.len().saturating_sub(SHOWN)
    }

    /// Whether the verifier found a failure.
    pub(crate) fn failed(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind == FaultKind::Failure)
    }

    /// How a reader checks all of this without believing it.
    pub(crate) fn how_to_verify(&self) -> Vec<String> {
        let root = match self.endorsers.iter().next() {
            Some((key, functions)) => match functions.first() {
                Some(function) => format!("{function}={key}"),
                None => key.to_string(),
            },
            None => "FINGERPRINT".to_owned(),
        };
        vec![
            "# the fingerprint of the public key that you trust; it must be the one below".to_owned(),
            "openssl pkey -pubin -in evidence.pub -outform DER | sha256sum".to_owned(),
            format!("cordon evidence verify --root {root} FOLDER"),
        ]
    }
}
