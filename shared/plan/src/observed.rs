//! What was seen, in as much detail as a plan needs.

use std::collections::BTreeMap;

use ids::{AccountId, EniId, InstanceId, SgId, VpcId};
use serde::{Deserialize, Serialize};

/// A network interface of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Which one.
    pub id: EniId,
    /// Its VPC. An instance's interfaces may lie in several.
    pub vpc: VpcId,
    /// The security groups on it now, in the order EC2 gives them.
    pub groups: Vec<SgId>,
}

/// An instance as `ec2:DescribeInstances` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which one.
    pub id: InstanceId,
    /// `running`, `stopped`, `terminated` and so on: EC2's word.
    pub state: String,
    /// Every attached interface.
    pub interfaces: Vec<Interface>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Whether it is on its way out, or out: then there is nothing to contain.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "terminated" | "shutting-down")
    }
}

/// A security group that is, or pretends to be, a sealed group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which one.
    pub id: SgId,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// The account that owns it; in a shared VPC it may be another one.
    pub owner: AccountId,
    /// Whether it bears the sealed tag.
    pub tagged: bool,
    /// How many rules it has, inbound and outbound, IPv4 and IPv6. A sealed group has none.
    pub rules: usize,
}

/// The sealed group that the table remembers for each VPC.
pub type Pins = BTreeMap<VpcId, SgId>;

/// Everything a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The instance.
    pub instance: Instance,
    /// Every group in its VPCs that is named or tagged like a sealed group.
    pub groups: Vec<Group>,
    /// What the table remembers.
    pub pins: Pins,
}

/// What is read back afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The interfaces now attached to the instance.
    pub interfaces: Vec<Interface>,
    /// The sealed groups, with their rules.
    pub groups: Vec<Group>,
}
