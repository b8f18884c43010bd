//! Reading a run back: its record in plain words, its output byte for byte.

use std::fmt;
use std::io::{self, Write};

use evidence::{BlobKey, BlobList, Endorsement, Kind, RecordError, RecordKey, Statement, open};
use evidence_store::{StoreError, Worm};
use ids::Sha256;
use serde::Deserialize;
use serde_json::Value;
use sha2::Digest as _;
use thiserror::Error;

use crate::body::{Handling, Intent, Outcome, Piece, Pieces, Text, Texts, printable};
use crate::pump::Which;
use crate::seal::{Identities, OpenError};

/// Why something recorded cannot be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The store did not answer.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// It is not there.
    #[error("`{0}` is not in the store")]
    Missing(String),
    /// It is no record.
    #[error("`{key}` does not hold")]
    Record {
        /// Which.
        key: String,
        /// Why.
        #[source]
        cause: RecordError,
    },
    /// It belongs to something else.
    #[error("`{0}` is not of a run: only `rec/run/…` has output")]
    NotARun(RecordKey),
    /// The bytes stored are not those that were recorded.
    #[error("`{0}` is not what was recorded")]
    Altered(String),
    /// A part was never stored.
    #[error("{length} bytes from byte {offset} on were never stored: {cause}")]
    Unstored {
        /// The first byte's place in the stream.
        offset: u64,
        /// How many.
        length: u64,
        /// Why.
        cause: String,
    },
    /// It is encrypted, and there is nothing to open it with.
    #[error("its output is sealed to {}: give an identity of one of them", .0.join(", "))]
    Sealed(Vec<String>),
    /// It is encrypted, and does not open.
    #[error("`{key}` was not opened")]
    Unopened {
        /// Which piece.
        key: String,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// They could not be written out.
    #[error("could not write the output")]
    Write(#[from] io::Error),
}

/// A record, opened: its form, signature and place hold. Whether its signer is to be trusted is the verifier's question.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What it says.
    pub statement: Statement<Value>,
    /// SHA-256 of the object.
    pub sha256: Sha256,
}

/// Opens the record at `key`.
///
/// # Errors
/// If it is not there, or does not hold.
pub async fn show<S: Worm>(store: &S, key: &RecordKey) -> Result<Shown, ReadError> {
    let (statement, sha256) = record(store, key).await?;
    Ok(Shown { statement, sha256 })
}

async fn record<S: Worm, B: for<'de> Deserialize<'de>>(store: &S, key: &RecordKey) -> Result<(Statement<B>, Sha256), ReadError> {
    let bytes = store.read(&key.to_string()).await?.ok_or_else(|| ReadError::Missing(key.to_string()))?;
    open(key, &bytes).map_err(|cause| ReadError::Record { key: key.to_string(), cause })
}

async fn blob<S: Worm>(store: &S, sha256: Sha256) -> Result<Vec<u8>, ReadError> {
    let key = BlobKey::new(sha256).to_string();
    let bytes = store.read(&key).await?.ok_or_else(|| ReadError::Missing(key.clone()))?;
    if Sha256::of(&bytes) == sha256 { Ok(bytes) } else { Err(ReadError::Altered(key)) }
}

/// Writes one output of a run to `to`, byte for byte as it was stored, and returns how many bytes it has. `key` is the run's outcome, or
/// its intent. What is encrypted is opened with `identities`.
///
/// Nothing is written that is not what was recorded: each piece is checked before it is written, and the whole in the end.
///
/// # Errors
/// If the run has no outcome, or a piece is missing, altered, was never stored or does not open. What came before it has been written then.
pub async fn output<S: Worm>(
    store: &S,
    key: &RecordKey,
    which: Which,
    identities: Option<&Identities>,
    to: &mut impl Write,
) -> Result<u64, ReadError> {
    if crate::function().ok().as_ref() != Some(&key.function) || !matches!(key.kind, Kind::Intent | Kind::Outcome) {
        return Err(ReadError::NotARun(key.clone()));
    }
    let key = key.sibling(key.attempt, Kind::Outcome);
    let (statement, _) = record::<_, Outcome>(store, &key).await?;
    let Outcome { stdout, stderr, sealed_to, .. } = statement.predicate.body;
    let stream = match which {
        Which::Stdout => stdout,
        Which::Stderr => stderr,
    };
    let identities = match (sealed_to.is_empty(), identities) {
        (true, _) => None,
        (false, Some(identities)) => Some(identities),
        (false, None) => return Err(ReadError::Sealed(sealed_to)),
    };
    let mut whole = Whole { to, identities, digest: sha2::Sha256::new(), bytes: 0 };
    let lists = match stream.pieces {
        Pieces::Here(pieces) => {
            for piece in &pieces {
                whole.write(store, piece).await?;
            }
            Vec::new()
        }
        Pieces::Elsewhere { lists } => lists,
    };
    for sha256 in lists {
        let list: BlobList<Piece> = serde_json::from_slice(&blob(store, sha256).await?)
            .map_err(|_| ReadError::Altered(BlobKey::new(sha256).to_string()))?;
        for piece in &list.blobs {
            whole.write(store, piece).await?;
        }
    }
    whole.to.flush()?;
    let (bytes, sha256) = (whole.bytes, Sha256::from_bytes(whole.digest.finalize().into()));
    let expected = (stream.stored_bytes.unwrap_or(stream.bytes), stream.sha256);
    if (bytes, sha256) == expected { Ok(bytes) } else { Err(ReadError::Altered(key.to_string())) }
}

/// What was written so far: its length, and the digest of what is stored of it.
struct Whole<'a, W> {
    to: &'a mut W,
    identities: Option<&'a Identities>,
    digest: sha2::Sha256,
    bytes: u64,
}

impl<W: Write> Whole<'_, W> {
    async fn write<S: Worm>(&mut self, store: &S, piece: &Piece) -> Result<(), ReadError> {
        if let Some(cause) = &piece.unstored {
            return Err(ReadError::Unstored { offset: piece.offset, length: piece.length, cause: cause.clone() });
        }
        let stored = blob(store, piece.sha256).await?;
        self.digest.update(&stored);
        let key = || BlobKey::new(piece.sha256).to_string();
        let bytes = match self.identities {
            None => stored,
            Some(identities) => identities.open(&stored).map_err(|cause| ReadError::Unopened { key: key(), cause })?,
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length != piece.length {
            return Err(ReadError::Altered(key()));
        }
        self.to.write_all(&bytes)?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }
}

/// In plain words, for people.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let predicate = &self.statement.predicate;
        let record = &predicate.record;
        writeln!(f, "record    {}", record.key)?;
        writeln!(f, "sha256    {}", self.sha256)?;
        writeln!(f, "made      {}", record.time)?;
        writeln!(f, "incident  {}", record.incident.as_ref().map_or("none", |incident| incident.as_str()))?;
        if let Some(link) = &record.answers {
            writeln!(f, "answers   {}", link.key)?;
        }
        if let Some(due) = &record.due {
            writeln!(f, "outcome   due by {due}")?;
        }
        match predicate.endorsement.as_ref().map(Endorsement::open) {
            None => writeln!(f, "signed    by a key that nobody vouches for (degraded)")?,
            Some(Ok(by)) => writeln!(f, "signed    by a session that key {} vouches for", by.endorser.fingerprint())?,
            Some(Err(error)) => writeln!(f, "signed    {error}")?,
        }
        for anomaly in &record.anomalies {
            writeln!(f, "anomaly   {}: {}", printable(&anomaly.key), printable(&anomaly.reason))?;
        }
        let body = predicate.body.clone();
        let ours = crate::function().is_ok_and(|function| function == record.key.function);
        match record.key.kind {
            Kind::Intent if ours => match serde_json::from_value(body) {
                Ok(intent) => show_intent(f, &intent),
                Err(_) => show_any(f, &predicate.body),
            },
            Kind::Outcome if ours => match serde_json::from_value(body) {
                Ok(outcome) => show_outcome(f, &outcome),
                Err(_) => show_any(f, &predicate.body),
            },
            _ => show_any(f, &predicate.body),
        }
    }
}

fn show_any(f: &mut fmt::Formatter<'_>, body: &Value) -> fmt::Result {
    writeln!(f, "{body:#}")
}

fn show_intent(f: &mut fmt::Formatter<'_>, intent: &Intent) -> fmt::Result {
    let words = |texts: &Texts| match texts {
        Texts::Here(texts) => texts.iter().map(quoted).collect::<Vec<_>>().join(" "),
        Texts::Elsewhere { blob, count } => format!("{count} words, in {}", BlobKey::new(*blob)),
    };
    writeln!(f, "command   {}", words(&intent.argv))?;
    for redaction in &intent.redactions {
        writeln!(f, "redacted  argument {}: {}", redaction.argument, printable(&redaction.why))?;
    }
    for redaction in &intent.also_redacted {
        writeln!(f, "redacted  {}: {}", printable(&redaction.place), printable(&redaction.why))?;
    }
    match &intent.program {
        None => writeln!(f, "program   not found")?,
        Some(program) => {
            let digest = program.sha256.map_or_else(|| "not readable".to_owned(), |sha256| format!("sha256 {sha256}"));
            writeln!(f, "program   {} ({digest})", program.path)?;
        }
    }
    writeln!(f, "in        {}", intent.directory)?;
    let name = intent.user.name.as_deref().unwrap_or("no name");
    writeln!(f, "by        {} (uid {}) on {}", printable(name), intent.user.id, printable(&intent.host))?;
    if let Some(purpose) = &intent.purpose {
        writeln!(f, "purpose   {}", printable(purpose))?;
    }
    if let Some(Handling { redacting, sealed_to }) = &intent.output {
        if *redacting {
            writeln!(f, "output    stored without credentials and configured personal data")?;
        }
        show_sealed(f, sealed_to)?;
    }
    writeln!(f, "variables {}", words(&intent.environment))
}

fn show_sealed(f: &mut fmt::Formatter<'_>, sealed_to: &[String]) -> fmt::Result {
    for recipient in sealed_to {
        writeln!(f, "sealed to {}", printable(recipient))?;
    }
    Ok(())
}

/// A word as a shell would take it, where it needs that.
fn quoted(text: &Text) -> String {
    let text = text.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn show_outcome(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    writeln!(f, "ended     {}, {} ms, {}", outcome.ended, outcome.duration_ms, outcome.ending)?;
    for received in &outcome.signals {
        let what = if received.forwarded { "sent on" } else { "not sent on" };
        writeln!(f, "signal    {} after {} ms, {what}", printable(&received.signal), received.at_ms)?;
    }
    if outcome.left_open {
        writeln!(f, "note      something it left behind still held its output")?;
    }
    for (name, stream) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        let what = match (&stream.stored_bytes, outcome.sealed_to.is_empty()) {
            (None, true) => "sha256",
            (_, false) => "sha256 as sealed",
            (Some(_), true) => "sha256 as stored",
        };
        writeln!(f, "{name}    {} bytes, {what} {}", stream.bytes, stream.sha256)?;
        for (kind, count) in stream.redacted.iter().flatten() {
            writeln!(f, "          redacted, {count} times: {}", printable(kind))?;
        }
        if let Some(stored) = stream.stored_bytes {
            writeln!(f, "          {stored} bytes stored")?;
        }
        if let Some(cause) = &stream.cut_off {
            writeln!(f, "          only {} bytes were passed on: {}", stream.passed_on, printable(cause))?;
        }
        if let Some(cause) = &stream.unread {
            writeln!(f, "          not read to its end: {}", printable(cause))?;
        }
    }
    show_sealed(f, &outcome.sealed_to)
}
