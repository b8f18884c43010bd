//! Work on a resource: under a hold, or without one where the table does not answer.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use evidence::RecordKey;
use evidence_store::{Late, Recorded, Recorder, Worm};
use hold::{Claim, Claimed, Conclusion, HoldError, Holds, Row};
use ids::{IncidentId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Docket;
use crate::late::{self, Standing};

/// Another invocation's lease on the same resource is waited for so long: its work takes a second or two.
const PATIENCE: Duration = Duration::from_secs(8);
const BETWEEN_CLAIMS: Duration = Duration::from_millis(400);

/// Claims, and waits a little for somebody else's lease. True if nobody had to be waited for.
///
/// # Errors
/// If the table does not answer.
pub async fn claim_in_turn(holds: &Holds, claim: &Claim) -> Result<(Claimed, bool), HoldError> {
    let mut at_once = true;
    let mut claim = claim.clone();
    let started = claim.now;
    loop {
        match holds.claim(&claim).await? {
            Claimed::Busy { .. } if calls::now() < started.plus(PATIENCE) => {
                at_once = false;
                tokio::time::sleep(BETWEEN_CLAIMS).await;
                claim.now = calls::now();
            }
            other => return Ok((other, at_once)),
        }
    }
}

/// A claim under way, and all that the table is told about it. What the table does not take is logged and stops nothing.
#[derive(Debug)]
pub struct Held<'a, S> {
    docket: &'a Docket<S>,
    holds: &'a Holds,
    claim: Claim,
    row: Option<Row>,
}

impl<'a, S: Worm> Held<'a, S> {
    /// The work that `claim` is for. `row` is none if the table did not answer.
    #[must_use]
    pub fn new(docket: &'a Docket<S>, holds: &'a Holds, claim: Claim, row: Option<Row>) -> Self {
        Self { docket, holds, claim, row }
    }

    /// The row as it was before the claim.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        self.row.as_ref()
    }

    /// When this signal was first claimed: the minute in its records' keys, so that a retry computes the same keys.
    #[must_use]
    pub fn first_claimed(&self) -> Timestamp {
        let claim = &self.claim;
        self.row.as_ref().and_then(|row| row.first_claimed(&claim.finding, claim.updated_at)).unwrap_or(claim.now)
    }

    /// Whether the table could be used, for the record.
    #[must_use]
    pub fn words(&self) -> &'static str {
        if self.row.is_some() { "claimed" } else { "not available" }
    }

    /// What is not as it should be although the end state holds, and a person should know. `what` is held: `machine`.
    pub async fn degraded(&self, what: &str) -> Vec<String> {
        let mut said = Vec::new();
        if !self.docket.recorder().await.endorsed() {
            said.push("KMS did not vouch for this session: its records are signed, but nothing says by whom".to_owned());
        }
        if self.row.is_none() {
            said.push(format!("the table of holds did not answer: nothing holds the {what}"));
        }
        said
    }

    /// Notes what is to be denied, before it is: whoever works on the resource next writes it too.
    pub async fn note(&self, denies: &BTreeMap<IncidentId, String>) {
        if self.row.is_some()
            && let Err(error) = self.holds.note(&self.claim.target, denies).await
        {
            self.docket.log(&format!("what is to be denied is not noted before it is: {error}"));
        }
    }

    /// Keeps a late intent where it can be filed from: in the row, else in the log. None if it is not late.
    pub async fn park(&self, late: Option<&Late>) -> Option<&'static str> {
        let signed = late?.signed();
        let parked = self.holds.park(&self.claim.target, &signed.key.to_string(), &signed.bytes).await;
        Some(match parked {
            Ok(()) => "in the hold's row",
            // The log is the last place: the whole signed record, to be filed from there.
            Err(_) if late::log(&signed.bytes) => "in the log",
            Err(_) => "nowhere",
        })
    }

    /// Accounts for the intent: waits a little for a late one. `state` is what was read back, in a word.
    pub async fn settle<B>(
        &self,
        recorder: &mut Recorder<S>,
        recorded: &Recorded<B>,
        (late, parked): (Option<Late>, Option<&'static str>),
        state: &dyn fmt::Display,
    ) -> Standing {
        let Some(late) = late else { return Standing::in_time(recorded, state) };
        let (key, place) = (late.signed().key.to_string(), parked.unwrap_or("nowhere"));
        let kept = recorder.settle(late).await;
        let standing = Standing::late(kept, place, state);
        if standing.degraded.is_some() {
            let _filed_again_next_time = self.holds.unpark(&self.claim.target, &key).await;
        }
        standing
    }

    /// Files what earlier runs could only park. Gives back the plans that must go on waiting.
    pub async fn file_parked<B: Serialize + DeserializeOwned>(&self) -> BTreeMap<RecordKey, Recorded<B>> {
        let mut waiting = BTreeMap::new();
        for (key, bytes) in self.row.iter().flat_map(|row| &row.parked) {
            let Ok(record) = key.parse::<RecordKey>() else { continue };
            let recorder = self.docket.recorder().await;
            if recorder.file(&record, bytes).await {
                let _filed_again_next_time = self.holds.unpark(&self.claim.target, key).await;
            } else if let Some(recorded) = recorder.parked(&record, bytes) {
                waiting.insert(record, recorded);
            }
        }
        waiting
    }

    /// Writes what the claim led to, and ends its lease.
    pub async fn conclude(&self, conclusion: &Conclusion) {
        if self.row.is_some()
            && let Err(error) = self.holds.conclude(&self.claim, conclusion).await
        {
            self.docket.log(&format!("the hold is not concluded, a redelivery will look again: {error}"));
        }
    }

    /// Notes which resource the incident is about, for whoever knows only the incident.
    pub async fn point(&self) {
        if self.row.is_some()
            && let Err(error) = self.holds.point(&self.claim.incident, &self.claim.target).await
        {
            self.docket.log(&format!("nothing leads from the incident to its hold until the next report: {error}"));
        }
    }

    /// Ends the lease, so that the next delivery need not wait.
    pub async fn let_go(&self) {
        if self.row.is_some()
            && let Err(error) = self.holds.let_go(&self.claim).await
        {
            self.docket.log(&format!("the lease runs out by itself: {error}"));
        }
    }
}
