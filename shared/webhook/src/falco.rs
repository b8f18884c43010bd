//! Falco, through Falcosidekick's webhook output (Falcosidekick's README, "Webhook").

use ids::Timestamp;
use serde::Deserialize;
use signal::{Excerpt, LeakSource};

use crate::Request;
use crate::door::Door;
use crate::keys::Key;
use crate::proof::known;
use crate::read::{Read, Refusal, Said, problem, rated};

pub(crate) static DOOR: Door = Door {
    id: "falco",
    source: LeakSource::Falco,
    ticket: false,
    set_up: "Falcosidekick: webhook.address is this URL, and webhook.customHeaders has Authorization: \"Bearer KEY\"",
    prove,
    read,
};

/// Falcosidekick signs nothing. It sends what it is told to send along, over TLS.
fn prove(request: &Request<'_>, keys: &[Key], _now: Timestamp) -> Result<(), Refusal> {
    let header = request.header("authorization").ok_or(Refusal::NoProof("Authorization is missing"))?;
    let given = header.strip_prefix("Bearer ").ok_or(Refusal::NoProof("Authorization does not begin with Bearer"))?;
    known(given, keys)
}

/// Neither `output` nor `output_fields` as a whole: command lines stand there.
#[derive(Deserialize)]
struct Event {
    rule: String,
    priority: String,
    time: Option<String>,
    hostname: Option<String>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    output_fields: Option<Fields>,
}

#[derive(Deserialize, Default)]
struct Fields {
    #[serde(rename = "k8s.ns.name")]
    namespace: Option<String>,
    #[serde(rename = "k8s.pod.name")]
    pod: Option<String>,
}

fn read(body: &[u8], clean: &dyn Fn(&str) -> String, now: Timestamp) -> Result<Read, String> {
    let event: Event = serde_json::from_slice(body).map_err(|error| problem(&error))?;
    let fields = event.output_fields.unwrap_or_default();
    let place = match (fields.namespace, fields.pod, event.hostname) {
        (Some(namespace), Some(pod), _) => format!("pod {pod} of {namespace}"),
        (_, _, Some(host)) => format!("host {host}"),
        _ => "a place that Falco does not name".to_owned(),
    };
    let at = event.time.and_then(|text| text.parse().ok()).unwrap_or(now);
    let mut said = Said::new(format!("{}/{place}/{at}", event.rule), Excerpt::of("Falco"), at);
    said.what = Excerpt::of(&clean(&event.rule));
    said.place = Excerpt::of(&clean(&place));
    // MITRE's tactic TA0006; Falco's own rules carry it as a tag (falco.org, "Default rules").
    let tags = event.tags.unwrap_or_default();
    let about_credentials = tags.iter().any(|tag| tag == "mitre_credential_access");
    let severity = match event.priority.to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "critical" => 900,
        "error" => 700,
        "warning" => 500,
        "notice" | "informational" | "info" | "debug" => 200,
        _ => return Err("`priority` is none of Falco's".to_owned()),
    };
    // Whatever else a machine does is other people's work.
    said.rated = rated(if about_credentials { severity } else { 200 });
    Ok(Read::Said(Box::new(said)))
}
