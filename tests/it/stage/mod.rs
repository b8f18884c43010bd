//! The local AWS with the template deployed on it, as `tests/local-aws/with_local_aws.py` leaves it, and what scenarios need there.

mod accessor;
mod caller;
mod doors;
mod machine;
mod principal;
mod releaser;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use calls::CallLog;
use evidence::{Report, Root, Verifier};
use evidence_store::S3;
use ids::{IncidentId, Sha256};
use quarantine::{Answer, Environment};
use responder::{Invocation, Settings, Transient};
use serde_json::{Value, json};

pub(crate) use accessor::Asking;
pub(crate) use caller::{Caller, Refusal, texts};
pub(crate) use doors::{GITHUB_TOKEN, Knock};
pub(crate) use machine::{Machine, finding};
pub(crate) use principal::{DENIES, Person, Revoker, key_finding, session_finding, session_finding_of, unique};
pub(crate) use releaser::{Answered, Colleague};
pub(crate) use wire::{Asked, Fate, Wire, ec2_error, iam_error, json_error, s3_error};

/// The local AWS.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) stack: Value,
    pub(crate) root: Caller,
    /// The minute this test began in, as keys spell it: no record of it is filed under an earlier one.
    since: String,
    known: Mutex<BTreeMap<String, Filed>>,
}

/// One sandbox of the function, in this process, under the deployed role's own credentials.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) environment: Environment<S3>,
    pub(crate) wire: Wire,
    arn: String,
}

/// A record as it lies in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    pub(crate) key: String,
    pub(crate) predicate: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Filed {
    /// `intent`, `outcome`, `decision`, `refusal`.
    pub(crate) fn kind(&self) -> &str {
        self.key.rsplit('-').next().unwrap().trim_end_matches(".json")
    }

    pub(crate) fn body(&self) -> &Value {
        &self.predicate["body"]
    }

    /// The session that signed it.
    pub(crate) fn session(&self) -> String {
        text(&self.predicate["record"]["session"]["id"])
    }
}

impl Stage {
    pub(crate) fn open() -> Self {
        let path =
            std::env::var("CORDON_STACK").expect("this test needs the local AWS: `make test` starts one and sets CORDON_STACK");
        let stack: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let root = Caller {
            endpoint: text(&stack["endpoint"]),
            region: text(&stack["region"]),
            credentials: Credentials::new("test", "test", None, None, "test"),
        };
        let began = calls::now().to_string();
        // `2026-11-23T20:18:…` is filed under `2026/11/23/20/18`.
        let since = began[..16].replace(['-', 'T', ':'], "/");
        Self { stack, root, since, known: Mutex::default() }
    }

    pub(crate) fn output(&self, name: &str) -> String {
        text(&self.stack["outputs"][name])
    }

    pub(crate) fn account(&self) -> String {
        text(&self.stack["account"])
    }

    /// A caller with the quarantine function's own credentials.
    pub(crate) fn role(&self) -> Caller {
        self.acting_as(&self.stack["role_credentials"])
    }

    fn acting_as(&self, credentials: &Value) -> Caller {
        let part = |name: &str| text(&credentials[name]);
        let credentials =
            Credentials::new(part("access_key_id"), part("secret_access_key"), Some(part("session_token")), None, "test");
        Caller { credentials, ..self.root.clone() }
    }

    /// A user whom IAM allows everything, and the bucket's policy one part: `cordon-keyring` or `cordon-responder`.
    pub(crate) fn user(&self, name: &str) -> Caller {
        let part = |what: &str| text(&self.stack["users"][name][what]);
        let credentials = Credentials::new(part("access_key_id"), part("secret_access_key"), None, None, "test");
        Caller { credentials, ..self.root.clone() }
    }

    /// A new sandbox with the deployed configuration and nothing wrong.
    pub(crate) fn sandbox(&self) -> Sandbox {
        self.sandbox_with(&[], Wire::good())
    }

    /// A new sandbox in which some variables and the wire are different.
    pub(crate) fn sandbox_with(&self, variables: &[(&str, &str)], wire: Wire) -> Sandbox {
        let deployed = &self.stack["function_environment"];
        let get = |name: &'static str| self.variable(name, variables, deployed);
        let config = self.config(&self.role(), &wire, get);
        let settings = Settings::read(get).unwrap();
        let calls = CallLog::default();
        let store = S3::new(&config, calls.clone(), settings.bucket.clone());
        // A test program is a hundred times as large as the function: hashing it would take longer than KMS is waited for.
        let environment = Environment::new(settings, &config, calls, store, || Some(Sha256::of(b"a test"))).unwrap();
        Sandbox { environment, wire, arn: self.output("FunctionArn") }
    }

    /// A variable of a sandbox: ours, else Lambda's, else what is deployed.
    fn variable(&self, name: &str, ours: &[(&str, &str)], deployed: &Value) -> Option<String> {
        if let Some((_, value)) = ours.iter().find(|(other, _)| *other == name) {
            return Some((*value).to_owned());
        }
        match name {
            "AWS_REGION" => Some(self.root.region.clone()),
            "AWS_ENDPOINT_URL" => Some(self.root.endpoint.clone()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("-".to_owned()),
            name if name.starts_with("AWS_") => None,
            name => deployed[name].as_str().map(str::to_owned),
        }
    }

    /// The SDK's configuration for whoever may do everything.
    pub(crate) fn root_config(&self) -> responder::SdkConfig {
        self.config(&self.root, &Wire::good(), |name| self.variable(name, &[], &Value::Null))
    }

    fn config(&self, role: &Caller, wire: &Wire, get: impl Fn(&'static str) -> Option<String>) -> responder::SdkConfig {
        let provider = SharedCredentialsProvider::new(role.credentials.clone());
        responder::sdk_config(get).unwrap().into_builder().credentials_provider(provider).http_client(wire.clone()).build()
    }

    /// All records of an incident, oldest first, each opened as the verifier does.
    pub(crate) async fn records(&self, incident: &IncidentId) -> Vec<Filed> {
        let mut found = self.all_records().await;
        found.retain(|filed| filed.predicate["record"]["incident"] == incident.to_string());
        found
    }

    /// All records since this test began, other tests' too.
    pub(crate) async fn all_records(&self) -> Vec<Filed> {
        let bucket = self.output("EvidenceBucket");
        let mut found = Vec::new();
        for function in ["quarantine", "revoke", "release", "access", "mint", "reconcile"] {
            let mut after = format!("rec/{function}/{}", self.since);
            loop {
                let prefix = format!("prefix=rec%2F{function}%2F");
                let page = format!("/{bucket}?list-type=2&{prefix}&start-after={}", after.replace('/', "%2F"));
                let listed = self.root.send("s3", "GET", &page, &[], Vec::new()).await.unwrap();
                let keys = texts(&listed, "Key");
                for key in &keys {
                    found.push(self.record(key).await);
                }
                match keys.last() {
                    Some(last) if listed.contains("<IsTruncated>true<") => after.clone_from(last),
                    _ => break,
                }
            }
        }
        found.sort_by_key(|filed| text(&filed.predicate["record"]["time"]));
        found
    }

    /// What the verifier says of an incident's records and of all others of their sessions, with the deployed key as its root.
    pub(crate) async fn verify(&self, incident: &IncidentId) -> Report {
        let sessions = self.records(incident).await.iter().map(Filed::session).collect();
        self.verify_sessions(&sessions).await
    }

    /// The verifier's report on all records of these sessions.
    pub(crate) async fn verify_sessions(&self, sessions: &BTreeSet<String>) -> Report {
        let root = |function: &str, pem: &Value| {
            let der = from_base64(&text(pem).lines().filter(|line| !line.starts_with('-')).collect::<String>());
            Root { function: Some(function.parse().unwrap()), fingerprint: Sha256::of(&der) }
        };
        let pem = |function: &str| &self.stack[function]["signing_key_pem"];
        let others = ["revoke", "release", "access", "mint", "reconcile"].map(|function| (function, pem(function)));
        let roots = [("quarantine", &self.stack["signing_key_pem"])].into_iter().chain(others);
        let mut verifier = Verifier::new(roots.map(|(function, pem)| root(function, pem)).collect());
        for filed in self.all_records().await.iter().filter(|filed| sessions.contains(&filed.session())) {
            verifier.add(&filed.key, &filed.bytes, None, calls::now());
        }
        verifier.finish(calls::now())
    }

    /// The record at a key.
    pub(crate) async fn record(&self, key: &str) -> Filed {
        // Nobody can change one: that is the point of them.
        if let Some(known) = self.known.lock().unwrap().get(key) {
            return known.clone();
        }
        let path = format!("/{}/{key}", self.output("EvidenceBucket"));
        let bytes = self.root.send("s3", "GET", &path, &[], Vec::new()).await.unwrap().into_bytes();
        let (statement, _) = evidence::open::<Value>(&key.parse().unwrap(), &bytes).unwrap();
        let filed = Filed { key: key.to_owned(), predicate: serde_json::to_value(statement.predicate).unwrap(), bytes };
        self.known.lock().unwrap().insert(key.to_owned(), filed.clone());
        filed
    }

    /// The hold's row of a machine, as DynamoDB has it.
    pub(crate) async fn row(&self, machine: &Machine) -> Value {
        self.held(&self.target(machine)).await
    }

    fn target(&self, machine: &Machine) -> String {
        format!("ec2:instance:{}:{}:{}", self.account(), self.root.region, machine.instance)
    }

    /// As if the lease of a dead invocation had run out: forty seconds that no test has to wait for.
    pub(crate) async fn let_the_lease_run_out(&self, machine: &Machine) {
        self.let_the_lease_on_run_out(&self.target(machine)).await;
    }

    /// Changes a hold's row.
    pub(crate) async fn update_row(&self, machine: &Machine, update: &str, values: Value) {
        self.update_held(&self.target(machine), update, values).await;
    }

    /// The row of whatever is held.
    async fn held(&self, target: &str) -> Value {
        let key = json!({ "pk": { "S": format!("hold#{target}") } });
        let asked = json!({ "TableName": self.output("Table"), "Key": key, "ConsistentRead": true });
        self.root.json("dynamodb", "DynamoDB_20120810.GetItem", &asked).await.unwrap()["Item"].clone()
    }

    async fn let_the_lease_on_run_out(&self, target: &str) {
        self.update_held(target, "SET lease_until = :past", json!({ ":past": { "N": "1" } })).await;
    }

    async fn update_held(&self, target: &str, update: &str, values: Value) {
        let asked = json!({
            "TableName": self.output("Table"),
            "Key": { "pk": { "S": format!("hold#{target}") } },
            "UpdateExpression": update,
            "ExpressionAttributeValues": values,
        });
        self.root.json("dynamodb", "DynamoDB_20120810.UpdateItem", &asked).await.unwrap();
    }
}

impl Sandbox {
    /// What one delivery of an event comes to.
    pub(crate) async fn deliver(&self, event: &Value) -> Result<Answer, Transient> {
        self.deliver_bytes(event.to_string().as_bytes()).await
    }

    pub(crate) async fn deliver_bytes(&self, event: &[u8]) -> Result<Answer, Transient> {
        quarantine::handle(event, &self.invocation(), &self.environment).await
    }

    fn invocation(&self) -> Invocation {
        static NTH: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let nth = NTH.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // Unlike Lambda's these begin anew in each process: the process is part of it.
        Invocation::read(&format!("invocation-{}-{nth}", std::process::id()), &self.arn)
    }

    /// A delivery that is killed when a request hangs; none if it was.
    pub(crate) async fn deliver_until_hung(&self, event: &Value) -> Option<Result<Answer, Transient>> {
        tokio::select! {
            biased;
            answer = self.deliver(event) => Some(answer),
            () = self.wire.hung() => None,
        }
    }
}

/// Waits for something that another process brings about.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "this never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
