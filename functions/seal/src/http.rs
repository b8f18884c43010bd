//! One question over HTTP to someone who is not AWS, with the TLS that the SDK brings.

use std::fmt;
use std::str::FromStr;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// No answer of a timestamping authority or of a witness is as long as this.
const LARGEST: usize = 256 << 10;

/// Where someone is asked: over TLS, or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(String);

impl FromStr for Url {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = text.strip_prefix("http://");
        let rest = plain.or_else(|| text.strip_prefix("https://")).ok_or(())?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(authority, |(host, _)| host);
        let own = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
        let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '#' | ',' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
        // `user@host` would be asked at `host`, and shown as if it were `user`.
        let good = !host.is_empty() && !host.contains('@') && !text.contains(odd) && (plain.is_none() || own);
        if good { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What someone answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A client that keeps no connection: it is used once a minute at most, and a sandbox may sleep in between.
#[derive(Debug)]
pub(crate) struct Http(Connector);

impl Http {
    pub(crate) fn new() -> Self {
        let tls = Provider::Rustls(CryptoMode::AwsLc);
        Self(Connector::builder().pool_max_idle_per_host(0).tls_provider(tls).build())
    }

    /// Sends `body`, and waits for the whole answer as long as the caller does. Redirections are not followed.
    pub(crate) async fn post(&self, url: &Url, path: &str, content_type: &'static str, body: Vec<u8>) -> Result<Answer, String> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(|error| error.to_string())?;
        request.set_uri(format!("{url}{path}")).map_err(|error| error.to_string())?;
        request.headers_mut().insert("content-type", content_type);
        let answer = self.0.call(request).await.map_err(|error| chain(&error))?;
        let status = answer.status().as_u16();
        let (mut stream, mut body) = (ByteStream::new(answer.into_body()), Vec::new());
        while let Some(part) = stream.next().await {
            body.extend_from_slice(&part.map_err(|error| chain(&error))?);
            if body.len() > LARGEST {
                return Err(format!("the answer is longer than {LARGEST} bytes"));
            }
        }
        Ok(Answer { status, body })
    }
}

/// An error and what is under it, which alone says what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_leaves_this_machine() {
        for good in [
            "https://tsa.example/tsr",
            "https://tsa.example:8443",
            "http://127.0.0.1:8080/tsa?x=1",
            "http://localhost/",
            "http://[::1]:80/x",
        ] {
            assert!(good.parse::<Url>().is_ok(), "{good}");
        }
        for wrong in [
            "",
            "tsa.example",
            "http://tsa.example/",
            "http://127.0.0.1.example/",
            "http://localhost.example",
            "http://127.0.0.1@tsa.example/",
            "https://me:secret@tsa.example/",
            "https://",
            "https:///path",
            "ftp://127.0.0.1/",
            "https://tsa.example/a b",
            "https://tsa.example/\r\nHost: x",
            "https://tsa.exämple/",
        ] {
            assert_eq!(wrong.parse::<Url>(), Err(()), "{wrong}");
        }
        assert_eq!("https://w.example/a/".parse::<Url>().unwrap().to_string(), "https://w.example/a");
    }
}
