//! Slack: <https://docs.slack.dev/reference/methods/auth.revoke>, which ends the token that it is asked with.

use serde::Deserialize;

use super::http::{About as Whose, Client, Request, Trouble};
use super::{About, Kind, Platform, State, Token};

const REVOKED: &str = "`auth.revoke` with it";
const TESTED: &str = "`auth.test` with it says `token_revoked`, or `invalid_auth` where it worked before";

/// What Slack is, and its tokens.
pub(crate) const ABOUT: About = About {
    id: "slack",
    name: "Slack",
    base: "https://slack.com/api",
    detector: "Slack",
    at_once: 1,
    kinds: &[
        Kind {
            id: "slack-bot",
            prefixes: &["xoxb-", "xoxe.xoxb-"],
            also: "-",
            recognised: "a bot's token: xoxb-… (xoxe.xoxb-… where tokens are rotated)",
            done: REVOKED,
            shown: TESTED,
            survives: "the app's installation, whose owner gets another there; incoming webhooks; a refresh token (xoxe-…)",
            revocable: true,
            probe: Some("/auth.test"),
        },
        Kind {
            id: "slack-user",
            prefixes: &["xoxp-", "xoxe.xoxp-"],
            also: "-",
            recognised: "a user's token: xoxp-… (xoxe.xoxp-… where tokens are rotated)",
            done: REVOKED,
            shown: TESTED,
            survives: "the user's sessions and other apps; messages, invitations and apps that were made with it; a refresh token (xoxe-…)",
            revocable: true,
            probe: Some("/auth.test"),
        },
        Kind {
            id: "slack-workspace",
            prefixes: &["xoxa-"],
            also: "-",
            recognised: "a workspace's token, of old apps: xoxa-…",
            done: REVOKED,
            shown: TESTED,
            survives: "the app, until `apps.uninstall`",
            revocable: true,
            probe: Some("/auth.test"),
        },
        Kind {
            id: "slack-app",
            prefixes: &["xapp-"],
            also: "-",
            recognised: "an app's token: xapp-…",
            done: REVOKED,
            shown: TESTED,
            survives: "the app's other tokens; connections that are open, perhaps. If Slack refuses, the app's page revokes it",
            revocable: true,
            probe: Some("/auth.test"),
        },
    ],
};

/// Slack.
pub(crate) struct Slack;

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    error: String,
}

impl Said {
    /// Slack's word for what is wrong. Its words are of small letters and `_`; anything else might be the token.
    fn word(&self) -> &str {
        let is_word =
            !self.error.is_empty() && self.error.len() <= 40 && self.error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_word { &self.error } else { "something that is no word of its" }
    }

    fn is_over(&self) -> bool {
        ["token_revoked", "token_expired", "account_inactive"].contains(&self.error.as_str())
    }
}

async fn ask(client: &Client, path: &'static str, token: &Token) -> Result<Said, Trouble> {
    let headers = &[("content-type", "application/x-www-form-urlencoded")];
    let answer = client.ask(Request { method: "POST", path, headers, bearer: Some(token), body: Vec::new() }).await?;
    if answer.status != 200 {
        return Err(answer.trouble(ABOUT.name));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Trouble::new(Whose::All, "Slack's answer is none of its: is --api right?"))
}

/// Slack says so of a token that is no more, and to whoever asks from an address that the workspace does not allow.
const NOT_ITS_OWN: &str = "Slack does not know it, or does not answer this address (invalid_auth): it may still work elsewhere";

impl Platform for Slack {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    async fn probe(&self, client: &Client, token: &Token) -> Result<State, Trouble> {
        let said = ask(client, token.kind.probe.unwrap_or("/auth.test"), token).await?;
        match said.error.as_str() {
            _ if said.ok => Ok(State::Works),
            _ if said.is_over() => Ok(State::Ended),
            "invalid_auth" => Ok(State::Refused(NOT_ITS_OWN.to_owned())),
            _ => Ok(State::Unknown(format!("Slack said {}", said.word()))),
        }
    }

    async fn revoke(&self, client: &Client, tokens: &[&Token]) -> Result<(), Trouble> {
        for token in tokens {
            let said = ask(client, "/auth.revoke", token).await?;
            let reason = match said.error.as_str() {
                _ if said.ok && said.revoked => continue,
                _ if said.is_over() => continue,
                _ if said.ok => "Slack says that it did not revoke it".to_owned(),
                "invalid_auth" => NOT_ITS_OWN.to_owned(),
                _ => format!("Slack said {}", said.word()),
            };
            return Err(Trouble::new(Whose::This, reason));
        }
        Ok(())
    }
}
