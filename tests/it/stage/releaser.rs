//! People and roles that ask for releases and approve them, and the function that lifts.

use calls::CallLog;
use evidence_store::S3;
use ids::Sha256;
use release::{Environment, Response};
use responder::{Invocation, Settings};
use serde_json::{Value, json};

use super::principal::unique;
use super::{Caller, Stage, Wire, texts};

/// The permission set whose people may approve, as the stack is deployed for tests.
const APPROVER: &str = "SecurityApprover";
const PATH: &str = "/aws-reserved/sso.amazonaws.com/us-east-1/";

/// Whoever calls the API.
#[derive(Debug, Clone)]
pub(crate) struct Colleague {
    pub(crate) caller: Caller,
    pub(crate) role: String,
    pub(crate) role_id: String,
    pub(crate) session: String,
}

/// What the API answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answered {
    pub(crate) fn of(response: &Response) -> Self {
        let body = serde_json::from_str(&response.body).unwrap();
        let kind = if response.status < 400 { "application/json" } else { "application/problem+json" };
        assert_eq!(response.headers["content-type"], kind);
        Self { status: response.status, body }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.body)).to_owned()
    }
}

/// One sandbox of the release function, in this process, under the deployed role's own credentials.
#[derive(Debug)]
pub(crate) struct Releaser {
    environment: Environment<S3>,
    pub(crate) wire: Wire,
    arn: String,
    api: String,
    account: String,
}

impl Releaser {
    /// What API Gateway would hand over, had it checked this colleague's signature.
    pub(crate) fn event(&self, who: &Colleague, method: &str, path: &str, body: &Value) -> Value {
        let Colleague { role, role_id, session, .. } = who;
        let account = &self.account;
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": { "content-type": "application/json" },
            "requestContext": {
                "accountId": account, "apiId": self.api, "requestId": unique(),
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test" },
                "authorizer": { "iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": account, "callerId": format!("{role_id}:{session}"),
                    "userArn": format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"), "userId": format!("{role_id}:{session}"),
                } },
            },
            "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
        })
    }

    pub(crate) async fn deliver(&self, event: &Value) -> Answered {
        let invocation = Invocation::read(&format!("release-{}", unique()), &self.arn);
        Answered::of(&Box::pin(release::handle(event.to_string().as_bytes(), &invocation, &self.environment)).await)
    }

    async fn call(&self, who: &Colleague, method: &str, path: &str, body: Value) -> Answered {
        self.deliver(&self.event(who, method, path, &body)).await
    }

    /// Asks, knowing that it is early.
    pub(crate) async fn ask(&self, who: &Colleague, incident: &str) -> Answered {
        self.ask_as(who, &json!({ "incident": incident, "reason": "the key was a decoy", "early": true })).await
    }

    pub(crate) async fn ask_as(&self, who: &Colleague, body: &Value) -> Answered {
        self.call(who, "POST", "/releases", body.clone()).await
    }

    pub(crate) async fn show(&self, who: &Colleague, incident: &str) -> Answered {
        self.call(who, "GET", &format!("/releases/{incident}"), Value::Null).await
    }

    pub(crate) async fn approve(&self, who: &Colleague, incident: &str, digest: &str) -> Answered {
        self.call(who, "POST", &format!("/releases/{incident}/approval"), json!({ "digest": digest })).await
    }

    pub(crate) async fn deny(&self, who: &Colleague, incident: &str) -> Answered {
        self.call(who, "POST", &format!("/releases/{incident}/denial"), json!({ "reason": "not yet" })).await
    }

    /// An approval that is killed when a request hangs; none if it was.
    pub(crate) async fn approve_until_hung(&self, who: &Colleague, incident: &str, digest: &str) -> Option<Answered> {
        tokio::select! {
            biased;
            answer = self.approve(who, incident, digest) => Some(answer),
            () = self.wire.hung() => None,
        }
    }
}

impl Stage {
    /// A caller with the release function's own credentials.
    pub(crate) fn release_role(&self) -> Caller {
        self.acting_as(&self.stack["release"]["role_credentials"])
    }

    pub(crate) fn releaser(&self) -> Releaser {
        self.releaser_with(&[], Wire::good())
    }

    /// A new sandbox of the release function in which some variables and the wire are different.
    pub(crate) fn releaser_with(&self, variables: &[(&str, &str)], wire: Wire) -> Releaser {
        let deployed = &self.stack["release"]["environment"];
        let get = |name: &'static str| self.variable(name, variables, deployed);
        let config = self.config(&self.release_role(), &wire, get);
        let settings = Settings::read(get).unwrap();
        let calls = CallLog::default();
        let store = S3::new(&config, calls.clone(), settings.bucket.clone());
        let environment = Environment::new(&settings, get, &config, calls, store, || Some(Sha256::of(b"a test"))).unwrap();
        let (arn, api) = (self.output("ReleaseFunctionArn"), self.output("ReleaseApiId"));
        Releaser { environment, wire, arn, api, account: self.account() }
    }

    /// A person of Identity Center who may approve.
    pub(crate) async fn an_approver(&self, name: &str) -> Colleague {
        self.colleague(&format!("AWSReservedSSO_{APPROVER}_{}", &unique()[4..20]), PATH, name).await
    }

    /// A person of Identity Center who may not.
    pub(crate) async fn a_person(&self, name: &str) -> Colleague {
        self.colleague(&format!("AWSReservedSSO_ReadOnly_{}", &unique()[4..20]), PATH, name).await
    }

    /// A session of a role that is called like Identity Center's, and is not.
    pub(crate) async fn an_impostor(&self, name: &str) -> Colleague {
        self.colleague(&format!("AWSReservedSSO_{APPROVER}_{}", &unique()[4..20]), "/", name).await
    }

    /// A session of some role.
    pub(crate) async fn an_automation(&self, name: &str) -> Colleague {
        self.colleague(&format!("automation-{}", unique()), "/", name).await
    }

    /// Changes the row of the newest request about an incident.
    pub(crate) async fn update_request(&self, incident: &str, update: &str) {
        let asked = json!({
            "TableName": self.output("Table"), "Key": { "pk": { "S": format!("release#{incident}") } }, "UpdateExpression": update,
        });
        self.root.json("dynamodb", "DynamoDB_20120810.UpdateItem", &asked).await.unwrap();
    }

    /// A person of Identity Center with this permission set.
    pub(crate) async fn a_person_of(&self, permission_set: &str, name: &str) -> Colleague {
        self.colleague(&format!("AWSReservedSSO_{permission_set}_{}", &unique()[4..20]), PATH, name).await
    }

    /// A session of a role that is called like one of Identity Center's, with this permission set, and is not.
    pub(crate) async fn an_impostor_of(&self, permission_set: &str, name: &str) -> Colleague {
        self.colleague(&format!("AWSReservedSSO_{permission_set}_{}", &unique()[4..20]), "/", name).await
    }

    /// A session of the role with this very name, which is made if it is not there.
    pub(crate) async fn a_session_of(&self, role: &str, name: &str) -> Colleague {
        self.colleague(role, "/", name).await
    }

    async fn colleague(&self, role: &str, path: &str, session: &str) -> Colleague {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "AWS": format!("arn:aws:iam::{}:root", self.account()) },
            }],
        })
        .to_string();
        let asked = [("RoleName", role), ("Path", path), ("AssumeRolePolicyDocument", trust.as_str())];
        match self.root.query("iam", "CreateRole", &asked).await {
            Ok(_) => {}
            Err(refusal) => assert_eq!(refusal.code, "EntityAlreadyExists", "{refusal:?}"),
        }
        let may = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": [self.output("ReleaseApiArn"), self.output("AccessApiArn")] }],
        })
        .to_string();
        let asked = [("RoleName", role), ("PolicyName", "call"), ("PolicyDocument", may.as_str())];
        self.root.query("iam", "PutRolePolicy", &asked).await.unwrap();
        let arn = format!("arn:aws:iam::{}:role{path}{role}", self.account());
        let made = self.root.query("sts", "AssumeRole", &[("RoleArn", &arn), ("RoleSessionName", session)]).await.unwrap();
        let part = |tag| texts(&made, tag).remove(0);
        let (key, secret, token) = (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"));
        let credentials = aws_credential_types::Credentials::new(key, secret, Some(token), None, "test");
        let role_id = part("AssumedRoleId").split(':').next().unwrap().to_owned();
        let caller = Caller { credentials, ..self.root.clone() };
        Colleague { caller, role: role.to_owned(), role_id, session: session.to_owned() }
    }
}
