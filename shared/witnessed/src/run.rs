//! One run: observe, record the intent, execute, record the outcome.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use evidence::{Anomaly, BlobKey, BlobList, Control, Draft, Kind, LARGEST_BLOB, Link, RecordId, RecordKey, SignError, Subject};
use evidence_store::{Endorse, RecordFailure, Recorder, StoreError, Worm};
use ids::{Hasher, IncidentId, ParseIdError, Sha256, SignalId, Timestamp};
use serde::Serialize;
use thiserror::Error;

use crate::body::{Ending, Handling, Intent, Outcome, Piece, Pieces, Program, Stream, Text, Texts};
use crate::circumstances::{digest_of, find, host, user, variables};
use crate::endorser::Endorser;
use crate::execute::{Before, Live, Ran, execute};
use crate::keep::{AGAIN, Kept, put};
use crate::pump::Pumped;
use crate::redact::Redactor;
use crate::seal::Recipients;
use crate::signals::Signals;
use crate::{INCOMPLETE, UNWRITTEN};

/// A body is kept below this many bytes of JSON, so that the signed object, in base64, stays below 256 KiB.
const LARGEST_BODY: usize = 128 << 10;
/// A list of texts that is longer than this goes into a blob.
const LARGEST_TEXTS: usize = 32 << 10;
/// More pieces than this (2 GiB of output) go into lists.
const MOST_PIECES: usize = 256;
/// What a write to a pipe that nobody reads any more ends a program by.
const SIGPIPE: i32 = nix::sys::signal::Signal::SIGPIPE as i32;
/// So many pieces to a list: well below what a blob may have.
const LIST: usize = 16_384;

/// What is to be run, and why.
#[derive(Debug)]
pub struct Run {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// Why, in the responder's words.
    pub purpose: Option<String>,
    /// What takes credentials and configured personal data out of what is recorded of the command.
    pub redactor: Redactor,
    /// What does the same to its outputs before they are stored; [`Redactor::off`] for byte for byte.
    pub output_redactor: Redactor,
    /// To whom the outputs are encrypted; none for in plain.
    pub seal_to: Option<Recipients>,
    /// How long it may take: an intent without an outcome is an orphan from then on. A later outcome still answers it.
    pub due_in: Duration,
    /// SHA-256 of this very program, where it could be read: part of the endorsement.
    pub code_sha256: Option<Sha256>,
}

/// Why a command was not started. Nothing has happened.
#[derive(Debug, Error)]
pub enum Refused {
    /// There is no command.
    #[error("there is no command to run")]
    NoCommand,
    /// The system did not say where we are, or would not tell us of signals.
    #[error("could not get ready")]
    System(#[from] io::Error),
    /// The arguments are more than can be recorded.
    #[error("the arguments or the environment are larger than can be recorded")]
    TooLarge,
    /// The key that was asked for does not vouch for this run.
    #[error("the key did not vouch for this run")]
    Endorse(#[source] StoreError),
    /// A part of the intent could not be stored.
    #[error("the intent is not durable: {0}")]
    Blob(String),
    /// The intent could not be stored.
    #[error("the intent is not durable")]
    Intent(#[source] RecordFailure),
    /// It could not be put into JSON.
    #[error("the record could not be made")]
    Json(#[from] serde_json::Error),
    /// The records' own function has no valid name.
    #[error("the record could not be named")]
    Name(#[from] ParseIdError),
}

/// A run that was recorded, or of which at least the intent was.
#[derive(Debug)]
pub struct Witnessed {
    /// How the command ended.
    pub ending: Ending,
    /// The intent.
    pub intent: Link,
    /// The outcome, if it could be stored.
    pub outcome: Result<Link, RecordFailure>,
    /// What the evidence lacks, in words; empty if nothing.
    pub lacks: Vec<String>,
    /// What could not be passed on live, in words, though its reader had not left; empty if nothing.
    pub unwritten: Vec<String>,
}

impl Witnessed {
    /// The command's exit code, 128 + n for signal n; [`INCOMPLETE`] if the evidence is not whole, whatever the command's was; [`UNWRITTEN`]
    /// if its output could not be written and it does not say so by itself.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        // The pipe that was broken then is the one between us: the command's own word on it would be the wrong one.
        let unaware = matches!(self.ending, Ending::Exited { code: 0 } | Ending::Killed { signal: SIGPIPE, .. });
        match () {
            () if self.outcome.is_err() || !self.lacks.is_empty() => INCOMPLETE,
            () if unaware && !self.unwritten.is_empty() => UNWRITTEN,
            () => self.ending.exit_code(),
        }
    }
}

/// Runs a command as evidence: nothing is started before its intent is durable.
///
/// # Errors
/// If the command was not started, because something that has to be before could not be. A command that cannot be found or executed is no
/// error but an outcome.
pub async fn witness<S, O, E>(
    run: &Run,
    recorder: &mut Recorder<S>,
    endorser: &Endorser,
    live: Live<O, E>,
    now: impl Fn() -> Timestamp,
) -> Result<Witnessed, Refused>
where
    S: Worm,
    O: Write + Send + 'static,
    E: Write + Send + 'static,
{
    let command = run.argv.first().ok_or(Refused::NoCommand)?;
    let mut signals = Signals::listen()?;
    let program = find(command, std::env::var_os("PATH").as_deref());
    let mut subject = Vec::new();
    let intent = intent(run, program.as_ref(), recorder.store(), &mut subject).await?;

    let function = crate::function()?;
    let what = Endorse {
        session: recorder.session().clone(),
        session_key: recorder.public_key().clone(),
        function: function.clone(),
        code_sha256: run.code_sha256,
    };
    let begun = now();
    let endorsed = endorser.endorse(&what, begun).await.map_err(Refused::Endorse)?;
    let until = endorsed.map(|(envelope, until)| {
        recorder.endorse(envelope);
        until
    });

    // A run has no cause but itself: its session is drawn at random and has no other run.
    let signal = SignalId::of_bytes(&Hasher::new("cordon/run/v1").part(what.session.as_str()).finish());
    let id = RecordId::derive(&function, run.incident.as_ref(), &signal);
    let draft = Draft {
        key: RecordKey::new(function, begun, id, 1, Kind::Intent),
        subject,
        incident: run.incident.clone(),
        signal: signal.clone(),
        time: begun,
        answers: None,
        due: Some(begun.plus(run.due_in)),
        playbook: crate::no_playbook(),
        rule: None,
        controls: controls(),
        anomalies: Vec::new(),
        body: intent,
    };
    let recorded = recorder.intent(draft).await.map_err(Refused::Intent)?;
    let intent = recorded.link().clone();

    let ran = match (signals.early().await, program) {
        (Some(signal), _) => Ran::not(Ending::Stopped { signal: signal as i32 }, now()),
        (None, None) => Ran::not(Ending::NotFound, now()),
        (None, Some(program)) => {
            let before = Before { redactor: run.output_redactor.clone(), seal_to: run.seal_to.clone() };
            execute(&program, &run.argv, live, recorder.store().clone(), before, &mut signals, &now).await
        }
    };

    let ended = now();
    if until.is_some_and(|until| ended >= until) {
        // The run took longer than an endorsement holds. Without another one the outcome is degraded, which is better than wrong.
        match endorser.endorse(&what, ended).await {
            Ok(Some((envelope, _))) => recorder.endorse(envelope),
            Ok(None) | Err(_) => recorder.lapse(),
        }
    }
    let ending = ran.ending.clone();
    let unwritten = unwritten(&ran);
    let (body, beside) = match outcome(ran, run.seal_to.as_ref(), recorder.store()).await {
        Ok(made) => made,
        Err(error) => {
            let outcome = Err(RecordFailure::Sign(SignError::from(error)));
            return Ok(Witnessed { ending, intent, outcome, lacks: Vec::new(), unwritten });
        }
    };
    let draft = Draft {
        key: intent.key.sibling(intent.key.attempt, Kind::Outcome),
        subject: beside.subject,
        incident: run.incident.clone(),
        signal,
        time: ended,
        answers: Some(intent.clone()),
        due: None,
        playbook: crate::no_playbook(),
        rule: None,
        controls: controls(),
        anomalies: beside.anomalies,
        body,
    };
    let mut outcome = recorder.outcome(draft.clone()).await;
    for wait in AGAIN {
        // It cannot be run again, so the store is asked again.
        if !outcome.as_ref().is_err_and(RecordFailure::passes) {
            break;
        }
        tokio::time::sleep(wait).await;
        outcome = recorder.outcome(draft.clone()).await;
    }
    let outcome = outcome.map(|recorded| recorded.link().clone());
    Ok(Witnessed { ending, intent, outcome, lacks: beside.lacks, unwritten })
}

/// Which outputs could not be passed on, and why. A reader that left has what it wanted, and is told nothing.
fn unwritten(ran: &Ran) -> Vec<String> {
    let streams = [("standard output", &ran.stdout), ("standard error", &ran.stderr)];
    let refused = streams.into_iter().filter_map(|(name, stream)| Some((name, stream.cut_off.as_ref()?)));
    let refused = refused.filter(|(_, error)| error.kind() != io::ErrorKind::BrokenPipe);
    refused.map(|(name, error)| format!("{name} could not be written: {error}")).collect()
}

/// What a recorded command is evidence for (NIST SP 800-53 Rev. 5): incidents are handled, and records say what, when, where, by whom and
/// with which outcome.
fn controls() -> Vec<Control> {
    ["AU-3", "IR-4"].map(|id| Control { framework: "NIST SP 800-53 Rev. 5".to_owned(), id: id.to_owned() }).into()
}

async fn intent<S: Worm>(run: &Run, program: Option<&PathBuf>, store: &S, subject: &mut Vec<Subject>) -> Result<Intent, Refused> {
    let (argv, redactions) = run.redactor.argv(&run.argv);
    subject.push(Subject::new("argv", Sha256::of(&serde_json::to_vec(&argv)?)));
    // Only a file has an end: a pipe or a device would be read for ever.
    let digest = |path: &PathBuf| if path.is_file() { digest_of(path).ok() } else { None };
    let mut also = Vec::new();
    let program =
        program.map(|path| Program { path: run.redactor.other("program", path.as_os_str(), &mut also), sha256: digest(path) });
    if let Some(sha256) = program.as_ref().and_then(|program| program.sha256) {
        subject.push(Subject::new("program", sha256));
    }
    let environment = variables().iter().map(|name| run.redactor.other("environment", name, &mut also)).collect();
    let purpose = run.purpose.as_ref().map(|purpose| match run.redactor.other("purpose", purpose.as_ref(), &mut also) {
        Text::Utf8(text) => text,
        // Only an expression of the responder's that cuts a character in two leads here.
        Text::Bytes { .. } => "[redacted]".to_owned(),
    });
    let handling = Handling {
        redacting: run.output_redactor.on(),
        sealed_to: run.seal_to.as_ref().map(Recipients::names).unwrap_or_default(),
    };
    let intent = Intent {
        argv: texts(argv, store, subject).await?,
        redactions,
        redacting: run.redactor.on(),
        directory: run.redactor.other("directory", std::env::current_dir()?.as_os_str(), &mut also),
        program,
        environment: texts(environment, store, subject).await?,
        user: user(),
        host: host(),
        purpose,
        also_redacted: also,
        output: (handling.redacting || !handling.sealed_to.is_empty()).then_some(handling),
    };
    if serde_json::to_vec(&intent)?.len() > LARGEST_BODY { Err(Refused::TooLarge) } else { Ok(intent) }
}

/// A list for a record, moved into a blob if it is long. The blob is durable before the record that names it.
async fn texts<S: Worm>(texts: Vec<Text>, store: &S, subject: &mut Vec<Subject>) -> Result<Texts, Refused> {
    let json = serde_json::to_vec(&texts)?;
    if json.len() <= LARGEST_TEXTS {
        return Ok(Texts::Here(texts));
    }
    if json.len() > LARGEST_BLOB {
        return Err(Refused::TooLarge);
    }
    let blob = Sha256::of(&json);
    put(store, blob, &json, &[]).await.map_err(Refused::Blob)?;
    add(subject, Subject::blob(blob));
    Ok(Texts::Elsewhere { blob, count: texts.len() })
}

/// What an outcome says outside its body.
#[derive(Debug, Default)]
struct Beside {
    subject: Vec<Subject>,
    anomalies: Vec<Anomaly>,
    lacks: Vec<String>,
}

async fn outcome<S: Worm>(mut ran: Ran, seal_to: Option<&Recipients>, store: &S) -> Result<(Outcome, Beside), serde_json::Error> {
    let mut beside = Beside::default();
    let Kept { stdout, stderr, sealed } = ran.kept;
    if seal_to.is_some() {
        // The digests of what is stored, in place of those of the plain bytes. If the keeping broke there are none, and nothing was stored.
        let nothing = Sha256::of(b"");
        (ran.stdout.sha256, ran.stderr.sha256) = sealed.unwrap_or((nothing, nothing));
    }
    beside.subject.push(Subject::new("stdout", ran.stdout.sha256));
    beside.subject.push(Subject::new("stderr", ran.stderr.sha256));
    let listed = stdout.len().saturating_add(stderr.len()) > MOST_PIECES;
    let stdout = stream("stdout", ran.stdout, stdout, listed, store, &mut beside).await?;
    let stderr = stream("stderr", ran.stderr, stderr, listed, store, &mut beside).await?;
    let Ran { ending, started, ended, duration_ms, pid, signals, left_open, .. } = ran;
    let sealed_to = seal_to.map(Recipients::names).unwrap_or_default();
    Ok((Outcome { ending, started, ended, duration_ms, pid, signals, left_open, stdout, stderr, sealed_to }, beside))
}

async fn stream<S: Worm>(
    name: &str,
    pumped: Pumped,
    pieces: Vec<Piece>,
    listed: bool,
    store: &S,
    beside: &mut Beside,
) -> Result<Stream, serde_json::Error> {
    let unstored: Vec<&Piece> = pieces.iter().filter(|piece| piece.unstored.is_some()).collect();
    if let Some(first) = unstored.first() {
        let cause = first.unstored.as_deref().unwrap_or_default();
        beside.lack(first.sha256, format!("{} of the {} pieces of {name} are not stored: {cause}", unstored.len(), pieces.len()));
    }
    let recorded: u64 = pieces.iter().map(|piece| piece.length).sum();
    if recorded != pumped.stored {
        beside.lacks.push(format!("{recorded} of the {} bytes of {name} are listed", pumped.stored));
    }
    let pieces = if listed {
        let mut lists = Vec::new();
        for part in pieces.chunks(LIST) {
            lists.push(list(name, part, store, beside).await?);
        }
        Pieces::Elsewhere { lists }
    } else {
        for piece in pieces.iter().filter(|piece| piece.unstored.is_none()) {
            add(&mut beside.subject, Subject::blob(piece.sha256));
        }
        Pieces::Here(pieces)
    };
    let Pumped { bytes, stored, sha256, redacted, passed_on, cut_off, unread } = pumped;
    let cut_off = cut_off.map(|error| error.to_string());
    let stored_bytes = redacted.as_ref().map(|_| stored);
    Ok(Stream { bytes, sha256, redacted, stored_bytes, passed_on, cut_off, unread, pieces })
}

async fn list<S: Worm, T: Serialize + Clone>(
    name: &str,
    items: &[T],
    store: &S,
    beside: &mut Beside,
) -> Result<Sha256, serde_json::Error> {
    let json = serde_json::to_vec(&BlobList::new(items.to_vec()))?;
    let sha256 = Sha256::of(&json);
    match put(store, sha256, &json, &AGAIN).await {
        Ok(()) => add(&mut beside.subject, Subject::blob_list(sha256)),
        Err(cause) => beside.lack(sha256, format!("a list of {name}'s pieces is not stored: {cause}")),
    }
    Ok(sha256)
}

impl Beside {
    fn lack(&mut self, sha256: Sha256, reason: String) {
        self.anomalies.push(Anomaly { key: BlobKey::new(sha256).to_string(), sha256: Some(sha256), reason: reason.clone() });
        self.lacks.push(reason);
    }
}

/// A statement names each subject once.
fn add(subjects: &mut Vec<Subject>, subject: Subject) {
    if !subjects.contains(&subject) {
        subjects.push(subject);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use evidence::BLOB_LIST_TYPE;
    use evidence_store::Created;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

    impl Worm for Memory {
        async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
            self.0.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
            Ok(Created::New)
        }

        async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.0.lock().unwrap().get(key).cloned())
        }
    }

    /// Half a terabyte of output, as far as its record is concerned.
    #[tokio::test]
    async fn the_pieces_of_a_long_run_lie_beside_a_small_record() {
        let piece = |n: u64| Piece {
            offset: n << 23,
            length: 1 << 23,
            sha256: Sha256::of(&n.to_le_bytes()),
            first_ms: n,
            last_ms: n,
            unstored: None,
        };
        let pieces: Vec<Piece> = (0..60_000).map(piece).collect();
        let mut ran = Ran::not(Ending::Exited { code: 0 }, Timestamp::saturating(0));
        ran.stdout.stored = 60_000 << 23;
        ran.kept.stdout = pieces.clone();
        let store = Memory::default();
        let (outcome, beside) = outcome(ran, None, &store).await.unwrap();
        assert!(serde_json::to_vec(&outcome).unwrap().len() < 4096 && beside.lacks.is_empty(), "{:?}", beside.lacks);

        let Pieces::Elsewhere { lists } = outcome.stdout.pieces else { panic!("they are not in the record") };
        let mut listed = Vec::new();
        for list in &lists {
            let named = |subject: &Subject| *subject == Subject::blob_list(*list);
            assert!(beside.subject.iter().any(named), "{list} is named as {BLOB_LIST_TYPE}");
            let bytes = store.read(&BlobKey::new(*list).to_string()).await.unwrap().unwrap();
            assert!(bytes.len() <= LARGEST_BLOB);
            listed.extend(serde_json::from_slice::<BlobList<Piece>>(&bytes).unwrap().blobs);
        }
        assert_eq!((listed, lists.len()), (pieces, 4));
    }
}
