//! Why a call failed.

use std::error::Error;
use std::iter::successors;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Why a call failed: the code that the service answered with, or a sentence on why there was no answer, on one line.
///
/// Not the service's message, which may quote who asked.
#[must_use]
pub fn cause<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(code) = error.code() {
        return code.to_owned();
    }
    let credentials = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    match (error, credentials) {
        // What was tried, and failed, is a list for those who configure machines.
        (_, Some(CredentialsError::CredentialsNotLoaded(_))) => {
            "no AWS credentials were found: set AWS_PROFILE to a profile that has some, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()
        }
        (_, Some(error)) => format!("the AWS credentials could not be had: {}", last(error)),
        (SdkError::TimeoutError(_), None) => "AWS did not answer in time".to_owned(),
        (SdkError::DispatchFailure(failure), None) if failure.is_timeout() => "AWS did not answer in time".to_owned(),
        (SdkError::DispatchFailure(failure), None) if failure.is_io() => {
            format!("AWS cannot be reached: {} (is the network there, and AWS_ENDPOINT_URL, if it is set, right?)", last(error))
        }
        _ => match error.raw_response() {
            Some(response) => format!("an answer that names no error, with HTTP status {}", response.status()),
            None => last(error),
        },
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// What it all comes down to, on one line.
fn last(error: &(dyn Error + 'static)) -> String {
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn answered(status: u16, error: ErrorMetadata) -> SdkError<ErrorMetadata, HttpResponse> {
        SdkError::service_error(error, HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()))
    }

    #[test]
    fn a_cause_is_a_code_or_a_sentence() {
        let refused = || std::io::Error::other("Connection\nrefused");
        let credentials = CredentialsError::provider_error("the session has expired");
        for (error, says) in [
            (answered(403, ErrorMetadata::builder().code("AccessDenied").message("arn:… may not").build()), "AccessDenied"),
            (answered(503, ErrorMetadata::builder().build()), "an answer that names no error, with HTTP status 503"),
            (SdkError::timeout_error("slow"), "AWS did not answer in time"),
            (SdkError::dispatch_failure(ConnectorError::timeout("slow".into())), "AWS did not answer in time"),
            (
                SdkError::dispatch_failure(ConnectorError::io(refused().into())),
                "AWS cannot be reached: Connection refused (is the network there, and AWS_ENDPOINT_URL, if it is set, right?)",
            ),
            (
                SdkError::dispatch_failure(ConnectorError::other(credentials.into(), None)),
                "the AWS credentials could not be had: the session has expired",
            ),
            (SdkError::construction_failure("no such key"), "no such key"),
        ] {
            assert_eq!(cause(&error), says);
        }
    }
}
