//! Timestamps of checkpoints by someone else's clock (RFC 3161).
//!
//! What is read here is what a token says, and of what. Whether a timestamping authority signed it, and which, is for
//! `openssl ts -verify` and the reader's own list of authorities.

use ids::{Sha256, Timestamp};
use thiserror::Error;

/// `AlgorithmIdentifier` of SHA-256, with the parameters that RFC 3161's own examples have.
const SHA256: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
/// 1.2.840.113549.1.7.2, `id-signedData`.
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.16.1.4, `id-ct-TSTInfo`.
const TST_INFO: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const FIRST: u8 = 0xa0;

/// The HTTP content type of a request (RFC 3161, section 3.4).
pub const TIMESTAMP_QUERY: &str = "application/timestamp-query";

/// Where the timestamp of the checkpoint of `size` leaves lives.
#[must_use]
pub fn timestamp_key(size: u64) -> String {
    format!("log/cp/{size:012}.tsr")
}

/// The size of the checkpoint whose timestamp lives at `key`.
#[must_use]
pub fn timestamp_size(key: &str) -> Option<u64> {
    let size = key.strip_prefix("log/cp/")?.strip_suffix(".tsr")?.parse().ok()?;
    (timestamp_key(size) == key).then_some(size)
}

/// What a timestamping authority is asked: a `TimeStampReq` over a SHA-256, its certificate to be sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampRequest {
    digest: Sha256,
    nonce: [u8; 8],
}

impl TimestampRequest {
    /// Asks for the time of `digest`; `random` makes the answer one to this very request.
    #[must_use]
    pub fn new(digest: Sha256, random: [u8; 8]) -> Self {
        let mut nonce = random;
        // An INTEGER that is positive and has no zero in front, so that it has one form.
        if let Some(first) = nonce.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        Self { digest, nonce }
    }

    /// The request in DER. Its parts all have fixed lengths.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let imprint = wrap(SEQUENCE, &[&SHA256, &*wrap(OCTETS, &[self.digest.as_bytes()])]);
        wrap(SEQUENCE, &[&[INTEGER, 1, 1], &imprint, &wrap(INTEGER, &[&self.nonce]), &[BOOLEAN, 1, 0xff]])
    }
}

/// What a granted timestamp says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 that was there.
    pub imprint: Sha256,
    /// When, by the authority's clock.
    pub time: Timestamp,
    nonce: Option<Vec<u8>>,
}

/// Why an answer is no timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a `TimeStampResp` with a token over a SHA-256, in DER.
    #[error("not a timestamp response over a SHA-256 (RFC 3161, in DER)")]
    Form,
    /// The authority says no.
    #[error("the timestamping authority refused, with status {status}{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused {
        /// `PKIStatus`.
        status: u8,
        /// What it says, made printable.
        text: String,
    },
    /// The time of something else.
    #[error("the timestamp is over something else")]
    Imprint,
    /// The answer to another request.
    #[error("the timestamp answers another request: its nonce differs")]
    Nonce,
}

impl Token {
    /// Reads a `TimeStampResp`, as an authority answers and as it is kept. Its signature is not looked at.
    ///
    /// # Errors
    /// [`TokenError::Form`] or [`TokenError::Refused`].
    pub fn read(response: &[u8]) -> Result<Self, TokenError> {
        let mut all = Der(response);
        let mut response = all.inside(SEQUENCE).filter(|_| all.0.is_empty()).ok_or(TokenError::Form)?;
        let (status, text) = read_status(&mut response).ok_or(TokenError::Form)?;
        // `granted` and `grantedWithMods`; a token comes with no other.
        if status > 1 {
            return Err(TokenError::Refused { status, text });
        }
        read_token(&mut response).filter(|_| response.0.is_empty()).ok_or(TokenError::Form)
    }

    /// Whether this answers `request`.
    ///
    /// # Errors
    /// [`TokenError::Imprint`] or [`TokenError::Nonce`].
    pub fn answers(&self, request: &TimestampRequest) -> Result<(), TokenError> {
        if self.imprint != request.digest {
            return Err(TokenError::Imprint);
        }
        if self.nonce.as_deref() != Some(&request.nonce) { Err(TokenError::Nonce) } else { Ok(()) }
    }
}

/// `PKIStatusInfo`: the status, and the first words of what is said of it.
fn read_status(response: &mut Der<'_>) -> Option<(u8, String)> {
    let mut info = response.inside(SEQUENCE)?;
    let [status] = info.take(INTEGER)? else { return None };
    let said = info.inside(SEQUENCE).and_then(|mut texts| texts.take(UTF8)).unwrap_or_default();
    let text: String = String::from_utf8_lossy(said).chars().filter(|c| !c.is_control()).take(200).collect();
    Some((*status, text))
}

/// `ContentInfo`, `SignedData`, `EncapsulatedContentInfo` (RFC 5652), and the `TSTInfo` within.
fn read_token(response: &mut Der<'_>) -> Option<Token> {
    let mut content = response.inside(SEQUENCE)?;
    content.take(OID).filter(|kind| *kind == SIGNED_DATA)?;
    let mut explicit = content.inside(FIRST)?;
    let mut signed = explicit.inside(SEQUENCE)?;
    signed.take(INTEGER)?;
    signed.take(SET)?;
    let mut encapsulated = signed.inside(SEQUENCE)?;
    encapsulated.take(OID).filter(|kind| *kind == TST_INFO)?;
    let info = encapsulated.inside(FIRST)?.take(OCTETS)?;
    read_info(info)
}

fn read_info(bytes: &[u8]) -> Option<Token> {
    let mut all = Der(bytes);
    let mut info = all.inside(SEQUENCE).filter(|_| all.0.is_empty())?;
    info.take(INTEGER).filter(|version| *version == [1])?;
    info.take(OID)?;
    let mut imprint = info.inside(SEQUENCE)?;
    let mut algorithm = imprint.inside(SEQUENCE)?;
    // With or without the NULL that stands for no parameters: both are met.
    let oid = SHA256.get(4..13)?;
    algorithm.take(OID).filter(|found| *found == oid && matches!(algorithm.0, [] | [0x05, 0x00]))?;
    let digest = imprint.take(OCTETS)?.try_into().ok().map(Sha256::from_bytes)?;
    info.take(INTEGER)?;
    let time = read_time(info.take(TIME)?)?;
    // Accuracy and ordering may come before the nonce, the authority's name and extensions after it.
    info.take(SEQUENCE);
    info.take(BOOLEAN);
    let nonce = info.take(INTEGER).map(<[u8]>::to_vec);
    Some(Token { imprint: digest, time, nonce })
}

/// `GeneralizedTime` in DER: UTC, to the second or finer (X.690, section 11.7).
fn read_time(bytes: &[u8]) -> Option<Timestamp> {
    let (seconds, fraction) = bytes.strip_suffix(b"Z")?.split_at_checked(14)?;
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let fraction = if fraction.is_empty() { &[] } else { fraction.strip_prefix(b".").filter(|digits| !digits.is_empty())? };
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let text = std::str::from_utf8(seconds).ok()?;
    let part = |from, to| text.get(from..to);
    let fraction = std::str::from_utf8(fraction).ok()?;
    let point = if fraction.is_empty() { "" } else { "." };
    let (date, clock) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    format!("{}-{}-{}T{}:{}:{}{point}{fraction}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2).parse().ok()
}

/// A value in DER; none of ours is as long as 128 bytes.
fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, u8::try_from(content.len()).unwrap_or(0x7f)], content.as_slice()].concat()
}

/// What is left to read of values in DER, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&first, rest) = self.0.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            // Four bytes count to 4 GB. No byte at all would be the indefinite form, which DER does not have.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                let length = bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
                if bytes.first() == Some(&0) || length < 0x80 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        if first != tag {
            return None;
        }
        self.0 = rest;
        Some(value)
    }

    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }
}
