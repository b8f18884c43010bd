//! What the records of a run say: their form is fixed by these types, field by field.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};

use crate::INCOMPLETE;

/// Text as the system gave it: a string in JSON, or `{"base64": "…"}` where it is not UTF-8. Nothing is lost either way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// It is UTF-8.
    Utf8(String),
    /// It is not.
    Bytes {
        /// The bytes.
        base64: String,
    },
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Utf8(text.to_owned()),
            Err(_) => Self::Bytes { base64: STANDARD.encode(bytes) },
        }
    }
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Self {
        text.as_bytes().into()
    }
}

/// For people: what cannot be printed is escaped.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8(text) => f.write_str(&printable(text)),
            Self::Bytes { base64 } => write!(f, "base64:{base64}"),
        }
    }
}

/// `text` for a terminal: what does not print, or would direct the terminal, is escaped; so is the backslash that says so.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// A list of texts, in the record or, where it is too long for one, in a blob beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// The list.
    Here(Vec<Text>),
    /// Where it is.
    Elsewhere {
        /// The blob that holds it, as a JSON array.
        blob: Sha256,
        /// How many texts it has.
        count: usize,
    },
}

/// What a run's intent says: durable before the command starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The command and its arguments, with what looks like a credential taken out.
    pub argv: Texts,
    /// What was taken out of `argv`. Empty if nothing was, or if `redacting` is false.
    pub redactions: Vec<Redaction>,
    /// Whether credentials were looked for.
    pub redacting: bool,
    /// The working directory.
    pub directory: Text,
    /// The program that `argv` means; none if there is none.
    pub program: Option<Program>,
    /// The names of the environment's variables, sorted. Their values are not recorded.
    pub environment: Texts,
    /// Who runs it.
    pub user: User,
    /// The machine's own name.
    pub host: String,
    /// Why, in the responder's words.
    pub purpose: Option<String>,
    /// What was taken out of anything but `argv`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_redacted: Vec<Elsewhere>,
    /// What will be done to the output before it is stored; none: nothing, it is stored byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Handling>,
}

/// A field other than `argv` from which something was taken out; there it says `[redacted: …]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Which: `directory`, `program`, `purpose` or `environment`.
    pub place: String,
    /// What it looked like.
    pub why: String,
}

/// What is done to an output before it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handling {
    /// Whether credentials and configured personal data are taken out.
    pub redacting: bool,
    /// To whom each piece is encrypted: age recipients. Empty: it is not.
    pub sealed_to: Vec<String>,
}

/// A place in `argv` from which something was taken out; there it says `[redacted: …]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// Which argument; 0 is the command itself.
    pub argument: usize,
    /// What it looked like.
    pub why: String,
}

/// The program that was found for a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its path, as the search for it ended; links are not followed.
    pub path: Text,
    /// SHA-256 of the file just before the start; none if it cannot be read, or is no file.
    pub sha256: Option<Sha256>,
}

/// The user on whose behalf a process runs, as the system knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The effective user id.
    pub id: u32,
    /// Its name in the system's user database; none if it has none there.
    pub name: Option<String>,
}

/// What a run's outcome says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the command ended, or that it never began.
    pub ending: Ending,
    /// When it was started, by the wall clock; none if it never was.
    pub started: Option<Timestamp>,
    /// When it ended, by the wall clock.
    pub ended: Timestamp,
    /// Milliseconds from start to end, by a clock that nobody sets.
    pub duration_ms: u64,
    /// Its process id.
    pub pid: Option<u32>,
    /// The signals that this program received meanwhile, the first 64 of them.
    pub signals: Vec<Received>,
    /// True if something that the command left behind still held its output when the recording was ended by a signal.
    pub left_open: bool,
    /// Its standard output.
    pub stdout: Stream,
    /// Its standard error.
    pub stderr: Stream,
    /// To whom every piece of both is encrypted: age recipients. Empty: they are stored in plain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed_to: Vec<String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// By a signal.
    Killed {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
    /// Never started: no program of that name.
    NotFound,
    /// Never started: the system would not.
    NotExecutable {
        /// What it said.
        cause: String,
    },
    /// It ran, and the system did not say how it ended.
    Unknown {
        /// What it said instead.
        cause: String,
    },
    /// Never started: this program was told to stop first.
    Stopped {
        /// The signal's number.
        signal: i32,
    },
}

impl Ending {
    /// The exit code that a shell would show for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { code } => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Killed { signal, .. } | Self::Stopped { signal } => u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX),
            Self::NotFound => 127,
            Self::Unknown { .. } => INCOMPLETE,
            Self::NotExecutable { .. } => 126,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exited with {code}"),
            Self::Killed { signal, core_dumped } => {
                write!(f, "killed by signal {signal}{}", if *core_dumped { ", core dumped" } else { "" })
            }
            Self::NotFound => f.write_str("never started: command not found"),
            Self::NotExecutable { cause } => write!(f, "never started: {}", printable(cause)),
            Self::Unknown { cause } => write!(f, "ended, and the system did not say how: {}", printable(cause)),
            Self::Stopped { signal } => write!(f, "never started: stopped by signal {signal} before"),
        }
    }
}

/// A signal that came while the command ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its name, such as `SIGTERM`.
    pub signal: String,
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// Whether it was sent on. It is not where the terminal has sent it to the command as well.
    pub forwarded: bool,
}

/// One of the command's two outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// How many bytes were read from it.
    pub bytes: u64,
    /// SHA-256 of what is stored: of all of these bytes; where something was taken out, of what is left; where the pieces are encrypted, of
    /// the pieces as they are stored, one after the other. It never tells more than the store holds.
    pub sha256: Sha256,
    /// How much of each kind was taken out before it was stored; none if nothing was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<BTreeMap<String, u64>>,
    /// How many bytes were left then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// How many of those that were read reached whoever was to read them live.
    pub passed_on: u64,
    /// Why not all of them did. The command's output was then closed, as it would have been without this program in between.
    pub cut_off: Option<String>,
    /// Why reading it ended before its end, where that is so.
    pub unread: Option<String>,
    /// The pieces it is stored in, in order.
    pub pieces: Pieces,
}

/// The pieces of a stream, in the record or, where there are too many for one, in lists beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pieces {
    /// The pieces.
    Here(Vec<Piece>),
    /// The blobs that hold them, in order, each an `evidence::BlobList` of pieces.
    Elsewhere {
        /// The lists.
        lists: Vec<Sha256>,
    },
}

/// A piece of a stream: a blob of at most 8 MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its first byte's place in the stream, after what was taken out.
    pub offset: u64,
    /// How many bytes it has, before they are encrypted.
    pub length: u64,
    /// SHA-256 of the piece as it is stored, at `blob/<first two digits>/<sha256>`.
    pub sha256: Sha256,
    /// When its first bytes arrived, in milliseconds since the start: this orders the pieces of both streams.
    pub first_ms: u64,
    /// When its last bytes arrived.
    pub last_ms: u64,
    /// Why the store does not hold it, where that is so. Its digest stands all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
}
