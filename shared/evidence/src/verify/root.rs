//! Whom the reader trusts, and which key may therefore vouch for what. Every such decision is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use ids::{FunctionName, Sha256, Timestamp};
use thiserror::Error;

use super::report::{FaultKind, KeyReport, RingReport, RingTrust};
use super::{SEAL, SKEW};
use crate::endorsement::PublicKey;
use crate::keyring::{Keyring, RINGS, RingError, RingKey, Rings, ring_key, ring_number};
use crate::log::{LogKey, sealing_key};

/// A fault in the making: how bad, where, what.
type Found = (FaultKind, String, String);

/// A key that the reader trusts, by its fingerprint: the root of a keyring, or the KMS key of a function, with or without the function
/// it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The only function this key may speak for. If absent, it may be a keyring's root, or speak for any one function.
    pub function: Option<FunctionName>,
    /// SHA-256 of the key's DER `SubjectPublicKeyInfo`.
    pub fingerprint: Sha256,
}

/// A string that is not a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected FINGERPRINT or FUNCTION=FINGERPRINT, the SHA-256 (64 hex digits) of the public key in DER")]
pub struct RootError;

impl FromStr for Root {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (function, digest) = match text.split_once('=') {
            Some((function, digest)) => (Some(function.parse().map_err(|_| RootError)?), digest),
            None => (None, text),
        };
        let fingerprint = digest.to_ascii_lowercase().parse().map_err(|_| RootError)?;
        Ok(Self { function, fingerprint })
    }
}

/// The keys that a reader believes: those given by hand, and those that a keyring names.
///
/// With a keyring under one of the reader's roots, a key counts as the newest such ring says, even if it was given by hand as well:
/// retirement is for everyone. Without any root, the newest ring that holds together is the one to agree with.
#[derive(Debug, Default)]
pub(super) struct Trust {
    roots: Vec<Root>,
    rings: Rings,
    /// What the ring in force names, by fingerprint.
    named: BTreeMap<Sha256, RingKey>,
    /// The number of the ring in force.
    number: Option<u64>,
}

impl Trust {
    pub(super) fn new(roots: Vec<Root>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Whether the reader named no root at all.
    pub(super) fn is_nobody(&self) -> bool {
        self.roots.is_empty()
    }

    /// Whether a ring that held was signed by this key.
    pub(super) fn signs_rings(&self, key: &Sha256) -> bool {
        self.rings.signed_by(key)
    }

    /// Takes in a ring; rings come in the order of their numbers, before all that they are to judge. Answers the keys for the log.
    pub(super) fn ring(
        &mut self,
        object: &str,
        opened: Result<(Keyring, Sha256), RingError>,
        now: Timestamp,
        found: &mut Vec<Found>,
    ) -> Vec<PublicKey> {
        let mut fail = |reason: String| found.push((FaultKind::Failure, object.to_owned(), reason));
        let (ring, sha256) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if let Some(number) = ring_number(object) {
                    self.rings.broken(number);
                }
                fail(error.to_string());
                return Vec::new();
            }
        };
        if ring.time > now.plus(SKEW) {
            fail(format!("made at {}, which is in the future", ring.time));
        }
        let keys = ring.keys.iter().filter(|entry| entry.function.as_str() == SEAL).map(|entry| entry.key.clone()).collect();
        if let Err(error) = self.rings.add(ring, sha256) {
            fail(error.to_string());
        }
        let in_force = self.in_force();
        let number = in_force.map(|ring| ring.number);
        let named = in_force.map(|ring| ring.keys.iter().map(|entry| (entry.key.fingerprint(), entry.clone())).collect());
        (self.number, self.named) = (number, named.unwrap_or_default());
        keys
    }

    /// Roots that may be a keyring's: those that are bound to no function.
    fn free_roots(&self) -> BTreeSet<Sha256> {
        self.roots.iter().filter(|root| root.function.is_none()).map(|root| root.fingerprint).collect()
    }

    fn in_force(&self) -> Option<&Keyring> {
        if self.roots.is_empty() { self.rings.newest().map(|(ring, _)| ring) } else { self.rings.trusted(&self.free_roots()) }
    }

    /// Whether the reader gave this key by hand for this function. Whoever signs rings speaks for no function.
    fn is_given(&self, key: &Sha256, function: &str) -> bool {
        let speaks = |root: &Root| match &root.function {
            Some(only) => only.as_str() == function,
            None => !self.rings.signed_by(key),
        };
        self.roots.iter().any(|root| root.fingerprint == *key && speaks(root))
    }

    /// What the ring in force, or else the reader's own list, has to say of a key: its entry on the ring, if there is one.
    fn entry(&self, key: &Sha256, function: &str) -> Result<Option<&RingKey>, String> {
        match (self.named.get(key), self.number) {
            (Some(entry), _) if entry.function.as_str() == function => Ok(Some(entry)),
            (Some(entry), Some(number)) => Err(format!("{} names that key for `{}` only", ring_key(number), entry.function)),
            _ if self.is_given(key, function) => Ok(None),
            (_, Some(number)) => Err(format!("{} does not name that key for `{function}`", ring_key(number))),
            _ if self.roots.is_empty() => Ok(None),
            _ => Err(format!("that is not a trusted root for `{function}`")),
        }
    }

    /// Whether `key` may vouch for what `function` made at `made` and the store took at `stored`.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub(super) fn judge_endorser(
        &self,
        key: &Sha256,
        function: &FunctionName,
        made: Timestamp,
        stored: Option<Timestamp>,
    ) -> Result<(), String> {
        let entry = self.entry(key, function.as_str()).map_err(|reason| format!("endorsed by key {key}: {reason}"))?;
        let Some(entry) = entry else { return Ok(()) };
        if made.plus(SKEW) < entry.from {
            return Err(format!("made at {made}, before key {key} began at {}", entry.from));
        }
        not_after(entry, key, "made", made)?;
        // A stolen key can write any time into a record, and none into the store.
        stored.map_or(Ok(()), |stored| within_when_stored(entry, key, stored))
    }

    /// Whether `key` may sign a checkpoint. `newest` is the time of the newest batch under it: it was signed after that. `stored` is the
    /// store's time for the note, where it has one.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub(super) fn judge_checkpoint(
        &self,
        key: &Sha256,
        newest: Option<Timestamp>,
        stored: Option<Timestamp>,
    ) -> Result<(), String> {
        let entry = self.entry(key, SEAL).map_err(|reason| format!("signed by key {key}: {reason}"))?;
        let Some(entry) = entry else { return Ok(()) };
        newest.map_or(Ok(()), |newest| not_after(entry, key, "over a batch made", newest))?;
        stored.map_or(Ok(()), |stored| within_when_stored(entry, key, stored))
    }

    /// Why there must be a log, if the reader knows of its key.
    pub(super) fn wants_log(&self) -> Option<String> {
        if self.roots.iter().any(|root| root.function.as_ref().is_some_and(|function| function.as_str() == SEAL)) {
            return Some("a root for `seal` was given".to_owned());
        }
        let named = self.named.values().any(|entry| entry.function.as_str() == SEAL);
        self.number.filter(|_| named && !self.is_nobody()).map(|number| format!("{} names a key for `seal`", ring_key(number)))
    }

    /// What is to be said of the keyring.
    pub(super) fn finish(self, found: &mut Vec<Found>) -> Option<RingReport> {
        let trust = match (self.is_nobody(), self.number) {
            (true, _) => RingTrust::NotAsked,
            (false, Some(_)) => RingTrust::Trusted,
            (false, None) => RingTrust::NotTrusted,
        };
        let ring = self.in_force().or_else(|| self.rings.newest().map(|(ring, _)| ring))?;
        if trust == RingTrust::NotTrusted {
            let reason = format!("signed by key {}, which is no root given, so it was not used", ring.signer.fingerprint());
            found.push((FaultKind::Notice, ring_key(ring.number), reason));
        }
        Some(RingReport::of(ring, trust))
    }
}

fn not_after(entry: &RingKey, key: &Sha256, what: &str, time: Timestamp) -> Result<(), String> {
    match (entry.until, &entry.reason) {
        (Some(until), reason) if time > until => {
            let reason = reason.as_deref().unwrap_or("no reason given");
            Err(format!("{what} at {time}, after key {key} was retired at {until} ({reason})"))
        }
        _ => Ok(()),
    }
}

/// By the store's own clock, which may differ from the others by what SigV4 tolerates.
fn within_when_stored(entry: &RingKey, key: &Sha256, stored: Timestamp) -> Result<(), String> {
    if stored.plus(SKEW) < entry.from {
        return Err(format!("stored at {stored}, before key {key} began at {}", entry.from));
    }
    match entry.until {
        Some(until) if stored > until.plus(SKEW) => not_after(entry, key, "stored", stored),
        _ => Ok(()),
    }
}

/// Whether `object` is a ring, by its place.
pub(super) fn is_ring(object: &str) -> bool {
    object.starts_with(RINGS)
}

/// Reads what an object at `keys/seal/<fingerprint>.der` should hold: the public key that its name says.
#[must_use]
pub fn key_named(object: &str, bytes: &[u8]) -> Option<LogKey> {
    let key = LogKey::from_der(bytes)?;
    (object == sealing_key(&key.fingerprint())).then_some(key)
}

impl RingReport {
    /// What a reader is told of `ring`.
    #[must_use]
    pub fn of(ring: &Keyring, trust: RingTrust) -> Self {
        let key = |entry: &RingKey| KeyReport {
            function: entry.function.clone(),
            fingerprint: entry.key.fingerprint(),
            from: entry.from,
            until: entry.until,
            reason: entry.reason.clone(),
        };
        Self {
            number: ring.number,
            time: ring.time,
            trust,
            signer: ring.signer.fingerprint(),
            root: ring.root.fingerprint(),
            keys: ring.keys.iter().map(key).collect(),
        }
    }
}
