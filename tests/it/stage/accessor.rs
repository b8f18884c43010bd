//! People who ask for access and approve it, through the deployed API; and sandboxes of the three functions behind it.

use std::io::Read as _;

use age::armor::ArmoredReader;
use age::x25519::Identity;
use aws_credential_types::Credentials;
use calls::CallLog;
use evidence_store::S3;
use ids::Sha256;
use responder::{Invocation, Settings, Transient};
use serde_json::{Value, json};

use super::principal::unique;
use super::{Answered, Caller, Colleague, Refusal, Stage, Wire, eventually, text};

/// A request that somebody has made, and the key that opens what comes of it.
pub(crate) struct Asking {
    pub(crate) id: String,
    pub(crate) digest: String,
    pub(crate) body: Value,
    identity: Identity,
}

/// Credentials of a grant, opened by the requester.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) caller: Caller,
    pub(crate) serial: u64,
    pub(crate) secret: String,
    pub(crate) token: String,
}

impl Granted {
    /// The one call that every session policy allows.
    pub(crate) async fn works(&self) -> bool {
        self.caller.query("iam", "ListAccountAliases", &[]).await.is_ok()
    }
}

/// A role called by some function, in this process.
type Made<E> = (E, Wire, String);

impl Stage {
    /// One request of the deployed API, signed by this colleague. The answer, or the problem.
    pub(crate) async fn access(&self, who: &Colleague, method: &str, path: &str, body: &Value) -> Answered {
        self.access_with(who, method, path, &unique(), body).await
    }

    async fn access_with(&self, who: &Colleague, method: &str, path: &str, key: &str, body: &Value) -> Answered {
        let base = format!("/_aws/execute-api/{}/$default", self.output("AccessApiId"));
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match who.caller.send("execute-api", method, &format!("{base}{path}"), &headers, bytes).await {
            Ok(answer) => Answered { status: 200, body: serde_json::from_str(&answer).unwrap() },
            Err(Refusal { status, body, .. }) => {
                Answered { status, body: serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}")) }
            }
        }
    }

    /// Asks for an entitlement, and has to be heard.
    pub(crate) async fn asks(&self, who: &Colleague, entitlement: &str) -> Asking {
        let identity = Identity::generate();
        let mut wish = json!({
            "entitlement": entitlement, "seconds": 1800, "reason": "orders are stuck: see\n\"the board\"", "recipient": identity.to_public().to_string(),
        });
        if entitlement == "prod-deploy" {
            wish["ticket"] = json!("OPS-7");
        }
        let asked = self.access(who, "POST", "/grants", &wish).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        Asking { id: asked.text("grant"), digest: asked.text("digest"), body: asked.body, identity }
    }

    pub(crate) async fn shows(&self, who: &Colleague, asking: &Asking) -> Answered {
        self.access(who, "GET", &format!("/grants/{}", asking.id), &Value::Null).await
    }

    pub(crate) async fn approves(&self, who: &Colleague, asking: &Asking) -> Answered {
        self.access(who, "POST", &format!("/grants/{}/approval", asking.id), &json!({ "digest": asking.digest })).await
    }

    pub(crate) async fn denies_grant(&self, who: &Colleague, asking: &Asking) -> Answered {
        self.access(who, "POST", &format!("/grants/{}/denial", asking.id), &json!({ "reason": "not today" })).await
    }

    pub(crate) async fn ends(&self, who: &Colleague, asking: &Asking) -> Answered {
        self.access(who, "POST", &format!("/grants/{}/end", asking.id), &json!({ "reason": "it is done" })).await
    }

    pub(crate) async fn fetches(&self, who: &Colleague, asking: &Asking) -> Answered {
        self.access(who, "GET", &format!("/grants/{}/credentials", asking.id), &Value::Null).await
    }

    /// Waits for credentials of at least this number, and opens them.
    pub(crate) async fn opens(&self, who: &Colleague, asking: &Asking, serial: u64) -> Granted {
        let sealed = eventually("credentials", async || {
            let fetched = self.fetches(who, asking).await;
            (fetched.status == 200 && fetched.body["serial"].as_u64() >= Some(serial)).then_some(fetched)
        })
        .await;
        self.opened(asking, &sealed)
    }

    pub(crate) fn opened(&self, asking: &Asking, sealed: &Answered) -> Granted {
        let sealed_text = sealed.text("sealed");
        let decryptor = age::Decryptor::new(ArmoredReader::new(sealed_text.as_bytes())).unwrap();
        let mut plain = String::new();
        let identity: &dyn age::Identity = &asking.identity;
        decryptor.decrypt(std::iter::once(identity)).unwrap().read_to_string(&mut plain).unwrap();
        let opened: Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(opened["Version"], 1);
        let part = |name: &str| text(&opened[name]);
        let (secret, token) = (part("SecretAccessKey"), part("SessionToken"));
        let credentials = Credentials::new(part("AccessKeyId"), secret.clone(), Some(token.clone()), None, "test");
        let serial = sealed.body["serial"].as_u64().unwrap();
        Granted { caller: Caller { credentials, ..self.root.clone() }, serial, secret, token }
    }

    /// Waits until a probe has shown the end of a grant.
    pub(crate) async fn refused_at(&self, who: &Colleague, asking: &Asking) -> Value {
        eventually("a probe that is refused", async || {
            let shown = self.shows(who, asking).await;
            (shown.body["ended"]["refused_at"].is_string()).then_some(shown.body)
        })
        .await
    }

    /// Invokes one of the deployed functions and waits for what it says.
    pub(crate) async fn invokes(&self, function: &str, payload: &Value) -> Value {
        let path = format!("/2015-03-31/functions/{}/invocations", self.output(&format!("{function}FunctionName")));
        let answer = self
            .root
            .send("lambda", "POST", &path, &[("content-type", "application/json")], payload.to_string().into_bytes())
            .await;
        serde_json::from_str(&answer.unwrap_or_else(|refusal| panic!("{refusal:?}"))).unwrap()
    }

    /// A grant's row, as the table has it.
    pub(crate) async fn grant_row(&self, grant: &str) -> Value {
        let asked = json!({ "TableName": self.output("GrantsTable"), "Key": { "pk": { "S": format!("grant#{grant}") } }, "ConsistentRead": true });
        self.root.json("dynamodb", "DynamoDB_20120810.GetItem", &asked).await.unwrap()["Item"].clone()
    }

    /// What somebody could do who may write the table, and nothing else: changes the grant in its row.
    pub(crate) async fn forge_row(&self, grant: &str, change: impl Fn(&mut Value)) {
        let row = self.grant_row(grant).await;
        let mut body: Value = serde_json::from_str(row["body"]["S"].as_str().unwrap()).unwrap();
        change(&mut body);
        let asked = json!({
            "TableName": self.output("GrantsTable"), "Key": { "pk": { "S": format!("grant#{grant}") } },
            "UpdateExpression": "SET body = :body, revision = :revision",
            "ExpressionAttributeValues": { ":body": { "S": body.to_string() }, ":revision": { "N": body["revision"].to_string() } },
        });
        self.root.json("dynamodb", "DynamoDB_20120810.UpdateItem", &asked).await.unwrap();
    }

    /// As if the newest session had a minute left.
    pub(crate) async fn let_the_session_near_its_end(&self, grant: &str) {
        let soon = calls::now().plus(std::time::Duration::from_secs(60)).millis().to_string();
        let asked = json!({
            "TableName": self.output("GrantsTable"), "Key": { "pk": { "S": format!("grant#{grant}") } },
            "UpdateExpression": "SET sealed.expires = :soon", "ExpressionAttributeValues": { ":soon": { "N": soon } },
        });
        self.root.json("dynamodb", "DynamoDB_20120810.UpdateItem", &asked).await.unwrap();
    }

    /// The document of ended grants on a target role.
    pub(crate) async fn ended_on(&self, entitlement: &str) -> Option<String> {
        let policy = format!("cordon-ended-{}", self.root.region);
        let asked = [("RoleName", entitlement), ("PolicyName", policy.as_str())];
        let answer = self.root.query("iam", "GetRolePolicy", &asked).await.ok()?;
        super::texts(&answer, "PolicyDocument").into_iter().next()
    }

    /// A caller with the credentials of one of the three functions.
    pub(crate) fn role_of(&self, function: &str) -> Caller {
        self.acting_as(&self.stack[function]["role_credentials"])
    }

    fn in_process<E>(
        &self,
        function: &str,
        variables: &[(&str, &str)],
        wire: Wire,
        make: impl FnOnce(Settings, &dyn Fn(&'static str) -> Option<String>, &responder::SdkConfig, CallLog, S3) -> E,
    ) -> Made<E> {
        let deployed = &self.stack[function]["environment"];
        let get = |name: &'static str| self.variable(name, variables, deployed);
        let config = self.config(&self.role_of(function), &wire, get);
        let settings = Settings::read(get).unwrap();
        let calls = CallLog::default();
        let store = S3::new(&config, calls.clone(), settings.bucket.clone());
        let environment = make(settings, &get, &config, calls, store);
        let name = format!("{}{}FunctionArn", function[..1].to_uppercase(), &function[1..]);
        (environment, wire, self.output(&name))
    }

    /// A sandbox of `mint` in this process, on a wire of its own.
    pub(crate) async fn mints(&self, grant: &str, wire: Wire) -> Result<mint::Answer, Transient> {
        let (environment, _, arn) = self.in_process("mint", &[], wire, |settings, get, config, calls, store| {
            mint::Environment::new(&settings, get, config, calls, store, || Some(Sha256::of(b"a test"))).unwrap()
        });
        let invocation = Invocation::read(&format!("mint-{}", unique()), &arn);
        Box::pin(mint::handle(json!({ "grant": grant }).to_string().as_bytes(), &invocation, &environment)).await
    }

    /// The same, killed when a request hangs; none if it was.
    pub(crate) async fn mints_until_hung(&self, grant: &str, wire: Wire) -> Option<Result<mint::Answer, Transient>> {
        let hung = wire.clone();
        tokio::select! {
            biased;
            answer = self.mints(grant, wire) => Some(answer),
            () = hung.hung() => None,
        }
    }

    /// A sandbox of `reconcile` in this process.
    pub(crate) async fn reconciles(
        &self,
        event: &Value,
        variables: &[(&str, &str)],
        wire: Wire,
    ) -> Result<reconcile::Answer, Transient> {
        let (environment, _, arn) = self.in_process("reconcile", variables, wire, |settings, get, config, calls, store| {
            reconcile::Environment::new(settings, get, config, calls, store, || Some(Sha256::of(b"a test"))).unwrap()
        });
        let invocation = Invocation::read(&format!("reconcile-{}", unique()), &arn);
        Box::pin(reconcile::handle(event.to_string().as_bytes(), &invocation, &environment)).await
    }

    /// A request of a sandbox of `access` in this process, as API Gateway would hand it over. Nobody is woken: `mint` and `reconcile` are called by the test.
    pub(crate) async fn accesses(&self, who: &Colleague, (method, path): (&str, &str), body: &Value, wire: Wire) -> Answered {
        let nobody = [("CORDON_MINT", "nobody"), ("CORDON_RECONCILE", "nobody")];
        let (environment, _, arn) = self.in_process("access", &nobody, wire, |settings, get, config, calls, store| {
            access::Environment::new(&settings, get, config, calls, store, || Some(Sha256::of(b"a test"))).unwrap()
        });
        let Colleague { role, role_id, session, .. } = who;
        let account = self.account();
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": { "content-type": "application/json", "idempotency-key": unique() },
            "requestContext": {
                "accountId": account, "apiId": self.output("AccessApiId"), "requestId": unique(),
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test" },
                "authorizer": { "iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": account, "callerId": format!("{role_id}:{session}"),
                    "userArn": format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"), "userId": format!("{role_id}:{session}"),
                } },
            },
            "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
        });
        let invocation = Invocation::read(&format!("access-{}", unique()), &arn);
        Answered::of(&Box::pin(access::handle(event.to_string().as_bytes(), &invocation, &environment)).await)
    }

    /// An asking that was answered by [`Stage::accesses`].
    pub(crate) fn wish(&self, entitlement: &str) -> (Identity, Value) {
        let identity = Identity::generate();
        let recipient = identity.to_public().to_string();
        let mut wish = json!({ "entitlement": entitlement, "seconds": 1800, "reason": "orders are stuck", "recipient": recipient });
        if entitlement == "prod-deploy" {
            wish["ticket"] = json!("OPS-7");
        }
        (identity, wish)
    }

    /// What an answer to a wish stands for.
    pub(crate) fn asking(&self, identity: Identity, answered: Answered) -> Asking {
        assert!(answered.status < 300, "{}", answered.body);
        Asking { id: answered.text("grant"), digest: answered.text("digest"), body: answered.body, identity }
    }
}
