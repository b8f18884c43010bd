//! What goes back to whoever sent it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use webhook::Refusal;

/// API Gateway's answer of payload version 2.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: BTreeMap<&'static str, &'static str>,
    /// The body: JSON, for errors in the shape of RFC 9457.
    pub body: String,
}

impl Answer {
    pub(crate) fn ok(status: u16, body: &serde_json::Value) -> Self {
        let headers = BTreeMap::from([("content-type", "application/json"), ("cache-control", "no-store")]);
        Self { status_code: status, headers, body: body.to_string() }
    }

    pub(crate) fn refused(refusal: &Refusal) -> Self {
        Self::problem(refusal.status(), refusal.code(), &refusal.to_string())
    }

    pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            _ => "Service Unavailable",
        };
        let body = json!({ "title": title, "status": status, "code": code, "detail": detail });
        let mut headers = BTreeMap::from([("content-type", "application/problem+json"), ("cache-control", "no-store")]);
        if status == 503 {
            headers.insert("retry-after", "60");
        }
        Self { status_code: status, headers, body: body.to_string() }
    }
}
