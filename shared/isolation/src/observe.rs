//! Reads.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use aws_sdk_ec2::types::{Filter, GroupIdentifier, SecurityGroup};
use calls::{incomplete, trouble};
use ids::{InstanceId, SgId, VpcId};
use plan::{After, Group, Instance, Interface, SEALED_NAME, SEALED_TAG, Trouble, TroubleKind};

use crate::Ec2;

fn id<T: FromStr>(text: Option<&str>, what: &str) -> Result<T, Trouble> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| incomplete(what))
}

fn groups(groups: &[GroupIdentifier]) -> Result<Vec<SgId>, Trouble> {
    groups.iter().map(|group| id(group.group_id(), "GroupId")).collect()
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

impl Ec2 {
    /// The instance with its interfaces, or none if EC2 does not know it.
    ///
    /// # Errors
    /// If EC2 does not answer, or not in full.
    pub async fn instance(&self, instance: &InstanceId) -> Result<Option<Instance>, Trouble> {
        let answer = self.client.describe_instances().instance_ids(instance.as_str()).send().await;
        let answer = match answer.map_err(|error| trouble(&error)) {
            Err(Trouble { kind: TroubleKind::NotFound, .. }) => return Ok(None),
            other => other?,
        };
        let Some(found) = answer.reservations().iter().flat_map(|reservation| reservation.instances()).next() else {
            return Ok(None);
        };
        let state =
            found.state().and_then(|state| state.name()).map(|name| name.as_str().to_owned()).ok_or_else(|| incomplete("State"))?;
        let mut interfaces = Vec::new();
        for interface in found.network_interfaces() {
            interfaces.push(Interface {
                id: id(interface.network_interface_id(), "NetworkInterfaceId")?,
                vpc: id(interface.vpc_id(), "VpcId")?,
                groups: groups(interface.groups())?,
            });
        }
        let tag = |tag: &aws_sdk_ec2::types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
        let tags: BTreeMap<String, String> = found.tags().iter().filter_map(tag).collect();
        Ok(Some(Instance { id: instance.clone(), state, interfaces, tags }))
    }

    /// Every group in `vpcs` that is named like a sealed group, with the number of its rules.
    ///
    /// # Errors
    /// If EC2 does not answer, or not in full.
    pub async fn sealed_groups(&self, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Group>, Trouble> {
        if vpcs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pages = self
            .client
            .describe_security_groups()
            .filters(filter("vpc-id", vpcs.iter().map(ToString::to_string)))
            .filters(filter("group-name", [format!("{SEALED_NAME}*")]))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(group) = pages.next().await {
            found.push(to_group(&group.map_err(|error| trouble(&error))?)?);
        }
        Ok(found)
    }

    /// What is attached to the instance now, and the sealed groups of `vpcs`: for judging.
    ///
    /// # Errors
    /// If EC2 does not answer, or not in full.
    pub async fn after(&self, instance: &InstanceId, vpcs: &BTreeSet<VpcId>) -> Result<After, Trouble> {
        let interfaces = async {
            let mut pages = self
                .client
                .describe_network_interfaces()
                .filters(filter("attachment.instance-id", [instance.to_string()]))
                .into_paginator()
                .items()
                .send();
            let mut found = Vec::new();
            while let Some(interface) = pages.next().await {
                let interface = interface.map_err(|error| trouble(&error))?;
                found.push(Interface {
                    id: id(interface.network_interface_id(), "NetworkInterfaceId")?,
                    vpc: id(interface.vpc_id(), "VpcId")?,
                    groups: groups(interface.groups())?,
                });
            }
            Ok(found)
        };
        let (interfaces, groups) = tokio::try_join!(interfaces, self.sealed_groups(vpcs))?;
        Ok(After { interfaces, groups })
    }

    /// Every VPC of the account in this Region.
    ///
    /// # Errors
    /// If EC2 does not answer, or not in full.
    pub async fn vpcs(&self) -> Result<BTreeSet<VpcId>, Trouble> {
        let mut pages = self.client.describe_vpcs().into_paginator().items().send();
        let mut found = BTreeSet::new();
        while let Some(vpc) = pages.next().await {
            found.insert(id(vpc.map_err(|error| trouble(&error))?.vpc_id(), "VpcId")?);
        }
        Ok(found)
    }
}

pub(crate) fn to_group(group: &SecurityGroup) -> Result<Group, Trouble> {
    Ok(Group {
        id: id(group.group_id(), "GroupId")?,
        name: group.group_name().unwrap_or_default().to_owned(),
        vpc: id(group.vpc_id(), "VpcId")?,
        owner: id(group.owner_id(), "OwnerId")?,
        tagged: group.tags().iter().any(|tag| tag.key() == Some(SEALED_TAG) && tag.value() == Some("true")),
        rules: group.ip_permissions().len() + group.ip_permissions_egress().len(),
    })
}
