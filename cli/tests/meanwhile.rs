//! A bucket that is written to while it is read: whatever comes between two requests, what was read is whole.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::{Sha256, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

mod sealed;

/// So many versions to a page, so that a listing is several requests.
const PAGE: usize = 4;

#[derive(Debug, Clone)]
struct Object {
    key: String,
    version: String,
    stored: String,
    bytes: Vec<u8>,
}

/// A bucket, as far as reading it needs: versions, page by page, and their bytes. Each object has one version.
#[derive(Debug, Default)]
struct Bucket {
    there: BTreeMap<String, Object>,
    /// What comes later, in the order in which it was written.
    coming: Vec<Object>,
    /// After so many requests it begins to come.
    quiet: usize,
    /// So much of it with each request.
    stride: usize,
    requests: usize,
}

impl Bucket {
    fn answer(&mut self, target: &str) -> (&'static str, Vec<(&'static str, String)>, Vec<u8>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<String, String> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), plain(value)))
            .collect();
        let answer = if query.contains_key("versions") {
            ("200 OK", vec![("content-type", "application/xml".to_owned())], self.page(&query).into_bytes())
        } else {
            let key = plain(path.trim_start_matches("/evidence/"));
            match self.there.get(&key).filter(|object| query.get("versionId").is_none_or(|id| *id == object.version)) {
                Some(object) => ("200 OK", held(object), object.bytes.clone()),
                None => ("404 Not Found", Vec::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            }
        };
        // What comes, comes after this answer and before the next.
        self.requests += 1;
        if self.requests > self.quiet {
            let some = self.coming.len().min(self.stride);
            self.there.extend(self.coming.drain(..some).map(|object| (object.key.clone(), object)));
        }
        answer
    }

    fn page(&self, query: &BTreeMap<String, String>) -> String {
        let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (asked("prefix"), asked("key-marker"));
        let found: Vec<_> = self.there.values().filter(|object| object.key.starts_with(&prefix) && object.key > after).collect();
        let versions: String = found
            .iter()
            .take(PAGE)
            .map(|Object { key, version, stored, bytes }| {
                format!(
                    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest><LastModified>{stored}</LastModified><Size>{}</Size></Version>",
                    bytes.len()
                )
            })
            .collect();
        let next = found.get(PAGE - 1).filter(|_| found.len() > PAGE).map(|last| {
            format!("<NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{}</NextVersionIdMarker>", last.key, last.version)
        });
        let more = next.is_some();
        format!("<ListVersionsResult><IsTruncated>{more}</IsTruncated>{}{versions}</ListVersionsResult>", next.unwrap_or_default())
    }
}

/// What S3 says of an object that is locked.
fn held(object: &Object) -> Vec<(&'static str, String)> {
    vec![
        ("x-amz-version-id", object.version.clone()),
        ("x-amz-checksum-sha256", STANDARD.encode(Sha256::of(&object.bytes).as_bytes())),
        ("x-amz-object-lock-mode", "COMPLIANCE".to_owned()),
        ("x-amz-object-lock-retain-until-date", "2036-01-01T00:00:00.000Z".to_owned()),
    ]
}

/// What a part of a URL stands for.
fn plain(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let coded = digits.filter(|_| *first == b'%');
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

fn serve(bucket: &Arc<Mutex<Bucket>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bucket = Arc::clone(bucket);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let bucket = Arc::clone(&bucket);
            std::thread::spawn(move || talk(stream.unwrap(), &bucket));
        }
    });
    format!("http://{address}")
}

/// One connection: requests without a body, one after the other.
fn talk(mut stream: TcpStream, bucket: &Mutex<Bucket>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let target = first.split(' ').nth(1).unwrap();
        let (status, headers, body) = bucket.lock().unwrap_or_else(PoisonError::into_inner).answer(target);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).unwrap()
}

/// The objects of an archive, in the order in which they were written.
fn objects(archive: &Path) -> Vec<Object> {
    let list: Value = serde_json::from_slice(&fs::read(archive.join("versions.json")).unwrap()).unwrap();
    let mut objects: Vec<(usize, Object)> = Vec::new();
    for listed in list["objects"].as_array().unwrap() {
        let text = |name: &str| listed[name].as_str().unwrap().to_owned();
        let (key, version) = (text("key"), text("version_id"));
        let bytes = fs::read(archive.join(&key)).unwrap();
        objects.push((
            version.trim_start_matches('v').parse().unwrap(),
            Object { key, version, stored: text("last_modified"), bytes },
        ));
    }
    objects.sort_by_key(|(order, _)| *order);
    objects.into_iter().map(|(_, object)| object).collect()
}

fn cordon(endpoint: &str, arguments: &[&str], roots: &[String]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.args(["evidence"]).args(arguments).args(roots).env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// Records, their batch and its checkpoint come at every moment of the reading there is: one by one, or all between two requests. An archive
/// taken meanwhile verifies, and so does the bucket itself; and nothing that was there before is left out.
#[test]
fn what_is_read_of_a_bucket_in_use_is_whole() {
    let start = Timestamp::from_millis(now().millis() - 60_000).unwrap();
    let (made, roots) = sealed::make(12, start, 4);
    let all = objects(made.path());
    let is_batch = |object: &Object| object.key.starts_with("log/batch/");
    assert_eq!(all.iter().filter(|object| is_batch(object)).count(), 3);
    // After the first checkpoint, two batches and all that is in them come meanwhile.
    let first = all.iter().position(|object| object.key.starts_with("log/cp/")).unwrap() + 1;
    let (before, meanwhile) = all.split_at(first);

    let bucket = Arc::new(Mutex::new(Bucket::default()));
    let endpoint = serve(&bucket);
    let set = |quiet: usize, stride: usize| {
        let there = before.iter().map(|object| (object.key.clone(), object.clone())).collect();
        *bucket.lock().unwrap() = Bucket { there, coming: meanwhile.to_vec(), quiet, stride, requests: 0 };
    };
    let mut sizes = BTreeSet::new();
    for (what, strides) in [("archive", [1, all.len()]), ("verify", [1, all.len()])] {
        for stride in strides {
            for quiet in 0.. {
                set(quiet, stride);
                let work = TempDir::new().unwrap();
                let folder = work.path().join("archive");
                let folder = folder.to_str().unwrap();
                if what == "archive" {
                    let (code, said) = cordon(&endpoint, &["archive", "s3://evidence", folder], &[]);
                    assert_eq!(code, Some(0), "{quiet} {stride}: {said}");
                }
                let untouched = bucket.lock().unwrap().coming.len() == meanwhile.len();
                let place = if what == "archive" { folder } else { "s3://evidence" };
                let (code, said) = cordon(&endpoint, &["verify", place], &roots);
                assert_eq!(code, Some(0), "{what}, {stride} after {quiet}: {said}");
                let records = (4..=12).find(|count| said.contains(&format!("VERIFIED: {count} records of 1 session")));
                sizes.insert(records.unwrap_or_else(|| panic!("{what}, {stride} after {quiet}: {said}")));
                if untouched && (what == "archive" || bucket.lock().unwrap().coming.len() == meanwhile.len()) {
                    break;
                }
            }
        }
    }
    assert!(sizes.contains(&4) && sizes.contains(&12) && sizes.len() > 2, "some of it was seen, or all, or none: {sizes:?}");
}
