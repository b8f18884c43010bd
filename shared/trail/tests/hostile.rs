//! Files that someone made to hurt, and what holds for any file.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test may stop at the first surprise")]

use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value, json};
use trail::{Event, LARGEST_EVENT, Refusal, Refused, Sum, read};

fn read_all(file: impl Read) -> (Vec<Event>, Vec<Refused>) {
    let (mut events, mut refused) = (Vec::new(), Vec::new());
    let sum = read(file, &mut |event| match event {
        Ok(event) => events.push(event),
        Err(why) => refused.push(why),
    });
    assert_eq!(sum, Sum { events: events.len() as u64, refused: refused.len() as u64 });
    (events, refused)
}

fn event(n: u64) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": format!("event-{n}"), "eventTime": "2026-11-23T02:13:00Z", "awsRegion": "us-east-1",
        "eventSource": "ec2.amazonaws.com", "eventName": "CreateTags", "requestID": format!("request-{n}"),
        "userIdentity": {"type": "Root"}, "requestParameters": {"resourcesSet": {"items": [{"resourceId": "i-99999999"}]}},
    })
}

#[test]
fn what_is_held_is_one_event_however_large_the_file() {
    // Twenty million bytes that nobody ever holds at once.
    let one = event(1).to_string() + ",";
    let count = 20_000_000 / one.len() as u64;
    let body = std::io::repeat(0).take(0).chain(Again { text: one.as_bytes(), at: 0 }.take(count * one.len() as u64));
    let last = event(2).to_string();
    let file = br#"{"Records":["#.chain(body).chain(last.as_bytes()).chain(&b"]}"[..]);
    let mut events = 0;
    let sum = read(file, &mut |event| events += u64::from(event.is_ok()));
    assert_eq!((sum.events, sum.refused, events), (count + 1, 0, count + 1));
}

/// A text, again and again.
struct Again<'a> {
    text: &'a [u8],
    at: usize,
}

impl Read for Again<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = self.text.get(self.at..).unwrap();
        let length = rest.len().min(buffer.len());
        buffer.get_mut(..length).unwrap().copy_from_slice(rest.get(..length).unwrap());
        self.at = (self.at + length) % self.text.len();
        Ok(length)
    }
}

#[test]
fn an_event_without_end_is_given_up_with_its_name() {
    for (before, filling) in [(r#"{"Records":[{"a":""#, b'x'), (r#"{"Records":["#, b'['), (r#"{"eventID":""#, b'x'), ("", b' ')] {
        let endless = before.as_bytes().chain(std::io::repeat(filling)).take(3 * LARGEST_EVENT as u64);
        let (events, refused) = read_all(endless);
        assert!(events.is_empty());
        match filling {
            b' ' => assert!(refused.is_empty()),
            b'[' => assert!(matches!(refused[..], [Refused { why: Refusal::Broken { resumed: false, .. }, .. }]), "{refused:?}"),
            _ => assert!(matches!(refused[..], [Refused { why: Refusal::TooLarge, .. }]), "{refused:?}"),
        }
    }
}

#[test]
fn deep_json_is_refused_and_the_next_line_is_read() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let file = format!("{}\n{deep}\n{}\n", event(1), event(2));
    let (events, refused) = read_all(file.as_bytes());
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["event-1", "event-2"]);
    assert!(matches!(refused[..], [Refused { place: 2, why: Refusal::Broken { resumed: true, .. }, .. }]), "{refused:?}");
}

#[test]
fn a_file_that_cannot_be_read_on_says_so() {
    struct Damaged;
    impl Read for Damaged {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("corrupt deflate stream"))
        }
    }
    let text = json!({"Records": [event(1), event(2)]}).to_string();
    let cut = &text.as_bytes()[..text.len() - 40];
    let (events, refused) = read_all(cut.chain(Damaged));
    assert_eq!(events.len(), 1);
    assert_eq!(refused[0].to_string(), "event 2: the file could not be read on: corrupt deflate stream");
    let (events, refused) = read_all(Damaged);
    assert_eq!((events.len(), refused.len()), (0, 1));
}

#[test]
fn many_resources_are_bounded() {
    let items: Vec<_> = (0..50_000).map(|n| json!({"resourceId": format!("i-{n:08x}")})).collect();
    let mut large = event(1);
    large["requestParameters"]["resourcesSet"]["items"] = items.into();
    let (events, _) = read_all(large.to_string().as_bytes());
    assert_eq!(events[0].named.len(), 256);
}

fn shapes() -> impl Strategy<Value = (Vec<Value>, usize)> {
    (0..20_u64, 0..5_usize).prop_map(|(count, shape)| ((0..count).map(event).collect(), shape))
}

fn text(events: &[Value], shape: usize) -> String {
    let looked_up: Vec<_> =
        events.iter().map(|event| json!({"EventId": event["eventID"], "CloudTrailEvent": event.to_string()})).collect();
    match shape {
        0 => json!({"Records": events}).to_string(),
        1 => format!("{:#}", json!({"Events": looked_up})),
        2 => events.iter().map(|event| event.to_string() + "\n").collect(),
        3 => json!(events).to_string(),
        _ => looked_up.iter().map(|event| event.to_string() + "\r\n").collect(),
    }
}

proptest! {
    #[test]
    fn every_shape_gives_the_same_events((events, shape) in shapes()) {
        let (found, refused) = read_all(text(&events, shape).as_bytes());
        prop_assert!(refused.is_empty(), "{refused:?}");
        prop_assert_eq!(found.iter().map(|event| event.id.clone()).collect::<Vec<_>>(),
            events.iter().map(|event| event["eventID"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_is_cut_off_never_reads_as_a_whole_one((events, shape) in shapes(), at in any::<prop::sample::Index>()) {
        let whole = text(&events, shape);
        let cut = &whole[..at.index(whole.len().max(1))];
        let (found, refused) = read_all(cut.as_bytes());
        prop_assert!(found.len() <= events.len());
        // Lines may end where they end. Anything else that lacks an event says so.
        let lines = matches!(shape, 2 | 4);
        prop_assert!(lines || cut.trim().is_empty() || !refused.is_empty(), "{cut}");
    }

    #[test]
    fn a_broken_line_takes_no_other_with_it(at in any::<prop::sample::Index>()) {
        let line = event(2).to_string();
        let broken = &line[..1 + at.index(line.len() - 1)];
        let (found, refused) = read_all(format!("{}\n{broken}\n{}\n", event(1), event(3)).as_bytes());
        prop_assert_eq!(found.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["event-1", "event-3"]);
        prop_assert_eq!(refused.len(), 1);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(bytes.as_slice());
    }

    #[test]
    fn any_change_of_a_character_is_read_or_refused(at in any::<prop::sample::Index>(), new in any::<char>()) {
        let whole = text(&[event(1), event(2)], 0);
        let at = at.index(whole.len());
        let changed = format!("{}{new}{}", &whole[..at], &whole[at + 1..]);
        let (events, refused) = read_all(changed.as_bytes());
        prop_assert!(events.len() + refused.len() > 0);
    }
}
