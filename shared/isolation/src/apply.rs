//! Writes: each idempotent, none without a recorded plan.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::operation::RequestId as _;
use aws_sdk_ec2::types::{ResourceType, SecurityGroup, Tag, TagSpecification};
use calls::{incomplete, trouble};
use evidence_store::Recorded;
use futures_util::future::join_all;
use ids::{AccountId, SgId, VpcId};
use plan::{Did, Done, Isolate, Plan, SEALED_TAG, Sealed, Trouble, TroubleKind};

use crate::Ec2;
use crate::observe::to_group;

/// A group that was just created may not be visible everywhere yet (EC2 API Reference, "Eventual consistency").
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

type Answer = Result<(Did, Option<String>), Trouble>;

impl Ec2 {
    /// Runs a recorded plan, wave by wave, the steps of a wave at the same time. What fails is reported and stops nothing but the steps
    /// that need it.
    pub async fn apply(&self, recorded: &Recorded<Plan<Isolate>>) -> Vec<Done> {
        let plan = recorded.value();
        let mut waves: BTreeMap<u8, Vec<(usize, &Isolate)>> = BTreeMap::new();
        for (index, step) in plan.steps.iter().enumerate() {
            waves.entry(step.wave).or_default().push((index, &step.action));
        }
        let mut created: BTreeMap<VpcId, SgId> = BTreeMap::new();
        let mut all = Vec::new();
        for steps in waves.into_values() {
            let run = steps.into_iter().map(|(step, action)| {
                let created = &created;
                async move {
                    let (did, request_id) = match self.act(action, created, &plan.case.account).await {
                        Ok((did, request_id)) => (did, request_id),
                        Err(trouble) => (Did::Failed(trouble), None),
                    };
                    (action, Done { step, did, request_id })
                }
            });
            let done = join_all(run).await;
            for (action, done) in &done {
                if let (Isolate::CreateGroup { vpc, .. }, Did::Group(group)) = (action, &done.did) {
                    created.insert(vpc.clone(), group.clone());
                }
            }
            all.extend(done.into_iter().map(|(_, done)| done));
        }
        all.sort_by_key(|done| done.step);
        all
    }

    async fn act(&self, action: &Isolate, created: &BTreeMap<VpcId, SgId>, account: &AccountId) -> Answer {
        let group = |sealed: &Sealed| match sealed {
            Sealed::Known(id) => Ok(id.clone()),
            Sealed::Created(vpc) => {
                let missing = || Trouble { kind: TroubleKind::Prerequisite, code: "NoSealedGroup".to_owned() };
                created.get(vpc).cloned().ok_or_else(missing)
            }
        };
        match action {
            Isolate::CreateGroup { vpc, name } => self.create(vpc, name, account).await,
            Isolate::EmptyGroup { group: sealed } => self.empty(&group(sealed)?).await,
            Isolate::SwapGroups { interface, to, .. } => {
                let call = self.client.modify_network_interface_attribute().network_interface_id(interface.as_str());
                let answer = call.groups(group(to)?.as_str()).send().await.map_err(|error| trouble(&error))?;
                Ok((Did::Accepted, answer.request_id().map(str::to_owned)))
            }
            Isolate::Tag { instance, tags } => {
                let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
                let call = self.client.create_tags().resources(instance.as_str()).set_tags(Some(tags));
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok((Did::Accepted, answer.request_id().map(str::to_owned)))
            }
        }
    }

    /// Creates a group that is tagged from its first moment. If another responder was faster, its group is taken; if someone else has
    /// the name, it is not.
    async fn create(&self, vpc: &VpcId, name: &str, account: &AccountId) -> Answer {
        let tag = Tag::builder().key(SEALED_TAG).value("true").build();
        let tags = TagSpecification::builder().resource_type(ResourceType::SecurityGroup).tags(tag).build();
        let call = self.client.create_security_group().vpc_id(vpc.as_str()).group_name(name).tag_specifications(tags);
        let answer = call.description("Cordon: sealed, no rules. Instances in it are contained.").send().await;
        match answer.map_err(|error| trouble(&error)) {
            Ok(answer) => {
                let group = answer.group_id().and_then(|id| id.parse().ok()).ok_or_else(|| incomplete("GroupId"))?;
                Ok((Did::Group(group), answer.request_id().map(str::to_owned)))
            }
            Err(taken) if taken.kind == TroubleKind::Taken => {
                let there = self.sealed_groups(&[vpc.clone()].into()).await?;
                let ours = there.into_iter().find(|group| group.name == name && group.tagged && group.owner == *account);
                ours.map(|group| (Did::Group(group.id), None)).ok_or(taken)
            }
            Err(other) => Err(other),
        }
    }

    async fn empty(&self, group: &SgId) -> Answer {
        let found = self.look(group).await?;
        // Whatever is asked for, only a sealed group is ever emptied; the role may not do otherwise either.
        if !to_group(&found)?.tagged {
            return Err(Trouble { kind: TroubleKind::Refused, code: "NotASealedGroup".to_owned() });
        }
        let mut request_id = None;
        if !found.ip_permissions().is_empty() {
            let call = self.client.revoke_security_group_ingress().group_id(group.as_str());
            let answer =
                call.set_ip_permissions(Some(found.ip_permissions().to_vec())).send().await.map_err(|error| trouble(&error))?;
            request_id = answer.request_id().map(str::to_owned);
        }
        if !found.ip_permissions_egress().is_empty() {
            let call = self.client.revoke_security_group_egress().group_id(group.as_str());
            let rules = found.ip_permissions_egress().to_vec();
            let answer = call.set_ip_permissions(Some(rules)).send().await.map_err(|error| trouble(&error))?;
            request_id = answer.request_id().map(str::to_owned);
        }
        Ok((Did::Accepted, request_id))
    }

    async fn look(&self, group: &SgId) -> Result<SecurityGroup, Trouble> {
        let mut looks = 0;
        loop {
            looks += 1;
            let answer = self.client.describe_security_groups().group_ids(group.as_str()).send().await;
            match answer.map_err(|error| trouble(&error)) {
                Ok(answer) => return answer.security_groups().first().cloned().ok_or_else(|| incomplete("SecurityGroup")),
                Err(missing) if missing.kind == TroubleKind::NotFound && looks < LOOKS => tokio::time::sleep(BETWEEN_LOOKS).await,
                Err(other) => return Err(other),
            }
        }
    }
}
