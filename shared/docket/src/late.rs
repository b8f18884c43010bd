//! What becomes of an intent that the store did not take in time.

use std::fmt;
use std::io::Write as _;

use evidence_store::{Found, Kept, Recorded};

/// How an intent stands when all is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// For the record: `durable`, `durable, …` or `degraded: …`.
    pub words: String,
    /// It was late and is filed now: a person should know.
    pub degraded: Option<String>,
    /// It is kept where it can be filed from, and is not filed: Lambda's retry has to.
    pub unfiled: Option<String>,
    /// It is nowhere: nothing proves what was done.
    pub lost: bool,
}

impl Standing {
    fn fine(words: &str) -> Self {
        Self { words: words.to_owned(), degraded: None, unfiled: None, lost: false }
    }

    fn not_durable(state: &dyn fmt::Display, place: &str) -> String {
        format!("the state is {state}, but its intent is not durable: kept {place}")
    }

    /// An intent whose write this run need not wait for. One that an earlier run could only park is still to be filed.
    pub(crate) fn in_time<B>(recorded: &Recorded<B>, state: &dyn fmt::Display) -> Self {
        match (recorded.kept(), recorded.found()) {
            (Kept::Late, _) => Self {
                unfiled: Some(Self::not_durable(state, "in the hold's row")),
                ..Self::fine("degraded: not durable, kept in the hold's row by an earlier run")
            },
            (Kept::Durable, Found::Earlier) => Self::fine("durable, by an earlier run"),
            (Kept::Durable, Found::New) => Self::fine("durable"),
        }
    }

    /// An intent that was late, was kept at `place` meanwhile, and has been waited for once more.
    pub(crate) fn late(kept: Kept, place: &str, state: &dyn fmt::Display) -> Self {
        if kept == Kept::Durable {
            let degraded = Some(format!("the intent was late: kept {place} meanwhile, and filed since"));
            return Self { degraded, ..Self::fine(&format!("degraded: late, kept {place} meanwhile, filed since")) };
        }
        let words = format!("degraded: not durable, kept {place}");
        match place {
            "nowhere" => Self { lost: true, ..Self::fine(&words) },
            place => Self { unfiled: Some(Self::not_durable(state, place)), ..Self::fine(&words) },
        }
    }
}

/// Writes a signed record to the log, whole. False if even that fails.
pub(crate) fn log(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(b"CORDON-PARKED ")
        .and_then(|()| out.write_all(bytes))
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .is_ok()
}
