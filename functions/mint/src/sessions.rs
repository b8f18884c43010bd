//! STS: the one file that makes sessions. What it makes has no text: it is sealed, or used for one harmless call and dropped.

use std::io::Write as _;
use std::time::SystemTime;

use age::armor::{ArmoredWriter, Format};
use age::x25519::Recipient;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::{Credentials as Given, Tag};
use calls::{CallLog, incomplete, trouble};
use evidence::Secret;
use grant::SESSION_TAG;
use ids::{AccessKeyId, RecipientKey, Region, RoleArn, SourceIdentity, Timestamp};
use plan::{Trouble, TroubleKind};
use responder::SdkConfig;
use revocation::Iam;
use serde_json::json;
use zeroize::Zeroizing;

/// What a session is to be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) role: &'a RoleArn,
    pub(crate) source: &'a SourceIdentity,
    /// The value of the tag that names a grant.
    pub(crate) tag: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) seconds: u32,
}

/// A session that exists.
pub(crate) struct Session {
    pub(crate) key: AccessKeyId,
    pub(crate) expires: Timestamp,
    secret: Secret<Given>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("key", &self.key).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// STS, as this function reaches it.
#[derive(Debug)]
pub(crate) struct Sessions {
    client: Client,
    config: SdkConfig,
    calls: CallLog,
    region: Region,
}

impl Sessions {
    pub(crate) fn new(config: &SdkConfig, calls: CallLog, region: &Region) -> Self {
        let client = Client::from_conf(aws_sdk_sts::config::Builder::from(config).interceptor(calls.clone()).build());
        Self { client, config: config.clone(), calls, region: region.clone() }
    }

    /// A session of a target role: with its own source identity, a tag that goes on into every role assumed from it, and a policy that narrows it.
    pub(crate) async fn make(&self, wanted: &Wanted<'_>) -> Result<Session, Trouble> {
        let tag = Tag::builder().key(SESSION_TAG).value(wanted.tag).build().map_err(|_| incomplete("Tag"))?;
        let call = self.client.assume_role().role_arn(wanted.role.as_str());
        let call = call.role_session_name(wanted.source.as_str()).source_identity(wanted.source.as_str());
        let call = call.tags(tag).transitive_tag_keys(SESSION_TAG).policy(wanted.policy);
        let seconds = i32::try_from(wanted.seconds).unwrap_or(i32::MAX);
        let answer = call.duration_seconds(seconds).send().await.map_err(|error| trouble(&error))?;
        let given = answer.credentials.ok_or_else(|| incomplete("Credentials"))?;
        let expires = given.expiration().to_millis().map_err(|_| incomplete("Expiration"))?;
        let key = given.access_key_id().parse().map_err(|_| incomplete("AccessKeyId"))?;
        Ok(Session { key, expires: Timestamp::saturating(expires), secret: Secret::new(given) })
    }

    /// Whether IAM lets a session make the one call that is harmless. The credentials go nowhere else.
    pub(crate) async fn may_call(&self, session: &Session) -> Result<bool, Trouble> {
        let credentials = session.secret.with(|given| {
            let expires = SystemTime::try_from(*given.expiration()).ok();
            Credentials::new(
                given.access_key_id(),
                given.secret_access_key(),
                Some(given.session_token().to_owned()),
                expires,
                "probe",
            )
        });
        let config = self.config.clone().into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        match Iam::new(&config, self.calls.clone(), &self.region).try_harmless().await {
            Ok(()) => Ok(true),
            Err(Trouble { kind: TroubleKind::Denied, .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

impl Session {
    /// The session as `credential_process` wants it (AWS SDKs and Tools Reference Guide, "Process credential provider"), for one key to open.
    ///
    /// # Errors
    /// If the recipient is no age key after all.
    pub(crate) fn seal(&self, recipient: &RecipientKey) -> Result<String, String> {
        let recipient: Recipient = recipient.as_str().parse().map_err(|error| format!("the key to seal to is none: {error}"))?;
        let text = self.secret.with(|given| {
            Zeroizing::new(
                json!({
                    "Version": 1, "AccessKeyId": given.access_key_id(), "SecretAccessKey": given.secret_access_key(),
                    "SessionToken": given.session_token(), "Expiration": self.expires,
                })
                .to_string(),
            )
        });
        sealed(&recipient, text.as_bytes()).map_err(|error| format!("the credentials could not be sealed: {error}"))
    }
}

fn sealed(recipient: &Recipient, text: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient))?;
    let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?)?;
    writer.write_all(text)?;
    Ok(String::from_utf8(writer.finish()?.finish()?)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn session() -> Session {
        let given = Given::builder()
            .access_key_id("ASIARZPUZDIKFJNBPQ4Z")
            .secret_access_key("planted-secret")
            .session_token("planted-token")
            .expiration(aws_sdk_sts::primitives::DateTime::from_secs(1_800_000_000))
            .build()
            .unwrap();
        Session {
            key: "ASIARZPUZDIKFJNBPQ4Z".parse().unwrap(),
            expires: Timestamp::saturating(1_800_000_000_000),
            secret: Secret::new(given),
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_key_alone_and_is_what_credential_process_takes() {
        let identity = age::x25519::Identity::generate();
        let sealed = session().seal(&identity.to_public().to_string().parse().unwrap()).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{sealed}");
        assert!(!sealed.contains("planted"));
        let open = |identity: &age::x25519::Identity| {
            let decryptor = age::Decryptor::new(age::armor::ArmoredReader::new(sealed.as_bytes())).unwrap();
            let mut text = String::new();
            decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?.read_to_string(&mut text).unwrap();
            Some(serde_json::from_str::<serde_json::Value>(&text).unwrap())
        };
        let opened = open(&identity).unwrap();
        assert_eq!(opened.get("Version").unwrap(), 1);
        assert_eq!(opened.get("SecretAccessKey").unwrap(), "planted-secret");
        assert_eq!(opened.get("SessionToken").unwrap(), "planted-token");
        assert_eq!(opened.get("Expiration").unwrap(), "2027-01-15T08:00:00.000Z");
        assert_eq!(opened.as_object().unwrap().len(), 5);
        assert!(open(&age::x25519::Identity::generate()).is_none(), "another key opens it");
        assert!(!identity.to_string().expose_secret().is_empty());
    }

    #[test]
    fn a_session_is_not_printed() {
        let shown = format!("{:?}", session());
        assert!(shown.contains("ASIARZPUZDIKFJNBPQ4Z") && !shown.contains("planted"), "{shown}");
    }
}
