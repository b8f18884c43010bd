//! Checkpoints: signed tree heads (C2SP tlog-checkpoint, signed-note).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::{Sha256, Timestamp};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier as _;
use serde_json::json;
use thiserror::Error;

use super::ed25519::{Ed25519Key, Witness};
use crate::dsse::BUNDLE_TYPE;
use crate::endorsement::PublicKey;

/// Where the immutable copy of the checkpoint of `size` leaves lives.
#[must_use]
pub fn checkpoint_key(size: u64) -> String {
    format!("log/cp/{size:012}.note")
}

/// Where the Sigstore bundle over that checkpoint lives.
#[must_use]
pub fn bundle_key(size: u64) -> String {
    format!("log/cp/{size:012}.sigstore.json")
}

/// Where a public key that signs checkpoints is kept, by its fingerprint.
#[must_use]
pub fn sealing_key(fingerprint: &Sha256) -> String {
    format!("keys/seal/{fingerprint}.der")
}

/// Over how many leaves the checkpoint is that `key` belongs to: the note, or what lies beside it under the same number.
#[must_use]
pub fn checkpoint_size(key: &str) -> Option<u64> {
    let (number, _) = key.strip_prefix("log/cp/")?.split_once('.')?;
    let size = number.parse().ok()?;
    key.starts_with(checkpoint_key(size).strip_suffix("note")?).then_some(size)
}

/// What the copy of the checkpoint of `size` leaves is called in another account's bucket. Many logs may be copied into one, so the log's name
/// comes first.
#[must_use]
pub fn copy_key(origin: &str, size: u64) -> String {
    format!("{origin}/{size}.note")
}

/// Where the cosignature of `witness` under the checkpoint of `size` leaves lives: the whole note, with that one line more. Each witness
/// has an object of its own, because what is created once cannot wait for the others.
#[must_use]
pub fn cosigned_key(size: u64, witness: &Witness) -> String {
    format!("log/cp/{size:012}.{}.cosigned", witness.id())
}

/// A note has at most this many signatures; C2SP's signed-note asks readers for 16.
const MOST_LINES: usize = 64;

/// What a checkpoint says: the log's origin, how many leaves it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, a schema-less URL.
    pub origin: String,
    /// Its leaves.
    pub size: u64,
    /// Its root.
    pub root: Sha256,
}

/// Why a note is not a checkpoint to believe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not a signed note with a checkpoint's three lines.
    #[error("not a signed note with origin, size and root")]
    Form,
    /// No signature by this key is on it.
    #[error("it carries no signature by the log's key {0}")]
    NoSignature(Sha256),
    /// No key that is known has signed it as every checkpoint must be signed.
    #[error("not signed by any key that is kept under `keys/`")]
    Stranger,
    /// A signature names the key and does not fit.
    #[error("its signature does not fit")]
    Signature,
    /// The second signature names the key and does not fit.
    #[error("its Ed25519 signature by the log's key {0} does not fit")]
    Ed25519(Sha256),
    /// A cosignature by this witness is not on it.
    #[error("it carries no cosignature of witness {0}")]
    NoCosignature(String),
    /// A cosignature names the witness and does not fit.
    #[error("the cosignature of witness {0} does not fit")]
    Cosignature(String),
}

/// A key that speaks for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogKey {
    /// One that signs every checkpoint.
    P256(PublicKey),
    /// One that may sign beside it.
    Ed25519(Ed25519Key),
}

impl LogKey {
    /// The key in `der`, as it is kept under `keys/seal/`; none if it is of no kind that signs checkpoints.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let second = || Ed25519Key::from_der(der).map(Self::Ed25519);
        PublicKey::from_der(der).map(Self::P256).or_else(|_| second()).ok()
    }

    /// SHA-256 of the DER form.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        match self {
            Self::P256(key) => key.fingerprint(),
            Self::Ed25519(key) => key.fingerprint(),
        }
    }
}

/// The keys that are known to speak for a log.
#[derive(Debug, Clone, Default)]
pub struct LogKeys {
    first: BTreeMap<Sha256, PublicKey>,
    second: BTreeMap<Sha256, Ed25519Key>,
}

impl LogKeys {
    /// Takes in one more.
    pub fn know(&mut self, key: LogKey) {
        let fingerprint = key.fingerprint();
        match key {
            LogKey::P256(key) => drop(self.first.insert(fingerprint, key)),
            LogKey::Ed25519(key) => drop(self.second.insert(fingerprint, key)),
        }
    }
}

/// A checkpoint whose every signature by a known key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Fingerprints of the P-256 keys that signed it, at least one.
    pub signers: Vec<Sha256>,
    /// The Ed25519 keys that signed it too, as verifier keys.
    pub vkeys: Vec<String>,
}

/// A signature line: who signed, and key id and signature.
type Line = (String, Vec<u8>);

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

impl Checkpoint {
    /// SHA-256 of the text that is signed, for `kms:Sign` (`MessageType=DIGEST`, `ECDSA_SHA_256`).
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.to_string().as_bytes())
    }

    /// The signed note, with an ASN.1 DER signature by `key` over the text (signature type 0x02: ECDSA).
    ///
    /// # Errors
    /// If the signature does not fit: nothing unsound is ever published.
    pub fn note(&self, signature: &[u8], key: &PublicKey) -> Result<String, CheckpointError> {
        let line = [key_id(key).as_slice(), signature].concat();
        let note = format!("{self}\n{}", signature_line(&self.origin, &line));
        Self::verify(&note, key)?;
        Ok(note)
    }

    /// `note`, which is this checkpoint's, with an Ed25519 signature by `key` over the text added (signature type 0x01).
    ///
    /// # Errors
    /// If the signature does not fit: nothing unsound is ever published.
    pub fn add_ed25519(&self, note: &str, signature: &[u8], key: &Ed25519Key) -> Result<String, CheckpointError> {
        if !key.fits(&self.to_string(), signature) {
            return Err(CheckpointError::Ed25519(key.fingerprint()));
        }
        let line = [key.id(&self.origin).as_slice(), signature].concat();
        Ok(format!("{note}{}", signature_line(&self.origin, &line)))
    }

    /// The same signature as a Sigstore bundle over the note's text, for tools that know no notes.
    #[must_use]
    pub fn bundle(&self, signature: &[u8], key: &PublicKey) -> String {
        json!({
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": { "publicKey": { "hint": key.hint() } },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(self.digest().as_bytes()) },
                "signature": STANDARD.encode(signature),
            },
        })
        .to_string()
    }

    /// Whether `bundle` is this checkpoint's, as [`Checkpoint::bundle`] writes it, signed by one of the P-256 keys.
    #[must_use]
    pub fn is_bundled(&self, bundle: &[u8], keys: &LogKeys) -> bool {
        let read = serde_json::from_slice::<serde_json::Value>(bundle).ok();
        let signature = read.as_ref().and_then(|read| read.pointer("/messageSignature/signature")?.as_str());
        let Some(signature) = signature.and_then(|signature| STANDARD.decode(signature).ok()) else { return false };
        let text = self.to_string();
        // Written again, it must be the same: nothing else is in it.
        keys.first.values().any(|key| fits(&text, &signature, key) && self.bundle(&signature, key).as_bytes() == bundle)
    }

    /// Reads a note without believing it.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn read(note: &str) -> Result<Self, CheckpointError> {
        Self::parts(note).map(|(checkpoint, _)| checkpoint)
    }

    /// Reads a note that `key` has signed.
    ///
    /// # Errors
    /// Any [`CheckpointError`].
    pub fn verify(note: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        let (checkpoint, signatures) = Self::parts(note)?;
        let (name, id) = (&checkpoint.origin, key_id(key));
        let ours = signatures.iter().find(|(signer, line)| signer == name && line.starts_with(&id));
        let (_, line) = ours.ok_or_else(|| CheckpointError::NoSignature(key.fingerprint()))?;
        let fits = line.get(id.len()..).is_some_and(|signature| fits(&checkpoint.to_string(), signature, key));
        if fits { Ok(checkpoint) } else { Err(CheckpointError::Signature) }
    }

    /// Reads a note that a log of these `keys` has signed: one of the P-256 keys at least, and whatever else a known key has signed on it
    /// must fit as well. Signatures by others, such as witnesses, are passed over.
    ///
    /// # Errors
    /// Any [`CheckpointError`] but those of witnesses.
    pub fn open(note: &str, keys: &LogKeys) -> Result<Opened, CheckpointError> {
        let (checkpoint, lines) = Self::parts(note)?;
        let text = checkpoint.to_string();
        let by = |name: &str, id: [u8; 4]| {
            let ours = lines.iter().filter(move |(signer, line)| signer == name && line.starts_with(&id));
            ours.filter_map(|(_, line)| line.get(4..)).collect::<Vec<_>>()
        };
        let (mut signers, mut vkeys) = (Vec::new(), Vec::new());
        for (fingerprint, key) in &keys.first {
            let signatures = by(&checkpoint.origin, key_id(key));
            if signatures.iter().any(|signature| !fits(&text, signature, key)) {
                return Err(CheckpointError::Signature);
            }
            signers.extend((!signatures.is_empty()).then_some(*fingerprint));
        }
        for (fingerprint, key) in &keys.second {
            let signatures = by(&checkpoint.origin, key.id(&checkpoint.origin));
            if signatures.iter().any(|signature| !key.fits(&text, signature)) {
                return Err(CheckpointError::Ed25519(*fingerprint));
            }
            vkeys.extend((!signatures.is_empty()).then(|| key.vkey(&checkpoint.origin)));
        }
        if signers.is_empty() { Err(CheckpointError::Stranger) } else { Ok(Opened { checkpoint, signers, vkeys }) }
    }

    /// When `witness` cosigned this note, at the latest; none if it did not. Whether the log signed it is another question.
    ///
    /// # Errors
    /// [`CheckpointError::Form`], or [`CheckpointError::Cosignature`] if a line names the witness and does not fit.
    pub fn cosigned(note: &str, witness: &Witness) -> Result<Option<Timestamp>, CheckpointError> {
        let (checkpoint, lines) = Self::parts(note)?;
        let text = checkpoint.to_string();
        let mut newest = None;
        for signature in cosignatures(&lines, witness) {
            let time = witness.cosigned(&text, signature).ok_or_else(|| CheckpointError::Cosignature(witness.name().to_owned()))?;
            let millis = i64::try_from(time).unwrap_or(i64::MAX).saturating_mul(1000);
            newest = newest.max(Some(Timestamp::saturating(millis)));
        }
        Ok(newest)
    }

    /// `note` with the cosignature of `witness` added, out of `answer`: signature lines, as a witness answers `add-checkpoint`. Lines of
    /// others are left out.
    ///
    /// # Errors
    /// If there is no such line, or it does not fit.
    pub fn add_cosignature(note: &str, answer: &str, witness: &Witness) -> Result<String, CheckpointError> {
        let (checkpoint, lines) = Self::parts(&format!("{note}{answer}"))?;
        let there = Self::parts(note)?.1.len();
        let added = lines.get(there..).unwrap_or_default();
        let none = || CheckpointError::NoCosignature(witness.name().to_owned());
        let signature = cosignatures(added, witness).next().ok_or_else(none)?;
        if witness.cosigned(&checkpoint.to_string(), signature).is_none() {
            return Err(CheckpointError::Cosignature(witness.name().to_owned()));
        }
        let line = [witness.key_id().as_slice(), signature].concat();
        Ok(format!("{note}{}", signature_line(witness.name(), &line)))
    }

    fn parts(note: &str) -> Result<(Self, Vec<Line>), CheckpointError> {
        Self::read_parts(note).ok_or(CheckpointError::Form)
    }

    fn read_parts(note: &str) -> Option<(Self, Vec<Line>)> {
        let (text, signed) = note.rsplit_once("\n\n")?;
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let checkpoint = Self { origin: origin.to_owned(), size: size.parse().ok()?, root: Sha256::from_bytes(root) };
        // Written again, it must be the same: no extension lines, no `+1`, no other base64.
        if format!("{text}\n") != checkpoint.to_string() || !is_name(origin) {
            return None;
        }
        let signatures = signed.strip_suffix('\n')?.split('\n').map(|line| {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            Some((name.to_owned(), STANDARD.decode(signature).ok()?))
        });
        let signatures: Vec<Line> = signatures.take(MOST_LINES + 1).collect::<Option<_>>()?;
        (signatures.len() <= MOST_LINES).then_some((checkpoint, signatures))
    }
}

/// A line of a note's second part.
fn signature_line(name: &str, id_and_signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode(id_and_signature))
}

fn cosignatures<'a>(lines: &'a [Line], witness: &Witness) -> impl Iterator<Item = &'a [u8]> {
    let id = witness.key_id();
    let ours = lines.iter().filter(move |(signer, line)| signer == witness.name() && line.starts_with(&id));
    ours.filter_map(|(_, line)| line.get(4..))
}

fn fits(text: &str, der: &[u8], key: &PublicKey) -> bool {
    Signature::from_der(der).is_ok_and(|signature| key.verifying().verify(text.as_bytes(), &signature).is_ok())
}

/// A key's name in a note: not empty, no space, no plus.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// For ECDSA the first four bytes of the key's fingerprint (C2SP signed-note, signature type 0x02).
fn key_id(key: &PublicKey) -> [u8; 4] {
    let [a, b, c, d, ..] = *key.fingerprint().as_bytes();
    [a, b, c, d]
}
