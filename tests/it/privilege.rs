//! Least privilege, both ways: what the role may do is what the function does, and with the role as deployed nothing else can be done.
//!
//! The local AWS enforces the role on every call, EC2's included, so each scenario in this package shows that a call is allowed. Here are
//! the two things they do not show: that no allowed action is idle, and that what a thief of the credentials would try is refused.

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use evidence::{BlobKey, Keyring, PublicKey, RingKey};
use ids::{Sha256, Timestamp};
use p256::ecdsa::SigningKey;
use quarantine::Said;
use serde_json::{Value, json};

use crate::sealing::{records_of, sign_ring};
use crate::stage::{Asked, Caller, Fate, Machine, Refusal, Stage, Wire, finding, from_base64, text, texts};

/// What Lambda itself does in the role's name: it writes the function's log (Lambda developer guide, "Sending function logs to
/// CloudWatch Logs") and sends an asynchronous invocation's result to its destinations ("Capturing records of asynchronous invocations").
const BY_LAMBDA: [&str; 4] = ["logs:CreateLogStream", "logs:PutLogEvents", "sns:Publish", "sqs:SendMessage"];

/// What a role's policies allow, action by action. Nothing is allowed by a wildcard, or by what it is not.
pub(crate) fn allowed_actions(policies: &Value) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for statement in policies.as_object().unwrap().values().flat_map(|policy| policy["Statement"].as_array().unwrap()) {
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none(), "{statement}");
        let actions = match &statement["Action"] {
            Value::String(action) => vec![action.clone()],
            list => list.as_array().unwrap().iter().map(text).collect(),
        };
        if statement["Effect"] == "Allow" {
            assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
            allowed.extend(actions);
        } else {
            assert_eq!(statement["Effect"], "Deny", "{statement}");
        }
    }
    allowed
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn every_allowed_action_is_used_and_every_used_action_is_allowed() {
    let stage = Stage::open();
    let mut used: BTreeSet<String> = BY_LAMBDA.map(str::to_owned).into();
    // A VPC where the sealed group must be made, then one where a rule must be taken off it, then a retry that reads its own intent.
    let machine = stage.machine(2).await;
    let cold = stage.sandbox();
    assert_eq!(cold.deliver(&finding(&stage, &machine)).await.unwrap().outcome, Said::Contained);
    let group = stage.assert_sealed(&machine).await;
    stage.allow(&group).await;
    let neighbour = stage.machine_in(&machine.vpc, 1).await;
    let dying = stage.sandbox_with(
        &[],
        Wire::with(|asked| if asked.operation == "DescribeNetworkInterfaces" { Fate::Hang } else { Fate::Pass }),
    );
    assert!(dying.deliver_until_hung(&finding(&stage, &neighbour)).await.is_none());
    stage.let_the_lease_run_out(&neighbour).await;
    let retry = stage.sandbox();
    assert_eq!(retry.deliver(&finding(&stage, &neighbour)).await.unwrap().outcome, Said::Contained);
    stage.assert_sealed(&neighbour).await;
    // `cordon prepare` for every VPC begins by asking which there are. Only that call: other tests have VPCs of their own.
    let looking = stage.sandbox_with(
        &[],
        Wire::with(|asked| match asked.operation.as_str() {
            "DescribeSecurityGroups" => crate::stage::ec2_error(500, "InternalError"),
            _ => Fate::Pass,
        }),
    );
    looking.deliver(&json!({ "cordon": "prepare" })).await.unwrap_err();

    for wire in [cold.wire, dying.wire, retry.wire, looking.wire] {
        used.extend(wire.sent().iter().map(Asked::action));
    }
    let policies = &stage.stack["role_policies"];
    let statements = policies.as_object().unwrap().values().flat_map(|policy| policy["Statement"].as_array().unwrap());
    statements.for_each(|statement| assert_eq!(statement["Effect"], "Allow", "{statement}"));
    assert_eq!(used, allowed_actions(policies));
}

/// Each attempt by its name, and what came of it.
type Attempts = Vec<(String, Result<String, Refusal>)>;

#[track_caller]
fn all_denied(attempts: Attempts) {
    for (attempt, came) in attempts {
        match came {
            Ok(answer) => panic!("{attempt} was allowed: {answer}"),
            Err(refusal) => {
                assert!(refusal.is_denial(), "{attempt} is refused for another reason: {} {}", refusal.code, refusal.body);
            }
        }
    }
}

/// Attempts on the evidence of `victim`, by whoever has these credentials.
async fn on_evidence(stage: &Stage, caller: &Caller, record: &str) -> Attempts {
    let bucket = stage.output("EvidenceBucket");
    let listed =
        stage.root.send("s3", "GET", &format!("/{bucket}?versions&prefix={}", record.replace('/', "%2F")), &[], Vec::new()).await;
    let version = texts(&listed.unwrap(), "VersionId").remove(0);
    let mut attempts = Vec::new();
    for (attempt, method, path, headers, body) in [
        ("hide a record", "DELETE", record.to_owned(), vec![], ""),
        ("delete a version", "DELETE", format!("{record}?versionId={version}"), vec![], ""),
        ("overwrite a record", "PUT", record.to_owned(), vec![], "forged"),
        (
            "shorten the retention",
            "PUT",
            format!("{record}?retention&versionId={version}"),
            vec![("x-amz-bypass-governance-retention", "true")],
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2026-11-24T00:00:00Z</RetainUntilDate></Retention>",
        ),
        ("lift a legal hold", "PUT", format!("{record}?legal-hold"), vec![], "<LegalHold><Status>OFF</Status></LegalHold>"),
    ] {
        let came = caller.send("s3", method, &format!("/{bucket}/{path}"), &headers, body.as_bytes().to_vec()).await;
        attempts.push((attempt.to_owned(), came));
    }
    attempts
}

async fn on_bucket(stage: &Stage, caller: &Caller) -> Attempts {
    let bucket = stage.output("EvidenceBucket");
    let mut attempts = Vec::new();
    for (attempt, method, query, body) in [
        (
            "suspend versioning",
            "PUT",
            "?versioning",
            "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
        ),
        (
            "drop the lock",
            "PUT",
            "?object-lock",
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
        ),
        ("expire objects", "PUT", "?lifecycle", "<LifecycleConfiguration></LifecycleConfiguration>"),
        ("replace the policy", "PUT", "?policy", "{}"),
        ("delete the policy", "DELETE", "?policy", ""),
        ("delete the bucket", "DELETE", "", ""),
    ] {
        let came = caller.send("s3", method, &format!("/{bucket}{query}"), &[], body.as_bytes().to_vec()).await;
        attempts.push((attempt.to_owned(), came));
    }
    attempts
}

async fn contained(stage: &Stage) -> (Machine, String) {
    let machine = stage.prepared_machine(1).await;
    let answer = stage.sandbox().deliver(&finding(stage, &machine)).await.unwrap();
    assert_eq!(answer.outcome, Said::Contained);
    (machine, answer.records[0].clone())
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_role_can_neither_delete_nor_overwrite_evidence() {
    let stage = Stage::open();
    let (_, record) = contained(&stage).await;
    let before =
        stage.root.send("s3", "GET", &format!("/{}/{record}", stage.output("EvidenceBucket")), &[], Vec::new()).await.unwrap();
    let role = stage.role();
    all_denied(on_evidence(&stage, &role, &record).await);
    all_denied(on_bucket(&stage, &role).await);
    let bucket = stage.output("EvidenceBucket");
    // It may create, once: with the condition that the bucket's policy demands, a second create is refused by S3 itself.
    let once = [("if-none-match", "*")];
    let again = role.send("s3", "PUT", &format!("/{bucket}/{record}"), &once, b"forged".to_vec()).await.unwrap_err();
    assert_eq!(again.code, "PreconditionFailed", "{}", again.body);
    // And only its own records: neither another function's, nor what others derive from them.
    let other = text(&stage.stack["other_function"]["evidence_prefix"]);
    for key in [format!("{other}2026/11/23/20/18/x.1-intent.json"), "log/batch/1.json".to_owned(), "keys/quarantine.pub".to_owned()]
    {
        let came = role.send("s3", "PUT", &format!("/{bucket}/{key}"), &once, b"forged".to_vec()).await;
        all_denied(vec![(format!("write {key}"), came)]);
    }
    let after = stage.root.send("s3", "GET", &format!("/{bucket}/{record}"), &[], Vec::new()).await.unwrap();
    assert_eq!(before, after);
}

/// Someone with every permission that IAM can give.
pub(crate) async fn administrator(stage: &Stage) -> Caller {
    let name = format!("admin-{}-{}", std::process::id(), calls::now().millis());
    stage.root.query("iam", "CreateUser", &[("UserName", &name)]).await.unwrap();
    let all = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string();
    let asked = [("UserName", name.as_str()), ("PolicyName", "all"), ("PolicyDocument", all.as_str())];
    stage.root.query("iam", "PutUserPolicy", &asked).await.unwrap();
    let made = stage.root.query("iam", "CreateAccessKey", &asked[..1]).await.unwrap();
    let part = |tag| texts(&made, tag).remove(0);
    let credentials = Credentials::new(part("AccessKeyId"), part("SecretAccessKey"), None, None, "test");
    Caller { credentials, ..stage.root.clone() }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_administrator_can_neither_change_evidence_nor_sign_as_the_function() {
    let stage = Stage::open();
    let (_, record) = contained(&stage).await;
    let admin = administrator(&stage).await;
    let who = admin.query("sts", "GetCallerIdentity", &[]).await.unwrap();
    assert!(who.contains("user/admin-"), "{who}");
    all_denied(on_evidence(&stage, &admin, &record).await);
    all_denied(on_bucket(&stage, &admin).await);
    let path = format!("/{}/{record}.forged", stage.output("EvidenceBucket"));
    let forged = admin.send("s3", "PUT", &path, &[("if-none-match", "*")], b"x".to_vec()).await;
    all_denied(vec![("add a record".to_owned(), forged)]);
    let own = stage.output("SigningKeyArn");
    let sign = json!({ "KeyId": own, "Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256" });
    all_denied(vec![("sign".to_owned(), admin.json("kms", "TrentService.Sign", &sign).await.map(|answer| answer.to_string()))]);
}

/// Each part of the evidence has one writer: the keyring its own principal, what responders run the responders.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_keyring_and_what_responders_run_have_their_own_writers() {
    let stage = Stage::open();
    let bucket = stage.output("EvidenceBucket");
    let (keyring, responder, admin) = (stage.user("cordon-keyring"), stage.user("cordon-responder"), administrator(&stage).await);
    let once = [("if-none-match", "*")];
    let own = SigningKey::from_slice(&[7; 32]).unwrap();
    let der = from_base64(&text(
        &stage.root.json("kms", "TrentService.GetPublicKey", &json!({ "KeyId": stage.output("SigningKeyArn") })).await.unwrap()["PublicKey"],
    ));
    let entry = RingKey {
        function: "quarantine".parse().unwrap(),
        key: PublicKey::from_der(&der).unwrap(),
        from: Timestamp::saturating(0),
        until: None,
        reason: None,
    };
    let root = PublicKey::of(own.verifying_key()).unwrap();
    let (ring, ring_bytes) = sign_ring(&own, &Keyring::first(root, calls::now(), vec![entry]));
    let mut records = records_of("run", &format!("by hand {}", calls::now()), calls::now(), true);
    let (outcome, outcome_bytes) = records.pop().unwrap();
    let (intent, intent_bytes) = records.pop().unwrap();
    let blob = BlobKey::new(Sha256::of(b"what it printed")).to_string();
    let parts = [
        (ring, ring_bytes),
        (intent.to_string(), intent_bytes),
        (outcome.to_string(), outcome_bytes),
        (blob, b"what it printed".to_vec()),
    ];
    let put = async |caller: &Caller, key: &str, headers: &[(&str, &str)], bytes: &[u8]| {
        caller.send("s3", "PUT", &format!("/{bucket}/{key}"), headers, bytes.to_vec()).await
    };
    let mut attempts = Vec::new();
    for (key, bytes) in &parts {
        let theirs = if key.starts_with("keys/ring/") { &keyring } else { &responder };
        for (who, caller) in [
            ("the function", &stage.role()),
            ("an administrator", &admin),
            ("the other writer", if std::ptr::eq(theirs, &keyring) { &responder } else { &keyring }),
        ] {
            attempts.push((format!("{who} writes {key}"), put(caller, key, &once, bytes).await));
        }
        attempts.push((format!("its writer writes {key} without the condition"), put(theirs, key, &[], bytes).await));
    }
    all_denied(attempts);
    for (key, bytes) in &parts {
        let theirs = if key.starts_with("keys/ring/") { &keyring } else { &responder };
        put(theirs, key, &once, bytes).await.unwrap_or_else(|refusal| panic!("{key}: {} {}", refusal.code, refusal.body));
        let again = put(theirs, key, &once, b"forged").await.unwrap_err();
        assert_eq!(again.code, "PreconditionFailed", "{key}: {}", again.body);
    }
    // And nothing else, whatever IAM gives them.
    let mut attempts = Vec::new();
    for (who, caller) in [("keyring", &keyring), ("responder", &responder)] {
        for key in
            ["rec/quarantine/2026/11/23/20/18/x.1-intent.json", "log/batch/000000999999.json", "keys/seal/x.der", "keys/other", "x"]
        {
            attempts.push((format!("{who} writes {key}"), put(caller, key, &once, b"forged").await));
        }
        attempts.extend(on_evidence(&stage, caller, &parts[0].0).await);
        attempts.extend(on_bucket(&stage, caller).await);
    }
    all_denied(attempts);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_role_cannot_sign_as_another_function_or_touch_its_key() {
    let stage = Stage::open();
    let role = stage.role();
    let (own, other) = (stage.output("SigningKeyArn"), text(&stage.stack["other_function"]["signing_key_arn"]));
    let sign = |key: &str| json!({ "KeyId": key, "Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256" });
    role.json("kms", "TrentService.Sign", &sign(&own)).await.expect("its own key is for signing");
    let mut attempts = Vec::new();
    for (attempt, operation, body) in [
        ("sign as another", "Sign", sign(&other)),
        ("read another's key", "GetPublicKey", json!({ "KeyId": other })),
        ("replace its key's policy", "PutKeyPolicy", json!({ "KeyId": own, "PolicyName": "default", "Policy": "{}" })),
        ("delete its key", "ScheduleKeyDeletion", json!({ "KeyId": own, "PendingWindowInDays": 7 })),
        ("disable its key", "DisableKey", json!({ "KeyId": own })),
        (
            "let others sign",
            "CreateGrant",
            json!({ "KeyId": own, "GranteePrincipal": "arn:aws:iam::123456789012:root", "Operations": ["Sign"] }),
        ),
        ("make a key", "CreateKey", json!({})),
    ] {
        let came = role.json("kms", &format!("TrentService.{operation}"), &body).await.map(|answer| answer.to_string());
        attempts.push((attempt.to_owned(), came));
    }
    all_denied(attempts);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_role_cannot_raise_itself() {
    let stage = Stage::open();
    let role = stage.role();
    let (name, arn, function) = (stage.output("RoleName"), stage.output("RoleArn"), stage.output("FunctionName"));
    let all = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string();
    let mut attempts = Vec::new();
    for (service, operation, parameters) in [
        ("iam", "PutRolePolicy", vec![("RoleName", name.as_str()), ("PolicyName", "all"), ("PolicyDocument", &all)]),
        ("iam", "AttachRolePolicy", vec![("RoleName", &name), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")]),
        ("iam", "UpdateAssumeRolePolicy", vec![("RoleName", &name), ("PolicyDocument", &all)]),
        ("iam", "DeleteRolePermissionsBoundary", vec![("RoleName", &name)]),
        ("iam", "CreateUser", vec![("UserName", "raised")]),
        ("iam", "CreateAccessKey", vec![("UserName", "raised")]),
        ("iam", "CreateRole", vec![("RoleName", "raised"), ("AssumeRolePolicyDocument", &all)]),
        ("sts", "AssumeRole", vec![("RoleArn", &arn), ("RoleSessionName", "again")]),
    ] {
        attempts.push((operation.to_owned(), role.query(service, operation, &parameters).await));
    }
    for (attempt, method, path, body) in [
        (
            "change the function's configuration",
            "PUT",
            "configuration",
            json!({ "Environment": { "Variables": { "CORDON_MODE": "act" } } }),
        ),
        ("replace the function's code", "PUT", "code", json!({ "ZipFile": "AAAA" })),
        ("let others invoke", "POST", "policy", json!({ "StatementId": "x", "Action": "lambda:InvokeFunction", "Principal": "*" })),
    ] {
        let path = format!("/2015-03-31/functions/{function}/{path}");
        let came = role.send("lambda", method, &path, &[("content-type", "application/json")], body.to_string().into_bytes()).await;
        attempts.push((attempt.to_owned(), came));
    }
    all_denied(attempts);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_role_writes_no_rows_but_holds_and_pins_and_deletes_none() {
    let stage = Stage::open();
    let role = stage.role();
    let table = stage.output("Table");
    let mut attempts = Vec::new();
    let key = |pk: &str| json!({ "pk": { "S": pk } });
    for (attempt, operation, body) in [
        (
            "write another kind of row",
            "UpdateItem",
            json!({ "TableName": table, "Key": key("grant#alice"), "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": { ":a": { "S": "x" } } }),
        ),
        ("read another kind of row", "GetItem", json!({ "TableName": table, "Key": key("grant#alice") })),
        ("replace a row", "PutItem", json!({ "TableName": table, "Item": key("hold#x") })),
        ("delete a row", "DeleteItem", json!({ "TableName": table, "Key": key("hold#x") })),
        ("list all rows", "Scan", json!({ "TableName": table })),
        ("delete the table", "DeleteTable", json!({ "TableName": table })),
    ] {
        let came = role.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), &body).await.map(|answer| answer.to_string());
        attempts.push((attempt.to_owned(), came));
    }
    all_denied(attempts);
}

/// The role closes, and does nothing else to a network.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_role_can_open_nothing() {
    let stage = Stage::open();
    let (machine, _) = contained(&stage).await;
    let sealed = stage.assert_sealed(&machine).await;
    let free = stage.machine_in(&machine.vpc, 1).await;
    let (interface, own) = (machine.interfaces[0].as_str(), free.before[0][0].as_str());
    let role = stage.role();
    let rule = [
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "443"),
        ("IpPermissions.1.ToPort", "443"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    let with_rule = |group| [vec![("GroupId", group)], rule.to_vec()].concat();
    let tag = |resource, key| vec![("ResourceId.1", resource), ("Tag.1.Key", key), ("Tag.1.Value", "true")];
    let mut attempts = Vec::new();
    for (attempt, operation, parameters) in [
        (
            "give the machine back its groups",
            "ModifyNetworkInterfaceAttribute",
            vec![("NetworkInterfaceId", interface), ("SecurityGroupId.1", own)],
        ),
        (
            "keep a group beside the sealed one",
            "ModifyNetworkInterfaceAttribute",
            vec![("NetworkInterfaceId", interface), ("SecurityGroupId.1", &sealed), ("SecurityGroupId.2", own)],
        ),
        ("open the sealed group", "AuthorizeSecurityGroupIngress", with_rule(&sealed)),
        ("open it outwards", "AuthorizeSecurityGroupEgress", with_rule(&sealed)),
        ("take rules off another group", "RevokeSecurityGroupIngress", with_rule(own)),
        ("take outbound rules off another group", "RevokeSecurityGroupEgress", with_rule(own)),
        ("call another group sealed", "CreateTags", tag(own, "cordon:sealed")),
        ("call the sealed group something else", "DeleteTags", vec![("ResourceId.1", &sealed), ("Tag.1.Key", "cordon:sealed")]),
        ("put its own tags on an instance", "CreateTags", tag(&machine.instance, "cordon:exempt")),
        (
            "take the incident off an instance",
            "DeleteTags",
            vec![("ResourceId.1", &machine.instance), ("Tag.1.Key", "cordon:incident")],
        ),
        (
            "make a group that is not sealed",
            "CreateSecurityGroup",
            vec![("VpcId", &machine.vpc), ("GroupName", "open"), ("GroupDescription", "x")],
        ),
        ("delete the sealed group", "DeleteSecurityGroup", vec![("GroupId", &sealed)]),
        ("terminate the machine", "TerminateInstances", vec![("InstanceId.1", &machine.instance)]),
        ("detach the interface", "DetachNetworkInterface", vec![("AttachmentId", "eni-attach-1")]),
        ("swap by the instance", "ModifyInstanceAttribute", vec![("InstanceId", &machine.instance), ("GroupId.1", own)]),
    ] {
        attempts.push((attempt.to_owned(), role.query("ec2", operation, &parameters).await));
    }
    all_denied(attempts);
    assert_eq!(stage.assert_sealed(&machine).await, sealed);
    assert_eq!(stage.groups(&free).await, free.before);
    // What it is for: any interface, to a sealed group.
    let seal = [("NetworkInterfaceId", free.interfaces[0].as_str()), ("SecurityGroupId.1", &sealed)];
    role.query("ec2", "ModifyNetworkInterfaceAttribute", &seal).await.unwrap();
    stage.assert_sealed(&free).await;
}
