#![doc = include_str!("../README.md")]

mod answer;
mod close;
mod environment;
mod finding;
mod tend;

use std::collections::BTreeSet;

use evidence_store::Worm;
use grant::State;
use ids::RoleArn;
use register::{Look, RegisterError, Row};
use responder::{Invocation, Transient};

pub use answer::Answer;
pub use environment::Environment;

/// Looks at one grant, at what a finding says of grants, or (every minute) at everything that is live.
///
/// # Errors
/// If trying again can help.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Result<Answer, Transient> {
    environment.office.docket.vouch().await;
    let mut answer = Answer::default();
    let work = match serde_json::from_slice::<Look>(event) {
        Ok(Look::Grant(grant)) => match environment.office.register.look(&grant).await.map_err(unanswered)? {
            Some(row) => Work::These(vec![row]),
            None => {
                answer.say(format!("there is no grant {grant}"));
                Work::These(Vec::new())
            }
        },
        Ok(Look::Probe(_)) => {
            answer.say("probes are mint's to make".to_owned());
            Work::These(Vec::new())
        }
        Err(_) if is_clock(event) => Work::Everything,
        Err(_) => Work::These(Box::pin(finding::read(event, &mut answer, environment)).await?),
    };
    let rows = match work {
        Work::These(rows) => rows,
        Work::Everything => environment.office.register.live().await.map_err(unanswered)?,
    };
    // Boxed: policies are evaluated at the bottom of it, where Cedar minds how much stack is left.
    Box::pin(work_through(rows, invocation, &mut answer, environment)).await;
    answer.count(&environment.office);
    match answer.again.take() {
        Some(cause) => Err(Transient(cause)),
        None => Ok(answer),
    }
}

enum Work {
    These(Vec<Row>),
    Everything,
}

/// What has ended comes first: its roles are written before anything else is looked at. Then each other grant by itself, and the roles of those that
/// end by it. In the end all is shown at once. What fails keeps nothing else waiting.
async fn work_through<S: Worm>(rows: Vec<Row>, invocation: &Invocation, answer: &mut Answer, environment: &Environment<S>) {
    let (ended, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| matches!(row.grant.state, State::Ended { .. }));
    let mut closed = Vec::new();
    for rows in [ended, others] {
        let mut roles: BTreeSet<RoleArn> = BTreeSet::new();
        let mut fresh: Vec<Row> = Vec::new();
        for row in rows {
            match tend::tend(row, answer, environment).await {
                Ok(Some(row)) => {
                    roles.insert(row.grant.terms.role.clone());
                    fresh.push(row);
                }
                Ok(None) => {}
                Err(Transient(cause)) => answer.again = Some(cause),
            }
        }
        for role in roles {
            match close::close(&role, &fresh, invocation, answer, environment).await {
                Ok(done) => closed.extend(done),
                Err(Transient(cause)) => answer.again = Some(cause),
            }
        }
    }
    if let Err(Transient(cause)) = close::prove(closed, invocation, answer, environment).await {
        answer.again = Some(cause);
    }
}

/// EventBridge's clock.
fn is_clock(event: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Clock {
        source: String,
        #[serde(rename = "detail-type")]
        kind: String,
    }
    serde_json::from_slice::<Clock>(event)
        .is_ok_and(|clock| ["aws.events", "aws.scheduler"].contains(&clock.source.as_str()) && clock.kind == "Scheduled Event")
}

fn unanswered(error: RegisterError) -> Transient {
    Transient::of(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_told_from_everything_else() {
        assert!(is_clock(br#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#));
        for other in [
            r#"{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{}}"#,
            r#"{"source":"aws.events","detail-type":"Something else"}"#,
            r#"{"grant":"gr-0123456789abcdef0123"}"#,
            "nonsense",
        ] {
            assert!(!is_clock(other.as_bytes()), "{other}");
        }
    }
}
