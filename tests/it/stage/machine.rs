//! Machines to contain, and findings about them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Stage, text, texts};

/// An instance in a VPC of its own, with IPv4 and IPv6, and two groups with rules.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) instance: String,
    pub(crate) vpc: String,
    /// Its interfaces.
    pub(crate) interfaces: Vec<String>,
    /// The groups that each of them has, sorted.
    pub(crate) before: Vec<Vec<String>>,
}

impl Stage {
    /// A machine in a new VPC. Nothing is prepared there.
    pub(crate) async fn machine(&self, interfaces: usize) -> Machine {
        let made = self.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")]).await;
        self.machine_in(&first(&made, "vpcId"), interfaces).await
    }

    /// A machine in a VPC whose sealed group is there already.
    pub(crate) async fn prepared_machine(&self, interfaces: usize) -> Machine {
        let machine = self.machine(interfaces).await;
        self.prepare(&machine.vpc).await;
        machine
    }

    /// `cordon prepare` for one VPC.
    pub(crate) async fn prepare(&self, vpc: &str) {
        let answer = self.sandbox().deliver(&json!({ "cordon": "prepare", "vpcs": [vpc] })).await.unwrap();
        assert_eq!(answer.outcome, quarantine::Said::Prepared, "{}", answer.reason);
    }

    /// Another machine in a VPC.
    pub(crate) async fn machine_in(&self, vpc: &str, interfaces: usize) -> Machine {
        let third = format!("10.0.{}.0/24", self.count("DescribeSubnets", "subnetId", "vpc-id", vpc).await);
        let made = self.ec2("CreateSubnet", &[("VpcId", vpc), ("CidrBlock", &third)]).await;
        let subnet = first(&made, "subnetId");
        let number = third.split('.').nth(2).unwrap();
        let mut groups = Vec::new();
        for name in ["web", "backend"] {
            let name = format!("{name}-{number}");
            let made = self.ec2("CreateSecurityGroup", &[("VpcId", vpc), ("GroupName", &name), ("GroupDescription", "test")]).await;
            groups.push(first(&made, "groupId"));
        }
        self.allow(&groups[0]).await;
        let mut attached = Vec::new();
        let mut before = Vec::new();
        for nth in 0..interfaces {
            // Every second one has both groups.
            let mut own = groups[..=nth % 2].to_vec();
            own.sort();
            let mut asked = vec![("SubnetId".to_owned(), subnet.clone())];
            asked.extend(own.iter().enumerate().map(|(n, group)| (format!("SecurityGroupId.{}", n + 1), group.clone())));
            let asked: Vec<_> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            attached.push(first(&self.ec2("CreateNetworkInterface", &asked).await, "networkInterfaceId"));
            before.push(own);
        }
        let mut asked = vec![
            ("ImageId".to_owned(), "ami-12c6146b".to_owned()),
            ("MinCount".to_owned(), "1".to_owned()),
            ("MaxCount".to_owned(), "1".to_owned()),
        ];
        for (n, interface) in attached.iter().enumerate() {
            asked.push((format!("NetworkInterface.{}.DeviceIndex", n + 1), n.to_string()));
            asked.push((format!("NetworkInterface.{}.NetworkInterfaceId", n + 1), interface.clone()));
        }
        let asked: Vec<_> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let instance = first(&self.ec2("RunInstances", &asked).await, "instanceId");
        Machine { instance, vpc: vpc.to_owned(), interfaces: attached, before }
    }

    /// As the root user, who may do anything: EC2 there is what the tests look at with their own eyes.
    pub(crate) async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        // The emulator's threads share its tables: now and then, under load, one that is read while another writes ends in a 500. A look is
        // taken again; a change is not, because it may have been made.
        for wait in [50, 200, 1000] {
            match self.root.query("ec2", action, parameters).await {
                Err(refusal) if refusal.status >= 500 && action.starts_with("Describe") => {
                    eprintln!("{action} is asked again: {}", refusal.body);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                other => return other.unwrap_or_else(|refusal| panic!("{action}: {}", refusal.body)),
            }
        }
        self.root.query("ec2", action, parameters).await.unwrap_or_else(|refusal| panic!("{action}: {}", refusal.body))
    }

    async fn count(&self, action: &str, tag: &str, filter: &str, value: &str) -> usize {
        let found = self.ec2(action, &[("Filter.1.Name", filter), ("Filter.1.Value.1", value)]).await;
        texts(&found, tag).len()
    }

    /// Opens a group to the world.
    pub(crate) async fn allow(&self, group: &str) {
        let rule = [
            ("GroupId", group),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
        ];
        self.ec2("AuthorizeSecurityGroupIngress", &rule).await;
    }

    /// The groups of each interface now, sorted.
    pub(crate) async fn groups(&self, machine: &Machine) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for interface in &machine.interfaces {
            let found = self.ec2("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", interface)]).await;
            let mut groups: Vec<String> = texts(&found, "groupSet").iter().flat_map(|set| texts(set, "groupId")).collect();
            groups.sort();
            groups.dedup();
            all.push(groups);
        }
        all
    }

    /// The rules of a group, of all kinds and directions.
    pub(crate) async fn rules(&self, group: &str) -> usize {
        self.count("DescribeSecurityGroupRules", "securityGroupRuleId", "group-id", group).await
    }

    /// The groups of a VPC whose name begins like a sealed group's, with whether they bear the tag.
    pub(crate) async fn sealed_groups(&self, vpc: &str) -> Vec<(String, bool)> {
        let asked = [
            ("Filter.1.Name", "vpc-id"),
            ("Filter.1.Value.1", vpc),
            ("Filter.2.Name", "group-name"),
            ("Filter.2.Value.1", "cordon-sealed*"),
        ];
        let found = self.ec2("DescribeSecurityGroups", &asked).await;
        let mut groups = Vec::new();
        for id in texts(&found, "groupId").into_iter().filter(|id| id.starts_with("sg-")) {
            let tags = self.ec2("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &id)]).await;
            groups.push((id, texts(&tags, "key").contains(&"cordon:sealed".to_owned())));
        }
        groups.sort();
        groups.dedup();
        groups
    }

    /// Whether every interface is in one and the same sealed group, which is tagged and lets nothing through.
    #[track_caller]
    pub(crate) fn assert_sealed(&self, machine: &Machine) -> impl Future<Output = String> {
        let at = std::panic::Location::caller();
        async move {
            let groups = self.groups(machine).await;
            let [group] = groups[0].as_slice() else { panic!("{at}: {groups:?}") };
            assert!(groups.iter().all(|own| own.as_slice() == std::slice::from_ref(group)), "{at}: {groups:?}");
            assert!(self.sealed_groups(&machine.vpc).await.contains(&(group.clone(), true)), "{at}: {group} is no sealed group");
            assert_eq!(self.rules(group).await, 0, "{at}: {group} has rules");
            group.clone()
        }
    }

    /// The machine's tags.
    pub(crate) async fn tags(&self, machine: &Machine) -> std::collections::BTreeMap<String, String> {
        let found = self.ec2("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &machine.instance)]).await;
        texts(&found, "key").into_iter().zip(texts(&found, "value")).collect()
    }
}

fn first(xml: &str, tag: &str) -> String {
    texts(xml, tag).into_iter().next().unwrap_or_else(|| panic!("no <{tag}> in {xml}"))
}

/// The sample event of a miner, about this machine, in the stack's account and Region, as GuardDuty itself would send it.
pub(crate) fn finding(stage: &Stage, machine: &Machine) -> Value {
    let path = scenarios::repository().join("events/guardduty/crypto-mining-actor-two-interfaces.json");
    let mut event: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (account, region) = (stage.account(), stage.root.region.clone());
    // Instance ids are random here; a finding's id is 32 hexadecimal digits.
    let id = format!("{:0>32}", machine.instance.trim_start_matches("i-"));
    event["account"] = json!(account);
    event["region"] = json!(region);
    event["time"] = json!(calls::now().to_string());
    let template = event["detail"]["resource"]["instanceDetails"]["networkInterfaces"][0].clone();
    let detail = &mut event["detail"];
    detail["arn"] = json!(
        text(&detail["arn"]).replace("eu-central-1", &region).replace("123456789012", &account).replace(&text(&detail["id"]), &id)
    );
    detail["accountId"] = json!(account);
    detail["region"] = json!(region);
    detail["id"] = json!(id);
    detail["createdAt"] = json!(calls::now().to_string());
    detail["updatedAt"] = json!(calls::now().to_string());
    let described = &mut detail["resource"]["instanceDetails"];
    described["instanceId"] = json!(machine.instance);
    let interfaces = machine.interfaces.iter().zip(&machine.before).map(|(interface, groups)| {
        let mut described = template.clone();
        described["networkInterfaceId"] = json!(interface);
        described["vpcId"] = json!(machine.vpc);
        described["securityGroups"] = groups.iter().map(|group| json!({ "groupId": group, "groupName": "web" })).collect();
        described
    });
    described["networkInterfaces"] = interfaces.collect();
    event
}
