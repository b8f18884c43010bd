//! A request, as API Gateway hands it over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use people::{Caller, Iam};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Problem;

/// A request of an HTTP API: payload format 2.0 (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs"), as far
/// as it is used.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(default)]
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    api_id: String,
    http: Http,
    authorizer: Option<Authorizer>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    #[serde(default)]
    method: String,
    #[serde(default)]
    source_ip: String,
}

#[derive(Clone, Deserialize)]
struct Authorizer {
    iam: Option<Iam>,
    jwt: Option<Jwt>,
}

#[derive(Clone, Deserialize)]
struct Jwt {
    claims: Option<Map<String, Value>>,
}

impl fmt::Debug for Event {
    /// Its method: a path, a header or a body may be somebody's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("method", &self.method()).finish_non_exhaustive()
    }
}

impl Event {
    /// The request in an event of the API whose id is `api`.
    ///
    /// # Errors
    /// 400 if it is no such event.
    pub fn parse(bytes: &[u8], api: &str) -> Result<Self, Problem> {
        let event = Self::read(bytes)?;
        if event.version != "2.0" || event.request_context.api_id != api {
            return Err(Problem::new(400, "this is no request of this function's own API"));
        }
        Ok(event)
    }

    /// The request in an event of any API: for who believes nothing that API Gateway says of it.
    ///
    /// # Errors
    /// 400 if it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|_| Problem::new(400, "this is no request of an HTTP API"))
    }

    /// The method, in capitals as HTTP has it.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request_context.http.method
    }

    /// The path, as it was sent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.raw_path
    }

    /// The path's parts.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        self.raw_path.trim_matches('/').split('/').collect()
    }

    /// Whether there is a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        !self.raw_query_string.is_empty()
    }

    /// Demands a method.
    ///
    /// # Errors
    /// 405, and which it is to be.
    pub fn only(&self, allowed: &str) -> Result<(), Problem> {
        if self.method() == allowed {
            return Ok(());
        }
        Err(Problem::new(405, format!("{allowed} is the method here")).with_header("allow", allowed))
    }

    /// A header's value, however its name is spelt.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(spelt, _)| spelt.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// The address of whoever sent it.
    #[must_use]
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.request_context.http.source_ip.parse().ok()
    }

    /// Who IAM says calls.
    ///
    /// # Errors
    /// 401 if it says nothing; 403 if what it says does not fit together.
    pub fn caller(&self) -> Result<Caller, Problem> {
        let iam = self.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.iam.as_ref());
        let iam = iam.ok_or_else(|| Problem::new(401, "the request is not signed: IAM says nothing of who calls"))?;
        Caller::parse(iam).map_err(|error| Problem::new(403, error.to_string()))
    }

    /// The claims of a token that API Gateway's JWT authorizer has checked.
    #[must_use]
    pub fn claims(&self) -> Option<&Map<String, Value>> {
        self.request_context.authorizer.as_ref()?.jwt.as_ref()?.claims.as_ref()
    }

    /// The body's own bytes. What claims to be base64 and is not is taken as it is: no signature holds over it then.
    #[must_use]
    pub fn body(&self) -> Cow<'_, [u8]> {
        let text = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded
            && let Ok(bytes) = STANDARD.decode(text)
        {
            return Cow::Owned(bytes);
        }
        Cow::Borrowed(text.as_bytes())
    }

    /// What the body says, in JSON of at most `largest` bytes.
    ///
    /// # Errors
    /// 415 if it is called something else, 413 if it is longer, 400 if it is not what is asked for. Nothing of it is quoted.
    pub fn json<B: DeserializeOwned>(&self, largest: usize) -> Result<B, Problem> {
        let kind = self.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(415, "the body is to be application/json"));
        }
        let too_long = || Problem::new(413, format!("the body is longer than {largest} bytes"));
        let text = self.body.as_deref().unwrap_or_default();
        // Base64 is a third longer.
        if text.len() > largest.saturating_mul(4) / 3 + 4 {
            return Err(too_long());
        }
        let bytes = if self.is_base64_encoded {
            STANDARD.decode(text).map_err(|_| Problem::new(400, "the body is said to be base64 and is not"))?
        } else {
            text.as_bytes().to_vec()
        };
        if bytes.len() > largest {
            return Err(too_long());
        }
        // serde's message may quote what it read: only the place is told.
        serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(400, format!("the body is not what is asked for here (line {}, column {})", error.line(), error.column()))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        text: String,
    }

    fn event() -> Value {
        json!({
            "version": "2.0", "routeKey": "x", "rawPath": "/notes/7", "rawQueryString": "",
            "headers": { "Content-Type": "application/json; charset=utf-8", "idempotency-key": "k-1" },
            "requestContext": {
                "accountId": "123456789012", "apiId": "api-1", "requestId": "r-1",
                "http": { "method": "POST", "path": "/notes/7", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x" },
                "authorizer": { "iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": "123456789012", "callerId": "AROAEXAMPLEROLEID1234:alice",
                    "cognitoIdentity": null, "principalOrgId": "o-1",
                    "userArn": "arn:aws:sts::123456789012:assumed-role/Admin/alice", "userId": "AROAEXAMPLEROLEID1234:alice",
                } },
            },
            "body": r#"{"text":"hello"}"#, "isBase64Encoded": false,
        })
    }

    fn with(pointer: &str, value: Value) -> Event {
        read(pointer, value).unwrap()
    }

    fn read(pointer: &str, value: Value) -> Result<Event, Problem> {
        let mut event = event();
        if let Some(place) = event.pointer_mut(pointer) {
            *place = value;
        }
        Event::parse(event.to_string().as_bytes(), "api-1")
    }

    fn said(result: Result<Note, Problem>) -> (u16, String) {
        result.map_or_else(|problem| (problem.status, problem.detail), |note| (200, note.text))
    }

    #[test]
    fn a_request_is_read_as_it_was_sent() {
        let event = with("/body", json!(r#"{"text":"hello"}"#));
        assert_eq!((event.method(), event.path(), event.parts()), ("POST", "/notes/7", vec!["notes", "7"]));
        assert_eq!((event.only("POST"), event.has_query()), (Ok(()), false));
        assert_eq!((event.header("Idempotency-Key"), event.header("x-other")), (Some("k-1"), None));
        assert_eq!(event.source_ip(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(event.json::<Note>(20), Ok(Note { text: "hello".to_owned() }));
        assert!(matches!(event.caller(), Ok(Caller::Session(session)) if session.name.as_str() == "alice"));
        assert_eq!(event.claims(), None);
        assert_eq!(with("/rawPath", json!("/")).parts(), [""]);
        assert_eq!(format!("{event:?}"), r#"Event { method: "POST", .. }"#);
        assert!(with("/rawQueryString", json!("a=b")).has_query());
        assert_eq!(with("/requestContext/http/sourceIp", json!("nowhere")).source_ip(), None);
        assert_eq!(with("/requestContext/http/sourceIp", json!("2001:db8::1")).source_ip(), Some("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn an_event_of_anything_else_is_refused() {
        for (pointer, value) in [
            ("/version", json!("1.0")),
            ("/version", Value::Null),
            ("/requestContext/apiId", json!("another")),
            ("/requestContext", Value::Null),
            ("/rawPath", json!(7)),
        ] {
            assert_eq!(read(pointer, value.clone()).map_err(|problem| problem.status).err(), Some(400), "{pointer} {value}");
        }
        assert!(Event::parse(br#"{"cordon":"release"}"#, "api-1").is_err());
        // Who checks signatures takes any API's.
        let plain = br#"{"rawPath":"/github","requestContext":{"http":{"sourceIp":"192.0.2.1"}},"body":"x"}"#;
        assert_eq!(Event::read(plain).unwrap().body().as_ref(), b"x");
        assert!(Event::parse(plain, "").is_err());
    }

    #[test]
    fn who_calls_is_what_iam_or_the_token_says() {
        let status = |pointer, value| with(pointer, value).caller().map_err(|problem| problem.status).err();
        assert_eq!(status("/requestContext/authorizer", Value::Null), Some(401));
        assert_eq!(status("/requestContext/authorizer", json!({ "jwt": {} })), Some(401));
        assert_eq!(status("/requestContext/authorizer/iam", Value::Null), Some(401));
        assert_eq!(status("/requestContext/authorizer/iam/accountId", json!("999988887777")), Some(403));
        let token = with("/requestContext/authorizer", json!({ "jwt": { "claims": { "sub": "a" }, "scopes": null } }));
        assert_eq!(token.claims().and_then(|claims| claims.get("sub")), Some(&json!("a")));
        assert!(with("/requestContext/authorizer", json!({ "jwt": { "claims": null } })).claims().is_none());
    }

    #[test]
    fn a_body_that_is_not_asked_for_is_refused_without_a_word_of_it() {
        let json = |pointer, value, largest| said(with(pointer, value).json::<Note>(largest));
        assert_eq!(json("/headers", json!({}), 99).0, 415);
        assert_eq!(json("/headers/Content-Type", json!("text/plain"), 99).0, 415);
        assert_eq!(json("/headers/Content-Type", json!("APPLICATION/JSON"), 99).0, 200);
        assert_eq!(json("/body", Value::Null, 99).0, 400);
        assert_eq!(json("/isBase64Encoded", json!(true), 99).0, 400);
        // 16 bytes are sent; as text of base64 twelve bytes would be as long.
        assert_eq!(json("/routeKey", Value::Null, 16), (200, "hello".to_owned()));
        assert_eq!(json("/routeKey", Value::Null, 15), (413, "the body is longer than 15 bytes".to_owned()));
        assert_eq!(json("/routeKey", Value::Null, 0).0, 413);
        assert_eq!(json("/routeKey", Value::Null, usize::MAX).0, 200);
        let (status, detail) = json("/body", json!(r#"{"secret-in-a-body": 1}"#), 99);
        assert!(status == 400 && !detail.contains("secret"), "{detail}");
        let mut encoded = event();
        encoded["body"] = json!(STANDARD.encode(r#"{"text":"hello"}"#));
        encoded["isBase64Encoded"] = json!(true);
        let encoded = Event::parse(encoded.to_string().as_bytes(), "api-1").unwrap();
        assert_eq!(said(encoded.json(16)), (200, "hello".to_owned()));
        assert_eq!(encoded.body().as_ref(), br#"{"text":"hello"}"#);
    }
}
