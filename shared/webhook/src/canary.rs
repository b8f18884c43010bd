//! Canary tokens (Thinkst's Canarytokens, "webhook" notifications; the source of `canarytokens` has the shapes).
//!
//! Nothing is signed: whoever knows the path can say this. So it is believed enough to wake a person, and never enough to end anything.
//! The keys that it names are bait and belong to the bait's maker: they are not looked at.

use std::net::IpAddr;

use ids::Timestamp;
use serde::Deserialize;
use signal::{Excerpt, Host, LeakSource, Remote};

use crate::Request;
use crate::door::Door;
use crate::keys::Key;
use crate::proof::known;
use crate::read::{Read, Refusal, Said, problem};

pub(crate) static DOOR: Door = Door {
    id: "canary",
    source: LeakSource::Canary,
    ticket: true,
    set_up: "Canarytokens: the webhook is this URL, with the key at its end; keep it as secret as the key",
    prove,
    read,
};

fn prove(request: &Request<'_>, keys: &[Key], _now: Timestamp) -> Result<(), Refusal> {
    // Whoever tries paths learns nothing from this, either.
    known(request.ticket.unwrap_or_default(), keys).map_err(|_| Refusal::NoSuchDoor)
}

/// Not `manage_url` and `token`: whoever has those has the canary.
#[derive(Deserialize)]
struct Event {
    memo: Option<String>,
    token_type: Option<String>,
    time: Option<String>,
    exposed_time: Option<String>,
    src_ip: Option<String>,
    key_id: Option<String>,
}

fn read(body: &[u8], clean: &dyn Fn(&str) -> String, now: Timestamp) -> Result<Read, String> {
    let event: Event = serde_json::from_slice(body).map_err(|error| problem(&error))?;
    let memo = event.memo.ok_or_else(|| "`memo` is missing: it says where the canary lies".to_owned())?;
    let at = [event.time, event.exposed_time].into_iter().flatten().find_map(|text| moment(&text)).unwrap_or(now);
    let kind = clean(&event.token_type.unwrap_or_default());
    let mut said = Said::new(format!("{memo}/{at}"), Excerpt::of("a canary token"), at);
    let exposed = event.key_id.is_some() && event.src_ip.is_none();
    said.what =
        Excerpt::of(&if exposed { format!("canary token {kind}, found in public") } else { format!("canary token {kind}, used") });
    said.place = Excerpt::of(&clean(&memo));
    let from = event.src_ip.and_then(|text| text.parse::<IpAddr>().ok());
    said.remote.extend(from.map(|ip| Remote { host: Host::Ip(ip), port: None }));
    said.mentions = false;
    Ok(Read::Said(Box::new(said)))
}

/// `2026-11-24 20:00:00 (UTC)`, or RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    let plain = text.strip_suffix("(UTC)").map(|text| format!("{}Z", text.trim().replace(' ', "T")));
    plain.as_deref().unwrap_or(text).parse().ok()
}
