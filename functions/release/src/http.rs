//! The API's requests and answers: API Gateway's payload format 2.0 in, `application/json` or `application/problem+json` (RFC 9457) out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence_store::StoreError;
use hold::HoldError;
use ids::{IncidentId, Sha256};
use people::{Caller, Iam};
use plan::release::Difference;
use playbook::Decision;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// No body that is asked for here is longer.
const LARGEST_BODY: usize = 8 * 1024;
/// A reason is a sentence or three.
const LONGEST_REASON: usize = 500;

/// The fields of an event that are used (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    raw_path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    api_id: String,
    http: Http,
    authorizer: Option<Authorizer>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Deserialize)]
struct Authorizer {
    iam: Option<Iam>,
}

/// A request, sorted.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) caller: Caller,
    pub(crate) route: Route,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Route {
    Ask(Ask),
    Show(IncidentId),
    Approve(IncidentId, Approve),
    Deny(IncidentId, Deny),
}

/// `POST /releases`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    pub(crate) incident: IncidentId,
    pub(crate) reason: String,
    /// Who asks knows that stolen sessions may not have run out.
    #[serde(default)]
    pub(crate) early: bool,
}

/// `POST /releases/INCIDENT/approval`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    pub(crate) digest: Sha256,
}

/// `POST /releases/INCIDENT/denial`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deny {
    pub(crate) reason: String,
}

impl Request {
    /// The request in an event of the API whose id is `api`.
    pub(crate) fn parse(bytes: &[u8], api: &str) -> Result<Self, Problem> {
        let event: Event = serde_json::from_slice(bytes).map_err(|_| Problem::new(400, "this is no request of an HTTP API"))?;
        if event.version != "2.0" || event.request_context.api_id != api {
            return Err(Problem::new(400, "this is no request of this function's own API"));
        }
        let route = route(&event)?;
        let iam = event.request_context.authorizer.and_then(|authorizer| authorizer.iam);
        let iam = iam.ok_or_else(|| Problem::new(401, "the request is not signed: IAM says nothing of who calls"))?;
        let caller = Caller::parse(&iam).map_err(|error| Problem::new(403, error.to_string()))?;
        Ok(Self { caller, route })
    }
}

fn route(event: &Event) -> Result<Route, Problem> {
    let method = event.request_context.http.method.as_str();
    let parts: Vec<&str> = event.raw_path.trim_matches('/').split('/').collect();
    let incident = |text: &str| text.parse::<IncidentId>().map_err(|error| Problem::new(404, error.to_string()));
    let only = |allowed: &str| {
        let problem = Problem::new(405, format!("{allowed} is the method here"));
        if method == allowed { Ok(()) } else { Err(problem.with_header("allow", allowed)) }
    };
    match parts.as_slice() {
        ["releases"] => {
            only("POST")?;
            let ask: Ask = body(event)?;
            reason(&ask.reason)?;
            Ok(Route::Ask(ask))
        }
        ["releases", id] => {
            only("GET")?;
            Ok(Route::Show(incident(id)?))
        }
        ["releases", id, "approval"] => {
            only("POST")?;
            Ok(Route::Approve(incident(id)?, body(event)?))
        }
        ["releases", id, "denial"] => {
            only("POST")?;
            let deny: Deny = body(event)?;
            reason(&deny.reason)?;
            Ok(Route::Deny(incident(id)?, deny))
        }
        _ => Err(Problem::new(404, "there is /releases, /releases/INCIDENT, its /approval and its /denial")),
    }
}

fn body<B: DeserializeOwned>(event: &Event) -> Result<B, Problem> {
    let kind = event.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.as_str());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(415, "the body is to be application/json"));
    }
    let text = event.body.as_deref().unwrap_or_default();
    // Base64 is a third longer.
    if text.len() > LARGEST_BODY * 4 / 3 + 4 {
        return Err(Problem::new(413, "the body is longer than 8 KiB"));
    }
    let bytes = if event.is_base64_encoded {
        STANDARD.decode(text).map_err(|_| Problem::new(400, "the body is said to be base64 and is not"))?
    } else {
        text.as_bytes().to_vec()
    };
    if bytes.len() > LARGEST_BODY {
        return Err(Problem::new(413, "the body is longer than 8 KiB"));
    }
    // serde's message may quote what it read: only the place is told.
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(400, format!("the body is not what is asked for here (line {}, column {})", error.line(), error.column()))
    })
}

fn reason(text: &str) -> Result<(), Problem> {
    let odd = |c: char| c.is_control() && c != '\n';
    if text.trim().is_empty() || text.chars().count() > LONGEST_REASON || text.contains(odd) {
        return Err(Problem::new(400, "the reason is to be 1 to 500 characters, in plain text"));
    }
    Ok(())
}

/// An answer, as API Gateway takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    /// The HTTP status.
    #[serde(rename = "statusCode")]
    pub status: u16,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", body, BTreeMap::new())
    }

    fn of(status: u16, kind: &str, body: &Value, mut headers: BTreeMap<String, String>) -> Self {
        headers.insert("content-type".to_owned(), kind.to_owned());
        headers.insert("cache-control".to_owned(), "no-store".to_owned());
        Self { status, headers, body: body.to_string() }
    }
}

/// Why a request is not answered as it wished: one clear sentence (RFC 9457).
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The sentence.
    pub detail: String,
    more: BTreeMap<&'static str, Value>,
    headers: BTreeMap<String, String>,
}

impl Problem {
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: BTreeMap::new(), headers: BTreeMap::new() }
    }

    /// Something that is needed is away for now. Nothing was opened.
    pub(crate) fn unavailable(what: &str) -> Self {
        Self::new(503, format!("{what}; try again"))
    }

    pub(crate) fn forbidden(decision: &Decision) -> Self {
        let mut problem = Self::new(403, format!("{} [{}]", decision.reason, decision.rule));
        problem.more.insert("rule", json!(decision.rule));
        problem
    }

    pub(crate) fn with_differences(mut self, differences: &[Difference]) -> Self {
        self.more.insert("differences", json!(differences));
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.insert(name, value);
        self
    }

    pub(crate) fn with_record(self, key: &str) -> Self {
        self.with("record", json!(key))
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn into_response(self) -> Response {
        let title = match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            410 => "Gone",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let mut body = json!({ "type": "about:blank", "title": title, "status": self.status, "detail": self.detail });
        if let Some(fields) = body.as_object_mut() {
            fields.extend(self.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        Response::of(self.status, "application/problem+json", &body, self.headers)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.passes { Self::unavailable(&error.to_string()) } else { Self::new(409, error.to_string()) }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        Self::unavailable(&error.to_string())
    }
}

impl From<evidence_store::RecordFailure> for Problem {
    fn from(error: evidence_store::RecordFailure) -> Self {
        Self::unavailable(&error.to_string())
    }
}

impl From<serde_json::Error> for Problem {
    fn from(_: serde_json::Error) -> Self {
        Self::new(500, "what is proposed cannot be put into JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCIDENT: &str = "inc-0123456789abcdef0123";

    fn event(method: &str, path: &str, body: Option<&str>) -> Value {
        json!({
            "version": "2.0", "routeKey": "x", "rawPath": path, "rawQueryString": "",
            "headers": { "Content-Type": "application/json; charset=utf-8" },
            "requestContext": {
                "accountId": "123456789012", "apiId": "api-1", "requestId": "r-1",
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x" },
                "authorizer": { "iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": "123456789012", "callerId": "AROAEXAMPLEROLEID1234:alice",
                    "cognitoIdentity": null, "principalOrgId": "o-1",
                    "userArn": "arn:aws:sts::123456789012:assumed-role/Admin/alice", "userId": "AROAEXAMPLEROLEID1234:alice",
                } },
            },
            "body": body, "isBase64Encoded": false,
        })
    }

    fn parse(event: &Value) -> Result<Route, (u16, String)> {
        let parsed = Request::parse(event.to_string().as_bytes(), "api-1");
        parsed.map(|request| request.route).map_err(|problem| (problem.status, problem.detail))
    }

    fn status(event: &Value) -> u16 {
        parse(event).err().map_or(200, |(status, _)| status)
    }

    #[test]
    fn each_route_takes_its_method_and_its_body() {
        let ask = format!(r#"{{"incident":"{INCIDENT}","reason":"a decoy"}}"#);
        assert!(matches!(parse(&event("POST", "/releases", Some(&ask))), Ok(Route::Ask(Ask { early: false, .. }))));
        let path = format!("/releases/{INCIDENT}");
        assert!(matches!(parse(&event("GET", &path, None)), Ok(Route::Show(_))));
        let approve = format!(r#"{{"digest":"{}"}}"#, "0".repeat(64));
        assert!(matches!(parse(&event("POST", &format!("{path}/approval"), Some(&approve))), Ok(Route::Approve(..))));
        let deny = r#"{"reason":"no"}"#;
        assert!(matches!(parse(&event("POST", &format!("{path}/denial"), Some(deny))), Ok(Route::Deny(..))));
        let mut encoded = event("POST", "/releases", Some(&STANDARD.encode(&ask)));
        encoded["isBase64Encoded"] = json!(true);
        assert!(matches!(parse(&encoded), Ok(Route::Ask(_))));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence_with_its_status() {
        let ask = format!(r#"{{"incident":"{INCIDENT}","reason":"a decoy"}}"#);
        let long = format!(r#"{{"incident":"{INCIDENT}","reason":"{}"}}"#, "x".repeat(9000));
        let wordy = format!(r#"{{"incident":"{INCIDENT}","reason":"{}"}}"#, "x".repeat(501));
        let approval = format!("/releases/{INCIDENT}/approval");
        for (expected, event) in [
            (404, event("GET", "/", None)),
            (404, event("GET", "/releases/inc-1", None)),
            (404, event("GET", &format!("/releases/{INCIDENT}/more"), None)),
            (405, event("GET", "/releases", None)),
            (405, event("DELETE", &format!("/releases/{INCIDENT}"), None)),
            (405, event("GET", &approval, None)),
            (400, event("POST", "/releases", None)),
            (400, event("POST", "/releases", Some("nonsense"))),
            (400, event("POST", "/releases", Some(r#"{"incident":"inc-1","reason":"x"}"#))),
            (400, event("POST", "/releases", Some(&ask.replace("reason", "reasons")))),
            (400, event("POST", "/releases", Some(&ask.replace("a decoy", " ")))),
            (400, event("POST", "/releases", Some(&ask.replace("a decoy", "\\u001b[31m")))),
            (400, event("POST", "/releases", Some(&wordy))),
            (413, event("POST", "/releases", Some(&long))),
            (400, event("POST", &approval, Some(r#"{"digest":"abc"}"#))),
        ] {
            assert_eq!(status(&event), expected, "{event}");
        }
        let change = |pointer: &str, value: Value| {
            let mut event = event("POST", "/releases", Some(&ask));
            if let Some(place) = event.pointer_mut(pointer) {
                *place = value;
            }
            event
        };
        assert_eq!(status(&change("/headers", json!({}))), 415);
        assert_eq!(status(&change("/headers/Content-Type", json!("text/plain"))), 415);
        assert_eq!(status(&change("/isBase64Encoded", json!(true))), 400);
        assert_eq!(status(&change("/version", json!("1.0"))), 400);
        assert_eq!(status(&change("/requestContext/apiId", json!("another"))), 400);
        assert_eq!(status(&change("/requestContext/authorizer", Value::Null)), 401);
        assert_eq!(status(&change("/requestContext/authorizer", json!({ "jwt": {} }))), 401);
        assert_eq!(status(&change("/requestContext/authorizer/iam/accountId", json!("999988887777"))), 403);
        assert_eq!(status(&json!({ "cordon": "release" })), 400);
        let (_, said) = parse(&event("POST", "/releases", Some(r#"{"reason": "secret-in-a-body""#))).unwrap_err();
        assert!(!said.contains("secret"), "{said}");
        let response = Problem::new(405, "x").with_header("allow", "GET").into_response();
        assert_eq!(response.headers["content-type"], "application/problem+json");
        assert_eq!(response.headers["allow"], "GET");
    }
}
