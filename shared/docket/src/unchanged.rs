//! Records of what changes nothing: an event that is refused, a decision to do nothing.

use evidence::{Kind, Link, Subject};
use evidence_store::{RecordFailure, Worm};
use ids::{Sha256, SignalId};
use playbook::{Control, Decision};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signal::{Refused, Strip, Stripped};

use crate::{Cause, Docket};

/// The body of a refusal: what could be read of the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusalBody {
    /// What was wrong, and with what.
    pub refused: Refused,
    /// What was taken out of it before it was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Stripped>,
}

/// The body of a decision about a signal: nothing was changed, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionBody<G> {
    /// What the playbook says.
    pub decision: Decision,
    /// What it was about.
    pub signal: G,
    /// In our words.
    pub reason: String,
    /// What people have to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
    /// What was taken out of it before it was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Stripped>,
}

impl<S: Worm> Docket<S> {
    /// Records an event that was not understood, so that a person can look at it. Gives back why it was not, without what must not be
    /// kept, and where the record is.
    ///
    /// # Errors
    /// If it is not durable, as far as is known.
    pub async fn refuse(&self, mut refused: Refused, playbook: Sha256) -> Result<(String, Link), RecordFailure> {
        self.vouch().await;
        let mut strip = Strip::new(self.redactor());
        strip.refused(&mut refused);
        let redacted = strip.done();
        let signal = SignalId::of_bytes(&refused.sha256);
        let subject = vec![Subject::new("event", refused.sha256)];
        let cause = Cause::new(self.function(), calls::now(), None, signal, subject);
        let reason = refused.to_string();
        let draft = cause.draft(Kind::Refusal, 1, playbook, RefusalBody { refused, redacted });
        let recorded = self.recorder().await.intent(draft).await?;
        Ok((reason, recorded.link().clone()))
    }

    /// Records that nothing is changed, and why: evidence for `deciding` only, whatever the playbook would have had done.
    ///
    /// # Errors
    /// If it is not durable, as far as is known.
    pub async fn decline<G: Serialize + DeserializeOwned + Clone>(
        &self,
        cause: &Cause,
        body: DecisionBody<G>,
        deciding: &[Control],
        playbook: Sha256,
    ) -> Result<Link, RecordFailure> {
        let cause = cause.clone().decided(&body.decision).claiming(deciding);
        let recorded = self.recorder().await.intent(cause.draft(Kind::Decision, 1, playbook, body)).await?;
        Ok(recorded.link().clone())
    }
}
