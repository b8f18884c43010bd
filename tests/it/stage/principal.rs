//! Users and roles on the local AWS, thieves with their credentials, and the function that ends those.

use aws_credential_types::Credentials;
use calls::CallLog;
use evidence_store::S3;
use ids::Sha256;
use responder::{Invocation, Settings, Transient};
use revoke::{Answer, Environment};
use serde_json::{Value, json};

use super::{Caller, Stage, Wire, texts};

const FINDING: &str = include_str!("../../../events/leaks/user-key-malicious-ip.json");
static NTH: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// The document on a role, as it is called in the Region of the local AWS.
pub(crate) const DENIES: &str = "cordon-revoked-us-east-1";

/// A number that no other test has: names and finding ids are made of it.
pub(crate) fn unique() -> String {
    let nth = NTH.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    format!("{:08x}{:08x}{nth:04x}", std::process::id(), calls::now().millis() & 0xffff_ffff)
}

/// Whoever can call AWS.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The user's or the role's name.
    pub(crate) name: String,
    /// The user's key, or the session's.
    pub(crate) key: String,
    /// `AROA…:session`, for sessions.
    pub(crate) userid: String,
    pub(crate) caller: Caller,
}

impl Person {
    /// Whether the credentials are good for anything.
    pub(crate) async fn works(&self) -> bool {
        self.caller.query("iam", "ListUsers", &[]).await.is_ok()
    }
}

/// One sandbox of the revoke function, in this process, under the deployed role's own credentials.
#[derive(Debug)]
pub(crate) struct Revoker {
    environment: Environment<S3>,
    pub(crate) wire: Wire,
    arn: String,
}

impl Revoker {
    pub(crate) async fn deliver(&self, event: &Value) -> Result<Answer, Transient> {
        let invocation = Invocation::read(&format!("revocation-{}", unique()), &self.arn);
        revoke::handle(event.to_string().as_bytes(), &invocation, &self.environment).await
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

impl Stage {
    /// A caller with the revoke function's own credentials.
    pub(crate) fn revoke_role(&self) -> Caller {
        self.acting_as(&self.stack["revoke"]["role_credentials"])
    }

    pub(crate) fn revoker(&self) -> Revoker {
        self.revoker_with(&[], Wire::good())
    }

    /// A new sandbox of the revoke function in which some variables and the wire are different.
    pub(crate) fn revoker_with(&self, variables: &[(&str, &str)], wire: Wire) -> Revoker {
        let deployed = &self.stack["revoke"]["environment"];
        let get = |name: &'static str| self.variable(name, variables, deployed);
        let config = self.config(&self.revoke_role(), &wire, get);
        let settings = Settings::read(get).unwrap();
        let calls = CallLog::default();
        let store = S3::new(&config, calls.clone(), settings.bucket.clone());
        let environment = Environment::new(settings, get, &config, calls, store, || Some(Sha256::of(b"a test"))).unwrap();
        Revoker { environment, wire, arn: self.output("RevokeFunctionArn") }
    }

    /// Another account of the same local AWS, as its own root user sees it. The stack is not there: only users and roles are made in it.
    pub(crate) fn in_account(&self, account: &str) -> Self {
        let mut stack = self.stack.clone();
        stack["account"] = json!(account);
        let root = Caller { credentials: Credentials::new(account, "test", None, None, "test"), ..self.root.clone() };
        Self { stack, root, ..Self::open() }
    }

    /// The account that `infra/member.yaml` is deployed in.
    pub(crate) fn member(&self) -> Self {
        self.in_account(&super::text(&self.stack["member"]["account"]))
    }

    /// A new user who may do everything, with a key.
    pub(crate) async fn a_user(&self) -> Person {
        self.a_user_called(&format!("user-{}", unique())).await
    }

    /// A user of that name who may do everything, with a key.
    pub(crate) async fn a_user_called(&self, name: &str) -> Person {
        self.root.query("iam", "CreateUser", &[("UserName", name)]).await.unwrap();
        let all = everything();
        let asked = [("UserName", name), ("PolicyName", "all"), ("PolicyDocument", all.as_str())];
        self.root.query("iam", "PutUserPolicy", &asked).await.unwrap();
        self.another_key(name).await
    }

    /// One more key of a user.
    pub(crate) async fn another_key(&self, name: &str) -> Person {
        loop {
            let made = self.root.query("iam", "CreateAccessKey", &[("UserName", name)]).await.unwrap();
            let part = |tag| texts(&made, tag).remove(0);
            let key = part("AccessKeyId");
            // The emulator draws ids, and one in a few names an account by chance: on AWS it would name this one.
            if key.parse::<ids::AccessKeyId>().unwrap().account().is_some() {
                let asked = [("UserName", name), ("AccessKeyId", key.as_str())];
                self.root.query("iam", "DeleteAccessKey", &asked).await.unwrap();
                continue;
            }
            let credentials = Credentials::new(key.clone(), part("SecretAccessKey"), None, None, "test");
            let caller = Caller { credentials, ..self.root.clone() };
            return Person { name: name.to_owned(), key, userid: String::new(), caller };
        }
    }

    /// A new role that may do everything and that anyone of the account may assume. Its name.
    pub(crate) async fn a_role(&self) -> String {
        self.a_role_called(&format!("role-{}", unique())).await
    }

    /// The same, of that name.
    pub(crate) async fn a_role_called(&self, name: &str) -> String {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "AWS": format!("arn:aws:iam::{}:root", self.account()) },
            }],
        });
        let trust = trust.to_string();
        self.root.query("iam", "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await.unwrap();
        let all = everything();
        let asked = [("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", all.as_str())];
        self.root.query("iam", "PutRolePolicy", &asked).await.unwrap();
        name.to_owned()
    }

    /// A session of a role. An instance's is called like the instance.
    pub(crate) async fn a_session(&self, role: &str, session: &str) -> Person {
        let arn = format!("arn:aws:iam::{}:role/{role}", self.account());
        let made = self.root.query("sts", "AssumeRole", &[("RoleArn", &arn), ("RoleSessionName", session)]).await.unwrap();
        let part = |tag| texts(&made, tag).remove(0);
        let key = part("AccessKeyId");
        let credentials = Credentials::new(key.clone(), part("SecretAccessKey"), Some(part("SessionToken")), None, "test");
        Person { name: role.to_owned(), key, userid: part("AssumedRoleId"), caller: Caller { credentials, ..self.root.clone() } }
    }

    /// A session of a user, from `GetSessionToken`.
    pub(crate) async fn a_session_token(&self, user: &Person) -> Person {
        let made = user.caller.query("sts", "GetSessionToken", &[]).await.unwrap();
        let part = |tag| texts(&made, tag).remove(0);
        let key = part("AccessKeyId");
        let credentials = Credentials::new(key.clone(), part("SecretAccessKey"), Some(part("SessionToken")), None, "test");
        Person { name: user.name.clone(), key, userid: String::new(), caller: Caller { credentials, ..self.root.clone() } }
    }

    /// What Cordon denies on a role, if anything: the document as it is.
    pub(crate) async fn denies(&self, role: &str) -> Option<Value> {
        let asked = [("RoleName", role), ("PolicyName", DENIES)];
        let answer = self.root.query("iam", "GetRolePolicy", &asked).await.ok()?;
        let document = texts(&answer, "PolicyDocument").remove(0);
        let plain = document.replace("&quot;", "\"");
        let bytes = percent_decoded(&plain);
        Some(serde_json::from_str(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes}")))
    }

    /// The row of a principal's hold: `iam:role:…` or `iam:user:…` without the account.
    pub(crate) async fn principal_row(&self, kind: &str, name: &str) -> Value {
        self.held(&self.principal(kind, name)).await
    }

    /// As if the lease of a dead invocation had run out.
    pub(crate) async fn let_the_principals_lease_run_out(&self, kind: &str, name: &str) {
        self.let_the_lease_on_run_out(&self.principal(kind, name)).await;
    }

    fn principal(&self, kind: &str, name: &str) -> String {
        format!("iam:{kind}:{}:{name}", self.account())
    }
}

fn everything() -> String {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] }).to_string()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            plain.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(plain).unwrap()
}

/// A finding, as the drill's source puts it, about credentials of `details`, first seen a minute ago.
fn finding(stage: &Stage, kind: &str, details: &Value) -> Value {
    let mut event: Value = serde_json::from_str(FINDING).unwrap();
    let now = calls::now();
    let earlier = ids::Timestamp::saturating(now.millis() - 60_000);
    for (pointer, value) in [
        ("/source", json!("cordon.drill")),
        ("/account", json!(stage.account())),
        ("/region", json!(stage.root.region)),
        ("/time", json!(now.to_string())),
        ("/detail/accountId", json!(stage.account())),
        ("/detail/region", json!(stage.root.region)),
        ("/detail/type", json!(kind)),
        ("/detail/id", json!(format!("{:0>32}", unique()))),
        ("/detail/updatedAt", json!(now.to_string())),
        ("/detail/createdAt", json!(earlier.to_string())),
        ("/detail/service/eventFirstSeen", json!(earlier.to_string())),
        ("/detail/service/eventLastSeen", json!(now.to_string())),
        ("/detail/resource/accessKeyDetails", details.clone()),
    ] {
        *event.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    }
    event
}

/// A finding about a user's key.
pub(crate) fn key_finding(stage: &Stage, thief: &Person) -> Value {
    let details =
        json!({ "accessKeyId": thief.key, "principalId": "AIDAEXAMPLEUSERID1234", "userType": "IAMUser", "userName": thief.name });
    finding(stage, "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom", &details)
}

/// A finding about a session, by its names alone.
pub(crate) fn session_finding_of(stage: &Stage, (role, role_id): (&str, &str), session: &str) -> Value {
    let userid = format!("{role_id}:{session}");
    let details =
        json!({ "accessKeyId": "ASIARZPUZDIKFJNBPQ4Z", "principalId": userid, "userType": "AssumedRole", "userName": role });
    finding(stage, "UnauthorizedAccess:IAMUser/TorIPCaller", &details)
}

/// A finding about a session of a role.
pub(crate) fn session_finding(stage: &Stage, thief: &Person) -> Value {
    let details =
        json!({ "accessKeyId": thief.key, "principalId": thief.userid, "userType": "AssumedRole", "userName": thief.name });
    let kind = if thief.userid.contains(":i-") {
        "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"
    } else {
        "UnauthorizedAccess:IAMUser/TorIPCaller"
    };
    finding(stage, kind, &details)
}
