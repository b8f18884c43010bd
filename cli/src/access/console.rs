//! `cordon access console`: an address that signs a browser in to the console with a grant's session.
//!
//! IAM User Guide, "Enable custom identity broker access to the AWS console". No `SessionDuration` is asked for: the session comes from a role
//! that was assumed by a role, for which AWS refuses it, and the console session then ends with the session itself.

use std::time::Duration;

use anyhow::{anyhow, bail};
use outside::{Address, Http, HttpRequest, SdkBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::session::Session;

/// Where a session is exchanged for a sign-in token.
pub(crate) const FEDERATION: &str = "https://signin.aws.amazon.com/federation";
const PATIENCE: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: usize = 64 * 1024;

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The console that a federation endpoint signs in to: `signin.` is `console.` in every partition (`signin.amazonaws-us-gov.com`).
fn console_of(federation: &Address) -> String {
    let host = federation.to_string();
    let host = host.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
    if federation.is_tls() && host.contains("signin.") {
        format!("https://{}/", host.replacen("signin.", "console.", 1))
    } else {
        "https://console.aws.amazon.com/".to_owned()
    }
}

/// The address. A secret: whoever opens it within a quarter of an hour is signed in.
///
/// # Errors
/// If AWS gives no token. Nothing that it says is repeated: it was told the credentials.
pub(crate) async fn address(session: &Session, federation: &str, destination: Option<&str>) -> anyhow::Result<Zeroizing<String>> {
    let federation: Address = federation.parse().map_err(|()| anyhow!("--federation is no https:// address"))?;
    let destination = destination.map_or_else(|| console_of(&federation), ToOwned::to_owned);
    let credentials = Zeroizing::new(
        json!({ "sessionId": session.access_key_id, "sessionKey": session.secret_access_key, "sessionToken": session.session_token }).to_string(),
    );
    let asked = Zeroizing::new(format!("{federation}?Action=getSigninToken&Session={}", encoded(&credentials)));
    let mut request = HttpRequest::new(SdkBody::empty());
    // The library's words would quote the address.
    request.set_uri(asked.as_str()).map_err(|_| anyhow!("the federation endpoint cannot be asked"))?;
    let http = Http::by_environment(federation.is_tls());
    let answer = tokio::time::timeout(PATIENCE, http.ask(request, LARGEST_ANSWER)).await;
    let answer = answer.map_err(|_| anyhow!("`{federation}` did not answer in time"))?;
    let answer = answer.map_err(|_| anyhow!("`{federation}` could not be reached"))?;
    match answer.status {
        200 => {}
        300..=399 => bail!("`{federation}` answers with a redirection ({}), and credentials go nowhere else", answer.status),
        status => bail!(
            "`{federation}` gives no sign-in token ({status}): has the session ended, or is this another partition's endpoint?"
        ),
    }
    let body = Zeroizing::new(answer.body);
    let said: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let token =
        said.get("SigninToken").and_then(Value::as_str).ok_or_else(|| anyhow!("`{federation}` does not answer as AWS does"))?;
    Ok(Zeroizing::new(format!(
        "{federation}?Action=login&Issuer={}&Destination={}&SigninToken={}",
        encoded("cordon"),
        encoded(&destination),
        encoded(token)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partitions_endpoint_leads_to_its_console() {
        for (federation, console) in [
            (FEDERATION, "https://console.aws.amazon.com/"),
            ("https://eu-central-1.signin.aws.amazon.com/federation", "https://eu-central-1.console.aws.amazon.com/"),
            ("https://signin.amazonaws-us-gov.com/federation", "https://console.amazonaws-us-gov.com/"),
            ("https://signin.amazonaws.cn/federation", "https://console.amazonaws.cn/"),
            ("http://127.0.0.1:1/federation", "https://console.aws.amazon.com/"),
        ] {
            assert_eq!(console_of(&federation.parse().unwrap()), console);
        }
    }
}
