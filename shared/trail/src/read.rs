//! A file of events, as a stream.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};
use serde_json::{Map, Value};

use crate::event::Event;
use crate::refused::{Refusal, Refused};

/// The largest event that is read, in bytes. CloudTrail's own bound is 256 KB, and 1 MB for enriched events ("CloudTrail quotas").
pub const LARGEST_EVENT: usize = 4 << 20;

/// What a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Events that were read.
    pub events: u64,
    /// What was refused.
    pub refused: u64,
}

/// Reads every event of a file, decompressed, and hands each to `each`, or what is wrong with it.
///
/// A file that is broken in the middle gives what came before; of JSON lines, what comes after as well.
pub fn read(file: impl Read, each: &mut dyn FnMut(Result<Event, Refused>)) -> Sum {
    let mut out = Out { each, sum: Sum::default(), place: 0 };
    let read = Cell::new(0);
    let mut reader = Metered { inner: BufReader::with_capacity(1 << 16, file), read: &read, again: Vec::new(), later: None };
    let mut lists = false;
    loop {
        match next_byte(&mut reader) {
            Ok(Some(_)) => {}
            Ok(None) => return out.sum,
            Err(error) => {
                out.refuse(Refusal::Unreadable(error.to_string()));
                return out.sum;
            }
        }
        read.set(0);
        reader.later = None;
        // One deserializer for each value: an object ends at its brace, and nothing after it has been read.
        let mut json = serde_json::Deserializer::from_reader(&mut reader);
        let whole = Whole { out: &mut out, read: &read, lists: &mut lists };
        let Err(error) = json.deserialize_any(whole) else { continue };
        let resumed = !lists && !error.is_io();
        out.refuse(match error.classify() {
            serde_json::error::Category::Io if read.get() > LARGEST_EVENT => Refusal::TooLarge,
            serde_json::error::Category::Io => Refusal::Unreadable(io::Error::from(error).to_string()),
            _ => Refusal::Broken { line: error.line().max(1), column: error.column(), resumed },
        });
        // A line that is broken is one event; a list that is broken has no next one to find.
        if !resumed || reader.skip_line().is_err() {
            return out.sum;
        }
    }
}

/// The next byte that is not white space, which stays.
fn next_byte(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let Some(first) = buffer.first().copied() else { return Ok(None) };
        // Some tools write a byte order mark; it says nothing in UTF-8.
        let blank = buffer.iter().take_while(|byte| b" \t\r\n\x1e\xef\xbb\xbf".contains(byte)).count();
        if blank == 0 {
            return Ok(Some(first));
        }
        reader.consume(blank);
    }
}

/// A reader that ends an event which does not end, and can go back to the end of its first line.
struct Metered<'a, R> {
    inner: R,
    read: &'a Cell<usize>,
    /// What is read once more, backwards.
    again: Vec<u8>,
    /// What was read of the event after its first line.
    later: Option<Vec<u8>>,
}

impl<R: BufRead> Metered<'_, R> {
    /// Goes to the next line after the one where the event began. Its error may have been seen in a later one: those are then read again.
    fn skip_line(&mut self) -> io::Result<()> {
        if let Some(later) = self.later.take() {
            self.again.extend(later.into_iter().rev());
            return Ok(());
        }
        loop {
            let buffer = self.fill_buf()?;
            let (length, end) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at.saturating_add(1), true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.consume(length);
            if end {
                return Ok(());
            }
        }
    }
}

impl<R: BufRead> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > LARGEST_EVENT {
            return Err(io::Error::other("one event is too large"));
        }
        let length = match (self.again.pop(), buffer.first_mut()) {
            (Some(byte), Some(place)) => {
                *place = byte;
                1
            }
            _ => self.inner.read(buffer)?,
        };
        self.read.set(self.read.get().saturating_add(length));
        for byte in buffer.get(..length).unwrap_or_default() {
            match &mut self.later {
                Some(later) => later.push(*byte),
                later if *byte == b'\n' => *later = Some(Vec::new()),
                None => {}
            }
        }
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Metered<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.again.last() {
            Some(byte) => Ok(std::slice::from_ref(byte)),
            None => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, length: usize) {
        if self.again.is_empty() {
            self.inner.consume(length);
        } else {
            self.again.truncate(self.again.len().saturating_sub(length));
        }
    }
}

struct Out<'a> {
    each: &'a mut dyn FnMut(Result<Event, Refused>),
    sum: Sum,
    place: u64,
}

impl Out<'_> {
    fn refuse(&mut self, why: Refusal) {
        self.place = self.place.saturating_add(1);
        self.refuse_here(None, why);
    }

    fn refuse_here(&mut self, id: Option<String>, why: Refusal) {
        self.sum.refused = self.sum.refused.saturating_add(1);
        (self.each)(Err(Refused { place: self.place, id, why }));
    }

    /// An event, or whatever stands in its place.
    fn record(&mut self, value: &Value) {
        self.place = self.place.saturating_add(1);
        let Some(record) = value.as_object() else { return self.refuse_here(None, Refusal::NoEvent) };
        match Event::of(record) {
            Ok(event) => {
                self.sum.events = self.sum.events.saturating_add(1);
                (self.each)(Ok(event));
            }
            Err(why) => {
                let id = record.get("eventID").and_then(Value::as_str).map(|id| id.chars().take(64).collect());
                self.refuse_here(id, why);
            }
        }
    }

    /// An event outside of a list that says what it holds.
    fn single(&mut self, value: &Value) {
        if value.get("CloudTrailEvent").is_some() {
            self.looked_up(value);
        } else if ["eventVersion", "eventID", "eventName"].iter().any(|field| value.get(field).is_some()) {
            self.record(value);
        } else {
            self.refuse(Refusal::NoEvent);
        }
    }

    /// An element of what `lookup-events` prints: the event is a text in it.
    fn looked_up(&mut self, value: &Value) {
        let Some(text) = value.get("CloudTrailEvent").and_then(Value::as_str) else {
            self.place = self.place.saturating_add(1);
            return self.refuse_here(None, Refusal::Missing("CloudTrailEvent"));
        };
        match serde_json::from_str(text) {
            Ok(record) => self.record(&record),
            Err(error) => {
                self.place = self.place.saturating_add(1);
                let id = value.get("EventId").and_then(Value::as_str).map(|id| id.chars().take(64).collect());
                self.refuse_here(id, Refusal::Broken { line: error.line().max(1), column: error.column(), resumed: true });
            }
        }
    }
}

/// One value of a file: a log file, a listing, or an event by itself.
struct Whole<'a, 'b> {
    out: &'a mut Out<'b>,
    read: &'a Cell<usize>,
    lists: &'a mut bool,
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        *self.lists = true;
        List { out: self.out, read: self.read, name: "", holds: Holds::Either }.visit_seq(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { out, read, lists } = self;
        let (mut own, mut listed) = (Map::new(), false);
        while let Some(name) = fields.next_key::<String>()? {
            let list = match name.as_str() {
                "Records" => Some(("Records", Holds::Records)),
                "Events" => Some(("Events", Holds::LookedUp)),
                _ => None,
            };
            if let Some((name, holds)) = list {
                (listed, *lists) = (true, true);
                fields.next_value_seed(List { out: &mut *out, read, name, holds })?;
            } else {
                own.insert(name, fields.next_value()?);
            }
        }
        // Of what a listing says of itself, only that it was cut off matters.
        if listed && own.get("NextToken").is_some_and(|token| !token.is_null()) {
            out.refuse(Refusal::GoesOn);
        } else if !listed {
            out.single(&Value::Object(own));
        }
        Ok(())
    }
}

/// The list in a log file or a listing, element by element.
struct List<'a, 'b> {
    out: &'a mut Out<'b>,
    read: &'a Cell<usize>,
    name: &'static str,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Records,
    LookedUp,
    Either,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<Value>()? {
            self.read.set(0);
            match self.holds {
                Holds::Records => self.out.record(&value),
                Holds::LookedUp => self.out.looked_up(&value),
                Holds::Either => self.out.single(&value),
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.no_list()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.no_list()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.no_list()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.no_list()
    }
}

impl List<'_, '_> {
    fn no_list<E>(self) -> Result<(), E> {
        self.out.refuse(Refusal::NoList(self.name));
        Ok(())
    }
}
