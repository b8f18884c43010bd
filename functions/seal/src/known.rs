//! What the batches of the last hours have sealed. Pure: it is what tells a new version from an old one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use evidence::log::{Batch, Entry, Orphan};
use evidence::{Kind, RecordKey};
use evidence_store::Listed;
use ids::Timestamp;

/// What is sealed, for every key whose minute is not before `since`.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) since: Timestamp,
    /// By key: the sealed versions, the one that counts first.
    versions: HashMap<String, Vec<String>>,
    /// Intents without an outcome so far.
    open: BTreeMap<RecordKey, Timestamp>,
    outcomes: BTreeSet<RecordKey>,
    orphans: BTreeSet<RecordKey>,
}

/// What a listed version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// The first version of its key: to be read.
    First(Listed),
    /// It should not be there, whatever it holds.
    Odd(Listed, &'static str),
}

impl Known {
    /// Nothing yet, for keys from `since` on.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self { since, versions: HashMap::new(), open: BTreeMap::new(), outcomes: BTreeSet::new(), orphans: BTreeSet::new() }
    }

    /// Takes in a batch. The order of batches does not matter.
    pub(crate) fn learn(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            match entry {
                Entry::Record(record) => {
                    self.versions.entry(record.key.to_string()).or_default().insert(0, record.version.clone());
                    match (record.kind, record.due) {
                        (Kind::Intent, Some(due)) if !self.outcomes.contains(&record.key) => {
                            self.open.insert(record.key.clone(), due);
                        }
                        (Kind::Outcome, _) => {
                            let intent = record.key.sibling(record.key.attempt, Kind::Intent);
                            self.open.remove(&intent);
                            self.outcomes.insert(intent);
                        }
                        _ => {}
                    }
                }
                Entry::Kept(kept) => self.versions.entry(kept.key.clone()).or_default().insert(0, kept.version.clone()),
                Entry::Odd(odd) => self.versions.entry(odd.key.clone()).or_default().push(odd.version.clone()),
                Entry::Orphan(orphan) => {
                    self.orphans.insert(orphan.intent.clone());
                }
            }
        }
    }

    /// Forgets what is before `since`, so that a sandbox that lives for days does not grow.
    pub(crate) fn forget_before(&mut self, since: Timestamp) {
        if since <= self.since {
            return;
        }
        let minute = since.minute_path();
        let young = |key: &RecordKey| key.minute() >= minute.as_str();
        // By the very comparison that the listing makes: what is no record's key is listed too, and must not be new every minute.
        let listed = |key: &str| is_key(key) || key.splitn(3, '/').nth(2).is_none_or(|below| below > minute.as_str());
        self.since = since;
        self.versions.retain(|key, _| listed(key));
        self.open.retain(|key, _| young(key));
        self.outcomes.retain(young);
        self.orphans.retain(young);
    }

    /// Takes it that what is under `keys/` since before `since` was entered in its time: those names have no minute to list from, and
    /// batches are read back no further. There are a few of them, so they are never forgotten.
    pub(crate) fn presume(&mut self, keys: &[Listed], since: Timestamp) {
        for old in keys.iter().rev().filter(|version| version.stored < since) {
            if !self.has(old) {
                self.versions.entry(old.key.clone()).or_default().push(old.version.clone());
            }
        }
    }

    /// The listed versions that no batch names, oldest first, and what each is. A key's first version counts, and no other.
    ///
    /// S3 lists the newest version of a key first, and its times are whole seconds: of two in one second that order decides.
    pub(crate) fn fresh(&self, listed: Vec<Listed>) -> Vec<Fresh> {
        let mut new: Vec<Listed> = listed.into_iter().rev().filter(|version| !self.has(version)).collect();
        new.sort_by(|a, b| (a.stored, &a.key).cmp(&(b.stored, &b.key)));
        let mut first: BTreeSet<String> = BTreeSet::new();
        new.into_iter()
            .map(|version| {
                if version.marker {
                    Fresh::Odd(version, "a delete marker: it hides the record, and lets another take its place")
                } else if self.versions.contains_key(&version.key) || !first.insert(version.key.clone()) {
                    Fresh::Odd(version, "a second version, where evidence has one")
                } else {
                    Fresh::First(version)
                }
            })
            .collect()
    }

    fn has(&self, listed: &Listed) -> bool {
        self.versions.get(&listed.key).is_some_and(|versions| versions.contains(&listed.version))
    }

    /// The intents whose outcome was due before `now` and is neither sealed nor among `entries`, and that are not orphans yet.
    pub(crate) fn orphans(&self, now: Timestamp, entries: &[Entry]) -> Vec<Orphan> {
        let mut late: BTreeMap<&RecordKey, Timestamp> = self.open.iter().map(|(key, due)| (key, *due)).collect();
        let mut answered = BTreeSet::new();
        for entry in entries {
            let Entry::Record(record) = entry else { continue };
            match (record.kind, record.due) {
                (Kind::Intent, Some(due)) => {
                    late.insert(&record.key, due);
                }
                (Kind::Outcome, _) => {
                    answered.insert(record.key.sibling(record.key.attempt, Kind::Intent));
                }
                _ => {}
            }
        }
        late.into_iter()
            .filter(|(key, due)| {
                *due < now && !answered.contains(*key) && !self.outcomes.contains(*key) && !self.orphans.contains(*key)
            })
            .map(|(key, due)| Orphan { intent: key.clone(), due })
            .collect()
    }
}

/// Whether it is a key or a ring of keys, by its place.
pub(crate) fn is_key(object: &str) -> bool {
    object.starts_with(KEYS)
}

/// Where keys and rings of keys are kept.
pub(crate) const KEYS: &str = "keys/";

#[cfg(test)]
mod tests {
    use evidence::RecordId;
    use evidence::log::{Edge, Kept, Odd, Sealed};
    use ids::{Sha256, SignalId};
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
    }

    fn key(n: u8, kind: Kind) -> RecordKey {
        let function: ids::FunctionName = "quarantine".parse().unwrap();
        let id = RecordId::derive(&function, None, &SignalId::of_bytes(&Sha256::of(&[n])));
        RecordKey::new(function, at(0), id, 1, kind)
    }

    fn version(key: &RecordKey, version: &str, stored: i64) -> Listed {
        Listed { key: key.to_string(), version: version.to_owned(), stored: at(stored), marker: false, size: 1 }
    }

    fn sealed(key: &RecordKey, version: &str, due: Option<Timestamp>) -> Entry {
        Entry::Record(Sealed {
            key: key.clone(),
            version: version.to_owned(),
            sha256: Sha256::of(b"content"),
            stored: at(1),
            kind: key.kind,
            incident: None,
            due,
        })
    }

    fn batch(entries: Vec<Entry>) -> Batch {
        Batch::next("example.com/log", None, &Edge::default(), at(60), entries).unwrap()
    }

    fn after(entries: Vec<Entry>) -> Known {
        let mut known = Known::new(at(-3600));
        known.learn(&batch(entries));
        known
    }

    #[test]
    fn each_version_is_fresh_once_and_only_the_first_of_a_key_is_a_record() {
        let (a, b) = (key(1, Kind::Decision), key(2, Kind::Decision));
        let listed = vec![version(&a, "second", 5), version(&a, "first", 2), version(&b, "only", 1)];
        let second = Fresh::Odd(version(&a, "second", 5), "a second version, where evidence has one");
        let known = Known::new(at(-3600));
        let fresh = known.fresh(listed.clone());
        assert_eq!(fresh, [Fresh::First(version(&b, "only", 1)), Fresh::First(version(&a, "first", 2)), second.clone()]);
        let known = after(vec![sealed(&a, "first", None), sealed(&b, "only", None)]);
        assert_eq!(known.fresh(listed.clone()), [second]);
        let odd = Odd { key: a.to_string(), version: "second".to_owned(), stored: at(5), sha256: None, reason: String::new() };
        let known = after(vec![sealed(&a, "first", None), sealed(&b, "only", None), Entry::Odd(odd)]);
        assert_eq!(known.fresh(listed), []);
    }

    #[test]
    fn of_two_versions_in_one_second_the_one_that_s3_lists_last_is_the_first() {
        let a = key(1, Kind::Decision);
        for (newest, oldest) in [("x", "y"), ("y", "x")] {
            let fresh = Known::new(at(-3600)).fresh(vec![version(&a, newest, 5), version(&a, oldest, 5)]);
            assert!(
                matches!(&fresh[..], [Fresh::First(one), Fresh::Odd(two, _)] if one.version == oldest && two.version == newest)
            );
        }
    }

    #[test]
    fn what_is_no_record_is_new_once_for_as_long_as_it_is_listed() {
        let name = key(1, Kind::Decision).to_string();
        let notes = format!("{}/notes.txt", name.rsplit_once('/').unwrap().0);
        let (listed, reason) = (Listed { key: notes.clone(), ..version(&key(1, Kind::Decision), "v", 1) }, String::new());
        let odd = Odd { key: notes, version: "v".to_owned(), stored: at(1), sha256: None, reason };
        let mut known = after(vec![Entry::Odd(odd)]);
        known.forget_before(at(-60));
        assert_eq!(known.fresh(vec![listed]), []);
        known.forget_before(at(3600));
        assert_eq!(known.versions.len(), 0);
    }

    #[test]
    fn a_delete_marker_is_odd_and_what_comes_under_it_is_a_second_version() {
        let a = key(1, Kind::Decision);
        let marker = Listed { marker: true, ..version(&a, "marker", 3) };
        let known = after(vec![sealed(&a, "first", None)]);
        let fresh = known.fresh(vec![version(&a, "again", 4), marker.clone(), version(&a, "first", 2)]);
        assert!(matches!(&fresh[..], [Fresh::Odd(one, _), Fresh::Odd(two, _)] if *one == marker && two.version == "again"));
    }

    #[test]
    fn an_intent_becomes_an_orphan_once_when_it_is_overdue() {
        let (intent, outcome) = (key(1, Kind::Intent), key(1, Kind::Outcome));
        let known = after(vec![sealed(&intent, "v", Some(at(900)))]);
        assert_eq!(known.orphans(at(899), &[]), []);
        let orphan = Orphan { intent: intent.clone(), due: at(900) };
        assert_eq!(known.orphans(at(901), &[]), std::slice::from_ref(&orphan));
        assert_eq!(known.orphans(at(901), &[sealed(&outcome, "v", None)]), [], "its outcome comes with this very batch");
        assert_eq!(after(vec![sealed(&intent, "v", Some(at(900))), Entry::Orphan(orphan.clone())]).orphans(at(901), &[]), []);
        assert_eq!(Known::new(at(0)).orphans(at(901), &[sealed(&intent, "v", Some(at(900)))]), [orphan], "found very late");
        for order in [vec![&intent, &outcome], vec![&outcome, &intent]] {
            let mut known = Known::new(at(-3600));
            for key in order {
                known.learn(&batch(vec![sealed(key, "v", (key.kind == Kind::Intent).then(|| at(900)))]));
            }
            assert_eq!(known.orphans(at(901), &[]), [], "batches may be learnt in any order");
        }
    }

    #[test]
    fn a_ring_is_fresh_once_however_long_it_is_there() {
        let ring = |number: u64, name: &str, stored: i64| Listed {
            key: evidence::ring_key(number),
            ..version(&key(1, Kind::Decision), name, stored)
        };
        let kept = |number: u64, name: &str| {
            let (key, version) = (evidence::ring_key(number), name.to_owned());
            Entry::Kept(Kept { key, version, sha256: Sha256::of(b"ring"), stored: at(1) })
        };
        let mut known = after(vec![kept(1, "v1")]);
        let listed = vec![ring(1, "v1", 1), ring(2, "v2", 60)];
        assert_eq!(known.fresh(listed.clone()), [Fresh::First(ring(2, "v2", 60))]);
        known.learn(&batch(vec![kept(2, "v2")]));
        known.forget_before(at(48 * 3600));
        assert_eq!(known.fresh(listed.clone()), [], "a warm sealer forgets none");
        // A cold one reads no batch that is as old as these.
        let mut cold = Known::new(at(48 * 3600));
        cold.presume(&listed, at(48 * 3600));
        assert_eq!(cold.fresh(listed.clone()), []);
        let again = ring(1, "again", 49 * 3600);
        let fresh = cold.fresh([vec![again.clone()], listed].concat());
        assert_eq!(fresh, [Fresh::Odd(again, "a second version, where evidence has one")]);
    }

    #[test]
    fn what_is_too_old_to_be_listed_is_forgotten() {
        let intent = key(1, Kind::Intent);
        let mut known = after(vec![sealed(&intent, "v", Some(at(900)))]);
        known.forget_before(at(-7200));
        assert_eq!(known.fresh(vec![version(&intent, "v", 1)]), [], "never to the past");
        known.forget_before(at(3600));
        assert_eq!((known.since, known.versions.len(), known.open.len()), (at(3600), 0, 0));
    }

    proptest! {
        /// However the listings are cut into batches, every version ends in the log exactly once.
        #[test]
        fn every_version_is_sealed_exactly_once(
            versions in prop::collection::vec((0u8..6, 0u8..4, 0i64..100, any::<bool>()), 0..40),
            cuts in prop::collection::vec(1usize..8, 1..10),
        ) {
            let mut all: BTreeMap<(String, String), Listed> = BTreeMap::new();
            for (n, v, stored, marker) in versions {
                let listed = Listed { marker, ..version(&key(n, Kind::Decision), &format!("v{v}"), stored) };
                all.entry((listed.key.clone(), listed.version.clone())).or_insert(listed);
            }
            let all: Vec<Listed> = all.into_values().collect();
            let mut known = Known::new(at(-3600));
            let mut seen = BTreeMap::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let entries: Vec<Entry> = known.fresh(all.clone()).into_iter().take(cut).map(|fresh| match fresh {
                    Fresh::First(one) => sealed(&one.key.parse().unwrap(), &one.version, None),
                    Fresh::Odd(one, reason) => Entry::Odd(Odd {
                        key: one.key, version: one.version, stored: one.stored, sha256: None, reason: reason.to_owned(),
                    }),
                }).collect();
                for entry in &entries {
                    let (key, version) = entry.object().unwrap();
                    *seen.entry((key, version.to_owned())).or_insert(0) += 1;
                }
                known.learn(&batch(entries));
            }
            prop_assert_eq!(seen.len(), all.len());
            prop_assert!(seen.values().all(|times| *times == 1));
            prop_assert_eq!(known.fresh(all), []);
        }
    }
}
