//! What errors amount to.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use plan::{Trouble, TroubleKind};

/// Sorts an error (EC2 API Reference, "Error codes for the Amazon EC2 API"; IAM API Reference, "Common Errors").
#[must_use]
pub fn trouble<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Trouble {
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
        // IAM is busy with the same object: the same call succeeds a moment later.
        "ConcurrentModification" | "EntityTemporarilyUnmodifiable" => TroubleKind::Throttled,
        "InvalidGroup.Duplicate" => TroubleKind::Taken,
        "NoSuchEntity" => TroubleKind::NotFound,
        _ if code.ends_with(".NotFound") || code.ends_with("NotFoundException") => TroubleKind::NotFound,
        _ if status >= 500 => TroubleKind::Server,
        _ => TroubleKind::Refused,
    };
    Trouble { kind, code: code.to_owned() }
}

/// An answer that lacks what it must have.
#[must_use]
pub fn incomplete(what: &str) -> Trouble {
    Trouble { kind: TroubleKind::NoAnswer, code: format!("AnswerLacks{what}") }
}
