//! One question to a platform's API, with the TLS that the SDK brings.

use std::fmt;
use std::time::{Duration, SystemTime};

use outside::{Address, Failure, Http, HttpRequest, SdkBody};

use super::Token;

/// No answer that is read here is as long as this.
const LARGEST: usize = 64 << 10;
/// For one question, with all of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("cordon/", env!("CARGO_PKG_VERSION"));

/// Where a platform is asked: an address without a query, which is in no API's base and would be sent elsewhere than it looks.
#[derive(Debug, Clone)]
pub(crate) struct Base(Address);

impl Base {
    /// None if tokens must not be sent there.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plainly = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '_' | '[' | ']' | '~');
        text.parse().ok().filter(|_| text.chars().all(plainly)).map(Self)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// This question only: the next may be answered.
    This,
    /// Whoever would be asked next gets the same.
    All,
    /// The platform wants no more questions for a while.
    Pace,
}

/// Why there is no answer. It holds nothing of what was sent, nor of what came back: both may quote a token.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) about: About,
}

impl Trouble {
    pub(crate) fn new(about: About, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), about }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How many seconds the platform wants to be left alone.
    pause: Option<u64>,
    /// Whether it says that there were too many questions: a 403 alone may be about one token.
    limited: bool,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer that no platform gives to who may ask, in words.
    pub(crate) fn trouble(&self, platform: &str) -> Trouble {
        let status = self.status;
        let pause = self.pause.map_or_else(|| "in some minutes".to_owned(), |seconds| format!("in {seconds} seconds"));
        match status {
            300..=399 => {
                let reason = format!(
                    "{platform} answered with a redirection ({status}), which is not followed: --api has to be the place itself"
                );
                Trouble::new(About::All, reason)
            }
            404 => Trouble::new(About::All, format!("{platform} does not know this request (404): is --api right?")),
            _ if self.limited => {
                Trouble::new(About::Pace, format!("{platform} takes no more requests from here ({status}): try again {pause}"))
            }
            403 => Trouble::new(About::This, format!("{platform} refuses it (403)")),
            500.. => Trouble::new(About::This, format!("{platform} failed ({status}): try again {pause}")),
            _ => Trouble::new(About::This, format!("{platform} gave an answer that is not known here ({status})")),
        }
    }
}

/// Asks one API.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    base: Base,
}

impl Client {
    pub(crate) fn new(base: Base) -> Self {
        // What is on this machine is not asked through another.
        Self { http: Http::by_environment(base.0.is_tls()), base }
    }

    /// Sends a request and waits for the whole answer. Redirections are not followed: the next host may be anybody's.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Answer, Trouble> {
        let late = |_| Trouble::new(About::All, format!("{} did not answer within {} seconds", self.base, PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.whole(request)).await.map_err(late)?
    }

    async fn whole(&self, Request { method, path, headers, bearer, body }: Request<'_>) -> Result<Answer, Trouble> {
        // What these say may quote a header, so it is not passed on.
        let unsendable = || Trouble::new(About::This, "the request could not be made");
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method).map_err(|_| unsendable())?;
        request.set_uri(format!("{}{path}", self.base)).map_err(|_| unsendable())?;
        for (name, value) in [("user-agent", AGENT)].iter().chain(headers) {
            request.headers_mut().insert(*name, *value);
        }
        if let Some(token) = bearer {
            let value = token.secret.with(|secret| format!("Bearer {}", secret.as_str()));
            request.headers_mut().try_insert("authorization", value).map_err(|_| unsendable())?;
        }
        let answer = self.http.ask(request, LARGEST).await.map_err(|failure| {
            let reason = match failure {
                Failure::Broken(error) => format!("{} cannot be reached: {}", self.base, innermost(&*error)),
                Failure::TooLong => format!("the answer of {} is longer than {LARGEST} bytes", self.base),
            };
            Trouble::new(About::All, reason)
        })?;
        let (status, header) = (answer.status, |name| answer.headers.get(name).and_then(|value| value.parse::<u64>().ok()));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let spent = header("x-ratelimit-remaining") == Some(0);
        let reset = || header("x-ratelimit-reset").filter(|_| spent).map(|at| at.saturating_sub(now));
        let pause = header("retry-after").or_else(reset);
        let limited = status == 429 || (status == 403 && (spent || pause.is_some()));
        Ok(Answer { status, pause, limited, body: answer.body })
    }
}

/// What is asked.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: &'a [(&'static str, &'static str)],
    pub(crate) bearer: Option<&'a Token>,
    pub(crate) body: Vec<u8>,
}

/// The error under all others, which alone says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_this_machine_over_tls_only() {
        for good in [
            "https://api.github.com",
            "https://ghe.example:8443/api/v3/",
            "http://127.0.0.1:8080",
            "http://localhost/",
            "http://[::1]:80",
        ] {
            assert!(Base::parse(good).is_some(), "{good}");
        }
        for wrong in [
            "",
            "api.github.com",
            "http://api.github.com",
            "http://127.0.0.1.example/",
            "http://localhost.example",
            "http://127.0.0.1@evil.example/",
            "https://me:secret@ghe.example/",
            "https://",
            "https:///path",
            "ftp://127.0.0.1/",
            "https://ghe.example/a b",
            "https://ghe.example/?x=",
            "https://ghe.example/\r\nHost: x",
        ] {
            assert!(Base::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(Base::parse("https://ghe.example/api/v3/").unwrap().to_string(), "https://ghe.example/api/v3");
    }
}
