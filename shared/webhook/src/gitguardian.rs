//! GitGuardian's custom webhook (GitGuardian docs, "Custom webhook").

use ids::Timestamp;
use serde::Deserialize;
use signal::{Excerpt, LeakSource};

use crate::Request;
use crate::door::Door;
use crate::keys::Key;
use crate::proof::signed;
use crate::read::{Read, Refusal, Said, problem, rated};

pub(crate) static DOOR: Door = Door {
    id: "gitguardian",
    source: LeakSource::GitGuardian,
    ticket: false,
    set_up: "Settings, Integrations, Custom webhook: the key is the signature token; choose the incident events",
    prove,
    read,
};

/// A signature is good for so long: clocks differ, and deliveries are tried again with a new one.
const WINDOW_MILLIS: i64 = 5 * 60 * 1000;

fn prove(request: &Request<'_>, keys: &[Key], now: Timestamp) -> Result<(), Refusal> {
    let sent = request.header("timestamp").ok_or(Refusal::NoProof("Timestamp is missing"))?;
    let header = request.header("gitguardian-signature").ok_or(Refusal::NoProof("Gitguardian-Signature is missing"))?;
    let given = header.strip_prefix("sha256=").ok_or(Refusal::NoProof("Gitguardian-Signature does not begin with sha256="))?;
    signed(given, keys, sent, request.body)?;
    // After the signature: before it, this would only tell a stranger what our clock says.
    let at = moment(sent).ok_or(Refusal::NoProof("Timestamp is no time"))?;
    let age = now.millis_since(at);
    if age.abs() > WINDOW_MILLIS {
        return Err(Refusal::NoProof("Timestamp is more than five minutes away from our clock"));
    }
    Ok(())
}

/// Seconds since the epoch, with or without a fraction, or RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    match seconds.parse::<i64>() {
        Ok(seconds) => Timestamp::from_millis(seconds.checked_mul(1000)?).ok(),
        Err(_) => text.parse().ok(),
    }
}

#[derive(Deserialize)]
struct Event {
    action: Option<String>,
    timestamp: Option<String>,
    incident: Option<Incident>,
}

#[derive(Deserialize)]
struct Incident {
    id: u64,
    detector: Option<Detector>,
    severity: Option<String>,
    validity: Option<String>,
}

#[derive(Deserialize)]
struct Detector {
    name: Option<String>,
    display_name: Option<String>,
}

fn read(body: &[u8], clean: &dyn Fn(&str) -> String, now: Timestamp) -> Result<Read, String> {
    let event: Event = serde_json::from_slice(body).map_err(|error| problem(&error))?;
    let incident = event.incident.ok_or_else(|| "it is about no incident".to_owned())?;
    let name = Excerpt::of(&format!("incident {} of GitGuardian", incident.id));
    let at = event.timestamp.and_then(|text| text.parse().ok()).unwrap_or(now);
    let mut said = Said::new(incident.id.to_string(), name, at);
    let detector = incident.detector.and_then(|detector| detector.display_name.or(detector.name)).unwrap_or_default();
    said.what = Excerpt::of(&clean(&detector));
    let action = event.action.unwrap_or_default();
    said.closed = matches!(action.as_str(), "incident_resolved" | "incident_ignored");
    let opens = matches!(action.as_str(), "incident_triggered" | "incident_reopened" | "incident_regression");
    said.rated = match (opens, incident.validity.as_deref(), incident.severity.as_deref()) {
        // Somebody was assigned, a note was written, a severity changed; or it works no longer.
        (false, ..) | (true, Some("invalid"), _) | (true, _, Some("low" | "info")) => rated(200),
        (true, _, Some("medium")) => rated(500),
        (true, ..) => None,
    };
    Ok(Read::Said(Box::new(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_seconds_or_rfc_3339() {
        let at = |text| moment(text).map(|at| at.to_string());
        assert_eq!(at("1764018000").as_deref(), Some("2025-11-24T21:00:00.000Z"));
        assert_eq!(at("1764018000.25").as_deref(), Some("2025-11-24T21:00:00.000Z"));
        assert_eq!(at("2025-11-24T21:00:00Z").as_deref(), Some("2025-11-24T21:00:00.000Z"));
        assert_eq!(at("2025-11-24T21:00:00.5Z").as_deref(), Some("2025-11-24T21:00:00.500Z"));
        for bad in ["", "now", "1e9", "99999999999999999999", "9223372036854775807", "1.2.3"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
