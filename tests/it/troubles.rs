//! What the crates that call AWS make of its errors: throttled, denied, not found, too late, and answers that make no sense.
//!
//! The SDK is real, the wire is ours. (The SDK's own test doubles would turn on more of its features, and have it compiled twice.)

use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use calls::CallLog;
use evidence::{Draft, Kind, RecordId, RecordKey, Session};
use evidence_store::{Folder, Recorded, Recorder};
use hold::{Claim, Claimed, Conclusion, Holds};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use isolation::Ec2;
use plan::{Case, Did, Isolate, Plan, Sealed, Step, TroubleKind};
use responder::SdkConfig;
use serde_json::json;

use crate::stage::{Fate, Wire, ec2_error, json_error};

fn config(wire: Wire) -> SdkConfig {
    let lambda = |name: &'static str| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    };
    let quick = TimeoutConfig::builder().operation_timeout(Duration::from_millis(150)).build();
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    responder::sdk_config(lambda).unwrap().into_builder().http_client(wire).timeout_config(quick).retry_config(retries).build()
}

fn always(fate: &Fate) -> Wire {
    let fate = fate.clone();
    Wire::with(move |_| fate.clone())
}

/// What EC2 may answer, what that amounts to, and how often the SDK asks.
fn of_ec2() -> Vec<(Fate, TroubleKind, &'static str, usize)> {
    vec![
        (ec2_error(503, "RequestLimitExceeded"), TroubleKind::Throttled, "RequestLimitExceeded", 3),
        (ec2_error(400, "Throttling"), TroubleKind::Throttled, "Throttling", 3),
        (ec2_error(403, "UnauthorizedOperation"), TroubleKind::Denied, "UnauthorizedOperation", 1),
        (ec2_error(401, "AuthFailure"), TroubleKind::Denied, "AuthFailure", 1),
        (ec2_error(400, "InvalidNetworkInterfaceID.NotFound"), TroubleKind::NotFound, "InvalidNetworkInterfaceID.NotFound", 1),
        (ec2_error(400, "OperationNotPermitted"), TroubleKind::Refused, "OperationNotPermitted", 1),
        (ec2_error(500, "InternalError"), TroubleKind::Server, "InternalError", 3),
        (ec2_error(503, "Unavailable"), TroubleKind::Server, "Unavailable", 3),
        (Fate::Hang, TroubleKind::NoAnswer, "Timeout", 1),
        (Fate::Break, TroubleKind::NoAnswer, "ConnectionFailed", 3),
        (Fate::Answer(200, "<html>a captive portal</html>".to_owned()), TroubleKind::NoAnswer, "AnswerNotUnderstood", 1),
    ]
}

#[tokio::test]
async fn every_read_of_ec2_says_what_went_wrong() {
    let (instance, vpcs) = ("i-0123456789abcdef0".parse().unwrap(), ["vpc-0123456789abcdef0".parse().unwrap()].into());
    for (fate, kind, code, times) in of_ec2() {
        let wire = always(&fate);
        let ec2 = Ec2::new(&config(wire.clone()), CallLog::default());
        let seen = ec2.instance(&instance).await;
        assert_eq!(wire.sent().len(), times, "{fate:?}");
        if kind == TroubleKind::NotFound {
            assert_eq!(seen, Ok(None), "an instance that EC2 does not know is an answer");
        } else {
            let trouble = seen.unwrap_err();
            assert_eq!((trouble.kind, trouble.code.as_str()), (kind, code), "{fate:?}");
        }
        for trouble in [
            ec2.sealed_groups(&vpcs).await.unwrap_err(),
            ec2.vpcs().await.unwrap_err(),
            ec2.after(&instance, &vpcs).await.unwrap_err(),
        ] {
            assert_eq!((trouble.kind, trouble.code.as_str()), (kind, code), "{fate:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_lacks_what_it_must_have_is_no_answer() {
    let group = "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupName>cordon-sealed</groupName></item></securityGroupInfo></DescribeSecurityGroupsResponse>";
    let ec2 = Ec2::new(&config(always(&Fate::Answer(200, group.to_owned()))), CallLog::default());
    let trouble = ec2.sealed_groups(&["vpc-0123456789abcdef0".parse().unwrap()].into()).await.unwrap_err();
    assert_eq!((trouble.kind, trouble.code.as_str()), (TroubleKind::NoAnswer, "AnswerLacksGroupId"));

    let instance = "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-0123456789abcdef0</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>";
    let ec2 = Ec2::new(&config(always(&Fate::Answer(200, instance.to_owned()))), CallLog::default());
    let trouble = ec2.instance(&"i-0123456789abcdef0".parse().unwrap()).await.unwrap_err();
    assert_eq!((trouble.kind, trouble.code.as_str()), (TroubleKind::NoAnswer, "AnswerLacksState"));
}

/// A recorded plan: the only kind that can be applied.
async fn recorded() -> (tempfile::TempDir, Recorded<Plan<Isolate>>) {
    let (incident, signal) = (IncidentId::derive("ec2:instance:1", "Recon/Portscan"), SignalId::of_bytes(&Sha256::of(b"x")));
    let swap = |interface: &str| Isolate::SwapGroups {
        interface: interface.parse().unwrap(),
        from: vec!["sg-0aaaaaaaaaaaaaaaa".parse().unwrap()],
        to: Sealed::Known("sg-0123456789abcdef0".parse().unwrap()),
    };
    let tag =
        Isolate::Tag { instance: "i-0123456789abcdef0".parse().unwrap(), tags: [("cordon:incident".into(), "x".into())].into() };
    let create = Isolate::CreateGroup { vpc: "vpc-0123456789abcdef0".parse().unwrap(), name: "cordon-sealed".into() };
    let actions = [(0, create), (1, swap("eni-0aaaaaaaaaaaaaaaa")), (1, swap("eni-0bbbbbbbbbbbbbbbb")), (1, tag)];
    let plan = Plan {
        case: Case {
            incident: incident.clone(),
            signal: signal.clone(),
            account: "123456789012".parse().unwrap(),
            rule: "a-rule".parse().unwrap(),
            playbook: Sha256::of(b""),
            intent: "rec/…".to_owned(),
            now: Timestamp::saturating(0),
        },
        before: Vec::new(),
        sealed_already: Vec::new(),
        steps: actions.map(|(wave, action)| Step { wave, action }).to_vec(),
        remarks: Vec::new(),
    };
    let folder = tempfile::TempDir::new().unwrap();
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let mut recorder = Recorder::new(Folder::new(folder.path()), Session::new(SessionId::from_random([7; 16]), key).unwrap());
    let function: ids::FunctionName = "quarantine".parse().unwrap();
    let id = RecordId::derive(&function, Some(&incident), &signal);
    let draft = Draft {
        key: RecordKey::new(function, Timestamp::saturating(0), id, 1, Kind::Intent),
        subject: Vec::new(),
        incident: Some(incident),
        signal,
        time: Timestamp::saturating(0),
        answers: None,
        due: None,
        playbook: Sha256::of(b""),
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: plan,
    };
    let recorded = recorder.intent(draft).await.unwrap();
    (folder, recorded)
}

#[tokio::test]
async fn a_step_that_fails_says_why_and_stops_no_other() {
    let (_folder, recorded) = recorded().await;
    // What a swap answers is not read, so nonsense cannot be told from an answer: that is what the read-back is for.
    for (fate, kind, code, _) in of_ec2().into_iter().filter(|(_, _, code, _)| *code != "AnswerNotUnderstood") {
        let done = Ec2::new(&config(always(&fate)), CallLog::default()).apply(&recorded).await;
        assert_eq!(done.iter().map(|done| done.step).collect::<Vec<_>>(), [0, 1, 2, 3], "every step was tried");
        for done in done {
            let Did::Failed(trouble) = done.did else { panic!("{fate:?}: {done:?}") };
            assert_eq!((trouble.kind, trouble.code.as_str()), (kind, code), "{fate:?}, step {}", done.step);
        }
    }
    // One interface refuses; all else is done.
    let one = Wire::with(|asked| match asked.operation.as_str() {
        "ModifyNetworkInterfaceAttribute" if asked.text.contains("eni-0aaaaaaaaaaaaaaaa") => {
            ec2_error(400, "OperationNotPermitted")
        }
        "CreateSecurityGroup" => Fate::Answer(
            200,
            "<CreateSecurityGroupResponse><groupId>sg-0123456789abcdef0</groupId></CreateSecurityGroupResponse>".into(),
        ),
        operation => Fate::Answer(200, format!("<{operation}Response><return>true</return></{operation}Response>")),
    });
    let done = Ec2::new(&config(one), CallLog::default()).apply(&recorded).await;
    let failed: Vec<_> = done.iter().filter(|done| matches!(done.did, Did::Failed(_))).map(|done| done.step).collect();
    assert_eq!(failed, [1]);
    assert_eq!(done[2].request_id.as_deref(), Some("made-up"));
}

#[tokio::test]
async fn a_group_name_that_is_taken_is_looked_up_and_a_strangers_group_is_not_used() {
    let (_folder, recorded) = recorded().await;
    for (tag, owner, ours) in [("true", "123456789012", true), ("false", "123456789012", false), ("true", "210987654321", false)] {
        let wire = Wire::with(move |asked| match asked.operation.as_str() {
            "CreateSecurityGroup" => ec2_error(400, "InvalidGroup.Duplicate"),
            "DescribeSecurityGroups" => Fate::Answer(
                200,
                format!(
                    "<DescribeSecurityGroupsResponse><securityGroupInfo><item><ownerId>{owner}</ownerId><groupId>sg-0123456789abcdef0</groupId>\
                 <groupName>cordon-sealed</groupName><vpcId>vpc-0123456789abcdef0</vpcId><tagSet><item><key>cordon:sealed</key>\
                 <value>{tag}</value></item></tagSet></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
                ),
            ),
            operation => Fate::Answer(200, format!("<{operation}Response><return>true</return></{operation}Response>")),
        });
        let done = Ec2::new(&config(wire), CallLog::default()).apply(&recorded).await;
        match (&done[0].did, ours) {
            (Did::Group(group), true) => assert_eq!(group.as_str(), "sg-0123456789abcdef0"),
            (Did::Failed(trouble), false) => assert_eq!(trouble.kind, TroubleKind::Taken),
            other => panic!("{tag} {owner}: {other:?}"),
        }
    }
}

fn claim() -> Claim {
    Claim {
        target: "ec2:instance:123456789012:us-east-1:i-0123456789abcdef0".into(),
        owner: "invocation-1".into(),
        incident: IncidentId::derive("t", "x"),
        finding: "guardduty/1".into(),
        updated_at: Timestamp::saturating(50),
        now: Timestamp::saturating(100),
        intent: "rec/…".into(),
    }
}

#[tokio::test]
async fn a_table_that_fails_says_which_error_it_was() {
    for (fate, said) in [
        (json_error(400, "ThrottlingException"), "ThrottlingException"),
        (json_error(400, "ProvisionedThroughputExceededException"), "ProvisionedThroughputExceededException"),
        (json_error(400, "AccessDeniedException"), "AccessDeniedException"),
        (json_error(400, "ResourceNotFoundException"), "ResourceNotFoundException"),
        (json_error(500, "InternalServerError"), "InternalServerError"),
        (Fate::Hang, "timeout"),
        (Fate::Break, "connection was reset"),
    ] {
        let holds = Holds::new(&config(always(&fate)), CallLog::default(), "holds".into());
        let claim = claim();
        let conclusion = Conclusion { outcome: "rec/…".into(), holds: true, ..Conclusion::default() };
        let (account, region, vpc) =
            ("123456789012".parse().unwrap(), "us-east-1".parse().unwrap(), "vpc-0123456789abcdef0".parse().unwrap());
        let vpcs = [vpc].into();
        for error in [
            holds.claim(&claim).await.unwrap_err(),
            holds.conclude(&claim, &conclusion).await.unwrap_err(),
            holds.let_go(&claim).await.unwrap_err(),
            holds.park(&claim.target, "rec/…", b"{}").await.unwrap_err(),
            holds.pins(&account, &region, &vpcs).await.unwrap_err(),
        ] {
            assert!(
                error.to_string().contains("the holds table did not answer") && error.to_string().contains(said),
                "{said}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_condition_that_fails_is_an_answer() {
    let refused = |item: serde_json::Value| {
        let body =
            json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "x", "Item": item });
        Holds::new(&config(always(&Fate::Answer(400, body.to_string()))), CallLog::default(), "holds".into())
    };
    let busy = refused(json!({ "pk": { "S": "hold#…" }, "lease_owner": { "S": "another" }, "lease_until": { "N": "140" } }));
    assert_eq!(busy.claim(&claim()).await.unwrap(), Claimed::Busy { until: Timestamp::saturating(140) });
    let done = refused(json!({ "done#guardduty/1": { "M": { "updated_at": { "N": "50" }, "outcome": { "S": "rec/1" } } } }));
    assert_eq!(done.claim(&claim()).await.unwrap(), Claimed::Done { outcome: "rec/1".into() });
    // A lease that another has taken over is not ours to end, and a pin that another set first is as good.
    busy.let_go(&claim()).await.unwrap();
    let (account, region) = ("123456789012".parse().unwrap(), "us-east-1".parse().unwrap());
    busy.pin(&account, &region, &"vpc-0123456789abcdef0".parse().unwrap(), &"sg-0123456789abcdef0".parse().unwrap(), None)
        .await
        .unwrap();
}
