//! Reports of leaks from outside AWS: who gets in at the doors, what comes of it, and that nothing of a secret goes further.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::outsiders::{Reply, serve};
use crate::privilege::allowed_actions;
use crate::stage::{Asked, Fate, GITHUB_TOKEN, Knock, Stage, Wire, eventually, json_error};

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A body that no other test sends.
fn unique(mut body: Value) -> Value {
    static NTH: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let nth = NTH.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    body["unique"] = format!("{}-{nth}-{}", std::process::id(), calls::now().millis()).into();
    body
}

fn alert(number: u64) -> Value {
    let mut alert = unique(sample(include_str!("../../events/webhooks/github-aws-key-created.json")));
    alert["alert"]["number"] = number.into();
    alert
}

fn falco() -> Value {
    unique(sample(include_str!("../../events/webhooks/falco-aws-credentials-read.json")))
}

/// GitHub, as far as it is asked: it says the same to everyone. The head of every request that it got is in the answer of `asked`.
struct GitHub {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl GitHub {
    fn who_says(status: u16, body: &Value) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (heard, body) = (Arc::clone(&asked), body.to_string().into_bytes());
        let base = serve(move |request| {
            heard.lock().unwrap().push(request.head.clone());
            Reply::Said(status, body.clone())
        });
        Self { base, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// What the revoke function recorded of a report, found by what the report is called or which key it names.
async fn record_about(stage: &Stage, needle: &str, kind: &str) -> Value {
    eventually(&format!("a {kind} about {needle}"), async || {
        let records = stage.all_records().await;
        records.into_iter().find(|filed| filed.kind() == kind && filed.predicate.to_string().contains(needle))
    })
    .await
    .predicate
}

/// The report that began it all: GitHub finds a key, says so, says which when it is asked, and the key is dead.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_key_that_github_finds_is_dead_seconds_later() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let thief = stage.a_user().await;
    assert!(thief.works().await);
    let answer = json!({ "number": 7001, "secret_type": "aws_access_key_id", "secret": thief.key, "validity": "active" });
    let github = GitHub::who_says(200, &answer);
    let intake = stage.intake_with(&[("CORDON_GITHUB_API", &github.base)], Wire::good());

    let began = Instant::now();
    let answer = intake.knock(&Knock::at("github", &alert(7001))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    // Well under the second that a canary's webhook would have, too.
    assert!(began.elapsed() < Duration::from_millis(1700), "{:?}", began.elapsed());
    eventually("the thief's first refused call", async || (!thief.works().await).then_some(())).await;

    let outcome = record_about(&stage, &thief.key, "outcome").await;
    let signal = &outcome["body"]["signal"];
    assert_eq!((&signal["source"], &signal["trust"]), (&json!("github"), &json!("signed")), "{signal}");
    assert_eq!(outcome["body"]["outcome"]["state"], "Revoked");
    let asked = github.asked();
    assert!(asked[0].starts_with("GET /repos/acme/payments/secret-scanning/alerts/7001 "), "{asked:?}");
    assert!(asked[0].contains(&format!("authorization: Bearer {GITHUB_TOKEN}")), "{asked:?}");
    assert_eq!(asked.len(), 1);
}

/// Whoever may push can put a colleague's id beside an invented secret: that is asked about, and the key lives.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_key_that_github_has_not_seen_working_is_asked_about_and_lives() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let colleague = stage.a_user().await;
    let github = GitHub::who_says(200, &json!({ "number": 7051, "secret": colleague.key, "validity": "unknown" }));
    let intake = stage.intake_with(&[("CORDON_GITHUB_API", &github.base)], Wire::good());
    assert_eq!(intake.knock(&Knock::at("github", &alert(7051))).await.status, 202);
    let decision = record_about(&stage, &colleague.key, "decision").await;
    assert_eq!(decision["body"]["decision"]["verdict"], "ask-human", "{decision}");
    assert!(colleague.works().await);
}

/// GitHub may not say which key it is: then a person is told, with the alert's name.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn an_alert_that_names_no_key_reaches_a_person() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    for (number, status, body) in [
        (7101, 404, json!({ "message": "Not Found" })),
        (7102, 200, json!({ "number": 7102, "secret": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY" })),
        (7103, 302, json!({})),
    ] {
        let github = GitHub::who_says(status, &body);
        let intake = stage.intake_with(&[("CORDON_GITHUB_API", &github.base)], Wire::good());
        assert_eq!(intake.knock(&Knock::at("github", &alert(number))).await.status, 202);
        let decision = record_about(&stage, &format!("alert {number} of acme/payments"), "decision").await;
        assert_eq!(decision["body"]["decision"]["verdict"], "ask-human", "{decision}");
        assert_eq!(decision["body"]["decision"]["rule"], "no-procedure-asks");
        assert!(decision["body"]["by_hand"].to_string().contains("cordon revoke"), "{decision}");
    }
}

/// What anybody could have written ends nothing by itself, whoever signed the letter that it came in.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_key_that_a_text_mentions_is_asked_about_and_lives() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let user = stage.a_user().await;
    let mut body = falco();
    body["output"] = format!("env AWS_ACCESS_KEY_ID={} aws s3 ls", user.key).into();
    let (status, said) = stage.knock(&Knock::at("falco", &body)).await;
    assert_eq!((status, &said["outcome"]), (202, &json!("Queued")), "{said}");
    let decision = record_about(&stage, &user.key, "decision").await;
    assert_eq!(decision["body"]["decision"]["verdict"], "ask-human", "{decision}");
    assert_eq!(decision["body"]["decision"]["rule"], "medium-leak-asks");
    assert!(user.works().await);
}

/// Through API Gateway, as strangers come: each is refused with what is wrong, and nothing of it is on record.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn strangers_are_refused_and_fill_no_evidence() {
    let stage = Stage::open();
    let canary = stage.open_the_doors().await;
    let secret = "sk_live_plantedInAQuery0123456789";
    let good = Knock::at("github", &alert(7201));
    for (knock, status) in [
        (good.clone().with("x-hub-signature-256", "sha256=00"), 401),
        (Knock { headers: std::collections::BTreeMap::new(), ..good.clone() }, 415),
        (Knock { path: format!("github?token={secret}"), ..good.clone() }, 400),
        (good.clone().with("content-type", "text/plain"), 415),
        (Knock { body: " ".repeat(2 << 20), ..good.clone() }, 413),
        (Knock::at("falco", &falco()).with("authorization", "Bearer nobody-knows-this-key"), 401),
        (Knock::at("gitguardian", &falco()).with("timestamp", "1764018000"), 401),
        (Knock::at(&format!("{canary}x"), &falco()), 404),
        (Knock::at("slack", &falco()), 404),
    ] {
        let (answered, said) = stage.knock(&knock).await;
        assert_eq!(answered, status, "{knock:?}: {said}");
        assert!(!said.to_string().contains(secret), "{said}");
    }
    // GitHub's own try is admitted, changes nothing, and comes back.
    let ping = unique(sample(include_str!("../../events/webhooks/github-ping.json")));
    let (status, said) = stage.knock(&Knock::at("github", &ping)).await;
    assert_eq!((status, &said["outcome"]), (200, &json!("Nothing")), "{said}");
    let records = stage.all_records().await;
    assert!(records.iter().all(|filed| !filed.predicate.to_string().contains("alert 7201 ")));
}

/// A replay is answered, and goes no further: with the same delivery, with another one, with a new time and signature.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_replay_goes_no_further() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let incident = unique(sample(include_str!("../../events/webhooks/gitguardian-incident-triggered.json")));
    let first = Knock::at("gitguardian", &incident);
    assert_eq!(stage.knock(&first).await.0, 202);
    for again in [first.clone(), Knock::at("gitguardian", &incident), first.with("user-agent", "replay")] {
        let (status, said) = stage.knock(&again).await;
        assert_eq!((status, &said["outcome"]), (200, &json!("AlreadyReceived")), "{said}");
    }
}

/// Canarytokens proves nothing and waits two seconds.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_canary_wakes_a_person_in_time() {
    let stage = Stage::open();
    let canary = stage.open_the_doors().await;
    let mut body = unique(sample(include_str!("../../events/webhooks/canary-aws-keys-used.json")));
    let memo = format!("the deploy folder of build {}", calls::now().millis());
    body["memo"] = memo.clone().into();
    let began = Instant::now();
    let (status, said) = stage.knock(&Knock::at(&canary, &body)).await;
    assert_eq!(status, 202, "{said}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let decision = record_about(&stage, &memo, "decision").await;
    assert_eq!(decision["body"]["signal"]["trust"], "unsigned");
    assert_eq!(decision["body"]["decision"]["verdict"], "ask-human", "{decision}");
    for secret in ["q1w2e3r4t5y6u7i8", "9f8e7d6c5b4a3928"] {
        assert!(!decision.to_string().contains(secret), "{decision}");
    }
}

/// If the function dies, or its queue or its table is gone, the sender is told to try again, or the report goes on: it is never lost.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_report_is_never_lost() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let trouble = |service: &'static str| {
        Wire::with(move |asked| if asked.service == service { json_error(500, "InternalServerError") } else { Fate::Pass })
    };
    let status = async |wire: Wire, knock: &Knock| stage.intake_with(&[], wire).knock(knock).await.status;

    // The queue is gone: try again; and that is taken at once.
    let knock = Knock::at("falco", &falco());
    assert_eq!(status(trouble("lambda"), &knock).await, 503);
    assert_eq!(status(Wire::good(), &knock).await, 202);
    assert_eq!(status(Wire::good(), &knock).await, 200);
    // The table is gone: the report goes on.
    let knock = Knock::at("falco", &falco());
    assert_eq!(status(trouble("dynamodb"), &knock).await, 202);
    // The keys cannot be had: nobody can be told from anybody.
    let knock = Knock::at("falco", &falco());
    assert_eq!(status(trouble("secretsmanager"), &knock).await, 503);
    // It dies with the body noted and not handed on: somebody else's for seconds, then taken.
    let dying = stage.intake_with(&[], Wire::with(|asked| if asked.service == "lambda" { Fate::Hang } else { Fate::Pass }));
    let knock = Knock::at("falco", &falco());
    assert!(dying.knock_until_hung(&knock).await.is_none());
    assert_eq!(status(Wire::good(), &knock).await, 503);
    stage.let_notes_lapse().await;
    assert_eq!(status(Wire::good(), &knock).await, 202);
    // Late for the sender's answer is not late for the queue: a canary tells its news once.
    let slow = Wire::with(|asked| if asked.service == "lambda" { Fate::Late(Duration::from_secs(3)) } else { Fate::Pass });
    let mut canary = unique(sample(include_str!("../../events/webhooks/canary-aws-keys-used.json")));
    let memo = format!("the slow folder of build {}", calls::now().millis());
    canary["memo"] = memo.clone().into();
    assert_eq!(status(slow, &Knock::at("canary/canary-key-of-the-tests", &canary)).await, 202);
    record_about(&stage, &memo, "decision").await;
}

/// What is planted at every door is found nowhere: not in records, not in the tables, not in the queues, not in the logs.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn no_secret_goes_further_than_the_door() {
    let stage = Stage::open();
    let canary = stage.open_the_doors().await;
    let planted = format!("Planted{}{}", std::process::id(), calls::now().millis());
    // As a secret key of AWS looks: 40 characters after its name.
    let secret = format!("aws_secret_access_key={planted:A<40}");
    for (path, body, fields) in [
        ("github", alert(7301), &["/alert/resolution_comment", "/alert/secret", "/sender/login"][..]),
        (
            "gitguardian",
            unique(sample(include_str!("../../events/webhooks/gitguardian-incident-triggered.json"))),
            &["/message", "/incident/secret_hash", "/incident/share_url", "/incident/detector/display_name"],
        ),
        ("falco", falco(), &["/output", "/output_fields/proc.cmdline", "/rule", "/hostname"]),
        (
            canary.as_str(),
            unique(sample(include_str!("../../events/webhooks/canary-aws-keys-used.json"))),
            &["/memo", "/token", "/manage_url", "/token_type", "/additional_data"],
        ),
    ] {
        for field in fields {
            let mut body = unique(body.clone());
            let (parent, name) = field.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = secret.clone().into();
            let (status, said) = stage.knock(&Knock::at(path, &body)).await;
            // Where a detector's name is another type than it should be, a person is told that it cannot be read.
            assert_eq!(status, 202, "{path} {field}: {said}");
            assert!(!said.to_string().contains(&planted), "{path} {field}: {said}");
        }
    }
    // In the query, in a path that is no door, in a header: refused, and as quiet.
    for knock in [
        Knock { path: format!("github?key={planted}"), ..Knock::at("github", &alert(7302)) },
        Knock::at(&format!("canary/{planted}"), &falco()),
        Knock::at("falco", &falco()).with("authorization", &format!("Bearer {planted}")),
    ] {
        let (status, said) = stage.knock(&knock).await;
        assert!((400..500).contains(&status) && !said.to_string().contains(&planted), "{said}");
    }
    // Something of it has arrived: the last report's decision is on record.
    record_about(&stage, "canary token", "decision").await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    for filed in stage.all_records().await {
        assert!(!filed.predicate.to_string().contains(&planted), "{}", filed.key);
    }
    for table in ["Table", "SeenTable"] {
        let rows =
            stage.root.json("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": stage.output(table) })).await.unwrap();
        assert!(!rows.to_string().contains(&planted), "{table}");
    }
    for queue in ["FailuresQueueUrl", "DeadLetterQueueUrl"] {
        let asked = json!({ "QueueUrl": stage.output(queue), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0 });
        let messages = stage.root.json("sqs", "AmazonSQS.ReceiveMessage", &asked).await.unwrap();
        assert!(!messages.to_string().contains(&planted), "{queue}");
    }
    let mut lines = 0;
    for group in ["IntakeLogGroup", "RevokeLogGroup"] {
        let asked = json!({ "logGroupName": stage.output(group), "limit": 10000 });
        let logged = stage.root.json("logs", "Logs_20140328.FilterLogEvents", &asked).await.unwrap();
        assert!(!logged.to_string().contains(&planted), "{group}");
        assert!(!logged.to_string().contains(GITHUB_TOKEN), "{group}");
        lines += logged["events"].as_array().map_or(0, Vec::len);
    }
    assert!(lines > 0, "the functions have logged something, and it was read");
}

/// Whoever may invoke the revoke function can relay no more than a webhook could have said.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_forged_relay_is_refused_on_record() {
    let stage = Stage::open();
    let user = stage.a_user().await;
    let revoker = stage.revoker();
    let report = signal::Report {
        source: signal::LeakSource::GitHub,
        about: "forged".to_owned(),
        name: signal::Excerpt::of("forged"),
        suspected: true,
        closed: false,
        rated: None,
        at: calls::now(),
        remote: Vec::new(),
        sha256: ids::Sha256::of(user.key.as_bytes()),
    };
    let credential = signal::Credential::UserKey { key: user.key.parse().unwrap(), user: None };
    let good = serde_json::to_value(report.of(credential, stage.account().parse().unwrap())).unwrap();
    let relay = async |leak: &Value| revoker.deliver(&json!({ "cordon": "relay", "leaks": [leak] })).await.unwrap();
    assert_eq!(relay(&good).await.outcome, revoke::Said::AskHuman, "what is changed below is all that is wrong below");
    for (field, value) in [
        ("trust", json!("person")),
        ("trust", json!("platform")),
        ("source", json!("hand")),
        ("source", json!("canary")),
        ("incident", json!("inc-0123456789abcdef0123")),
        ("thread", json!("hand/forged")),
        ("since", json!("2026-11-24T00:00:00Z")),
        ("credential", json!({ "kind": "user_session", "user": user.name, "key": null })),
    ] {
        let mut forged = good.clone();
        forged[field] = value;
        let answer = relay(&forged).await;
        assert_eq!(answer.outcome, revoke::Said::Refused, "{field}: {answer:?}");
        let record = stage.record(&answer.credentials[0].records[0]).await;
        assert_eq!(record.kind(), "refusal");
    }
    assert!(user.works().await);
}

/// Least privilege, both ways: what the role allows is what the function does, and what a thief of it would try is refused.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_intakes_role_allows_what_it_does_and_nothing_else() {
    let stage = Stage::open();
    stage.open_the_doors().await;
    let intake = stage.intake_with(&[], Wire::good());
    assert_eq!(intake.knock(&Knock::at("falco", &falco())).await.status, 202);
    let mut used: BTreeSet<String> = ["logs:CreateLogStream".to_owned(), "logs:PutLogEvents".to_owned()].into();
    used.extend(intake.wire.sent().iter().map(Asked::action));
    let policies = &stage.stack["intake"]["role_policies"];
    let statements = policies.as_object().unwrap().values().flat_map(|policy| policy["Statement"].as_array().unwrap());
    statements.clone().for_each(|statement| assert_ne!(statement["Resource"], "*", "{statement}"));
    assert_eq!(used, allowed_actions(policies));
    let relay = format!("{}:relay", stage.output("RevokeFunctionArn"));
    let invoked: Vec<_> = statements.filter(|statement| statement["Action"] == "lambda:InvokeFunction").collect();
    assert!(invoked.len() == 1 && invoked[0]["Resource"] == relay, "{invoked:?}");

    let thief = stage.intake_role();
    let path = |function: &str| format!("/2015-03-31/functions/{function}/invocations");
    let revoke = stage.output("RevokeFunctionName");
    let by_hand = json!({ "cordon": "revoke", "credential": { "key": "AKIARZPUZDIKFJNBPQ4Z" } }).to_string().into_bytes();
    let bucket = format!("/{}/rec/revoke/forged.json", stage.output("EvidenceBucket"));
    let row = json!({ "TableName": stage.output("Table"), "Key": { "pk": { "S": "hold#iam:user:x" } }, "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": { ":a": { "N": "1" } } });
    let keys = json!({ "SecretId": stage.output("DoorKeysArn"), "SecretString": "{}" });
    for (attempt, came) in [
        ("invoke another function", thief.send("lambda", "POST", &path(&stage.output("FunctionName")), &[], b"{}".to_vec()).await),
        ("invoke revoke by its name", thief.send("lambda", "POST", &path(&revoke), &[], by_hand.clone()).await),
        ("invoke it as its version", thief.send("lambda", "POST", &path(&format!("{revoke}:$LATEST")), &[], by_hand.clone()).await),
        ("forge a record", thief.send("s3", "PUT", &bucket, &[], b"{}".to_vec()).await),
        ("change a hold", thief.json("dynamodb", "DynamoDB_20120810.UpdateItem", &row).await.map(|v| v.to_string())),
        ("change the keys", thief.json("secretsmanager", "secretsmanager.PutSecretValue", &keys).await.map(|v| v.to_string())),
        ("make a user", thief.query("iam", "CreateUser", &[("UserName", "mallory")]).await),
    ] {
        match came {
            Ok(answer) => panic!("{attempt} was allowed: {answer}"),
            Err(refusal) => assert!(refusal.is_denial() || refusal.status == 403, "{attempt}: {} {}", refusal.code, refusal.body),
        }
    }
    // What is left is the alias: there a person's word is none, and that it was tried is on record.
    let answer = thief.send("lambda", "POST", &path(&format!("{revoke}:relay")), &[], by_hand).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["outcome"], "Refused", "{answer}");
    let record = stage.record(answer["credentials"][0]["records"][0].as_str().unwrap()).await;
    assert_eq!((record.kind(), &record.predicate["body"]["refused"]["refusal"]["code"]), ("refusal", &json!("not_relayed")));
}
