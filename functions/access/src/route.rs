//! What can be asked of the API.

use api::{Event, Problem};
use grant::Reason;
use ids::{EntitlementName, GrantId, RecipientKey, Sha256, Ticket};
use serde::Deserialize;

/// No body that is asked for here is longer: a reason of 1000 characters of four bytes, each of them escaped, and the rest.
const LARGEST_BODY: usize = 16 * 1024;

/// A request, sorted.
#[derive(Debug)]
pub(crate) enum Route {
    Entitlements,
    Ask { key: String, body: Asking },
    List,
    Show(GrantId),
    Approve(GrantId, Approve),
    Deny(GrantId, Because),
    End(GrantId, End),
    Renew(GrantId),
    Fetch(GrantId),
    Review(GrantId, Note),
}

/// `POST /grants`. There is no field for a role, a label or a policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asking {
    pub(crate) entitlement: EntitlementName,
    pub(crate) seconds: u32,
    pub(crate) reason: Reason,
    #[serde(default)]
    pub(crate) ticket: Option<Ticket>,
    pub(crate) recipient: RecipientKey,
}

/// `POST /grants/GRANT/approval`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    pub(crate) digest: Sha256,
}

/// `POST /grants/GRANT/denial`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Because {
    pub(crate) reason: Reason,
}

/// `POST /grants/GRANT/end`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    #[serde(default)]
    pub(crate) reason: Option<Reason>,
}

/// `POST /grants/GRANT/renewal`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /grants/GRANT/review`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) note: Reason,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Signed with AWS credentials.
    Signature,
    /// With an identity provider's token, below `/token`.
    Token,
}

impl Route {
    pub(crate) fn of(event: &Event) -> Result<(Door, Self), Problem> {
        let parts = event.parts();
        match parts.as_slice() {
            ["token", rest @ ..] => Ok((Door::Token, Self::at(event, rest)?)),
            parts => Ok((Door::Signature, Self::at(event, parts)?)),
        }
    }

    fn at(event: &Event, parts: &[&str]) -> Result<Self, Problem> {
        let id = |text: &str| text.parse::<GrantId>().map_err(|error| Problem::new(404, error.to_string()));
        match parts {
            ["entitlements"] => {
                event.only("GET")?;
                Ok(Self::Entitlements)
            }
            ["grants"] if event.method() == "GET" => Ok(Self::List),
            ["grants"] => {
                if event.method() != "POST" {
                    return Err(Problem::new(405, "GET and POST are the methods here").with_header("allow", "GET, POST"));
                }
                let key = event.header("idempotency-key").map(str::trim).unwrap_or_default();
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                if !(1..=64).contains(&key.len()) || !key.bytes().all(plain) {
                    let what = "the header `idempotency-key` is to be 1 to 64 letters, digits and ._-: the same request again has the same";
                    return Err(Problem::new(400, what));
                }
                Ok(Self::Ask { key: key.to_owned(), body: event.json(LARGEST_BODY)? })
            }
            ["grants", grant] => {
                event.only("GET")?;
                Ok(Self::Show(id(grant)?))
            }
            ["grants", grant, "credentials"] => {
                event.only("GET")?;
                Ok(Self::Fetch(id(grant)?))
            }
            ["grants", grant, what @ ("approval" | "denial" | "end" | "renewal" | "review")] => {
                event.only("POST")?;
                let grant = id(grant)?;
                Ok(match *what {
                    "approval" => Self::Approve(grant, event.json(LARGEST_BODY)?),
                    "denial" => Self::Deny(grant, event.json(LARGEST_BODY)?),
                    "end" => Self::End(grant, event.json(LARGEST_BODY)?),
                    "renewal" => {
                        let Nothing {} = event.json(LARGEST_BODY)?;
                        Self::Renew(grant)
                    }
                    _ => Self::Review(grant, event.json(LARGEST_BODY)?),
                })
            }
            _ => Err(Problem::new(
                404,
                "there is /entitlements, /grants, /grants/GRANT, and its /approval, /denial, /end, /renewal, /credentials and /review",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GRANT: &str = "gr-0123456789abcdef0123";
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn event(method: &str, path: &str, body: &Value) -> Event {
        let event = json!({
            "version": "2.0", "rawPath": path, "headers": { "content-type": "application/json", "Idempotency-Key": "one" },
            "requestContext": { "apiId": "api", "http": { "method": method } }, "body": body.to_string(),
        });
        Event::parse(event.to_string().as_bytes(), "api").unwrap()
    }

    /// A body that the document's schema describes: its required fields, and one value for each pattern.
    fn example(document: &Value, schema: &str) -> Value {
        let fields = json!({
            "entitlement": "prod-read", "seconds": 1800, "reason": "why", "recipient": KEY, "digest": "ab".repeat(32), "note": "fine",
        });
        let required = document["components"]["schemas"][schema]["required"].as_array().cloned().unwrap_or_default();
        Value::Object(
            required.iter().map(|name| (name.as_str().unwrap().to_owned(), fields[name.as_str().unwrap()].clone())).collect(),
        )
    }

    /// The document and the function know the same routes, and the document's examples are understood.
    #[test]
    fn the_document_is_what_is_answered() {
        let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let mut routes = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            let real = path.replace("{grant}", GRANT);
            for method in ["get", "post", "put", "patch", "delete"] {
                let asked = &methods[method];
                let schema = asked["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
                let body = example(&document, schema.rsplit('/').next().unwrap());
                for (prefix, door) in [("", Door::Signature), ("/token", Door::Token)] {
                    let answer = Route::of(&event(&method.to_ascii_uppercase(), &format!("{prefix}{real}"), &body));
                    match answer {
                        Ok((by, _)) => assert!(asked.is_object() && by == door, "{method} {path} is not in the document"),
                        Err(problem) => assert!(asked.is_null() && problem.status == 405, "{method} {path}: {}", problem.detail),
                    }
                }
                routes += usize::from(asked.is_object());
            }
        }
        assert_eq!(routes, 10);
        // And the template has them, each for signatures and for tokens.
        let template = include_str!("../../../template.yaml");
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in ["get", "post"].into_iter().filter(|method| methods[method].is_object()) {
                let method = method.to_ascii_uppercase();
                assert!(template.contains(&format!("RouteKey: {method} {path}\n")), "{method} {path}");
                assert!(template.contains(&format!("RouteKey: {method} /token{path}\n")), "{method} /token{path}");
            }
        }
    }

    #[test]
    fn what_is_no_request_gets_a_clear_word() {
        let asking = json!({ "entitlement": "prod-read", "seconds": 1800, "reason": "why", "recipient": KEY });
        let with = |name: &str, value: Value| {
            let mut asking = asking.clone();
            asking[name] = value;
            asking
        };
        for (method, path, body, status) in [
            ("GET", "/", json!({}), 404),
            ("GET", "/grants/gr-1", json!({}), 404),
            ("GET", "/token", json!({}), 404),
            ("GET", "/grants/gr-0123456789abcdef0123/more", json!({}), 404),
            ("DELETE", "/grants", json!({}), 405),
            ("POST", "/grants", json!({}), 400),
            ("POST", "/grants", with("role", json!("arn:aws:iam::123456789012:role/admin")), 400),
            ("POST", "/grants", with("label", json!("harmless")), 400),
            ("POST", "/grants", with("reason", json!("  ")), 400),
            ("POST", "/grants", with("reason", json!("a\u{200b}b")), 400),
            ("POST", "/grants", with("ticket", json!("a: b")), 400),
            ("POST", "/grants", with("seconds", json!(-1)), 400),
            ("POST", "/grants", with("reason", json!("x".repeat(20_000))), 413),
            ("POST", "/grants/gr-0123456789abcdef0123/approval", json!({ "digest": "ab" }), 400),
            ("POST", "/grants/gr-0123456789abcdef0123/renewal", json!({ "serial": 9 }), 400),
        ] {
            assert_eq!(Route::of(&event(method, path, &body)).unwrap_err().status, status, "{method} {path} {body}");
        }
        // Colons, quotes and new lines are somebody's words.
        assert!(Route::of(&event("POST", "/grants", &with("reason", json!("one: \"two\"\nthree")))).is_ok());
    }
}
