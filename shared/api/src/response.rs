//! What goes back.

use std::collections::BTreeMap;

use playbook::Decision;
use serde::Serialize;
use serde_json::{Value, json};

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
    /// An answer in JSON, which nobody is to keep.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
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
    /// A problem with its status.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: BTreeMap::new(), headers: BTreeMap::new() }
    }

    /// Something that is needed is away for now: nothing was done.
    #[must_use]
    pub fn unavailable(what: &str) -> Self {
        Self::new(503, format!("{what}; try again"))
    }

    /// A policy says no: which, and why.
    #[must_use]
    pub fn forbidden(decision: &Decision) -> Self {
        Self::new(403, format!("{} [{}]", decision.reason, decision.rule)).with("rule", json!(decision.rule))
    }

    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.insert(name, value);
        self
    }

    /// The same with the record that says so.
    #[must_use]
    pub fn with_record(self, key: &str) -> Self {
        self.with("record", json!(key))
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The answer that tells it.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut body = json!({ "type": "about:blank", "title": title(self.status), "status": self.status, "detail": self.detail });
        if let Some(fields) = body.as_object_mut() {
            fields.extend(self.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        Response::of(self.status, "application/problem+json", &body, self.headers)
    }
}

/// What HTTP calls a status (RFC 9110, section 15; RFC 6585).
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

impl From<serde_json::Error> for Problem {
    /// What serde says may quote what it read.
    fn from(_: serde_json::Error) -> Self {
        Self::new(500, "what is asked about cannot be put into JSON")
    }
}

#[cfg(test)]
mod tests {
    use playbook::{Mitigation, Verdict};

    use super::*;

    #[test]
    fn a_problem_says_what_who_and_where() {
        let decision = Decision {
            verdict: Verdict::NotifyOnly,
            mitigation: Mitigation::None,
            rule: "own-request".parse().unwrap(),
            reason: "Nobody approves what they asked for.".to_owned(),
            controls: Vec::new(),
            would: None,
        };
        let problem = Problem::forbidden(&decision).with_record("rec/x").with_header("x-more", "1");
        let response = problem.into_response();
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "about:blank", "title": "Forbidden", "status": 403, "rule": "own-request", "record": "rec/x",
                "detail": "Nobody approves what they asked for. [own-request]",
            })
        );
        assert_eq!(response.headers["content-type"], "application/problem+json");
        assert_eq!((response.headers["cache-control"].as_str(), response.headers["x-more"].as_str()), ("no-store", "1"));
        let sent: Value = serde_json::to_value(Response::json(201, &json!({ "a": 1 }))).unwrap();
        assert_eq!((&sent["statusCode"], &sent["body"]), (&json!(201), &json!(r#"{"a":1}"#)));
        assert_eq!(sent["headers"]["content-type"], "application/json");
    }

    #[test]
    fn what_is_away_is_to_be_tried_again_and_tells_no_secret() {
        let away = Problem::unavailable("KMS does not answer");
        assert_eq!((away.status, away.detail.as_str()), (503, "KMS does not answer; try again"));
        let unreadable = serde_json::from_str::<u8>("\"secret\"").unwrap_err();
        let problem = Problem::from(unreadable);
        assert!(problem.status == 500 && !problem.detail.contains("secret"));
    }
}
