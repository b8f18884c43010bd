#![doc = include_str!("../README.md")]

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
pub use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::http::Headers;
pub use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// Where someone is asked: over TLS, or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Whether it is asked over TLS, and so perhaps elsewhere than on this machine.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Address {
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What someone answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody was reached, or the connection broke.
    Broken(Box<dyn Error + Send + Sync>),
    /// The answer is longer than was asked for.
    TooLong,
}

/// A client.
#[derive(Debug)]
pub struct Http(Connector);

impl Http {
    /// A client that keeps no connection: one that is used once a minute at most, in a sandbox that may sleep in between.
    #[must_use]
    pub fn without_connections() -> Self {
        Self(Connector::builder().pool_max_idle_per_host(0).tls_provider(tls()).build())
    }

    /// A client that goes through the environment's proxy (`HTTPS_PROXY`), if it is `proxied`.
    #[must_use]
    pub fn by_environment(proxied: bool) -> Self {
        let proxy = if proxied { ProxyConfig::from_env() } else { ProxyConfig::disabled() };
        Self(Connector::builder().proxy_config(proxy).tls_provider(tls()).build())
    }

    /// Sends a request and waits for the whole answer, of `largest` bytes at most, for as long as the caller does.
    ///
    /// # Errors
    /// If nobody answers, or at too great a length.
    pub async fn ask(&self, request: HttpRequest, largest: usize) -> Result<Answer, Failure> {
        let answer = self.0.call(request).await.map_err(|error| Failure::Broken(Box::new(error)))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let (mut stream, mut body) = (ByteStream::new(answer.into_body()), Vec::new());
        while let Some(part) = stream.next().await {
            body.extend_from_slice(&part.map_err(|error| Failure::Broken(Box::new(error)))?);
            if body.len() > largest {
                return Err(Failure::TooLong);
            }
        }
        Ok(Answer { status, headers, body })
    }
}

fn tls() -> Provider {
    Provider::Rustls(CryptoMode::AwsLc)
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
            assert!(good.parse::<Address>().is_ok(), "{good}");
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
            assert_eq!(wrong.parse::<Address>(), Err(()), "{wrong}");
        }
        assert_eq!("https://w.example/a/".parse::<Address>().unwrap().to_string(), "https://w.example/a");
    }
}
