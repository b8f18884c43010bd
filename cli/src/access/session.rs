//! A session's credentials, as they come: sealed to the key of one request.

use std::fmt;
use std::io::Read as _;

use age::armor::ArmoredReader;
use age::x25519::Identity;
use age::{DecryptError, Decryptor};
use anyhow::{Context as _, bail};
use ids::{GrantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

/// STS keeps to no length; what is sealed has never been near this.
const LARGEST: u64 = 32 * 1024;

/// What a `credential_process` prints (AWS SDKs and Tools Reference Guide, "Process credential provider"): these fields and no others.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Session {
    version: u8,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expiration: Timestamp,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.secret_access_key.zeroize();
        self.session_token.zeroize();
    }
}

impl Session {
    /// The whole of it, as JSON on one line. A secret.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn to_json(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        // At once, so that no part of it is left behind by growing.
        let size = self.secret_access_key.len() + self.session_token.len() + 512;
        let mut text = Zeroizing::new(Vec::with_capacity(size));
        serde_json::to_writer(&mut *text, self).context("the credentials cannot be written")?;
        text.push(b'\n');
        Ok(text)
    }

    /// Seconds until it ends. Negative if it has.
    pub(crate) fn left(&self, now: Timestamp) -> i64 {
        self.expiration.millis_since(now) / 1000
    }
}

/// Opens what the server gave for `grant`: the session's number and the session.
///
/// # Errors
/// If it is another grant's, sealed to another key, or not what it should be. No error quotes what was opened.
pub(crate) fn open(answer: &Value, grant: &GrantId, identity: &Identity) -> anyhow::Result<(u64, Session)> {
    let told = answer.get("grant").and_then(Value::as_str);
    if told != Some(grant.as_str()) {
        bail!("the credentials that came are another grant's, not those of {grant}");
    }
    let serial = answer.get("serial").and_then(Value::as_u64).context("the answer has no credentials")?;
    let sealed = answer.get("sealed").and_then(Value::as_str).context("the answer has no credentials")?;
    let damaged = "the sealed credentials are damaged";
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed.as_bytes())).context(damaged)?;
    let reader = match decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)) {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys) => {
            bail!("the credentials of {grant} are sealed to another key than the one that is kept here for it")
        }
        Err(error) => return Err(error).context(damaged),
    };
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.take(LARGEST).read_to_end(&mut plain).context(damaged)?;
    // serde_json's own words may quote what it read.
    let session: Session = serde_json::from_slice(&plain).ok().context("what was sealed is not what a credential_process takes")?;
    if session.version != 1 {
        bail!("the sealed credentials are of another version than this program knows");
    }
    Ok((serial, session))
}
