"""The machine that the drill contains: an instance of two interfaces in an IPv6 VPC, and a finding about it."""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common import REPO
from local_aws import LocalAws

FINDING = REPO / "events" / "guardduty" / "crypto-mining-actor-two-interfaces.json"
SEALED_TAG = "cordon:sealed"


@dataclass(frozen=True)
class Target:
    instance: str
    vpc: str
    interfaces: tuple[dict[str, Any], ...]

    def ids(self) -> list[str]:
        return [interface["NetworkInterfaceId"] for interface in self.interfaces]


def rfc3339(time: datetime) -> str:
    """A time as AWS writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_target(ec2: Any) -> Target:
    """A VPC with IPv4 and IPv6, two subnets, three groups with real rules, one instance in the middle of it."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=f"{ec2.meta.region_name}a")["Subnet"]["SubnetId"]
        for number in (1, 2)
    ]
    web = _group(ec2, vpc, "web", 443, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]})
    backend = _group(ec2, vpc, "backend", 5432, {"UserIdGroupPairs": [{"GroupId": web}]})
    metrics = _group(ec2, vpc, "metrics", 9100, {"IpRanges": [{"CidrIp": "10.20.0.0/16"}]})
    interfaces = [
        ec2.create_network_interface(SubnetId=subnet, Groups=groups)["NetworkInterface"]["NetworkInterfaceId"]
        for subnet, groups in zip(subnets, ([web], [backend, metrics]), strict=True)
    ]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    attached = [{"DeviceIndex": number, "NetworkInterfaceId": interface} for number, interface in enumerate(interfaces)]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="m7i.large", NetworkInterfaces=attached)
    return read_target(ec2, instance["Instances"][0]["InstanceId"])


def read_target(ec2: Any, instance: str) -> Target:
    """The instance as it is now."""
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    interfaces = sorted(described["NetworkInterfaces"], key=lambda interface: interface["Attachment"]["DeviceIndex"])
    return Target(instance, described["VpcId"], tuple(interfaces))


def groups_of(ec2: Any, interfaces: list[str]) -> dict[str, list[str]]:
    """Which security groups each interface has now."""
    described = ec2.describe_network_interfaces(NetworkInterfaceIds=interfaces)["NetworkInterfaces"]
    return {interface["NetworkInterfaceId"]: sorted(group["GroupId"] for group in interface["Groups"]) for interface in described}


def is_sealed(ec2: Any, group: str) -> bool:
    """Whether a group is tagged sealed and lets nothing through: no rule at all, IPv4 or IPv6, in or out."""
    described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    tagged = {"Key": SEALED_TAG, "Value": "true"} in described.get("Tags", [])
    return tagged and not (rules or described["IpPermissions"] or described["IpPermissionsEgress"])


def finding_about(target: Target, aws: LocalAws, now: datetime | None = None) -> dict[str, Any]:
    """The sample event's `detail`, about our instance, with fresh times and a fresh id."""
    detail = copy.deepcopy(json.loads(FINDING.read_text(encoding="utf-8"))["detail"])
    now = now or datetime.now(UTC)
    finding, detector = uuid.uuid4().hex, detail["service"]["detectorId"]
    detail |= {
        "id": finding,
        "accountId": aws.account,
        "region": aws.region,
        "arn": f"arn:aws:guardduty:{aws.region}:{aws.account}:detector/{detector}/finding/{finding}",
        "createdAt": rfc3339(now),
        "updatedAt": rfc3339(now),
    }
    detail["service"] |= {"eventFirstSeen": rfc3339(now - timedelta(seconds=44)), "eventLastSeen": rfc3339(now - timedelta(seconds=7))}
    machine = detail["resource"]["instanceDetails"]
    machine |= {
        "instanceId": target.instance,
        "networkInterfaces": [
            _as_guardduty(template, interface)
            for template, interface in zip(machine["networkInterfaces"], target.interfaces, strict=True)
        ],
    }
    return detail


def _group(ec2: Any, vpc: str, name: str, port: int, source: dict[str, Any]) -> str:
    group = ec2.create_security_group(VpcId=vpc, GroupName=name, Description=f"{name} of the storefront")["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    return group


def _as_guardduty(template: dict[str, Any], interface: dict[str, Any]) -> dict[str, Any]:
    address = interface["PrivateIpAddress"]
    return template | {
        "networkInterfaceId": interface["NetworkInterfaceId"],
        "privateIpAddress": address,
        "privateIpAddresses": [{"privateDnsName": template["privateDnsName"], "privateIpAddress": address}],
        "ipv6Addresses": [],
        "subnetId": interface["SubnetId"],
        "vpcId": interface["VpcId"],
        "securityGroups": [{"groupName": group["GroupName"], "groupId": group["GroupId"]} for group in interface["Groups"]],
    }
