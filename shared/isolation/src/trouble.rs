//! What EC2's errors amount to.

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use plan::{Trouble, TroubleKind};

/// Sorts an error (EC2 API Reference, "Error codes for the Amazon EC2 API").
pub(crate) fn trouble<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Trouble {
    let Some(code) = error.code() else {
        let code = match error {
            SdkError::TimeoutError(_) => "Timeout",
            SdkError::DispatchFailure(_) => "ConnectionFailed",
            SdkError::ConstructionFailure(_) => "RequestNotBuilt",
            SdkError::ResponseError(_) | SdkError::ServiceError(_) => "AnswerNotUnderstood",
            _ => "Unknown",
        };
        return Trouble { kind: TroubleKind::NoAnswer, code: code.to_owned() };
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let kind = match code {
        "UnauthorizedOperation" | "AccessDenied" | "AuthFailure" | "OptInRequired" => TroubleKind::Denied,
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "EC2ThrottledException" => TroubleKind::Throttled,
        "InvalidGroup.Duplicate" => TroubleKind::Taken,
        _ if code.ends_with(".NotFound") || code.ends_with("NotFoundException") => TroubleKind::NotFound,
        _ if status >= 500 => TroubleKind::Server,
        _ => TroubleKind::Refused,
    };
    Trouble { kind, code: code.to_owned() }
}

/// An answer that lacks what it must have.
pub(crate) fn incomplete(what: &str) -> Trouble {
    Trouble { kind: TroubleKind::NoAnswer, code: format!("AnswerLacks{what}") }
}
