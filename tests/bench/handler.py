"""The same containment in Python with boto3, written as a careful engineer would: only to be compared with.

Same calls, same order, same concurrency: clients and session key at the start, the endorsement beside it, observations at once, a
signed intent before the first change, every interface at once, read back, a signed outcome. It leaves out what would only make it
slower (Cedar, lint, judge, parked intents), and talks to the runtime's endpoint by `http.client`, without AWS's own runtime client.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TABLE, BUCKET, SIGNING_KEY = (os.environ[f"CORDON_{name}"] for name in ("TABLE", "EVIDENCE_BUCKET", "SIGNING_KEY"))
SESSION = boto3.Session()
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}, max_pool_connections=20)
EC2, DYNAMODB, S3, KMS = (SESSION.client(name, config=CONFIG) for name in ("ec2", "dynamodb", "s3", "kms"))
POOL = ThreadPoolExecutor(20)
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def envelope(kind: str, payload: bytes, signature: bytes) -> dict:
    """A DSSE envelope."""
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [{"sig": base64.b64encode(signature).decode()}]}


def pae(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def endorse() -> dict:
    """Have KMS vouch for the session's key."""
    endorser = KMS.get_public_key(KeyId=SIGNING_KEY)["PublicKey"]
    claim = {"session_key": base64.b64encode(PUBLIC).decode(), "endorser": base64.b64encode(endorser).decode(), "not_before": time.time()}
    payload, kind = json.dumps(claim).encode(), "application/vnd.cordon.endorsement.v1+json"
    digest = hashlib.sha256(pae(kind, payload)).digest()
    signed = KMS.sign(KeyId=SIGNING_KEY, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
    return envelope(kind, payload, signed["Signature"])


ENDORSEMENT = POOL.submit(endorse)


def record(key: str, body: dict) -> None:
    """Sign a statement and store it, create-once."""
    kind = "application/vnd.in-toto+json"
    predicate = {"record": {"key": key, "time": time.time()}, "endorsement": ENDORSEMENT.result(), "body": body}
    payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicate": predicate}).encode()
    signature = KEY.sign(pae(kind, payload), ec.ECDSA(hashes.SHA256()))
    stored = json.dumps({"dsseEnvelope": envelope(kind, payload, signature)}).encode()
    digest = base64.b64encode(hashlib.sha256(stored).digest()).decode()
    S3.put_object(Bucket=BUCKET, Key=key, Body=stored, IfNoneMatch="*", ChecksumSHA256=digest)


def handle(event: dict) -> dict:
    detail = event["detail"]
    machine = detail["resource"]["instanceDetails"]
    instance, vpcs = machine["instanceId"], sorted({face["vpcId"] for face in machine["networkInterfaces"]})
    groups_filter = [{"Name": "vpc-id", "Values": vpcs}, {"Name": "group-name", "Values": ["cordon-sealed*"]}]
    observed = POOL.submit(EC2.describe_instances, InstanceIds=[instance])
    sealed = POOL.submit(EC2.describe_security_groups, Filters=groups_filter)
    pins = [POOL.submit(DYNAMODB.get_item, TableName=TABLE, Key={"pk": {"S": f"sealed#{vpc}"}}) for vpc in vpcs]
    now = int(time.time() * 1000)
    claim = POOL.submit(
        DYNAMODB.update_item,
        TableName=TABLE,
        Key={"pk": {"S": f"hold#{instance}"}},
        UpdateExpression="SET lease_until = :until",
        ConditionExpression="attribute_not_exists(lease_until) OR lease_until < :now",
        ExpressionAttributeValues={":until": {"N": str(now + 40_000)}, ":now": {"N": str(now)}},
        ReturnValues="ALL_OLD",
    )
    found = observed.result()["Reservations"][0]["Instances"][0]
    empty = {
        group["VpcId"]: group["GroupId"]
        for group in sealed.result()["SecurityGroups"]
        if not group["IpPermissions"] and not group["IpPermissionsEgress"]
    }
    claim.result(), [pin.result() for pin in pins]
    before = {face["NetworkInterfaceId"]: [group["GroupId"] for group in face["Groups"]] for face in found["NetworkInterfaces"]}
    to = {face["NetworkInterfaceId"]: empty[face["VpcId"]] for face in found["NetworkInterfaces"]}
    name = f"rec/quarantine/{time.strftime('%Y/%m/%d/%H/%M')}/{uuid.uuid4().hex}.1"

    record(f"{name}-intent.json", {"before": before, "to": to, "finding": detail["id"]})
    swaps = [POOL.submit(EC2.modify_network_interface_attribute, NetworkInterfaceId=face, Groups=[group]) for face, group in to.items()]
    tags = [{"Key": "cordon:incident", "Value": detail["id"]}, {"Key": "cordon:intent", "Value": f"{name}-intent.json"}]
    tagged = POOL.submit(EC2.create_tags, Resources=[instance], Tags=tags)
    requests = [swap.result()["ResponseMetadata"]["RequestId"] for swap in [*swaps, tagged]]

    filters = [{"Name": "attachment.instance-id", "Values": [instance]}]
    faces = POOL.submit(EC2.describe_network_interfaces, Filters=filters)
    again = POOL.submit(EC2.describe_security_groups, Filters=groups_filter)
    after = {face["NetworkInterfaceId"]: [group["GroupId"] for group in face["Groups"]] for face in faces.result()["NetworkInterfaces"]}
    again.result()
    contained = all(after[face] == [group] for face, group in to.items())
    record(f"{name}-outcome.json", {"after": after, "requests": requests, "contained": contained})
    DYNAMODB.update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"hold#{instance}"}},
        UpdateExpression="SET outcome = :outcome REMOVE lease_until",
        ExpressionAttributeValues={":outcome": {"S": f"{name}-outcome.json"}},
    )
    return {"outcome": "Contained" if contained else "NeedsHuman"}


def main() -> None:
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = runtime.getresponse()
        event, invocation = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{invocation}/response", json.dumps(handle(event)))
        runtime.getresponse().read()


if __name__ == "__main__":
    main()
