//! The API's requests.

use api::{Event, Problem};
use ids::{IncidentId, Sha256};
use people::Caller;
use serde::Deserialize;

/// No body that is asked for here is longer.
const LARGEST_BODY: usize = 8 * 1024;

/// A request, sorted.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) caller: Caller,
    pub(crate) route: Route,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Route {
    Ask(Ask),
    Show(IncidentId),
    Approve(IncidentId, Approve),
    Deny(IncidentId, Deny),
}

/// `POST /releases`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    pub(crate) incident: IncidentId,
    pub(crate) reason: String,
    /// Who asks knows that stolen sessions may not have run out.
    #[serde(default)]
    pub(crate) early: bool,
}

/// `POST /releases/INCIDENT/approval`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    pub(crate) digest: Sha256,
}

/// `POST /releases/INCIDENT/denial`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deny {
    pub(crate) reason: String,
}

impl Request {
    /// The request in an event of the API whose id is `api`.
    pub(crate) fn parse(bytes: &[u8], api: &str) -> Result<Self, Problem> {
        let event = Event::parse(bytes, api)?;
        let route = route(&event)?;
        Ok(Self { caller: event.caller()?, route })
    }
}

fn route(event: &Event) -> Result<Route, Problem> {
    let incident = |text: &str| text.parse::<IncidentId>().map_err(|error| Problem::new(404, error.to_string()));
    match event.parts().as_slice() {
        ["releases"] => {
            event.only("POST")?;
            let ask: Ask = event.json(LARGEST_BODY)?;
            api::reason(&ask.reason)?;
            Ok(Route::Ask(ask))
        }
        ["releases", id] => {
            event.only("GET")?;
            Ok(Route::Show(incident(id)?))
        }
        ["releases", id, "approval"] => {
            event.only("POST")?;
            Ok(Route::Approve(incident(id)?, event.json(LARGEST_BODY)?))
        }
        ["releases", id, "denial"] => {
            event.only("POST")?;
            let deny: Deny = event.json(LARGEST_BODY)?;
            api::reason(&deny.reason)?;
            Ok(Route::Deny(incident(id)?, deny))
        }
        _ => Err(Problem::new(404, "there is /releases, /releases/INCIDENT, its /approval and its /denial")),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;

    const INCIDENT: &str = "inc-0123456789abcdef0123";

    fn event(method: &str, path: &str, body: Option<&str>) -> Value {
        json!({
            "version": "2.0", "routeKey": "x", "rawPath": path, "rawQueryString": "",
            "headers": { "Content-Type": "application/json; charset=utf-8" },
            "requestContext": {
                "accountId": "123456789012", "apiId": "api-1", "requestId": "r-1",
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x" },
                "authorizer": { "iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": "123456789012", "callerId": "AROAEXAMPLEROLEID1234:alice",
                    "cognitoIdentity": null, "principalOrgId": "o-1",
                    "userArn": "arn:aws:sts::123456789012:assumed-role/Admin/alice", "userId": "AROAEXAMPLEROLEID1234:alice",
                } },
            },
            "body": body, "isBase64Encoded": false,
        })
    }

    fn parse(event: &Value) -> Result<Route, (u16, String)> {
        let parsed = Request::parse(event.to_string().as_bytes(), "api-1");
        parsed.map(|request| request.route).map_err(|problem| (problem.status, problem.detail))
    }

    fn status(event: &Value) -> u16 {
        parse(event).err().map_or(200, |(status, _)| status)
    }

    #[test]
    fn each_route_takes_its_method_and_its_body() {
        let ask = format!(r#"{{"incident":"{INCIDENT}","reason":"a decoy"}}"#);
        assert!(matches!(parse(&event("POST", "/releases", Some(&ask))), Ok(Route::Ask(Ask { early: false, .. }))));
        let path = format!("/releases/{INCIDENT}");
        assert!(matches!(parse(&event("GET", &path, None)), Ok(Route::Show(_))));
        let approve = format!(r#"{{"digest":"{}"}}"#, "0".repeat(64));
        assert!(matches!(parse(&event("POST", &format!("{path}/approval"), Some(&approve))), Ok(Route::Approve(..))));
        let deny = r#"{"reason":"no"}"#;
        assert!(matches!(parse(&event("POST", &format!("{path}/denial"), Some(deny))), Ok(Route::Deny(..))));
        let mut encoded = event("POST", "/releases", Some(&STANDARD.encode(&ask)));
        encoded["isBase64Encoded"] = json!(true);
        assert!(matches!(parse(&encoded), Ok(Route::Ask(_))));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence_with_its_status() {
        let ask = format!(r#"{{"incident":"{INCIDENT}","reason":"a decoy"}}"#);
        let long = format!(r#"{{"incident":"{INCIDENT}","reason":"{}"}}"#, "x".repeat(9000));
        let wordy = format!(r#"{{"incident":"{INCIDENT}","reason":"{}"}}"#, "x".repeat(501));
        let approval = format!("/releases/{INCIDENT}/approval");
        for (expected, event) in [
            (404, event("GET", "/", None)),
            (404, event("GET", "/releases/inc-1", None)),
            (404, event("GET", &format!("/releases/{INCIDENT}/more"), None)),
            (405, event("GET", "/releases", None)),
            (405, event("DELETE", &format!("/releases/{INCIDENT}"), None)),
            (405, event("GET", &approval, None)),
            (400, event("POST", "/releases", None)),
            (400, event("POST", "/releases", Some("nonsense"))),
            (400, event("POST", "/releases", Some(r#"{"incident":"inc-1","reason":"x"}"#))),
            (400, event("POST", "/releases", Some(&ask.replace("reason", "reasons")))),
            (400, event("POST", "/releases", Some(&ask.replace("a decoy", " ")))),
            (400, event("POST", "/releases", Some(&ask.replace("a decoy", "\\u001b[31m")))),
            (400, event("POST", "/releases", Some(&wordy))),
            (413, event("POST", "/releases", Some(&long))),
            (400, event("POST", &approval, Some(r#"{"digest":"abc"}"#))),
        ] {
            assert_eq!(status(&event), expected, "{event}");
        }
        let change = |pointer: &str, value: Value| {
            let mut event = event("POST", "/releases", Some(&ask));
            if let Some(place) = event.pointer_mut(pointer) {
                *place = value;
            }
            event
        };
        assert_eq!(status(&change("/headers", json!({}))), 415);
        assert_eq!(status(&change("/headers/Content-Type", json!("text/plain"))), 415);
        assert_eq!(status(&change("/isBase64Encoded", json!(true))), 400);
        assert_eq!(status(&change("/version", json!("1.0"))), 400);
        assert_eq!(status(&change("/requestContext/apiId", json!("another"))), 400);
        assert_eq!(status(&change("/requestContext/authorizer", Value::Null)), 401);
        assert_eq!(status(&change("/requestContext/authorizer", json!({ "jwt": {} }))), 401);
        assert_eq!(status(&change("/requestContext/authorizer/iam/accountId", json!("999988887777"))), 403);
        assert_eq!(status(&json!({ "cordon": "release" })), 400);
        let (_, said) = parse(&event("POST", "/releases", Some(r#"{"reason": "secret-in-a-body""#))).unwrap_err();
        assert!(!said.contains("secret"), "{said}");
    }
}
