//! Ed25519 in signed notes: the log's second key, and the keys of witnesses (C2SP signed-note, tlog-cosignature).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use ids::Sha256;
use thiserror::Error;

use super::checkpoint::is_name;

/// What every Ed25519 `SubjectPublicKeyInfo` begins with: the algorithm 1.3.101.112 without parameters (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Signature type of a note's own Ed25519 signature.
const NOTE: u8 = 0x01;
/// Signature type of a witness's timestamped cosignature.
const COSIGNATURE: u8 = 0x04;

/// An Ed25519 public key that speaks for a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Ed25519Key {
    der: Vec<u8>,
    key: VerifyingKey,
}

/// Bytes that are no Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not an Ed25519 public key (DER SubjectPublicKeyInfo)")]
pub struct Ed25519KeyError;

impl Ed25519Key {
    /// The key in `der`, as `kms:GetPublicKey` returns it for a key of the kind `ECC_NIST_EDWARDS25519`.
    ///
    /// # Errors
    /// If it is another kind of key, not in DER's one form, or a point that fits signatures nobody made.
    pub fn from_der(der: &[u8]) -> Result<Self, Ed25519KeyError> {
        let point = der.strip_prefix(&SPKI).and_then(|point| point.try_into().ok()).ok_or(Ed25519KeyError)?;
        Ok(Self { der: der.to_vec(), key: point_of(point).ok_or(Ed25519KeyError)? })
    }

    /// SHA-256 of the DER form.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.der)
    }

    /// The DER form.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key as witnesses and Go's `note.NewVerifier` ask for it, for the log `name`.
    #[must_use]
    pub fn vkey(&self, name: &str) -> String {
        vkey(name, NOTE, &self.key)
    }

    pub(super) fn id(&self, name: &str) -> [u8; 4] {
        key_id(name, NOTE, &self.key)
    }

    pub(super) fn fits(&self, text: &str, signature: &[u8]) -> bool {
        fits(&self.key, text.as_bytes(), signature)
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({})", self.fingerprint())
    }
}

/// Someone who watches logs and cosigns only what goes on from what was cosigned before. As text, a verifier key of C2SP's signed-note:
/// `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct Witness {
    name: String,
    key: VerifyingKey,
}

/// Text that is no witness.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WitnessError {
    /// Not a verifier key at all.
    #[error("expected a witness's verifier key, NAME+ID+KEY: 8 hex digits and base64 after its name (c2sp.org/signed-note)")]
    Form,
    /// A key for signatures of another type.
    #[error("a verifier key for signatures of type {0}, and a witness cosigns with type 4 (c2sp.org/tlog-cosignature)")]
    Type(u8),
    /// Its id is not that of its key: something is mistyped.
    #[error("its id is {is}, and its name and key come to {}: is it complete?", hex(*comes_to))]
    Id {
        /// The id that was given.
        is: String,
        /// The id that follows from name and key.
        comes_to: [u8; 4],
    },
    /// Not a point that can verify anything.
    #[error("its key is not an Ed25519 public key")]
    Key,
}

impl Witness {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its key's id, eight hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        hex(self.key_id())
    }

    pub(super) fn key_id(&self) -> [u8; 4] {
        key_id(&self.name, COSIGNATURE, &self.key)
    }

    /// The time of a cosignature over `text`, in seconds since the epoch; none if it does not fit.
    pub(super) fn cosigned(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let fits = fits(&self.key, format!("cosignature/v1\ntime {time}\n{text}").as_bytes(), signature);
        (fits && i64::try_from(time).is_ok()).then_some(time)
    }
}

impl FromStr for Witness {
    type Err = WitnessError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(WitnessError::Form) };
        let key = STANDARD.decode(key).map_err(|_| WitnessError::Form)?;
        let Some((&kind, point)) = key.split_first().filter(|_| is_name(name) && id.len() == 8) else {
            return Err(WitnessError::Form);
        };
        if kind != COSIGNATURE {
            return Err(WitnessError::Type(kind));
        }
        let key = point.try_into().ok().and_then(point_of).ok_or(WitnessError::Key)?;
        let witness = Self { name: name.to_owned(), key };
        if witness.id() != id {
            return Err(WitnessError::Id { is: id.to_owned(), comes_to: witness.key_id() });
        }
        Ok(witness)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(&self.name, COSIGNATURE, &self.key))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Witness({self})")
    }
}

fn point_of(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())
}

fn fits(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

fn vkey(name: &str, kind: u8, key: &VerifyingKey) -> String {
    let encoded = STANDARD.encode([&[kind], key.as_bytes().as_slice()].concat());
    format!("{name}+{}+{encoded}", hex(key_id(name, kind, key)))
}

/// C2SP signed-note: `SHA-256(name || "\n" || type || key)[:4]`.
fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let [a, b, c, d, ..] = *Sha256::of(&[name.as_bytes(), b"\n", &[kind], key.as_bytes()].concat()).as_bytes();
    [a, b, c, d]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
