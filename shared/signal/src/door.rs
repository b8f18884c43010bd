//! The door: bytes come in, a typed signal or a typed refusal goes on.

use std::net::IpAddr;

use ids::{AccountId, IncidentId, InstanceId, Region, Sha256, SignalId};
use serde::{Deserialize, Serialize};

use crate::finding_type::Resource;
use crate::leak;
use crate::loose::{Part, Scalar};
use crate::signal::target;
use crate::wire;
use crate::{
    Excerpt, Finding, FindingType, Host, Refusal, Refused, Remote, Role, Severity, Signal, Source, Suspect, SuspectInterface,
};

/// The longest event that is read: EventBridge's own limit for an entry, 1 MiB.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// The most remote ends that are kept of one finding.
const MAX_REMOTES: usize = 64;

/// What the deployed configuration says about who may knock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Door {
    /// The organisation's delegated GuardDuty administrator, who may deliver findings of other accounts.
    pub administrator: Option<AccountId>,
    /// Whether `cordon.drill` is admitted as a source.
    pub drill: bool,
}

/// Reads one EventBridge event.
///
/// An optional field of a wrong shape counts as missing; a required one is a refusal. It never panics and never recurses into
/// what it does not know, and its memory is bounded by the event's length.
///
/// # Errors
/// With the reason, and with what could be read, if the event is not a well-formed GuardDuty finding of a known type, about an
/// EC2 instance, from an account and a Region that may deliver it.
pub fn parse(bytes: &[u8], door: &Door) -> Result<Signal, Box<Refused>> {
    through(bytes, |event, sha256| admit(event, door, sha256))
}

/// What `admit` makes of an event; or why there is nothing to make, with what could be read of it.
pub(crate) fn through<T>(bytes: &[u8], admit: impl FnOnce(&wire::Event, Sha256) -> Result<T, Refusal>) -> Result<T, Box<Refused>> {
    let sha256 = Sha256::of(bytes);
    let refused = |refusal, finding, account| Box::new(Refused { refusal, sha256, finding, account });
    let event = read(bytes).map_err(|refusal| refused(refusal, None, None))?;
    admit(&event, sha256).map_err(|refusal| {
        let detail = event.detail.get();
        let account = detail.and_then(|detail| detail.account_id.get()).or_else(|| event.account.get());
        refused(refusal, detail.and_then(|detail| detail.id.get()), account)
    })
}

/// JSON, and no more than that.
fn read(bytes: &[u8]) -> Result<wire::Event, Refusal> {
    if bytes.len() > MAX_EVENT_BYTES {
        return Err(Refusal::TooLarge { bytes: bytes.len() as u64, limit: MAX_EVENT_BYTES as u64 });
    }
    let text = str::from_utf8(bytes).map_err(|_| Refusal::Malformed { what: "not UTF-8".into() })?;
    // Every field takes any value, so the message is serde_json's own, or names one of our fields that is there twice.
    match serde_json::from_str(text).map_err(|error| Refusal::Malformed { what: error.to_string().into() })? {
        Part::Here(event) => Ok(event),
        Part::Missing | Part::Wrong => Err(Refusal::Malformed { what: "not a JSON object".into() }),
    }
}

/// The rules of the door, one after the other: who speaks, about what, and is it ours.
fn admit(event: &wire::Event, door: &Door, sha256: Sha256) -> Result<Signal, Refusal> {
    let source = match event.source.text() {
        Some("aws.guardduty") => Source::GuardDuty,
        Some("cordon.drill") if door.drill => Source::Drill,
        Some("cordon.drill") => return Err(Refusal::DrillsAreOff),
        other => return Err(Refusal::WrongSource { found: Excerpt::of(other.unwrap_or_default()) }),
    };
    if event.detail_type.text() != Some("GuardDuty Finding") {
        return Err(Refusal::WrongDetailType { found: Excerpt::of(event.detail_type.text().unwrap_or_default()) });
    }

    let detail = event.detail.require("detail")?;
    let account = account(event, detail, door)?;
    let finding = finding(detail, sha256)?;
    let resource = detail.resource.require("detail.resource")?;
    let instance = instance(resource, &finding.kind)?;
    let region = region(event, detail)?;
    let suspect = suspect(instance)?;

    Ok(Signal {
        id: SignalId::derive(source.as_str(), &finding.id, finding.updated_at),
        incident: IncidentId::derive(&target(&account, &region, &suspect.id), &finding.kind.technique()),
        source,
        event_id: Excerpt::of(event.id.text().unwrap_or_default()),
        event_time: event.time.time(),
        account,
        region,
        finding,
        instance: suspect,
        remote: detail.service.get().and_then(|service| service.action.get()).map(remotes).unwrap_or_default(),
    })
}

/// The finding's account: the envelope's own, or any if the configured administrator delivers it.
pub(crate) fn account(event: &wire::Event, detail: &wire::Detail, door: &Door) -> Result<AccountId, Refusal> {
    let envelope: AccountId = event.account.require("account")?;
    let finding: AccountId = detail.account_id.require("detail.accountId")?;
    if finding == envelope || door.administrator.as_ref() == Some(&envelope) {
        Ok(finding)
    } else {
        Err(Refusal::AccountMismatch { envelope, finding })
    }
}

pub(crate) fn finding(detail: &wire::Detail, sha256: Sha256) -> Result<Finding, Refusal> {
    let none = wire::Service::default();
    let service = detail.service.get().unwrap_or(&none);
    let kind: FindingType = detail.kind.require("detail.type")?;
    if !kind.known() {
        return Err(Refusal::UnknownFindingType { kind });
    }
    Ok(Finding {
        id: detail.id.require("detail.id")?,
        severity: severity(&detail.severity)?,
        role: match service.resource_role.text() {
            Some("ACTOR") => Role::Actor,
            Some("TARGET") => Role::Target,
            _ => Role::Unstated,
        },
        sample: sample(detail),
        archived: service.archived.is_true(),
        count: service.count.whole().unwrap_or(1),
        first_seen: service.event_first_seen.time(),
        last_seen: service.event_last_seen.time(),
        created_at: detail.created_at.time(),
        updated_at: (detail.updated_at.time()).ok_or_else(|| Refusal::bad_field("detail.updatedAt", "missing, or not a time"))?,
        kind,
        sha256,
    })
}

fn severity(value: &Scalar) -> Result<Severity, Refusal> {
    let path = "detail.severity";
    let digits = value.digits().ok_or_else(|| Refusal::bad_field(path, "missing, or not a number"))?;
    digits.parse().map_err(|error| Refusal::bad_field(path, error))
}

/// The instance of a finding that is about one.
fn instance<'a>(resource: &'a wire::Resource, kind: &FindingType) -> Result<&'a wire::Instance, Refusal> {
    let text: String = resource.resource_type.require("detail.resource.resourceType")?;
    match Resource::from_wire(&text) {
        None => Err(Refusal::UnknownResourceType { found: Excerpt::of(&text) }),
        Some(Resource::Instance) => match &resource.instance_details {
            Part::Missing => Err(Refusal::NoInstance),
            details => details.require("detail.resource.instanceDetails"),
        },
        Some(resource) => Err(Refusal::NotForInstances { kind: kind.clone(), resource }),
    }
}

/// A finding about an instance stays in the instance's Region, even in the organisation's second copy.
pub(crate) fn region(event: &wire::Event, detail: &wire::Detail) -> Result<Region, Refusal> {
    let envelope: Region = event.region.require("region")?;
    let finding: Region = detail.region.require("detail.region")?;
    if finding == envelope { Ok(finding) } else { Err(Refusal::RegionMismatch { envelope, finding }) }
}

/// Whether GuardDuty made the finding up, by its own mark or by ids that it only puts into sample findings.
///
/// Only ids that AWS assigns count: if a tag or a name could say "sample", an intruder would write one and be left alone.
fn sample(detail: &wire::Detail) -> bool {
    let marked = detail.service.get().and_then(|service| service.additional_info.get()).is_some_and(|info| {
        let nested = || serde_json::from_str::<Part<wire::AdditionalInfo>>(info.value.text()?).ok();
        info.sample.is_true() || nested().as_ref().and_then(Part::get).is_some_and(|nested| nested.sample.is_true())
    });
    let generated = |id: &Scalar| id.text().is_some_and(|id| id.starts_with("GeneratedFinding"));
    let resource = detail.resource.get();
    let instance = resource.and_then(|resource| resource.instance_details.get());
    marked
        || resource.is_some_and(leak::generated)
        || instance.is_some_and(|instance| {
            instance.instance_id.text() == Some("i-99999999")
                || instance.image_id.text() == Some("ami-99999999")
                || instance.iam_instance_profile.get().is_some_and(|profile| generated(&profile.id))
                || instance.network_interfaces.objects().any(|interface| {
                    generated(&interface.network_interface_id) || generated(&interface.vpc_id) || generated(&interface.subnet_id)
                })
        })
}

fn suspect(instance: &wire::Instance) -> Result<Suspect, Refusal> {
    let id: InstanceId = match &instance.instance_id {
        Scalar::Missing => return Err(Refusal::NoInstance),
        id => id.require("detail.resource.instanceDetails.instanceId")?,
    };
    Ok(Suspect {
        id,
        interfaces: instance.network_interfaces.objects().map(interface).collect(),
        tags: instance.tags.objects().filter_map(tag).collect(),
        profile_arn: instance.iam_instance_profile.get().and_then(|profile| arn(&profile.arn)),
        state: instance.instance_state.text().filter(|text| is_state(text)).map(str::to_owned),
        launched_at: instance.launch_time.time(),
    })
}

fn interface(interface: &wire::Interface) -> SuspectInterface {
    let mut private_ips: Vec<IpAddr> = interface.private_ip_address.get().into_iter().collect();
    for ip in interface.private_ip_addresses.objects().filter_map(|address| address.private_ip_address.get()) {
        if !private_ips.contains(&ip) {
            private_ips.push(ip);
        }
    }
    SuspectInterface {
        id: interface.network_interface_id.get(),
        vpc: interface.vpc_id.get(),
        subnet: interface.subnet_id.get(),
        groups: interface.security_groups.objects().filter_map(|group| group.group_id.get()).collect(),
        private_ips,
        ipv6: interface.ipv6_addresses.all().collect(),
        public_ip: interface.public_ip.get(),
    }
}

/// A tag within AWS's limits (Amazon EC2 User Guide, "Tag restrictions") and without control characters.
fn tag(tag: &wire::Tag) -> Option<(String, String)> {
    let (key, value) = (tag.key.text()?, tag.value.text().unwrap_or_default());
    let fits = |text: &str, longest| text.chars().count() <= longest && !text.contains(char::is_control);
    (!key.is_empty() && fits(key, 128) && fits(value, 256)).then(|| (key.to_owned(), value.to_owned()))
}

/// An ARN, as far as it matters for comparing and showing it. IAM bounds one at 2048 characters.
fn arn(value: &Scalar) -> Option<String> {
    let plain = |text: &&str| text.len() <= 2048 && text.starts_with("arn:") && text.bytes().all(|b| b.is_ascii_graphic());
    value.text().filter(plain).map(str::to_owned)
}

/// `pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`, or whatever comes next.
fn is_state(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// The other ends of the action, each once.
pub(crate) fn remotes(action: &wire::Action) -> Vec<Remote> {
    let connections = action.network_connection_action.get().into_iter();
    let probes = action.port_probe_action.get().into_iter().flat_map(|probe| probe.port_probe_details.objects());
    let calls = action.aws_api_call_action.get();
    let names = action.dns_request_action.get().into_iter().chain(calls.and_then(|call| call.domain_details.get()));

    let connected = connections.chain(probes).flat_map(|connection| {
        let port = connection.remote_port_details.get().and_then(|port| port.port.whole());
        addresses(&connection.remote_ip_details, port.and_then(|port| u16::try_from(port).ok()))
    });
    let called = calls.into_iter().flat_map(|call| addresses(&call.remote_ip_details, None));
    let named = names.filter_map(|name| name.domain.get()).map(|host| Remote { host, port: None });

    let mut remotes = Vec::new();
    for remote in connected.chain(called).chain(named) {
        if remotes.len() < MAX_REMOTES && !remotes.contains(&remote) {
            remotes.push(remote);
        }
    }
    remotes
}

fn addresses(ip: &Part<wire::Ip>, port: Option<u16>) -> impl Iterator<Item = Remote> {
    let ips = ip.get().into_iter().flat_map(|ip| [ip.ip_address_v4.get(), ip.ip_address_v6.get()]).flatten();
    ips.map(move |ip| Remote { host: Host::Ip(ip), port })
}
