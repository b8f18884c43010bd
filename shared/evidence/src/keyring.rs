//! The keyring: which key speaks for which function, from when and until when, under one root.
//!
//! A *ring* is the whole list, signed by the root key: `keys/ring/<n>.json`, numbered from 1, each created once and each naming the
//! digest of the one before. In a list that follows another, nothing is ever taken back: a key stays, with its function and its
//! beginning, and its end may only be set or come earlier. Each ring also names the *root* that may sign the next, which is normally
//! itself; so one root hands over to another, and whoever trusts the first follows.
//!
//! Like a record, a ring is an in-toto Statement in a DSSE envelope in a Sigstore bundle, so whatever checks a record checks a ring.

use std::collections::{BTreeMap, BTreeSet};

use ids::{FunctionName, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dsse::{Bundle, DsseError, Envelope, IN_TOTO_TYPE, pae};
use crate::endorsement::PublicKey;
use crate::record::{STATEMENT_TYPE, Subject};
use crate::verify::SKEW;

/// The predicate type of a ring.
pub const KEYRING_TYPE: &str = "urn:cordon:evidence:keyring:v1";
/// Where rings live.
pub const RINGS: &str = "keys/ring/";
/// A reason is a sentence, not an essay: so many bytes at most.
const LONGEST_REASON: usize = 300;

/// Where ring `number` (1 and up) lives: `keys/ring/<number>.json`, padded so that a listing is in order.
#[must_use]
pub fn ring_key(number: u64) -> String {
    format!("{RINGS}{number:06}.json")
}

/// The number of the ring that lives at `key`.
#[must_use]
pub fn ring_number(key: &str) -> Option<u64> {
    let number = key.strip_prefix(RINGS)?.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && ring_key(number) == key).then_some(number)
}

/// A key, and what it may vouch for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingKey {
    /// The one function that it speaks for.
    pub function: FunctionName,
    /// The key.
    pub key: PublicKey,
    /// What was made earlier is not this key's.
    pub from: Timestamp,
    /// When it was or will be retired: what was made later is not this key's. None while that is open.
    pub until: Option<Timestamp>,
    /// Why it was retired; there is a reason exactly if there is an end.
    pub reason: Option<String>,
}

/// One ring: the whole list of keys as of its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// 1 for the first, then one more each.
    pub number: u64,
    /// When it was made, by the clock of whoever signed.
    pub time: Timestamp,
    /// SHA-256 of the ring before; none for the first.
    pub prev: Option<Sha256>,
    /// The key that signs this ring.
    pub signer: PublicKey,
    /// The key that may sign the next: normally the same.
    pub root: PublicKey,
    /// Every key there ever was.
    pub keys: Vec<RingKey>,
}

/// Why an object is not the ring it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RingError {
    /// Its name is no ring's.
    #[error("not a ring's key (keys/ring/NNNNNN.json): something was put among the keys")]
    Place,
    /// Not signed, or not by the key it names, or changed since.
    #[error("not a signed ring: {0}")]
    Unsigned(#[from] DsseError),
    /// The signed payload is something else, or spelled otherwise.
    #[error("the signed payload is not a keyring in the exact form it is written in")]
    Form,
    /// It belongs under another number.
    #[error("it is ring {0}, under another number's key")]
    Elsewhere(u64),
    /// The first ring follows on none, and every other on one.
    #[error("ring 1 follows on none, and every other names the one before it")]
    Beginning,
    /// A list without keys says nothing.
    #[error("it names no key")]
    Empty,
    /// One key, two entries.
    #[error("it names key {0} twice: a key speaks for one function, once")]
    Twice(Sha256),
    /// The root would vouch for itself.
    #[error("key {0} signs rings, so it speaks for no function")]
    RootSpeaks(Sha256),
    /// An end before the beginning.
    #[error("key {0} would be retired before it began")]
    Ends(Sha256),
    /// A reason without an end, an end without a reason, or no sentence.
    #[error("key {0}: a reason belongs to an end, and is a line of 1 to 300 bytes")]
    Reason(Sha256),
    /// Two objects with one number.
    #[error("there are two rings {0}: the keyring was forked")]
    Fork(u64),
    /// What it follows on is not here.
    #[error("before it, ring {0} is missing or does not hold")]
    Gap(u64),
    /// It follows on another ring than the one here.
    #[error("it does not follow on the ring before it: that one was exchanged, or this one belongs elsewhere")]
    Follows,
    /// Somebody else signed.
    #[error("signed by key {signer}, and the ring before it names {root} as the root")]
    Signer {
        /// Who signed.
        signer: Sha256,
        /// Who should have.
        root: Sha256,
    },
    /// A clock that runs back.
    #[error("made at {time}, before the ring that it follows ({before})")]
    Back {
        /// Its time.
        time: Timestamp,
        /// The earlier ring's.
        before: Timestamp,
    },
    /// A key is not there any more.
    #[error("key {key} for `{function}` is gone: a key that was listed once stays listed")]
    Gone {
        /// The key.
        key: Sha256,
        /// Its function.
        function: FunctionName,
    },
    /// Another function or beginning than before.
    #[error("key {0} has another function or beginning than before")]
    Changed(Sha256),
    /// Retirement is for good.
    #[error("key {key} was retired at {until}, and would be valid again after that: an end may only come earlier")]
    Revived {
        /// The key.
        key: Sha256,
        /// Its end as it was.
        until: Timestamp,
    },
    /// Nothing to change, or nothing to change it on.
    #[error("there is no key {0} on the ring")]
    NoSuchKey(Sha256),
}

/// An in-toto Statement v1 about keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingStatement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Keyring,
}

/// A ring in the making: what its root signs, and how to put the answer together.
#[derive(Debug)]
pub struct UnsignedRing {
    payload: Vec<u8>,
    signer: PublicKey,
    number: u64,
}

impl UnsignedRing {
    /// Where the ring belongs.
    #[must_use]
    pub fn key(&self) -> String {
        ring_key(self.number)
    }

    /// The SHA-256 digest to be signed with ECDSA (for `kms:Sign`: `MessageType=DIGEST`, `ECDSA_SHA_256`).
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&pae(IN_TOTO_TYPE, &self.payload))
    }

    /// The object, with an ASN.1 DER signature.
    ///
    /// # Errors
    /// If the signature is not by the key that the ring names as its signer.
    pub fn finish(self, signature: &[u8]) -> Result<Vec<u8>, RingError> {
        let envelope = Envelope::assemble(IN_TOTO_TYPE, &self.payload, signature, &self.signer);
        envelope.verify(IN_TOTO_TYPE, &self.signer)?;
        Bundle::new(envelope).to_bytes().map_err(|_| RingError::Form)
    }
}

impl Keyring {
    /// The first ring, to be signed by `root`.
    #[must_use]
    pub fn first(root: PublicKey, time: Timestamp, keys: Vec<RingKey>) -> Self {
        Self { number: 1, time, prev: None, signer: root.clone(), root, keys }
    }

    /// The ring after this one, whose object has the digest `sha256`: with the same keys, to be signed by this one's root.
    #[must_use]
    pub fn successor(&self, sha256: Sha256, time: Timestamp) -> Self {
        Self {
            number: self.number.saturating_add(1),
            // A clock that is a little behind: the ring's own time never goes back.
            time: if time.plus(SKEW) < self.time { time } else { time.max(self.time) },
            prev: Some(sha256),
            signer: self.root.clone(),
            root: self.root.clone(),
            keys: self.keys.clone(),
        }
    }

    /// Ends `key` at `until`.
    ///
    /// # Errors
    /// If it is not on this ring. Whether it may end then is for [`Keyring::follows`] to say.
    pub fn retire(&mut self, key: &Sha256, until: Timestamp, reason: &str) -> Result<(), RingError> {
        let entry = self.keys.iter_mut().find(|entry| entry.key.fingerprint() == *key).ok_or(RingError::NoSuchKey(*key))?;
        (entry.until, entry.reason) = (Some(until), Some(reason.to_owned()));
        Ok(())
    }

    /// Prepares the signing of this ring.
    ///
    /// # Errors
    /// If it breaks a rule by itself. Whether it follows on another is for [`Keyring::follows`] to say.
    pub fn prepare(&self) -> Result<UnsignedRing, RingError> {
        self.sound()?;
        Ok(UnsignedRing { payload: self.payload()?, signer: self.signer.clone(), number: self.number })
    }

    /// The signed bytes: compact JSON, fields in one order.
    fn payload(&self) -> Result<Vec<u8>, RingError> {
        let subject = |entry: &RingKey| {
            let fingerprint = entry.key.fingerprint();
            Subject::new(format!("keys/{}/{fingerprint}.der", entry.function), fingerprint)
        };
        let statement = RingStatement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: self.keys.iter().map(subject).collect(),
            predicate_type: KEYRING_TYPE.to_owned(),
            predicate: self.clone(),
        };
        serde_json::to_vec(&statement).map_err(|_| RingError::Form)
    }

    /// Opens an object found at `object`: form, signature by the key that it names, place, and what a ring must keep by itself. Whether
    /// that key is to be trusted, and whether it follows on the ring before, is not decided here. With the object's digest.
    ///
    /// # Errors
    /// Any [`RingError`] that needs no other ring.
    pub fn open(object: &str, bytes: &[u8]) -> Result<(Self, Sha256), RingError> {
        let number = ring_number(object).ok_or(RingError::Place)?;
        let bundle = Bundle::parse(bytes)?;
        let payload = bundle.envelope().payload()?;
        let statement: RingStatement = serde_json::from_slice(&payload).map_err(|_| RingError::Form)?;
        let ring = statement.predicate;
        bundle.envelope().verify(IN_TOTO_TYPE, &ring.signer)?;
        // Written again it must be the same: so subjects and types are what they should be, too.
        if ring.payload()? != payload {
            return Err(RingError::Form);
        }
        if ring.number != number {
            return Err(RingError::Elsewhere(ring.number));
        }
        ring.sound()?;
        Ok((ring, Sha256::of(bytes)))
    }

    /// What a ring must keep by itself.
    fn sound(&self) -> Result<(), RingError> {
        if self.number == 0 || self.prev.is_none() != (self.number == 1) {
            return Err(RingError::Beginning);
        }
        if self.keys.is_empty() {
            return Err(RingError::Empty);
        }
        let roots = [self.signer.fingerprint(), self.root.fingerprint()];
        let mut seen = BTreeSet::new();
        for entry in &self.keys {
            let key = entry.key.fingerprint();
            if !seen.insert(key) {
                return Err(RingError::Twice(key));
            }
            if roots.contains(&key) {
                return Err(RingError::RootSpeaks(key));
            }
            if entry.until.is_some_and(|until| until < entry.from) {
                return Err(RingError::Ends(key));
            }
            let line =
                |text: &String| !text.trim().is_empty() && text.len() <= LONGEST_REASON && !text.chars().any(char::is_control);
            if entry.until.is_some() != entry.reason.is_some() || !entry.reason.iter().all(line) {
                return Err(RingError::Reason(key));
            }
        }
        Ok(())
    }

    /// Checks that this ring follows on `before`, whose object has the digest `sha256`.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn follows(&self, before: &Self, sha256: &Sha256) -> Result<(), RingError> {
        if self.number != before.number.saturating_add(1) {
            return Err(RingError::Gap(self.number.saturating_sub(1)));
        }
        if self.prev != Some(*sha256) {
            return Err(RingError::Follows);
        }
        if self.signer != before.root {
            return Err(RingError::Signer { signer: self.signer.fingerprint(), root: before.root.fingerprint() });
        }
        if self.time.plus(SKEW) < before.time {
            return Err(RingError::Back { time: self.time, before: before.time });
        }
        let now: BTreeMap<Sha256, &RingKey> = self.keys.iter().map(|entry| (entry.key.fingerprint(), entry)).collect();
        for old in &before.keys {
            let key = old.key.fingerprint();
            let Some(new) = now.get(&key) else {
                return Err(RingError::Gone { key, function: old.function.clone() });
            };
            if new.function != old.function || new.from != old.from {
                return Err(RingError::Changed(key));
            }
            if let Some(until) = old.until {
                if new.until.is_none_or(|new| new > until) {
                    return Err(RingError::Revived { key, until });
                }
                // Why it ended then is not told otherwise afterwards.
                if new.until == old.until && new.reason != old.reason {
                    return Err(RingError::Reason(key));
                }
            }
        }
        Ok(())
    }
}

/// The rings of one store, as they are read back in the order of their numbers.
#[derive(Debug, Default)]
pub struct Rings {
    /// The number that was read last, whether it held or not.
    last: u64,
    /// What held, each with its digest and whether it follows on the one before it here.
    rings: Vec<(Keyring, Sha256, bool)>,
}

impl Rings {
    /// Takes in the next ring.
    ///
    /// # Errors
    /// The rule it breaks. A ring that comes after a gap still counts for whoever trusts its own signer; any other that breaks a rule
    /// counts for nobody.
    pub fn add(&mut self, ring: Keyring, sha256: Sha256) -> Result<(), RingError> {
        let number = ring.number;
        if number <= self.last {
            return Err(RingError::Fork(number));
        }
        self.last = number;
        let held = match self.rings.last() {
            Some((before, digest, _)) => ring.follows(before, digest),
            None if number == 1 => Ok(()),
            None => Err(RingError::Gap(number.saturating_sub(1))),
        };
        if matches!(held, Ok(()) | Err(RingError::Gap(_))) {
            self.rings.push((ring, sha256, held.is_ok()));
        }
        held
    }

    /// Notes that there is an object with this number that is no ring to believe.
    pub fn broken(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// The newest ring that held, and its digest.
    #[must_use]
    pub fn newest(&self) -> Option<(&Keyring, &Sha256)> {
        self.rings.last().map(|(ring, digest, _)| (ring, digest))
    }

    /// The newest ring for a reader who trusts `roots`: signed by one of them, or by a root that such a ring named.
    #[must_use]
    pub fn trusted(&self, roots: &BTreeSet<Sha256>) -> Option<&Keyring> {
        let mut anchored = false;
        let mut newest = None;
        for (ring, _, follows) in &self.rings {
            anchored = (anchored && *follows) || roots.contains(&ring.signer.fingerprint());
            if anchored {
                newest = Some(ring);
            }
        }
        newest
    }

    /// Whether a ring that held was signed by this key.
    #[must_use]
    pub fn signed_by(&self, key: &Sha256) -> bool {
        self.rings.iter().any(|(ring, ..)| ring.signer.fingerprint() == *key)
    }
}
