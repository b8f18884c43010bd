//! GitHub: <https://docs.github.com/en/rest/credentials/revoke>, which asks nobody who they are.

use super::http::{About as Whose, Client, Request, Trouble};
use super::{About, Kind, Platform, State, Token};

const WHAT_SURVIVES: &str = "what was done with it: commits, releases, webhooks, members, copies of repositories. Deploy keys that it made are deleted with it";
const LISTED: &str =
    "a list with it goes to GitHub, which ends it, writes that into the owner's security log and e-mails the owner";
const AT_USER: &str = "`GET /user` with it is answered with 401";

/// What GitHub is, and its tokens.
pub(crate) const ABOUT: About = About {
    id: "github",
    name: "GitHub",
    base: "https://api.github.com",
    detector: "Github",
    at_once: 1000,
    kinds: &[
        Kind {
            id: "github-pat-classic",
            prefixes: &["ghp_"],
            also: "_",
            recognised: "a personal access token (classic): ghp_…",
            done: LISTED,
            shown: AT_USER,
            survives: WHAT_SURVIVES,
            revocable: true,
            probe: Some("/user"),
        },
        Kind {
            id: "github-pat-fine",
            prefixes: &["github_pat_"],
            also: "_",
            recognised: "a fine-grained personal access token: github_pat_…",
            done: LISTED,
            shown: AT_USER,
            survives: WHAT_SURVIVES,
            revocable: true,
            probe: Some("/user"),
        },
        Kind {
            id: "github-oauth",
            prefixes: &["gho_"],
            also: "_",
            recognised: "an OAuth app's token: gho_…",
            done: LISTED,
            shown: AT_USER,
            survives: "the app, which its owner may let have another; what was done with it. Deploy keys that it made are deleted with it",
            revocable: true,
            probe: Some("/user"),
        },
        Kind {
            id: "github-app-user",
            prefixes: &["ghu_"],
            also: "_",
            recognised: "a user's token of a GitHub App: ghu_…",
            done: LISTED,
            shown: AT_USER,
            survives: "its refresh token (ghr_…), unless that is in the list too; what was done with it, deploy keys included",
            revocable: true,
            probe: Some("/user"),
        },
        Kind {
            id: "github-app-refresh",
            prefixes: &["ghr_"],
            also: "_",
            recognised: "a GitHub App's refresh token: ghr_…",
            done: LISTED,
            shown: "it does not show here: only the app can use it",
            survives: "tokens (ghu_…) that were made with it, for 8 hours at most, unless they are in the list too",
            revocable: true,
            probe: None,
        },
        Kind {
            id: "github-app-installation",
            prefixes: &["ghs_"],
            also: "_.-",
            recognised: "a token of an app's installation or of GitHub Actions: ghs_…",
            done: "nothing by Cordon: GitHub takes none in such lists. Whoever has it can end it with `DELETE /installation/token`; suspend the installation",
            shown: "`GET /installation/repositories` with it is answered with 401",
            survives: "all of it, for an hour at most or until the job has ended; the app's private key, which makes another",
            revocable: false,
            probe: Some("/installation/repositories?per_page=1"),
        },
        Kind {
            id: "github-hex",
            prefixes: &[],
            also: "",
            recognised: "with `--classic` only, a token from before April 2021: 40 hex digits",
            done: LISTED,
            shown: AT_USER,
            survives: WHAT_SURVIVES,
            revocable: true,
            probe: Some("/user"),
        },
    ],
};

const ACCEPT: (&str, &str) = ("accept", "application/vnd.github+json");
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// GitHub.
pub(crate) struct GitHub;

impl Platform for GitHub {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    async fn probe(&self, client: &Client, token: &Token) -> Result<State, Trouble> {
        let path = token.kind.probe.unwrap_or("/user");
        let request = Request { method: "GET", path, headers: &[ACCEPT, VERSION], bearer: Some(token), body: Vec::new() };
        let answer = client.ask(request).await?;
        match answer.status {
            200 => Ok(State::Works),
            401 => Ok(State::Ended),
            _ => Err(answer.trouble(ABOUT.name)),
        }
    }

    async fn revoke(&self, client: &Client, tokens: &[&Token]) -> Result<(), Trouble> {
        // Nothing in a token has to be escaped: their kinds allow letters, digits, `_`, `.` and `-`.
        let quoted: Vec<_> = tokens.iter().map(|token| token.secret.with(|secret| format!("\"{}\"", secret.as_str()))).collect();
        let body = format!("{{\"credentials\":[{}]}}", quoted.join(",")).into_bytes();
        let headers = &[ACCEPT, VERSION, ("content-type", "application/json")];
        let answer = client.ask(Request { method: "POST", path: "/credentials/revoke", headers, bearer: None, body }).await?;
        match answer.status {
            202 => Ok(()),
            401 => Err(Trouble::new(
                Whose::All,
                "GitHub asks who we are (401): an Enterprise Server revokes only for its own users, so end it there by hand",
            )),
            422 => Err(Trouble::new(
                Whose::This,
                "GitHub took the list for invalid, or had too many of them (422): try again with fewer",
            )),
            _ => Err(answer.trouble(ABOUT.name)),
        }
    }
}
