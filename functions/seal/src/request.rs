//! What the function is asked: by the schedule, by S3 through a queue, by hand.

use evidence::RecordKey;
use ids::Timestamp;
use serde::Deserialize;

/// How far back an ordinary pass looks, by the minute in a record's key.
const HOURS: u32 = 2;
/// How far back anyone may ask it to look.
const MOST_HOURS: u32 = 24 * 31;

/// How far back to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Hours back from now.
    pub(crate) hours: u32,
    /// Keys that were heard of, which may be older than that.
    pub(crate) keys: Vec<RecordKey>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Asked(Asked),
    Queued(Queued),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    cordon: Word,
    hours: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Seal,
}

#[derive(Deserialize)]
struct Queued {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    body: String,
}

/// An S3 event notification (S3 user guide, "Event message structure"). The test event that S3 sends once has no `Records`.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records", default)]
    records: Vec<Notified>,
}

#[derive(Deserialize)]
struct Notified {
    s3: Bucket,
}

#[derive(Deserialize)]
struct Bucket {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    /// URL-encoded; a record's key has nothing that encoding would change.
    key: String,
}

impl Request {
    /// Reads an event.
    ///
    /// # Errors
    /// In a sentence, if it is none of those that this function knows.
    pub(crate) fn read(event: &[u8]) -> Result<Self, &'static str> {
        let event = serde_json::from_slice(event)
            .map_err(|_| "expected {\"cordon\": \"seal\"}, with or without \"hours\", or S3's notifications from a queue")?;
        match event {
            Event::Asked(Asked { cordon: Word::Seal, hours }) => {
                let hours = hours.unwrap_or(HOURS);
                if !(1..=MOST_HOURS).contains(&hours) {
                    return Err("`hours` is from 1 to 744");
                }
                Ok(Self { hours, keys: Vec::new() })
            }
            // What cannot be read here is found by the listing all the same: a message only says that there is something.
            Event::Queued(Queued { records }) => {
                let told = records.iter().filter_map(|message| serde_json::from_str::<Notification>(&message.body).ok());
                let keys = told.flat_map(|told| told.records).filter_map(|notified| notified.s3.object.key.parse().ok()).collect();
                Ok(Self { hours: HOURS, keys })
            }
        }
    }

    /// The oldest minute to look at.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        let hours_ago = |hours: u32| Timestamp::saturating(now.millis().saturating_sub(i64::from(hours) * 3_600_000));
        let oldest = self.keys.iter().filter_map(RecordKey::first_claimed).min();
        let since = oldest.map_or(hours_ago(self.hours), |oldest| oldest.min(hours_ago(self.hours)));
        since.max(hours_ago(MOST_HOURS))
    }
}

/// The oldest minute to look at if the log's newest batch is of the time `last`: not later than that, within what anyone may ask for. With
/// no batch yet, everything.
pub(crate) fn after_silence(since: Timestamp, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let ago = |time: Timestamp, millis: i64| Timestamp::saturating(time.millis().saturating_sub(millis));
    match last {
        // Clocks may differ by what SigV4 tolerates.
        Some(last) => since.min(ago(last, 900_000).max(ago(now, i64::from(MOST_HOURS) * 3_600_000))),
        None => Timestamp::saturating(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-intent.json";

    fn queued(bodies: &[&str]) -> Vec<u8> {
        let records: Vec<_> = bodies.iter().map(|body| serde_json::json!({ "messageId": "1", "body": body })).collect();
        serde_json::json!({ "Records": records }).to_string().into_bytes()
    }

    #[test]
    fn it_is_asked_by_hand_by_the_schedule_and_by_s3() {
        assert_eq!(Request::read(br#"{"cordon":"seal"}"#), Ok(Request { hours: 2, keys: Vec::new() }));
        assert_eq!(Request::read(br#"{"cordon":"seal","hours":26}"#).unwrap().hours, 26);
        let told = format!(r#"{{"Records":[{{"s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{KEY}","size":3}}}}}}]}}"#);
        let test_event = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
        let request = Request::read(&queued(&[&told, test_event, "nonsense"])).unwrap();
        assert_eq!(request.keys, [KEY.parse().unwrap()]);
        for wrong in
            [&b""[..], b"{}", br#"{"cordon":"plan"}"#, br#"{"cordon":"seal","hours":0}"#, br#"{"cordon":"seal","hours":745}"#]
        {
            assert!(Request::read(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn after_a_silence_all_of_it_is_looked_at() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (now, since) = (at("2026-11-23T12:00:00Z"), at("2026-11-23T10:00:00Z"));
        assert_eq!(after_silence(since, Some(at("2026-11-23T11:59:00Z")), now), since, "no silence");
        assert_eq!(after_silence(since, Some(at("2026-11-20T08:00:00Z")), now), at("2026-11-20T07:45:00Z"));
        assert_eq!(after_silence(since, Some(at("2025-11-20T08:00:00Z")), now), at("2026-10-23T12:00:00Z"), "within reason");
        assert_eq!(after_silence(since, None, now), Timestamp::saturating(0));
    }

    #[test]
    fn a_key_that_is_older_than_the_window_widens_it_within_reason() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let request = |keys| Request { hours: 2, keys };
        assert_eq!(request(vec![]).since(now).to_string(), "2026-11-23T10:00:00.000Z");
        assert_eq!(request(vec![KEY.parse().unwrap()]).since(now).to_string(), "2026-11-23T02:13:00.000Z");
        let ancient = KEY.replace("2026/11", "2016/11").parse().unwrap();
        assert_eq!(request(vec![ancient]).since(now).to_string(), "2026-10-23T12:00:00.000Z");
    }
}
