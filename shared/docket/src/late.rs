//! What becomes of an intent that the store did not take in time.

use std::io::Write as _;

use evidence_store::{Found, Kept, Late, Recorded, Recorder, Worm};
use hold::Holds;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Docket;

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

impl<S: Worm> Docket<S> {
    /// Keeps a late intent where it can be filed from: in the hold's row, else in the log. None if it is not late.
    pub async fn park(&self, holds: &Holds, target: &str, late: Option<&Late>) -> Option<&'static str> {
        let signed = late?.signed();
        let parked = holds.park(target, &signed.key.to_string(), &signed.bytes).await;
        Some(match parked {
            Ok(()) => "in the hold's row",
            // The log is the last place: the whole signed record, to be filed from there.
            Err(_) if log(&signed.bytes) => "in the log",
            Err(_) => "nowhere",
        })
    }

    /// Accounts for the intent: waits a little for a late one. `state` is what was read back, in a word.
    pub async fn settle<B: Serialize + DeserializeOwned>(
        recorder: &mut Recorder<S>,
        holds: &Holds,
        target: &str,
        recorded: &Recorded<B>,
        (late, parked): (Option<Late>, Option<&'static str>),
        state: &dyn std::fmt::Display,
    ) -> Standing {
        let fine = |words: &str| Standing { words: words.to_owned(), degraded: None, unfiled: None, lost: false };
        let not_durable = |place: &str| format!("the state is {state}, but its intent is not durable: kept {place}");
        let Some(late) = late else {
            return match (recorded.kept(), recorded.found()) {
                (Kept::Late, _) => Standing {
                    unfiled: Some(not_durable("in the hold's row")),
                    ..fine("degraded: not durable, kept in the hold's row by an earlier run")
                },
                (Kept::Durable, Found::Earlier) => fine("durable, by an earlier run"),
                (Kept::Durable, Found::New) => fine("durable"),
            };
        };
        let key = late.signed().key.to_string();
        let place = parked.unwrap_or("nowhere");
        if recorder.settle(late).await == Kept::Durable {
            let _filed_again_next_time = holds.unpark(target, &key).await;
            let degraded = Some(format!("the intent was late: kept {place} meanwhile, and filed since"));
            return Standing { degraded, ..fine(&format!("degraded: late, kept {place} meanwhile, filed since")) };
        }
        let words = format!("degraded: not durable, kept {place}");
        match place {
            "nowhere" => Standing { lost: true, ..fine(&words) },
            place => Standing { unfiled: Some(not_durable(place)), ..fine(&words) },
        }
    }
}

/// Writes a signed record to the log, whole. False if even that fails.
fn log(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(b"CORDON-PARKED ")
        .and_then(|()| out.write_all(bytes))
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .is_ok()
}
