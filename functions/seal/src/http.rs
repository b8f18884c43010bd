//! A post to someone who is not AWS: an authority, a witness.

use outside::{Address, Answer, Failure, Http, HttpRequest, SdkBody};

/// No answer of a timestamping authority or of a witness is as long as this.
const LARGEST: usize = 256 << 10;

/// Sends `body`, and waits for the whole answer as long as the caller does.
pub(crate) async fn post(
    http: &Http,
    address: &Address,
    path: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<Answer, String> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").map_err(|error| error.to_string())?;
    request.set_uri(format!("{address}{path}")).map_err(|error| error.to_string())?;
    request.headers_mut().insert("content-type", content_type);
    http.ask(request, LARGEST).await.map_err(|failure| match failure {
        Failure::Broken(error) => chain(&*error),
        Failure::TooLong => format!("the answer is longer than {LARGEST} bytes"),
    })
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
