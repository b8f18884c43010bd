//! The doors for webhooks on the local AWS, and whoever knocks there.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use intake::{Environment, Response};
use responder::Invocation;
use serde_json::{Value, json};
use sha2::Sha256;

use super::caller::plain;
use super::{Caller, Stage, Wire};

/// The doors' keys on the local AWS.
pub(crate) const GITHUB: &str = "github-key-of-the-tests";
pub(crate) const GITGUARDIAN: &str = "gitguardian-key-of-the-tests";
pub(crate) const FALCO: &str = "falco-key-of-the-tests";
/// What GitHub is asked with, and must stand nowhere.
pub(crate) const GITHUB_TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

/// A request as a sender makes it.
#[derive(Debug, Clone)]
pub(crate) struct Knock {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

fn signature(key: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let mac = mac.finalize().into_bytes();
    format!("sha256={}", mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl Knock {
    /// As the sender itself knocks. `path` is the door, or a canary's whole path.
    pub(crate) fn at(path: &str, body: &Value) -> Self {
        let body = body.to_string();
        let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        let mut set = |name: &str, value: String| headers.insert(name.to_owned(), value);
        match path {
            "github" => {
                set("x-hub-signature-256", signature(GITHUB, &body));
            }
            "gitguardian" => {
                let sent = (calls::now().millis() / 1000).to_string();
                set("gitguardian-signature", signature(&format!("{sent}{GITGUARDIAN}"), &body));
                set("timestamp", sent);
            }
            "falco" => {
                set("authorization", format!("Bearer {FALCO}"));
            }
            _ => {}
        }
        Self { path: path.to_owned(), headers, body }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What API Gateway makes of it.
    fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": format!("/{path}"),
            "rawQueryString": query,
            "headers": self.headers,
            "requestContext": { "http": { "method": "POST", "path": path, "sourceIp": "198.51.100.7" } },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

/// One sandbox of the intake function, in this process, under the deployed role's own credentials.
#[derive(Debug)]
pub(crate) struct Intake {
    environment: Environment,
    pub(crate) wire: Wire,
    arn: String,
}

impl Intake {
    pub(crate) async fn knock(&self, knock: &Knock) -> Response {
        let invocation = Invocation::read("a-knock", &self.arn);
        intake::handle(knock.event().to_string().as_bytes(), &invocation, &self.environment).await
    }

    /// A request that is killed when one of the function's own hangs; none if it was.
    pub(crate) async fn knock_until_hung(&self, knock: &Knock) -> Option<Response> {
        tokio::select! {
            biased;
            answer = self.knock(knock) => Some(answer),
            () = self.wire.hung() => None,
        }
    }
}

impl Stage {
    pub(crate) fn intake_role(&self) -> Caller {
        self.acting_as(&self.stack["intake"]["role_credentials"])
    }

    /// Gives every door its key, and answers the canary's path.
    pub(crate) async fn open_the_doors(&self) -> String {
        let keys = json!({
            "github": [GITHUB, "another-key-of-github"],
            "gitguardian": GITGUARDIAN,
            "falco": FALCO,
            "github_token": GITHUB_TOKEN,
            "canary": "canary-key-of-the-tests",
        });
        let asked = json!({ "SecretId": self.output("DoorKeysArn"), "SecretString": keys.to_string() });
        self.root.json("secretsmanager", "secretsmanager.PutSecretValue", &asked).await.unwrap();
        "canary/canary-key-of-the-tests".to_owned()
    }

    /// A new sandbox of the intake function in which some variables and the wire are different.
    pub(crate) fn intake_with(&self, variables: &[(&str, &str)], wire: Wire) -> Intake {
        let deployed = &self.stack["intake"]["environment"];
        let get = |name: &'static str| self.variable(name, variables, deployed);
        let config = self.config(&self.intake_role(), &wire, get);
        Intake { environment: Environment::new(get, &config).unwrap(), wire, arn: self.output("IntakeFunctionName") }.at_home(self)
    }

    /// As if every lease on a report had run out.
    pub(crate) async fn let_notes_lapse(&self) {
        let table = self.output("SeenTable");
        let rows = self.root.json("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": table })).await.unwrap();
        for row in rows["Items"].as_array().unwrap().iter().filter(|row| row.get("lease_until").is_some()) {
            let asked = json!({
                "TableName": table,
                "Key": { "pk": row["pk"] },
                "UpdateExpression": "SET lease_until = :past",
                "ExpressionAttributeValues": { ":past": { "N": "1" } },
            });
            self.root.json("dynamodb", "DynamoDB_20120810.UpdateItem", &asked).await.unwrap();
        }
    }

    /// Knocks at the deployed API. The status, and what it says.
    pub(crate) async fn knock(&self, knock: &Knock) -> (u16, Value) {
        let url = self.output("DoorsUrl");
        let id = url.split("//").nth(1).unwrap().split('.').next().unwrap().to_owned();
        let port = self.root.endpoint.rsplit(':').next().unwrap().to_owned();
        let mut request = HttpRequest::new(SdkBody::from(knock.body.clone()));
        request.set_method("POST").unwrap();
        request.set_uri(format!("{}/{}", self.root.endpoint, knock.path)).unwrap();
        for (name, value) in &knock.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        request.headers_mut().insert("host", format!("{id}.execute-api.localhost:{port}"));
        let answer = plain().call(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = ByteStream::new(answer.into_body()).collect().await.unwrap().to_vec();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

impl Intake {
    fn at_home(mut self, stage: &Stage) -> Self {
        self.arn = format!("arn:aws:lambda:{}:{}:function:{}", stage.root.region, stage.account(), self.arn);
        self
    }
}
