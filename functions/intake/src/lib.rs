#![doc = include_str!("../README.md")]

mod answer;
mod environment;
mod event;

use std::time::Duration;

use ids::AccountId;
use responder::Invocation;
use signal::Leak;
use webhook::{Admitted, DOORS, Refusal, Surroundings};

pub use answer::Answer;
pub use environment::Environment;
use environment::Noted;
use event::Event;

/// Answers one request of the API: check → note → hand on.
pub async fn handle(event: &[u8], invocation: &Invocation, environment: &Environment) -> Answer {
    let Ok(event) = serde_json::from_slice::<Event>(event) else {
        return environment.refuse(None, "", &Refusal::Unreadable("this is no request of an HTTP API".to_owned()));
    };
    let (door, _) = event.way();
    let known = DOORS.iter().find(|known| known.id == door);
    let patience = known.map_or(1_700, |door| door.patience);
    let work = take(&event, invocation, environment);
    match tokio::time::timeout(Duration::from_millis(patience), work).await {
        Ok(answer) => answer,
        Err(_) => environment.unavailable("it took longer than the sender waits"),
    }
}

async fn take(event: &Event, invocation: &Invocation, environment: &Environment) -> Answer {
    let Some((home, _)) = &invocation.home else { return environment.unavailable("Lambda does not say which account this is") };
    let keys = match environment.keys().await {
        Ok(keys) => keys,
        Err(cause) => return environment.unavailable(&format!("the doors' keys cannot be had: {cause}")),
    };
    let body = event.body();
    let (door, ticket) = event.way();
    let request = webhook::Request { door, ticket, query: event.has_query(), headers: &event.headers, body: body.as_ref() };
    let surroundings = Surroundings { keys: &keys, redactor: &environment.redactor, home, now: calls::now() };
    let (nonce, leaks, alert) = match webhook::admit(&request, &surroundings) {
        Ok(Admitted::Leaks { nonce, leaks, alert }) => (nonce, leaks, alert),
        Ok(Admitted::Nothing { reason }) => return environment.nothing(reason),
        Err(refusal) => return environment.refuse(Some(door), event.from(), &refusal),
    };

    match environment.note(&nonce).await {
        Ok(Noted::New) => {}
        Ok(Noted::HandedOn) => return environment.repeated(),
        Ok(Noted::Busy) => return environment.unavailable("the same report is being handed on this moment"),
        // The revoke function knows its own work by the report: twice is harmless, never would not be.
        Err(cause) => environment.degraded(&format!("replays are not known: {cause}")),
    }
    let asked = match (&alert, keys.github_token()) {
        (Some(alert), Some(token)) => environment.ask_github(alert, token).await,
        _ => Vec::new(),
    };
    let leaks = with_keys(leaks, asked, home);
    if let Err(cause) = environment.hand_on(&leaks).await {
        environment.forget(&nonce).await;
        return environment.unavailable(&format!("the report cannot be queued: {cause}"));
    }
    environment.handed_on(&nonce).await;
    environment.queued(leaks.len())
}

/// What is reported, by the keys that GitHub has named, if it has.
fn with_keys(leaks: Vec<Leak>, keys: Vec<ids::AccessKeyId>, home: &AccountId) -> Vec<Leak> {
    match leaks.first() {
        Some(first) if !keys.is_empty() => webhook::named(first, keys, home),
        _ => leaks,
    }
}
