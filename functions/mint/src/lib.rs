#![doc = include_str!("../README.md")]

mod answer;
mod environment;
mod make;
mod probe;
mod sessions;

use evidence_store::{StoreError, Worm};
use ids::GrantId;
use register::{Look, RegisterError, Row};
use responder::{Invocation, Transient};

pub use answer::{Answer, Outcome};
pub use environment::Environment;

/// Looks at one grant: makes the session that its records call for, or shows that its sessions are refused.
///
/// # Errors
/// If trying again can help.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Result<Answer, Transient> {
    let Ok(look) = serde_json::from_slice::<Look>(event) else {
        environment.office.count("Refused");
        return Ok(Answer::refused(None, "what is asked names no grant: {\"grant\":\"gr-…\"} or {\"probe\":\"gr-…\"}"));
    };
    environment.office.docket.vouch().await;
    // Boxed: policies are evaluated at the bottom of it, where Cedar minds how much stack is left.
    let answer = match &look {
        Look::Grant(grant) => Box::pin(make::make(grant, invocation, environment)).await?,
        Look::Probe(grant) => Box::pin(probe::probe(grant, environment)).await?,
    };
    environment.office.count(answer.metric());
    Ok(answer)
}

async fn row<S: Worm>(grant: &GrantId, environment: &Environment<S>) -> Result<Option<Row>, Transient> {
    environment.office.register.look(grant).await.map_err(unanswered)
}

fn unanswered(error: RegisterError) -> Transient {
    Transient::of(error)
}

/// A store that does not answer may do so later. What is at a record's place and is not what it should be, stays so.
fn unread(grant: &GrantId, error: StoreError) -> Result<Answer, Transient> {
    if error.passes { Err(Transient::of(error)) } else { Ok(Answer::needs_human(grant, &error.to_string())) }
}
