//! Anyone who calls the local AWS by hand: its root user, who makes machines and trouble, or a thief with the function's credentials.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

/// Someone with credentials.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
}

/// What AWS answered instead.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) body: String,
}

impl Caller {
    /// A call in AWS's query protocol: EC2, IAM, STS.
    pub(crate) async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String, Refusal> {
        let version = match service {
            "ec2" => "2016-11-15",
            "iam" => "2010-05-08",
            "sts" => "2011-06-15",
            other => panic!("`{other}` is not called in the query protocol here"),
        };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", percent(value)));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(service, "POST", "/", &headers, form.into_bytes()).await
    }

    /// A call in one of AWS's JSON protocols: `DynamoDB_20120810.UpdateItem`.
    pub(crate) async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value, Refusal> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        let answer = self.send(service, "POST", "/", &headers, body.to_string().into_bytes()).await?;
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// Any call.
    pub(crate) async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<String, Refusal> {
        let uri = format!("{}{path}", self.endpoint);
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap();
        let signable = SignableRequest::new(method, &uri, headers.iter().copied(), SignableBody::Bytes(&body)).unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).unwrap();
        request.set_uri(uri.as_str()).unwrap();
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        let answer = plain().call(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = ByteStream::new(answer.into_body()).collect().await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        if (200..300).contains(&status) { Ok(body) } else { Err(Refusal::read(status, body)) }
    }
}

/// A connector without a pool: every test has a runtime of its own.
pub(crate) fn plain() -> Connector {
    Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build()
}

impl Refusal {
    fn read(status: u16, body: String) -> Self {
        let json: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let named = json["__type"].as_str().or(json["Code"].as_str()).map(|name| name.rsplit('#').next().unwrap().to_owned());
        let code = named.or_else(|| texts(&body, "Code").into_iter().next()).unwrap_or_else(|| status.to_string());
        Self { status, code, body }
    }

    /// Whether it says that the caller may not.
    pub(crate) fn is_denial(&self) -> bool {
        ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"].contains(&self.code.as_str())
    }
}

/// What stands between every `<tag>` and `</tag>`, for elements without attributes.
pub(crate) fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
