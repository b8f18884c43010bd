//! Where evidence is read from, and in which order: the keys, then the log and the records side by side, by their times.
//!
//! So a verifier holds little at once: what a batch names is met soon after it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use calls::CallLog;
use clap::Args;
use evidence::log::checkpoint_size;
use evidence::{Examined, FaultKind, PublicKey, RecordKey, Root, Verifier, Version, largest_object};
use evidence_store::S3;
use ids::{Sha256, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::Runtime;

use crate::aws;
use crate::listing::{Listing, list_bucket, list_folder};
use crate::spool::{Object, Objects, Spool};

/// So many bytes are read before they are judged. A single blob may be 8 MiB.
const AT_ONCE: u64 = 4 << 20;
/// And so many objects.
const OBJECTS: usize = 512;
/// So many batches. Each may name hundreds of records.
const BATCHES: usize = 32;
/// How far the log is read ahead of the records: longer than a record waits for its seal.
const AHEAD: Duration = Duration::from_secs(3600);
/// So many requests at once to a bucket.
const ABREAST: usize = 16;
/// From so many objects on a progress bar is worth its lines.
const LONG: usize = 1000;

/// Where evidence is kept: a folder, or a bucket as `s3://BUCKET`.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    Folder(PathBuf),
    Bucket(String),
}

impl std::str::FromStr for Store {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("s3://") {
            None if text.is_empty() => Err("expected a folder or s3://BUCKET"),
            None => Ok(Self::Folder(text.into())),
            Some(bucket) if bucket.is_empty() || bucket.contains('/') => Err("expected s3://BUCKET: evidence has its own bucket"),
            Some(bucket) => Ok(Self::Bucket(bucket.to_owned())),
        }
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(name) => write!(f, "s3://{name}"),
        }
    }
}

/// What is read, and whom the reader trusts.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Where the evidence is: an archive (it has a `versions.json`), the folder of a local store, or s3://BUCKET.
    #[arg(value_name = "FOLDER|s3://BUCKET")]
    pub(crate) store: Store,
    /// Trust this key, by the SHA-256 of its public DER form: the root of the keyring, which names all others, or a function's own KMS
    /// key; with FUNCTION= only for that function. Repeatable.
    #[arg(long, value_name = "[FUNCTION=]FINGERPRINT")]
    pub(crate) root: Vec<Root>,
}

/// Is handed each object that the verifier is: its key, its bytes, and what the store says of it.
pub(crate) type Each<'a> = dyn FnMut(&str, &[u8], Option<&Version>) + 'a;

/// Puts everything in a store before the verifier. True if every version is listed there.
pub(crate) fn read(store: &Store, verifier: &mut Verifier, now: Timestamp) -> anyhow::Result<bool> {
    read_each(store, verifier, now, &mut |_, _, _| {})
}

/// Like [`read`], and hands each object to `each` as well: the log in its order, but not always before the records that it names.
pub(crate) fn read_each(store: &Store, verifier: &mut Verifier, now: Timestamp, each: &mut Each<'_>) -> anyhow::Result<bool> {
    let bucket = match store {
        Store::Folder(_) => None,
        Store::Bucket(name) => Some(open_bucket(name)?),
    };
    let listing = match (store, &bucket) {
        (Store::Bucket(name), Some(bucket)) => list_bucket(name, bucket, verifier)?,
        (Store::Bucket(_), None) => bail!("the bucket is not open"),
        (Store::Folder(folder), _) => list_folder(folder, verifier)?,
    };
    let versions = listing.versions;
    let bar = progress(listing.count, "objects");
    Reader { store, bucket, verifier, now, each, bar }.read(listing)?;
    Ok(versions)
}

/// Reads what was listed and puts it before the verifier.
struct Reader<'a, 'b> {
    store: &'a Store,
    bucket: Option<(Runtime, S3)>,
    verifier: &'a mut Verifier,
    now: Timestamp,
    each: &'a mut Each<'b>,
    bar: ProgressBar,
}

impl Reader<'_, '_> {
    fn read(&mut self, listing: Listing) -> anyhow::Result<()> {
        for spool in [listing.keys, listing.others] {
            self.all(spool)?;
        }
        let (mut batches, mut checkpoints) = (listing.batches.read()?, listing.checkpoints.read()?);
        let mut records = Records(listing.records.into_values().map(Spool::read).collect::<anyhow::Result<_>>()?);
        loop {
            // The log first, as far as it may name what comes next.
            let log = self.verifier.log_time();
            let enough = |record: &Object| minute(&record.key).zip(log).is_some_and(|(minute, log)| minute.plus(AHEAD) < log);
            if batches.peek().is_some() && !records.peek().is_some_and(enough) {
                self.some(|taken| if taken < BATCHES { batches.take() } else { Ok(None) })?;
                self.under(&mut checkpoints)?;
                continue;
            }
            let ended = batches.peek().is_none();
            let read = self.some(|_| if ended || records.peek().is_some_and(enough) { records.take() } else { Ok(None) })?;
            if read == 0 {
                break;
            }
        }
        // Over more leaves than there are.
        while self.some(|_| checkpoints.take())? > 0 {}
        self.bar.finish_and_clear();
        Ok(())
    }

    /// The checkpoints over what the batches have come to.
    fn under(&mut self, checkpoints: &mut Objects) -> anyhow::Result<()> {
        let size = self.verifier.log_size();
        let fits = |object: &Object| checkpoint_size(&object.key).is_none_or(|over| over <= size);
        while self.some(|_| if checkpoints.peek().is_some_and(fits) { checkpoints.take() } else { Ok(None) })? > 0 {}
        Ok(())
    }

    fn all(&mut self, spool: Spool) -> anyhow::Result<()> {
        let mut objects = spool.read()?;
        while self.some(|_| objects.take())? > 0 {}
        Ok(())
    }

    /// Reads as many objects as may be read at once, and says how many that were. `next` is told how many it has given.
    fn some(&mut self, mut next: impl FnMut(usize) -> anyhow::Result<Option<Object>>) -> anyhow::Result<usize> {
        let (mut objects, mut bytes) = (Vec::new(), 0_u64);
        while bytes < AT_ONCE && objects.len() < OBJECTS {
            let Some(object) = next(objects.len())? else { break };
            bytes = bytes.saturating_add(object.size);
            objects.push(object);
        }
        for (object, loaded) in objects.iter().zip(load_all(&objects, self.store, self.bucket.as_ref())) {
            admit(object, loaded?, self.verifier, self.now, self.each);
            self.bar.inc(1);
        }
        Ok(objects.len())
    }
}

/// The records of all functions, in the order of their minutes; what belongs to one cause stays together.
struct Records(Vec<Objects>);

impl Records {
    fn peek(&self) -> Option<&Object> {
        self.0.iter().filter_map(Objects::peek).min_by_key(|object| below_function(&object.key))
    }

    /// There are as many lists as functions: a few.
    fn take(&mut self) -> anyhow::Result<Option<Object>> {
        let heads = self.0.iter().enumerate().filter_map(|(at, objects)| Some((below_function(&objects.peek()?.key), at)));
        let first = heads.min().map(|(_, at)| at);
        first.and_then(|at| self.0.get_mut(at)).map_or(Ok(None), Objects::take)
    }
}

/// What a key has below `rec/<function>/`: the minute, then the cause.
fn below_function(key: &str) -> &str {
    key.splitn(3, '/').nth(2).unwrap_or(key)
}

/// The minute in a record's key; none if it is no record's.
fn minute(key: &str) -> Option<Timestamp> {
    key.parse::<RecordKey>().ok()?.first_claimed()
}

/// A progress bar on standard error, if that is a terminal and it will take a while.
pub(crate) fn progress(count: usize, what: &str) -> ProgressBar {
    let target = if count < LONG { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what} ({{eta}} left)"));
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A count on standard error, if that is a terminal: for work whose end is not known.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(&format!("{{spinner}} {{pos}} {what} ({{elapsed}})"));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What reading one object came to.
enum Loaded {
    Marker,
    TooLarge,
    Bytes { bytes: Vec<u8>, examined: Box<Examined>, as_listed: bool },
}

/// Reads objects and looks at each, on all cores (or many requests at once), in order.
fn load_all(objects: &[Object], store: &Store, bucket: Option<&(Runtime, S3)>) -> Vec<anyhow::Result<Loaded>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if bucket.is_some() { ABREAST } else { cores };
    let share = objects.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = objects
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(|object| load(object, store, bucket)).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| vec![Err(anyhow!("a reader failed"))])).collect()
    })
}

/// Whether `key` signed `message`, by AWS-LC: several times as fast as the implementation in Rust, and another one.
pub(crate) fn signed(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der()).verify(message, signature).is_ok()
}

fn load(object: &Object, store: &Store, bucket: Option<&(Runtime, S3)>) -> anyhow::Result<Loaded> {
    if object.marker {
        return Ok(Loaded::Marker);
    }
    let largest = u64::try_from(largest_object(&object.key)).unwrap_or(u64::MAX);
    if object.size > largest {
        return Ok(Loaded::TooLarge);
    }
    let bytes = match (store, bucket) {
        (Store::Folder(folder), _) => {
            let file = folder.join(&object.path);
            fs::read(&file).with_context(|| format!("could not read `{}`", file.display()))?
        }
        (Store::Bucket(_), Some((runtime, s3))) => {
            let version = object.version.as_ref().map(|version| version.id.as_str());
            let read = runtime.block_on(s3.content(&object.key, version, largest));
            let read = read.with_context(|| format!("could not read `{}`", object.key))?;
            read.ok_or_else(|| anyhow!("`{}` was listed, and is not there", object.key))?
        }
        (Store::Bucket(_), None) => bail!("the bucket is not open"),
    };
    let as_listed = object.sha256.is_none_or(|digest| digest == Sha256::of(&bytes));
    let examined = Box::new(Examined::look_by(&object.key, &bytes, signed));
    Ok(Loaded::Bytes { bytes, examined, as_listed })
}

fn admit(object: &Object, loaded: Loaded, verifier: &mut Verifier, now: Timestamp, each: &mut Each<'_>) {
    let version = object.version.as_ref();
    match (loaded, version) {
        (Loaded::Marker, Some(version)) => verifier.hidden(&object.key, version),
        (Loaded::Marker, None) => {}
        (Loaded::TooLarge, _) => {
            verifier.fault(FaultKind::Failure, &object.key, "larger than any record or blob can be");
        }
        (Loaded::Bytes { bytes, examined, as_listed }, _) => {
            if !as_listed {
                verifier.fault(FaultKind::Failure, &object.key, "its bytes are not those that S3 computed the SHA-256 of");
            }
            verifier.admit(*examined, version, now);
            each(&object.key, &bytes, version);
        }
    }
}

/// A client of the bucket, by the environment's own configuration.
pub(crate) fn open_bucket(name: &str) -> anyhow::Result<(Runtime, S3)> {
    let runtime = aws::runtime()?;
    let config = runtime.block_on(aws::config())?;
    let s3 = S3::new(&config, CallLog::default(), name.to_owned());
    Ok((runtime, s3))
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{Signature, SigningKey};

    use super::*;

    /// Two implementations, one verdict: on what was signed, and on every byte of it that is changed, added or missing.
    #[test]
    fn the_fast_check_says_what_the_other_says() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let (public, other) = (PublicKey::of(key.verifying_key()).unwrap(), SigningKey::from_slice(&[8; 32]).unwrap());
        let other = PublicKey::of(other.verifying_key()).unwrap();
        let message = b"DSSEv1 4 type 7 payload";
        let signature: Signature = key.sign(message);
        // With either half of the order: both are signatures, for both.
        let (r, s) = signature.split_scalars();
        let negated = Signature::from_scalars(r, -s).unwrap();
        for signature in [signature, negated] {
            let der = signature.to_der().as_bytes().to_vec();
            assert!(signed(&public, message, &der) && public.signed(message, &der));
            assert!(!signed(&other, message, &der) && !other.signed(message, &der));
            assert!(!signed(&public, b"another message", &der) && !public.signed(b"another message", &der));
            let changed = (0..der.len()).flat_map(|at| [1_u8, 0x80, 0xff].map(|by| (at, by))).map(|(at, by)| {
                let mut der = der.clone();
                der[at] ^= by;
                der
            });
            let longer = [[der.as_slice(), &[0]].concat(), der[..der.len() - 1].to_vec(), Vec::new()];
            for wrong in changed.chain(longer) {
                assert!(!signed(&public, message, &wrong) && !public.signed(message, &wrong), "{wrong:02x?}");
            }
        }
    }
}
