//! The wire between the function and AWS, which can be cut, slowed and lied on.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::sync::Notify;

use super::caller::plain;

/// A request on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How many of the same service were sent before it.
    pub(crate) nth: usize,
    /// `ec2`, `s3`, `dynamodb`, `kms`: from its signature.
    pub(crate) service: String,
    /// `ModifyNetworkInterfaceAttribute`; `PUT` and `GET` for S3.
    pub(crate) operation: String,
    /// Its path and body.
    pub(crate) text: String,
}

impl Asked {
    /// IAM's action that it needs.
    pub(crate) fn action(&self) -> String {
        let operation = match (self.service.as_str(), self.operation.as_str()) {
            ("s3", "GET") if self.text.contains("list-type=2") => "ListBucket",
            ("s3", "GET") if self.text.contains("versionId=") => "GetObjectVersion",
            ("s3", "GET") if self.text.contains("versions") => "ListBucketVersions",
            ("s3", "GET") => "GetObject",
            ("s3", "PUT") => "PutObject",
            ("lambda", "POST") => "InvokeFunction",
            (_, operation) => operation,
        };
        format!("{}:{operation}", self.service)
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is passed on, and so is the answer.
    Pass,
    /// The same, this much later.
    Late(Duration),
    /// It is passed on, and the answer comes back changed.
    Changed(fn(&str) -> String),
    /// It is not passed on; this comes back.
    Answer(u16, String),
    /// It is not passed on, and the connection breaks.
    Break,
    /// It is not passed on, and nothing ever comes back.
    Hang,
    /// It is passed on and has its effect; the answer never comes back.
    Deaf,
    /// It is passed on and has its effect; then the connection breaks.
    Lost,
}

type Rule = Arc<dyn Fn(&Asked) -> Fate + Send + Sync>;

/// An HTTP client that does to every request what its rule says.
#[derive(Clone)]
pub(crate) struct Wire {
    rule: Rule,
    counts: Arc<Mutex<Vec<(String, usize)>>>,
    sent: Arc<Mutex<Vec<Asked>>>,
    hanging: Arc<AtomicUsize>,
    hung: Arc<Notify>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    /// A wire on which nothing happens to anything.
    pub(crate) fn good() -> Self {
        Self::with(|_| Fate::Pass)
    }

    /// A wire with a rule.
    pub(crate) fn with(rule: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), counts: Arc::default(), sent: Arc::default(), hanging: Arc::default(), hung: Arc::default() }
    }

    /// Everything that was sent, in order.
    pub(crate) fn sent(&self) -> Vec<Asked> {
        self.sent.lock().unwrap().clone()
    }

    /// Returns when a request hangs.
    pub(crate) async fn hung(&self) {
        while self.hanging.load(Ordering::SeqCst) == 0 {
            self.hung.notified().await;
        }
    }

    fn read(&self, request: &HttpRequest) -> Asked {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let signed = request.headers().get("authorization").unwrap_or_default();
        let service = signed.split('/').nth(3).unwrap_or_default().to_owned();
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap().to_owned(),
            None if ["ec2", "iam", "sts"].contains(&service.as_str()) => {
                body.split('&').find_map(|part| part.strip_prefix("Action=")).unwrap_or_default().to_owned()
            }
            None => request.method().to_owned(),
        };
        let mut counts = self.counts.lock().unwrap();
        let at = counts.iter().position(|(other, _)| *other == service).unwrap_or_else(|| {
            counts.push((service.clone(), 0));
            counts.len() - 1
        });
        let nth = counts[at].1;
        counts[at].1 += 1;
        Asked { nth, service, operation, text: format!("{} {body}", request.uri()) }
    }

    async fn hang(&self) -> ! {
        self.hanging.fetch_add(1, Ordering::SeqCst);
        self.hung.notify_one();
        std::future::pending().await
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let asked = self.read(&request);
        self.sent.lock().unwrap().push(asked.clone());
        match (self.rule)(&asked) {
            Fate::Pass => plain().call(request).await,
            Fate::Late(after) => {
                tokio::time::sleep(after).await;
                plain().call(request).await
            }
            Fate::Changed(change) => {
                let answer = plain().call(request).await?;
                let status = answer.status();
                let body = ByteStream::new(answer.into_body())
                    .collect()
                    .await
                    .map_err(|error| ConnectorError::other(error.into(), None))?;
                let body = String::from_utf8_lossy(&body.to_vec()).into_owned();
                Ok(HttpResponse::new(status, SdkBody::from(change(&body))))
            }
            Fate::Answer(status, body) => {
                let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
                answer.headers_mut().insert("x-amzn-requestid", "made-up");
                Ok(answer)
            }
            Fate::Break => Err(ConnectorError::io("the connection was reset".into())),
            Fate::Hang => self.hang().await,
            Fate::Deaf => {
                let _never_heard = plain().call(request).await;
                self.hang().await
            }
            Fate::Lost => {
                let _never_heard = plain().call(request).await;
                Err(ConnectorError::io("the connection was reset".into()))
            }
        }
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _settings: &HttpConnectorSettings, _components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// EC2's way to say no (EC2 API Reference, "Error codes").
pub(crate) fn ec2_error(status: u16, code: &str) -> Fate {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>made up for a test</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
    );
    Fate::Answer(status, body)
}

/// IAM's way to say no (IAM API Reference, "Common Errors").
pub(crate) fn iam_error(status: u16, code: &str) -> Fate {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>made up for a test</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
    );
    Fate::Answer(status, body)
}

/// How services that speak JSON say no.
pub(crate) fn json_error(status: u16, code: &str) -> Fate {
    Fate::Answer(status, format!(r#"{{"__type":"com.amazonaws#{code}","message":"made up for a test"}}"#))
}

/// S3's way to say no.
pub(crate) fn s3_error(status: u16, code: &str) -> Fate {
    Fate::Answer(status, format!("<Error><Code>{code}</Code><Message>made up for a test</Message></Error>"))
}
