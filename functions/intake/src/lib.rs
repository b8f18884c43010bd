#![doc = include_str!("../README.md")]

mod environment;

use std::time::Duration;

use api::Event;
use responder::Invocation;
use webhook::{Admitted, Refusal, Surroundings};

pub use api::Response;
pub use environment::Environment;
use environment::Noted;

/// Shorter than the function may run.
const LONGEST: Duration = Duration::from_secs(9);

/// Answers one request of the API: check → note → hand on.
pub async fn handle(event: &[u8], invocation: &Invocation, environment: &Environment) -> Response {
    let event = match Event::read(event) {
        Ok(event) => event,
        Err(problem) => return environment.refuse(None, None, &Refusal::Unreadable(problem.detail)),
    };
    // Some senders wait two seconds, and one of them tells its news once: what is late for its answer is not late for the queue.
    match tokio::time::timeout(LONGEST, take(&event, invocation, environment)).await {
        Ok(answer) => answer,
        Err(_) => environment.unavailable("it took too long"),
    }
}

async fn take(event: &Event, invocation: &Invocation, environment: &Environment) -> Response {
    let Some((home, _)) = &invocation.home else { return environment.unavailable("Lambda does not say which account this is") };
    let keys = match environment.keys().await {
        Ok(keys) => keys,
        Err(cause) => return environment.unavailable(&format!("the doors' keys cannot be had: {cause}")),
    };
    let body = event.body();
    let (door, ticket) = way(event.path());
    let request = webhook::Request { door, ticket, query: event.has_query(), headers: event.headers(), body: body.as_ref() };
    let surroundings = Surroundings { keys: &keys, redactor: &environment.redactor, home, now: calls::now() };
    let (nonce, mut leaks, alert) = match webhook::admit(&request, &surroundings) {
        Ok(Admitted::Leaks { nonce, leaks, alert }) => (nonce, leaks, alert),
        Ok(Admitted::Nothing { reason }) => return environment.nothing(reason),
        Err(refusal) => return environment.refuse(Some(door), event.source_ip(), &refusal),
    };

    match environment.note(&nonce).await {
        Ok(Noted::New) => {}
        Ok(Noted::HandedOn) => return environment.repeated(),
        Ok(Noted::Busy) => return environment.unavailable("the same report is being handed on this moment"),
        // The revoke function knows its own work by the report: twice is harmless, never would not be.
        Err(cause) => environment.degraded(&format!("replays are not known: {cause}")),
    }
    if let (Some((alert, report)), Some(token)) = (alert, keys.github_token()) {
        let named = webhook::named(&report, environment.ask_github(&alert, token).await, home);
        // What only says that it is some key is said better now; what a text mentions stays beside it.
        if !named.is_empty() {
            leaks.retain(|leak| {
                leak.credential.key().is_some_and(|key| named.iter().all(|named| named.credential.key() != Some(key)))
            });
            leaks.extend(named);
        }
    }
    if let Err(cause) = environment.hand_on(&leaks).await {
        environment.forget(&nonce).await;
        return environment.unavailable(&format!("the report cannot be queued: {cause}"));
    }
    environment.handed_on(&nonce).await;
    environment.queued(leaks.len())
}

/// The path's first part, and the rest if there is one.
fn way(path: &str) -> (&str, Option<&str>) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or((path, None), |(door, ticket)| (door, Some(ticket)))
}
