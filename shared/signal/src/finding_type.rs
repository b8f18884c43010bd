//! What kind of finding, about what kind of resource.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::known::KNOWN;

/// A finding type: `ThreatPurpose:ResourceTypeAffected/ThreatFamilyName.DetectionMechanism!Artifact`
/// (Amazon GuardDuty User Guide, "GuardDuty finding format").
///
/// Everything from the full stop on is optional. Well formed is not known: see [`FindingType::known`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FindingType(String);

/// Text that does not have the form of a finding type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a finding type: expected Purpose:Resource/Family.Mechanism!Artifact")]
pub struct ParseFindingTypeError;

impl FindingType {
    /// The type as GuardDuty writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the threat is for: `CryptoCurrency`.
    #[must_use]
    pub fn purpose(&self) -> &str {
        self.parts().purpose
    }

    /// What is affected, as the type's name says: `EC2`, `Runtime`. The finding's [`Resource`] is another matter.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.parts().resource
    }

    /// The threat's family: `BitcoinTool`, `C&CActivity`.
    #[must_use]
    pub fn family(&self) -> &str {
        self.parts().family
    }

    /// How it was detected: `B`, `Custom`, `OutsideAWS`.
    #[must_use]
    pub fn mechanism(&self) -> Option<&str> {
        self.parts().mechanism
    }

    /// By what it was detected: `DNS`.
    #[must_use]
    pub fn artifact(&self) -> Option<&str> {
        self.parts().artifact
    }

    /// Purpose and family: `CryptoCurrency/BitcoinTool`, however and wherever it was noticed.
    #[must_use]
    pub fn technique(&self) -> String {
        let Parts { purpose, family, .. } = self.parts();
        format!("{purpose}/{family}")
    }

    /// Whether AWS documents this very type.
    #[must_use]
    pub fn known(&self) -> bool {
        KNOWN.binary_search(&self.as_str()).is_ok()
    }

    /// Every type that AWS documents, in byte order: what a playbook has to have an answer to.
    pub fn all() -> impl Iterator<Item = Self> {
        KNOWN.iter().map(|text| Self((*text).to_owned()))
    }

    fn parts(&self) -> Parts<'_> {
        // INVARIANT: `from_str` let in only what splits.
        Parts::of(&self.0).unwrap_or_default()
    }
}

#[derive(Default)]
struct Parts<'a> {
    purpose: &'a str,
    resource: &'a str,
    family: &'a str,
    mechanism: Option<&'a str>,
    artifact: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (purpose, rest) = text.split_once(':')?;
        let (resource, rest) = rest.split_once('/')?;
        let (rest, artifact) = rest.split_once('!').map_or((rest, None), |(rest, artifact)| (rest, Some(artifact)));
        let (family, mechanism) = rest.split_once('.').map_or((rest, None), |(family, mechanism)| (family, Some(mechanism)));
        Some(Self { purpose, resource, family, mechanism, artifact })
    }
}

impl FromStr for FindingType {
    type Err = ParseFindingTypeError;

    /// AWS's model bounds a type at 100 characters and has raised that before; 128 bounds it here.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        fn word(text: &str, also: &[u8]) -> bool {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
        }
        let parts = Parts::of(text).ok_or(ParseFindingTypeError)?;
        let well_formed = text.len() <= 128
            && word(parts.purpose, b"")
            && word(parts.resource, b"")
            && word(parts.family, b"&_-")
            && parts.mechanism.is_none_or(|mechanism| word(mechanism, b".&_-"))
            && parts.artifact.is_none_or(|artifact| word(artifact, b".&_-"));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(ParseFindingTypeError) }
    }
}

impl TryFrom<String> for FindingType {
    type Error = ParseFindingTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FindingType> for String {
    fn from(kind: FindingType) -> Self {
        kind.0
    }
}

impl fmt::Display for FindingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FindingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal),+ $(,)?) => {
        /// What a finding is about, by its `resource.resourceType`.
        ///
        /// AWS's model has a free string there, and no page lists the values. These come from its documentation, sample findings
        /// and other tools; those of scanned images and backups are unconfirmed. Another one is refused, and as all but
        /// `Instance` are refused here anyway, a wrong name costs no more than a less exact refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Resource {
            $($(#[$doc])* #[serde(rename = $wire)] $variant),+
        }

        impl Resource {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            /// The resource type that GuardDuty writes as `text`.
            #[must_use]
            pub fn from_wire(text: &str) -> Option<Self> {
                match text {
                    $($wire => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// As GuardDuty writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire),+
                }
            }
        }
    };
}

resources! {
    /// An EC2 instance: the one Cordon's quarantine acts on.
    Instance = "Instance",
    /// A principal and its credentials.
    AccessKey = "AccessKey",
    /// A bucket.
    S3Bucket = "S3Bucket",
    /// An object that was scanned.
    S3Object = "S3Object",
    /// A Kubernetes cluster.
    EksCluster = "EKSCluster",
    /// A Kubernetes cluster, as early findings named it.
    KubernetesCluster = "KubernetesCluster",
    /// An ECS cluster and the task in it.
    EcsCluster = "ECSCluster",
    /// A container on an instance that no cluster is known for.
    Container = "Container",
    /// A Lambda function.
    Lambda = "Lambda",
    /// A database instance.
    RdsDbInstance = "RDSDBInstance",
    /// An Aurora Limitless database.
    RdsLimitlessDb = "RDSLimitlessDB",
    /// A volume that was scanned.
    EbsVolume = "EBSVolume",
    /// A snapshot that was scanned.
    EbsSnapshot = "EBSSnapshot",
    /// A machine image that was scanned.
    Ec2Ami = "EC2AMI",
    /// A machine image, as the API's `ec2ImageDetails` names it.
    Ec2Image = "EC2Image",
    /// A backup that was scanned.
    RecoveryPoint = "RecoveryPoint",
    /// Several resources, by several earlier findings.
    AttackSequence = "AttackSequence",
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_up_to_five_parts() {
        let kind: FindingType =
            "Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount".parse().unwrap();
        assert_eq!((kind.purpose(), kind.resource(), kind.family()), ("Persistence", "Kubernetes", "AnomalousBehavior"));
        assert_eq!((kind.mechanism(), kind.artifact()), (Some("WorkloadDeployed"), Some("ContainerWithSensitiveMount")));

        let kind: FindingType = "Trojan:EC2/DropPoint!DNS".parse().unwrap();
        assert_eq!((kind.family(), kind.mechanism(), kind.artifact()), ("DropPoint", None, Some("DNS")));
    }

    #[test]
    fn one_technique_however_it_was_noticed() {
        for (text, technique) in [
            ("CryptoCurrency:EC2/BitcoinTool.B", "CryptoCurrency/BitcoinTool"),
            ("CryptoCurrency:EC2/BitcoinTool.B!DNS", "CryptoCurrency/BitcoinTool"),
            ("CryptoCurrency:Runtime/BitcoinTool.B", "CryptoCurrency/BitcoinTool"),
            ("Backdoor:EC2/C&CActivity.B!DNS", "Backdoor/C&CActivity"),
            ("Execution:EC2/MaliciousFile!Snapshot", "Execution/MaliciousFile"),
        ] {
            assert_eq!(text.parse::<FindingType>().unwrap().technique(), technique);
        }
    }

    #[test]
    fn well_formed_is_not_known() {
        let kind: FindingType = "Canary:EC2/Stateless.IntegTest".parse().unwrap();
        assert!(!kind.known());
        for bad in
            ["", "Recon", "Recon:EC2", "Recon:EC2/", ":EC2/Portscan", "Recon:/Portscan", "Recon:EC2/Port scan", "Recon:EC2/X!"]
        {
            assert!(bad.parse::<FindingType>().is_err(), "{bad}");
        }
        assert!(format!("Recon:EC2/{}", "x".repeat(200)).parse::<FindingType>().is_err());
    }

    #[test]
    fn a_resource_is_written_as_it_was_read() {
        for resource in Resource::ALL {
            assert_eq!(Resource::from_wire(resource.as_str()), Some(*resource));
            assert_eq!(serde_json::to_value(resource).unwrap(), resource.as_str());
        }
    }
}
