//! The anchor in someone else's clock: a timestamping authority (RFC 3161).

use evidence::log::{Checkpoint, TIMESTAMP_QUERY, TimestampRequest, Token, timestamp_key};
use evidence_store::S3;
use outside::{Address, Http};

use crate::http::post;

/// Asks for the time of a checkpoint's text, and keeps the answer as it came.
pub(crate) async fn timestamp(http: &Http, authority: &Address, checkpoint: &Checkpoint, evidence: &S3) -> Result<(), String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let request = TimestampRequest::new(checkpoint.digest(), random);
    let answer = post(http, authority, "", TIMESTAMP_QUERY, request.to_der()).await?;
    if answer.status != 200 {
        return Err(format!("it answered with HTTP status {}", answer.status));
    }
    Token::read(&answer.body).and_then(|token| token.answers(&request)).map_err(|error| error.to_string())?;
    let kept = evidence.create_once(&timestamp_key(checkpoint.size), &answer.body, "application/timestamp-reply").await;
    kept.map(drop).map_err(|error| error.to_string())
}
