//! Checkpoints: signed tree heads (C2SP tlog-checkpoint, signed-note).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::Sha256;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier as _;
use serde_json::json;
use thiserror::Error;

use crate::dsse::BUNDLE_TYPE;
use crate::endorsement::PublicKey;

/// Where the immutable copy of the checkpoint of `size` leaves lives.
#[must_use]
pub fn checkpoint_key(size: u64) -> String {
    format!("log/cp/{size:012}.note")
}

/// Over how many leaves the checkpoint is that `key` belongs to: the note, or what lies beside it under the same number.
#[must_use]
pub fn checkpoint_size(key: &str) -> Option<u64> {
    let (number, _) = key.strip_prefix("log/cp/")?.split_once('.')?;
    let size = number.parse().ok()?;
    key.starts_with(checkpoint_key(size).strip_suffix("note")?).then_some(size)
}

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
    /// A signature names the key and does not fit.
    #[error("its signature does not fit")]
    Signature,
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
        let note = format!("{self}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(line));
        Self::verify(&note, key)?;
        Ok(note)
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
        let signature = line.get(id.len()..).and_then(|der| Signature::from_der(der).ok()).ok_or(CheckpointError::Signature)?;
        let fits = key.verifying().verify(checkpoint.to_string().as_bytes(), &signature);
        fits.map(|()| checkpoint).map_err(|_| CheckpointError::Signature)
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
        Some((checkpoint, signatures.collect::<Option<_>>()?))
    }
}

/// A key's name in a note: not empty, no space, no plus.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// For ECDSA the first four bytes of the key's fingerprint (C2SP signed-note, signature type 0x02).
fn key_id(key: &PublicKey) -> [u8; 4] {
    let [a, b, c, d, ..] = *key.fingerprint().as_bytes();
    [a, b, c, d]
}
