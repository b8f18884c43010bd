#![doc = include_str!("../README.md")]

mod answer;
mod end;
mod environment;
mod record;
mod request;

use evidence_store::Worm;
use futures_util::StreamExt as _;
use ids::Sha256;
use responder::{Attention, Invocation, Transient};
use signal::{ByHand, Leak, Refusal, Refused};

pub use answer::{Answer, Said, Told};
pub use environment::Environment;
pub use record::{OutcomeBody, RoundTrips, Timings};
use request::{Asked, Request};

/// Answers one report: parse → observe → plan → record → apply → read back → record, for each credential that it names.
///
/// # Errors
/// When, and only when, running the same report again can help.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Result<Answer, Transient> {
    let answer = match Request::sort(event, invocation.qualifier.as_deref()) {
        Request::Plan(asked) => {
            let (repeated, leaks) = match asked {
                Asked::Event(event) => (None, signal::parse_leaks(event, &environment.settings.door())),
                Asked::Credential(credential) => {
                    (credential.users(), by_hand(credential, event, invocation).map(|leak| vec![leak]))
                }
            };
            match leaks {
                Ok(leaks) => preview(&leaks, repeated, invocation, environment).await,
                Err(refused) => Ok(Answer::of(vec![Told::new(Said::Refused, Attention::None, refused.to_string())])),
            }
        }
        Request::Revoke(credential) => {
            let repeated = credential.users();
            match by_hand(credential, event, invocation) {
                Ok(leak) => end(vec![leak], repeated, invocation, environment).await,
                Err(refused) => refuse(*refused, environment).await,
            }
        }
        Request::Relay(leaks) => {
            let sha256 = Sha256::of(event);
            match leaks.into_iter().map(Leak::relayed).collect::<Result<_, _>>() {
                Ok(leaks) => end(leaks, None, invocation, environment).await,
                Err(refusal) => refuse(Refused { refusal, sha256, finding: None, account: None }, environment).await,
            }
        }
        Request::Astray => {
            let refused = Refused { refusal: Refusal::NotRelayed, sha256: Sha256::of(event), finding: None, account: None };
            refuse(refused, environment).await
        }
        Request::Event(event) => match signal::parse_leaks(event, &environment.settings.door()) {
            Ok(leaks) => end(leaks, None, invocation, environment).await,
            Err(refused) => refuse(*refused, environment).await,
        },
    };
    // Whatever an answer or an error quotes, it goes to logs and subscribers from here.
    let clean = |text: String| environment.docket.redactor().text(&text).0;
    let answer = match answer {
        Ok(answer) => Ok(answer.map_texts(clean)),
        Err(Transient(cause)) => Err(Transient(clean(cause))),
    };
    if let Ok(answer) = &answer {
        count(environment, &answer.credentials);
    }
    answer
}

/// Counts what there is to tell: alarms go by it.
fn count<S>(environment: &Environment<S>, told: &[Told]) {
    let function = environment.settings.function.as_str();
    for told in told {
        responder::count(function, &format!("{:?}", told.outcome), 1, calls::now());
        if told.attention == Attention::Page && told.outcome != Said::NeedsHuman {
            responder::count(function, "NeedsHuman", 1, calls::now());
        }
        if !told.degraded.is_empty() {
            responder::count(function, "Degraded", 1, calls::now());
        }
    }
}

fn by_hand(credential: ByHand, bytes: &[u8], invocation: &Invocation) -> Result<Leak, Box<Refused>> {
    let home = invocation.home.as_ref().map(|(account, _)| account);
    credential.leak(bytes, &invocation.id, home, calls::now())
}

/// So many credentials of one report are worked on at a time.
const AT_ONCE: usize = 8;

/// Ends each credential; `repeated` is the number of users that a person has given. One that has to be tried again keeps none of the others waiting: they have their outcomes by then.
async fn end<S: Worm>(
    leaks: Vec<Leak>,
    repeated: Option<u32>,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let (mut told, mut again) = (Vec::new(), None);
    let mut ending = futures_util::stream::iter(leaks.into_iter().map(|leak| end::end(leak, repeated, invocation, environment)))
        .buffered(AT_ONCE);
    while let Some(one) = ending.next().await {
        match one {
            Ok(one) => told.push(one),
            Err(transient) => again = Some(transient),
        }
    }
    match again {
        // The retry finds the others done and has nothing to tell of them: what they ask for is counted now.
        Some(transient) => {
            count(environment, &told);
            Err(transient)
        }
        None => Ok(Answer::of(told)),
    }
}

async fn preview<S: Worm>(
    leaks: &[Leak],
    repeated: Option<u32>,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let mut told = Vec::new();
    for leak in leaks {
        told.push(end::preview(leak, repeated, invocation, environment).await?);
    }
    Ok(Answer::of(told))
}

/// Records a report that was not understood. Trying again would not make it clearer.
async fn refuse<S: Worm>(refused: Refused, environment: &Environment<S>) -> Result<Answer, Transient> {
    // The intake sends relays only: somebody else has its credentials.
    let attention = if refused.refusal == Refusal::NotRelayed { Attention::Page } else { Attention::Notify };
    let (reason, link) = environment.docket.refuse(refused, environment.playbook.digest()).await.map_err(Transient::of)?;
    let mut told = Told::new(Said::Refused, attention, reason);
    told.records.push(link.key.to_string());
    Ok(Answer::of(vec![told]))
}
