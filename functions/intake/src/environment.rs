//! What the process is given when it starts, and everyone it asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{Problem, Response};
use aws_sdk_dynamodb::Client as Dynamo;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_lambda::Client as Lambda;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_secretsmanager::Client as Secrets;
use ids::{Sha256, Timestamp};
use outside::{Address, Http, HttpRequest};
use redact::{Config, Redactor};
use responder::{SettingsError, Variables};
use serde_json::json;
use signal::Leak;
use tokio::sync::Mutex;
use webhook::{Alert, DOORS, Keys, Named, Refusal, Wrong};
use zeroize::Zeroizing;

/// The doors' keys are asked for again after so long: a key that somebody changed holds within a minute.
const KEYS_LAST: Duration = Duration::from_secs(60);
/// A body is somebody's for so long. Longer than any sender waits, and shorter than any waits before it tries again.
const LEASE: Duration = Duration::from_secs(20);
/// A body is known for so long. Afterwards it would be handed on once more: what is ended already stays as it is, and what somebody has
/// made active again since is ended again.
const KNOWN_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// GitHub is waited for so long.
const GITHUB_WAITS: Duration = Duration::from_secs(4);
const GITHUB: &str = "https://api.github.com";
const AGENT: &str = concat!("cordon/", env!("CARGO_PKG_VERSION"));

/// Settings and clients: built once, lent to every request.
#[derive(Debug)]
pub struct Environment {
    pub(crate) redactor: Redactor,
    function: String,
    seen: Dynamo,
    table: String,
    lambda: Lambda,
    revoke: String,
    secrets: Secrets,
    secret: String,
    github: Address,
    outside: Http,
    keys: Mutex<Option<(Arc<Keys>, Timestamp)>>,
}

/// Whether a body has come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is ours to hand on.
    New,
    /// It was handed on.
    HandedOn,
    /// Another request is about to.
    Busy,
}

impl Environment {
    /// Reads the settings and builds the clients. Asks nobody.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn load(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, lambda_runtime::Error> {
        let config = responder::sdk_config(&get)?;
        Self::new(get, &config)
    }

    /// The same with another configuration of the SDK.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn new(get: impl Fn(&'static str) -> Option<String>, config: &responder::SdkConfig) -> Result<Self, lambda_runtime::Error> {
        let variables = Variables::new(get);
        let wrong = |name, expected| SettingsError::Wrong { name, expected };
        let redact: Config = variables.optional("CORDON_REDACT").unwrap_or_default().parse().map_err(SettingsError::from)?;
        let github = variables.optional("CORDON_GITHUB_API").unwrap_or_else(|| GITHUB.to_owned());
        Ok(Self {
            redactor: Redactor::new(&redact)?,
            function: variables.required("CORDON_FUNCTION")?,
            seen: Dynamo::new(config),
            table: variables.required("CORDON_SEEN")?,
            lambda: Lambda::new(config),
            revoke: variables.required("CORDON_REVOKE")?,
            secrets: Secrets::new(config),
            secret: variables.required("CORDON_KEYS")?,
            github: github.parse().map_err(|()| wrong("CORDON_GITHUB_API", "an https:// address"))?,
            outside: Http::without_connections(),
            keys: Mutex::new(None),
        })
    }

    /// The doors' keys: asked for once a minute. If they cannot be had, the last ones hold on.
    pub(crate) async fn keys(&self) -> Result<Arc<Keys>, String> {
        let mut kept = self.keys.lock().await;
        let now = calls::now();
        if let Some((keys, at)) = kept.as_ref()
            && now < at.plus(KEYS_LAST)
        {
            return Ok(Arc::clone(keys));
        }
        match self.secrets.get_secret_value().secret_id(&self.secret).send().await {
            Ok(answer) => {
                let text = Zeroizing::new(answer.secret_string.unwrap_or_default());
                let (keys, wrong) = Keys::read(text.as_bytes());
                let unreadable = wrong.contains(&Wrong::Shape);
                for wrong in wrong {
                    self.degraded(&wrong.to_string());
                }
                if unreadable {
                    return kept.as_ref().map(|(keys, _)| Arc::clone(keys)).ok_or_else(|| "they are no JSON object".to_owned());
                }
                let keys = Arc::new(keys);
                *kept = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(error) => match kept.as_ref() {
                Some((keys, _)) => {
                    self.degraded(&format!("the doors' keys may be old: {}", calls::cause(&error)));
                    Ok(Arc::clone(keys))
                }
                None => Err(calls::cause(&error)),
            },
        }
    }

    /// Notes that a body has come, unless it is noted.
    pub(crate) async fn note(&self, nonce: &Sha256) -> Result<Noted, String> {
        let now = calls::now();
        let answer = self
            .seen
            .update_item()
            .table_name(&self.table)
            .key("pk", text(nonce))
            .update_expression("SET lease_until = :until, expires = :expires")
            .condition_expression("attribute_not_exists(handed_on) AND (attribute_not_exists(lease_until) OR lease_until < :now)")
            .expression_attribute_values(":until", number(now.plus(LEASE).millis()))
            .expression_attribute_values(":now", number(now.millis()))
            .expression_attribute_values(":expires", number(now.plus(KNOWN_FOR).millis() / 1000))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Noted::New),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let handed = failed.item().is_some_and(|row| row.contains_key("handed_on"));
                    Ok(if handed { Noted::HandedOn } else { Noted::Busy })
                }
                _ => Err(calls::cause(&error)),
            },
        }
    }

    /// Notes that a body was handed on. If that fails, its next delivery is handed on too, which is harmless.
    pub(crate) async fn handed_on(&self, nonce: &Sha256) {
        let call = self.seen.update_item().table_name(&self.table).key("pk", text(nonce));
        let call = call.update_expression("SET handed_on = :now REMOVE lease_until");
        if let Err(error) = call.expression_attribute_values(":now", number(calls::now().millis())).send().await {
            self.degraded(&format!("a replay of this report will be handed on: {}", calls::cause(&error)));
        }
    }

    /// Lets go of a body that could not be handed on, so that the sender's next try is taken at once.
    pub(crate) async fn forget(&self, nonce: &Sha256) {
        let call = self.seen.update_item().table_name(&self.table).key("pk", text(nonce)).update_expression("REMOVE lease_until");
        if let Err(error) = call.send().await {
            self.degraded(&format!("this report is taken again only after its lease: {}", calls::cause(&error)));
        }
    }

    /// Puts leaks into the revoke function's queue.
    pub(crate) async fn hand_on(&self, leaks: &[Leak]) -> Result<(), String> {
        let payload = json!({ "cordon": "relay", "leaks": leaks }).to_string();
        let call = self.lambda.invoke().function_name(&self.revoke).invocation_type(InvocationType::Event);
        call.payload(Blob::new(payload)).send().await.map(drop).map_err(|error| calls::cause(&error))
    }

    /// Which keys an alert of GitHub's is about, by GitHub's own word (REST API, "Get a secret scanning alert"). None if it does not say.
    pub(crate) async fn ask_github(&self, alert: &Alert, token: &evidence::Secret<Zeroizing<String>>) -> Named {
        let asked = async {
            let mut request = HttpRequest::empty();
            let uri = format!("{}{}", self.github, alert.path());
            request.set_uri(uri).map_err(|_| "it has no address that can be asked".to_owned())?;
            let authorization = token.with(|token| Zeroizing::new(format!("Bearer {}", token.as_str())));
            let headers = [
                ("accept", "application/vnd.github+json"),
                ("authorization", authorization.as_str()),
                ("user-agent", AGENT),
                ("x-github-api-version", "2022-11-28"),
            ];
            for (name, value) in headers {
                request.headers_mut().try_insert(name, value.to_owned()).map_err(|_| "the token is none".to_owned())?;
            }
            let answer = self.outside.ask(request, 256 << 10).await.map_err(|_| "it cannot be reached".to_owned())?;
            let body = Zeroizing::new(answer.body);
            if answer.status != 200 {
                return Err(format!("it answers with {}", answer.status));
            }
            Ok(webhook::keys_of_alert(&body))
        };
        let answer =
            tokio::time::timeout(GITHUB_WAITS, asked).await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
        answer.unwrap_or_else(|cause| {
            self.degraded(&format!("GitHub does not say which key an alert is about: {cause}; a person has to look"));
            Named::default()
        })
    }

    pub(crate) fn queued(&self, reports: usize) -> Response {
        self.count("Queued");
        Response::json(202, &json!({ "outcome": "Queued", "reports": reports }))
    }

    pub(crate) fn repeated(&self) -> Response {
        self.count("Repeated");
        Response::json(
            200,
            &json!({ "outcome": "AlreadyReceived", "reason": "this very report has come before, and was handed on" }),
        )
    }

    pub(crate) fn nothing(&self, reason: &str) -> Response {
        Response::json(200, &json!({ "outcome": "Nothing", "reason": reason }))
    }

    /// Refuses a request: one count and one line, with nothing of what it said.
    pub(crate) fn refuse(&self, door: Option<&str>, from: Option<IpAddr>, refusal: &Refusal) -> Response {
        let door = DOORS.iter().find(|known| Some(known.id) == door).map_or("none", |known| known.id);
        let from = self.redactor.text(&from.map_or_else(String::new, |from| from.to_string())).0;
        self.count("Refused");
        println!("{}", json!({ "refused": refusal.code(), "door": door, "from": from, "why": refusal.to_string() }));
        problem(refusal.status(), refusal.code(), refusal.to_string()).into_response()
    }

    /// Cannot be done now.
    pub(crate) fn unavailable(&self, cause: &str) -> Response {
        self.count("Unavailable");
        println!("{}", json!({ "unavailable": self.redactor.text(cause).0 }));
        // Why is nobody's business outside.
        let problem = problem(503, "unavailable", "the report was not taken: send it again");
        problem.with_header("retry-after", "60").into_response()
    }

    /// Goes on, and says what is not as it should be.
    pub(crate) fn degraded(&self, what: &str) {
        self.count("Degraded");
        println!("{}", json!({ "degraded": self.redactor.text(what).0 }));
    }

    fn count(&self, metric: &str) {
        responder::count(&self.function, metric, 1, calls::now());
    }
}

/// A problem with a code, which senders' logs can be searched for.
fn problem(status: u16, code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(status, detail).with("code", json!(code))
}

fn text(digest: &Sha256) -> AttributeValue {
    AttributeValue::S(digest.to_string())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
