//! A request, as API Gateway hands it over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// API Gateway's payload of version 2.0 (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs"), as far as
/// it is needed. A library for it would bring a web framework's types, and hide which bytes the signature is over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    request_context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct Context {
    http: Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    #[serde(default)]
    source_ip: String,
}

impl Event {
    /// The path's first part, and the rest if there is one.
    pub(crate) fn way(&self) -> (&str, Option<&str>) {
        let path = self.raw_path.strip_prefix('/').unwrap_or(&self.raw_path);
        path.split_once('/').map_or((path, None), |(door, ticket)| (door, Some(ticket)))
    }

    pub(crate) fn has_query(&self) -> bool {
        !self.raw_query_string.is_empty()
    }

    /// The address of whoever sent it.
    pub(crate) fn from(&self) -> &str {
        &self.request_context.http.source_ip
    }

    /// The body's own bytes. What claims to be base64 and is not is taken as it is: no signature holds over it then.
    pub(crate) fn body(&self) -> Cow<'_, [u8]> {
        let text = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded
            && let Ok(bytes) = STANDARD.decode(text)
        {
            return Cow::Owned(bytes);
        }
        Cow::Borrowed(text.as_bytes())
    }
}
