//! What the rest of Cordon knows of a finding.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ids::{AccountId, EniId, FindingId, IncidentId, InstanceId, Region, SgId, Sha256, SignalId, SubnetId, Timestamp, VpcId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Excerpt, FindingType, Severity};

/// A finding about an EC2 instance, at one of its updates.
///
/// No free text and no float of the event survives in here: what is kept is typed, or bounded and printable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Derived from the finding's id and `updatedAt`: the same for every delivery, retry and organisation copy.
    pub id: SignalId,
    /// Derived from [`Signal::target`] and [`Signal::technique`].
    pub incident: IncidentId,
    /// Who raised it.
    pub source: Source,
    /// The envelope's `id`: tells deliveries apart, and nothing else.
    pub event_id: Excerpt,
    /// The envelope's `time`.
    pub event_time: Option<Timestamp>,
    /// The account of the instance, which the door has checked.
    pub account: AccountId,
    /// The Region of the instance.
    pub region: Region,
    /// The finding.
    pub finding: Finding,
    /// The instance it is about.
    pub instance: Suspect,
    /// Whom the instance talked to: at most 64.
    pub remote: Vec<Remote>,
}

impl Signal {
    /// The resource that is held, wherever it is: `ec2:instance:ACCOUNT:REGION:INSTANCE`.
    #[must_use]
    pub fn target(&self) -> String {
        target(&self.account, &self.region, &self.instance.id)
    }

    /// The finding type's purpose and family: `CryptoCurrency/BitcoinTool`.
    #[must_use]
    pub fn technique(&self) -> String {
        self.finding.kind.technique()
    }

    /// The VPCs the finding names: a hint where to look, to be checked.
    #[must_use]
    pub fn vpcs(&self) -> BTreeSet<VpcId> {
        self.instance.interfaces.iter().filter_map(|interface| interface.vpc.clone()).collect()
    }
}

pub(crate) fn target(account: &AccountId, region: &Region, instance: &InstanceId) -> String {
    format!("ec2:instance:{account}:{region}:{instance}")
}

/// Who raised a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `aws.guardduty`. EventBridge lets nobody but AWS put events whose source begins with `aws.`.
    #[serde(rename = "guardduty")]
    GuardDuty,
    /// `cordon.drill`: whoever may put events on the bus. Admitted only where the configuration says so.
    Drill,
}

impl Source {
    /// The source as records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GuardDuty => "guardduty",
            Self::Drill => "drill",
        }
    }
}

/// What GuardDuty says, without the prose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `id`: stays the same when the activity is seen again.
    pub id: FindingId,
    /// `type`.
    pub kind: FindingType,
    /// `severity`.
    pub severity: Severity,
    /// `service.resourceRole`.
    pub role: Role,
    /// Whether it was generated for show: `additionalInfo.sample`, or ids that only sample findings have.
    pub sample: bool,
    /// `service.archived`: someone, or a suppression rule, has put it away.
    pub archived: bool,
    /// `service.count`: how often the activity was seen; 1 where the event does not say.
    pub count: u64,
    /// `service.eventFirstSeen`.
    pub first_seen: Option<Timestamp>,
    /// `service.eventLastSeen`.
    pub last_seen: Option<Timestamp>,
    /// `createdAt`.
    pub created_at: Option<Timestamp>,
    /// `updatedAt`.
    pub updated_at: Timestamp,
    /// The digest of the event's bytes, as they came.
    pub sha256: Sha256,
}

/// Which side the instance is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `ACTOR`: the instance does it.
    Actor,
    /// `TARGET`: it is done to the instance. Probed or attacked is not compromised.
    Target,
    /// Neither word was there.
    Unstated,
}

/// The instance as the finding describes it: a claim from the past, to be observed before anything is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// `instanceId`.
    pub id: InstanceId,
    /// `networkInterfaces`: at most 256.
    pub interfaces: Vec<SuspectInterface>,
    /// `tags`, within AWS's limits (128 characters for a key, 256 for a value) and at most 100. Whoever may tag may write them.
    pub tags: Vec<(String, String)>,
    /// `iamInstanceProfile.arn`.
    pub profile_arn: Option<String>,
    /// `instanceState`, such as `running`.
    pub state: Option<String>,
    /// `launchTime`.
    pub launched_at: Option<Timestamp>,
}

/// One of its network interfaces, as the finding describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectInterface {
    /// `networkInterfaceId`, which real findings have been seen without.
    pub id: Option<EniId>,
    /// `vpcId`.
    pub vpc: Option<VpcId>,
    /// `subnetId`.
    pub subnet: Option<SubnetId>,
    /// `securityGroups`: at most 64.
    pub groups: Vec<SgId>,
    /// `privateIpAddress` and `privateIpAddresses`, each once: at most 65.
    pub private_ips: Vec<IpAddr>,
    /// `ipv6Addresses`: at most 64.
    pub ipv6: Vec<Ipv6Addr>,
    /// `publicIp`.
    pub public_ip: Option<IpAddr>,
}

/// The other end of what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remote {
    /// Its address or name.
    pub host: Host,
    /// Its port, where one was seen.
    pub port: Option<u16>,
}

/// An address or a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A domain name.
    Domain(Domain),
}

impl FromStr for Host {
    type Err = ParseDomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::Ip).or_else(|_| text.parse().map(Self::Domain))
    }
}

/// A domain name in lower case: up to 253 letters, digits, dashes, underscores and dots, and no IP address.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// Text that is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a domain name: expected up to 253 letters, digits, dashes, underscores and dots")]
pub struct ParseDomainError;

impl Domain {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = ParseDomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if plain && (1..=253).contains(&text.len()) && text.parse::<IpAddr>().is_err() {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ParseDomainError)
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = ParseDomainError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Remote {
    /// `198.51.100.7:22`, `[2001:db8::7]:22`, `pool.example:3333`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Ip(ip), Some(port)) => std::net::SocketAddr::new(*ip, port).fmt(f),
            (Host::Ip(ip), None) => ip.fmt(f),
            (Host::Domain(domain), Some(port)) => f.pad(&format!("{domain}:{port}")),
            (Host::Domain(domain), None) => domain.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_reads_like_an_address() {
        for (host, port, shown) in [
            (Host::Ip("198.51.100.7".parse().unwrap()), Some(22), "198.51.100.7:22"),
            (Host::Ip("2001:db8::7".parse().unwrap()), Some(22), "[2001:db8::7]:22"),
            (Host::Domain("Pool.Example".parse().unwrap()), Some(3333), "pool.example:3333"),
            (Host::Domain("pool.example".parse().unwrap()), None, "pool.example"),
        ] {
            assert_eq!(Remote { host, port }.to_string(), shown);
        }
        for bad in ["", "a b", "pool.example\u{1b}[0m", "*", "198.51.100.7"] {
            assert!(bad.parse::<Domain>().is_err(), "{bad:?}");
        }
    }
}
