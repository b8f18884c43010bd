//! A stream without what the rules find, in constant memory.

use std::ops::Range;

use crate::redactor::{AwsId, Counts, Found, NEAR, Redactor};
use crate::rule::Scope;

/// How much is looked at together, how much of that is looked at again with what follows, and how much is looked back at.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: usize,
    overlap: usize,
    behind: usize,
    near: usize,
}

const SIZES: Sizes = Sizes { window: 256 << 10, overlap: LONGEST, behind: 2 * NEAR, near: NEAR };

/// Whatever is found is found whole up to so many bytes, its name or beginning included, wherever the stream is cut.
///
/// What has no end of its own within 256 KiB (a value on one line of megabytes, a private key whose last line never comes) is taken out
/// from its beginning to the end of the line on which those 256 KiB end.
pub const LONGEST: usize = 64 << 10;

/// Takes out of a stream what a [`Redactor`] finds, however the stream is cut into pieces.
///
/// What is looked at together depends on places in the stream alone, so the result does not depend on how the bytes arrive. It holds
/// a third of a megabyte back, and gives that at the end.
#[derive(Debug)]
pub struct Stream {
    redactor: Redactor,
    sizes: Sizes,
    /// What was given out already and is looked back at, then what was not.
    held: Vec<u8>,
    given: usize,
    /// Whether something too long is under way: all is taken out until its line ends.
    swallowing: bool,
    counts: Counts,
}

impl Stream {
    /// The stream without what `redactor` finds.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, sizes: SIZES, held: Vec::new(), given: 0, swallowing: false, counts: Counts::new() }
    }

    /// Takes the stream's next bytes, and appends to `out` what can be given of it.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = self.sizes.window.saturating_sub(self.fresh()).max(1);
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.held.extend_from_slice(now);
            bytes = later;
            while self.fresh() >= self.sizes.window {
                self.step(false, out);
            }
        }
    }

    /// The stream has ended: appends the rest to `out`, and says how many of which kind were taken out.
    #[must_use]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Counts {
        while self.fresh() > 0 {
            self.step(true, out);
        }
        self.counts
    }

    fn fresh(&self) -> usize {
        self.held.len().saturating_sub(self.given)
    }

    /// Gives out a part of what is held, or takes it out: at least one byte.
    fn step(&mut self, last: bool, out: &mut Vec<u8>) {
        let (from, end) = (self.given, self.held.len());
        if self.swallowing {
            let line = self.held.get(from..).and_then(|fresh| fresh.iter().position(|byte| *byte == b'\n'));
            self.swallowing = line.is_none();
            self.advance(line.map_or(end, |line| from.saturating_add(line)));
            return;
        }
        let found = self.redactor.find(&self.held, from, Scope::Text, AwsId::Within(self.sizes.near));
        let mut cut = if last { end } else { end.saturating_sub(self.sizes.overlap).max(from.saturating_add(1)) };
        for Range { start, end: stop } in together(&found) {
            if last || start >= cut {
                break;
            }
            if stop < end {
                cut = cut.max(stop);
            } else if start > from {
                // It may go on: it is looked at again, from its start, with what follows.
                cut = start;
                break;
            } else {
                cut = end;
                self.swallowing = true;
            }
        }
        let counts = &mut self.counts;
        self.redactor.write(&self.held, from..cut, &found, out, |kind, _| {
            let count = counts.entry(kind.to_owned()).or_default();
            *count = count.saturating_add(1);
        });
        self.advance(cut);
    }

    /// Everything before `cut` is done with, but for looking back.
    fn advance(&mut self, cut: usize) {
        let drop = cut.saturating_sub(self.sizes.behind);
        self.held.drain(..drop.min(self.held.len()));
        self.given = cut.saturating_sub(drop);
    }
}

/// Where matches stand, in order; those that touch make one place, because a cut between them would part one.
fn together(found: &[Found]) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = found.iter().map(|found| found.whole.clone()).collect();
    places.sort_by_key(|place| place.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for next in places {
        match apart.last_mut() {
            Some(before) if next.start < before.end => before.end = before.end.max(next.end),
            _ => apart.push(next),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::Config;

    const SMALL: Sizes = Sizes { window: 480, overlap: 240, behind: 120, near: 60 };

    /// Made once: its expressions are compiled when they are first needed.
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
        let config: Config = "email, phone, iban, payment-card, ip-address\ncase = \\bCASE-([0-9]{6})\\b".parse().unwrap();
        Redactor::new(&config).unwrap()
    });

    fn redactor() -> Redactor {
        REDACTOR.clone()
    }

    fn streamed(text: &[u8], sizes: Sizes, cuts: &[usize]) -> (Vec<u8>, Counts) {
        let mut stream = Stream { sizes, ..Stream::new(redactor()) };
        let mut out = Vec::new();
        let mut rest = text;
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            stream.push(now, &mut out);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let counts = stream.finish(&mut out);
        (out, counts)
    }

    fn whole(text: &[u8], sizes: Sizes) -> (Vec<u8>, Counts) {
        let redactor = redactor();
        let found = redactor.find(text, 0, Scope::Text, AwsId::Within(sizes.near));
        let (mut out, mut counts) = (Vec::new(), Counts::new());
        redactor.write(text, 0..text.len(), &found, &mut out, |kind, _| *counts.entry(kind.to_owned()).or_default() += 1);
        (out, counts)
    }

    /// Things that are found, none longer than 200 bytes, and things that are not.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let token = |start: &str, n: usize| format!("{start}{}", "aB3xY9".repeat(40).get(..n).unwrap()).into_bytes();
        prop_oneof![
            Just(token("ghp_", 36)),
            Just(token("npm_", 36)),
            Just(token("--password ", 9)),
            Just(token("password=", 70)),
            Just(token("\"api_key\": \"", 20)),
            Just(b"\"".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\n".to_vec()),
            Just(token("AKIAIOSFODNN7EXAMPLE ", 40)),
            Just(token(" ", 40)),
            Just(token("https://alice:", 12)),
            Just(b"@db.example.org/".to_vec()),
            Just(b"bob@corp.example ".to_vec()),
            Just(b"+49 30 123456-78".to_vec()),
            Just(b"CASE-123456".to_vec()),
            Just(b"-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----".to_vec()),
            Just(b"4111 1111 1111 1111".to_vec()),
            Just(b"8.8.8.8 2a00:1450::1".to_vec()),
            Just(b"DE89 3704 0044 0532 0130 00".to_vec()),
            prop::collection::vec(any::<u8>(), 0..80),
            "[a-z \n]{0,60}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        /// However it arrives, the result is the same: it depends on places in the stream alone.
        #[test]
        fn how_it_arrives_does_not_matter(
            text in prop::collection::vec(pieces(), 0..60),
            cuts in prop::collection::vec(1_usize..700, 1..5),
        ) {
            let text = text.concat();
            prop_assert_eq!(streamed(&text, SMALL, &cuts), streamed(&text, SMALL, &[text.len().max(1)]));
        }

        /// What would be found in the whole is found in the stream, wherever it lies.
        #[test]
        fn a_window_finds_what_the_whole_has(
            before in 0_usize..1200,
            secret in prop::sample::select(vec![
                "ghp_0123456789abcdefghijklmnopqrstuvwxyz", "password=hunter2hunter2", "--token hunter2hunter2", "bob@corp.example",
                "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "-----BEGIN PRIVATE KEY-----\nMIIabcabcabcabcabcabc\nMIIabcabcabc\n-----END PRIVATE KEY-----",
                "CASE-123456", "+49 30 123456-78", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "2a00:1450::1",
            ]),
            filler in prop::sample::select(vec![b' ', b'\n', b'.', 0xff]),
            after in 0_usize..1200,
        ) {
            let text = [vec![filler; before], b" ".to_vec(), secret.as_bytes().to_vec(), b" ".to_vec(), vec![filler; after]].concat();
            let expected = whole(&text, SMALL);
            prop_assert!(!expected.1.is_empty());
            prop_assert_eq!(streamed(&text, SMALL, &[7, 64, 333]), expected);
        }
    }

    #[test]
    fn what_has_no_end_is_taken_out_to_the_end_of_a_line() {
        let long = "x".repeat(3_000);
        for start in [0, 1, 239, 240, 241, 479, 480, 1000] {
            let text = format!("{}\npassword={long}\nthis stays\n", "-".repeat(start));
            let (out, counts) = streamed(text.as_bytes(), SMALL, &[100]);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(
                out,
                format!("{}\npassword=[redacted: value of a secret's name]\nthis stays\n", "-".repeat(start)),
                "{start}"
            );
            assert_eq!(counts.values().sum::<u64>(), 1);
        }
        // A key whose end never comes goes as far as is looked ahead, and to the end of that line.
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}the rest\n", "abc\n".repeat(200));
        let (out, _) = streamed(text.as_bytes(), SMALL, &[100]);
        assert!(out.starts_with(b"[redacted: private key]\nabc\n") && out.ends_with(b"the rest\n"));
    }

    #[test]
    fn it_holds_back_no_more_than_it_says_and_takes_what_the_sizes_promise() {
        let mut stream = Stream::new(redactor());
        let mut out = Vec::new();
        let secret = ["ghp_", &"a1B2".repeat(9)].concat();
        let mut expected = 0;
        for n in 0..60_u64 {
            let chunk = format!("{}\n{secret}\n", "log line without anything in it\n".repeat(1500 + usize::try_from(n).unwrap()));
            expected += 1;
            stream.push(chunk.as_bytes(), &mut out);
            assert!(stream.held.len() <= SIZES.window + SIZES.behind && stream.held.capacity() < 2 * (SIZES.window + SIZES.behind));
        }
        let counts = stream.finish(&mut out);
        assert_eq!(counts, Counts::from([("GitHub token".to_owned(), expected)]));
        assert!(!out.windows(secret.len()).any(|part| part == secret.as_bytes()));
        // One that is as long as is promised, across a window's end.
        for at in [130 << 10, 190 << 10, (256 << 10) - 100] {
            let text = format!("{}\n\"token\": \"{}\"\n", ".".repeat(at), "s".repeat(LONGEST - 100));
            let (out, _) = streamed(text.as_bytes(), SIZES, &[5000]);
            assert!(!out.ends_with(b"s\"\n"), "{at}");
        }
    }
}
