//! No event without a snapshot, no snapshot without an event.
#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

use std::collections::BTreeSet;
use std::path::Path;

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(extension).map(str::to_owned)).collect()
}

#[test]
fn every_event_has_a_snapshot_and_every_snapshot_an_event() {
    for (events, snapshots) in [("../../events/guardduty", "tests/snapshots"), ("../../events/leaks", "tests/snapshots/leaks")] {
        let events = stems(events, ".json");
        assert!(events.len() >= 24);
        assert_eq!(stems(snapshots, ".snap"), events);
    }
}
