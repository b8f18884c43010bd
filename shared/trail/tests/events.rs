//! Every sample file is a test: what is read of it is a snapshot.

use std::path::Path;

use insta::assert_json_snapshot;
use serde::Serialize;
use trail::{Event, Sum, read};

#[derive(Serialize)]
struct Read {
    events: Vec<Told>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

#[derive(Serialize)]
struct Told {
    acts: bool,
    by_the_responder: bool,
    #[serde(flatten)]
    event: Event,
}

const ROLE: &str = "arn:aws:iam::123456789012:role/cordon-QuarantineRole-1A2B3C4D5E6F";

fn sample(path: &Path) -> datatest_stable::Result<()> {
    let bytes = std::fs::read(path)?;
    let mut found = Read { events: Vec::new(), refused: Vec::new() };
    let sum = read(bytes.as_slice(), &mut |event| match event {
        Ok(event) => found.events.push(Told { acts: event.acts(), by_the_responder: event.caller.is_role(ROLE), event }),
        Err(refused) => found.refused.push(refused.to_string()),
    });
    let counted = Sum { events: found.events.len().try_into()?, refused: found.refused.len().try_into()? };
    assert_eq!(sum, counted);
    // One byte at a time gives the same: nothing depends on where a buffer ends.
    let mut again = Vec::new();
    read(Bytewise(&bytes), &mut |event| again.extend(event.ok()));
    assert_eq!(again, found.events.iter().map(|told| told.event.clone()).collect::<Vec<_>>());

    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the file has no name")?;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_json_snapshot!(name, found);
    });
    Ok(())
}

/// Reads one byte at a time.
struct Bytewise<'a>(&'a [u8]);

impl std::io::Read for Bytewise<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (Some(first), Some(place)) = (self.0.first(), buffer.first_mut()) else { return Ok(0) };
        *place = *first;
        self.0 = self.0.get(1..).unwrap_or_default();
        Ok(1)
    }
}

datatest_stable::harness! {
    { test = sample, root = "../../events/cloudtrail", pattern = r"\.jsonl?$" },
}
