//! `cordon evidence trust …`: the keyring, under which one root is enough for everything.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use calls::CallLog;
use clap::{Args, Subcommand};
use evidence::{Keyring, PublicKey, RINGS, RingKey, RingReport, RingTrust, Rings, dsse::BUNDLE_TYPE, largest_object, ring_key};
use evidence_store::{Created, Folder, KmsKey, LocalEndorser, S3, Worm as _};
use ids::{FunctionName, Sha256, Timestamp};

use crate::aws;
use crate::evidence_command::now;
use crate::listing::LIST;
use crate::run_command::read_key;
use crate::source::Store;

/// Every function that signs, with its key in KMS: what a keyring begins with. A macro, because help is put together at compile time.
macro_rules! every_signer {
    () => {
        "quarantine=KEY_ARN revoke=KEY_ARN release=KEY_ARN access=KEY_ARN mint=KEY_ARN reconcile=KEY_ARN seal=KEY_ARN"
    };
}

/// The same, for what else says how a keyring begins.
pub(crate) const EVERY_SIGNER: &str = every_signer!();

/// Keep the list of keys that speak for each function, under one root.
///
/// The keyring is kept with the evidence, under `keys/ring/`, as numbered rings: each is the whole list, signed by the root key, and written
/// once. Whoever verifies needs the root's fingerprint and no other: `cordon evidence verify --root FINGERPRINT`. Keep the root key
/// away from what it vouches for: in a file that is offline, or in KMS in the log-archive account.
#[derive(Debug, Args)]
#[command(after_long_help = concat!("\
Exit codes:
  0  done; what was signed is printed
  1  refused, or it could not be done: nothing was written
  2  wrong arguments

Examples:
  cordon evidence keygen root.pem
  cordon evidence trust new --key root.pem --store s3://my-evidence \\
      ", every_signer!(), "
  cordon evidence trust add --key root.pem --store s3://my-evidence quarantine=arn:aws:kms:…:key/…
  cordon evidence trust retire FINGERPRINT --reason 'rotated' --at 2026-11-25T00:00:00Z --key root.pem --store s3://my-evidence
  cordon evidence trust rotate-root --to next-root.pub --key root.pem --store s3://my-evidence
  cordon evidence trust show s3://my-evidence --root FINGERPRINT"))]
pub(crate) struct Trust {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
    Add(Add),
    Retire(Retire),
    RotateRoot(RotateRoot),
    Renew(Renew),
    Show(Show),
}

/// Begin a keyring: sign its first ring.
///
/// Its keys count from the beginning, because records may be older than the ring; say `--from` for another time.
#[derive(Debug, Args)]
struct New {
    #[command(flatten)]
    signing: Signing,
    /// What these keys vouched for before this time is not believed (RFC 3339). Without it, they begin before everything.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    #[command(flatten)]
    keys: Keys,
}

/// Add keys: those of a new function, or a new key of one that has another.
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    signing: Signing,
    /// What these keys vouched for before this time is not believed (RFC 3339). Without it, they begin now.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    #[command(flatten)]
    keys: Keys,
}

/// Retire a key. This is for good: an end may come earlier later on, never later.
///
/// What a session signed stays believable for up to 12 hours after its key's last endorsement, so a key that is only rotated is retired
/// 12 hours after its last use. A compromised key is retired as of the last moment at which it was certainly safe, which is in the past:
/// what it vouched for since then, or was stored since then, no longer verifies.
#[derive(Debug, Args)]
struct Retire {
    /// The key's fingerprint, as `cordon evidence trust show` prints it.
    fingerprint: Sha256,
    /// When it ends (RFC 3339). Without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Why, in a line: whoever verifies later reads it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    signing: Signing,
}

/// Hand over to another root key: it signs from the next ring on.
#[derive(Debug, Args)]
struct RotateRoot {
    /// The next root: a public key (PEM or DER), a key that `keygen` made, or a KMS key's ARN.
    #[arg(long, value_name = "FILE|ARN")]
    to: String,
    #[command(flatten)]
    signing: Signing,
}

/// Sign the list again, unchanged: the first thing that a new root does, so that its fingerprint alone is enough.
#[derive(Debug, Args)]
struct Renew {
    #[command(flatten)]
    signing: Signing,
}

/// Show the newest ring, once every ring before it holds.
#[derive(Debug, Args)]
struct Show {
    /// Where the evidence is: a folder, an archive or s3://BUCKET.
    #[arg(value_name = "FOLDER|s3://BUCKET")]
    store: Store,
    /// The root that you trust. If it is not this keyring's, that is said and the exit code is 1.
    #[arg(long, value_name = "FINGERPRINT")]
    root: Option<Sha256>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Who signs, and where the rings are kept.
#[derive(Debug, Args)]
struct Signing {
    /// Sign with this root key, a file as `cordon evidence keygen` makes it.
    #[arg(long, value_name = "FILE", required_unless_present = "kms_key")]
    key: Option<PathBuf>,
    /// Sign with this root key in KMS (ECC_NIST_P256, sign and verify).
    #[arg(long, value_name = "ARN", conflicts_with = "key")]
    kms_key: Option<String>,
    /// Where the evidence is kept: a folder or s3://BUCKET.
    #[arg(long, value_name = "FOLDER|s3://BUCKET")]
    store: Store,
}

#[derive(Debug, Args)]
struct Keys {
    /// A function and its key: a public key (PEM or DER), a key that `keygen` made, or a KMS key's ARN.
    #[arg(required = true, value_name = "FUNCTION=FILE|ARN")]
    keys: Vec<Named>,
}

#[derive(Debug, Clone)]
struct Named {
    function: FunctionName,
    place: String,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (function, place) = text.split_once('=').ok_or("expected FUNCTION=FILE, such as quarantine=quarantine.pub")?;
        let function = function.parse().map_err(|error: ids::ParseIdError| error.to_string())?;
        if place.is_empty() {
            Err("expected a file after the `=`".to_owned())
        } else {
            Ok(Self { function, place: place.to_owned() })
        }
    }
}

pub(crate) fn run(trust: &Trust) -> anyhow::Result<ExitCode> {
    aws::runtime()?.block_on(async {
        match &trust.command {
            Command::New(new) => begin(new).await,
            Command::Add(add) => {
                let from = add.from.map_or_else(now, Ok)?;
                let keys = new_keys(&add.keys, from).await?;
                change(&add.signing, |ring| {
                    ring.keys.extend(keys);
                    Ok(())
                })
                .await
            }
            Command::Retire(retire) => {
                let at = retire.at.map_or_else(now, Ok)?;
                change(&retire.signing, |ring| Ok(ring.retire(&retire.fingerprint, at, retire.reason.trim())?)).await
            }
            Command::RotateRoot(rotate) => {
                let next = public_key(&rotate.to).await?;
                let hint = format!(
                    "the next ring is signed by {0}. Let it sign one at once, with `cordon evidence trust renew`: until then readers who trust {0} alone have nothing to trust\n",
                    next.fingerprint()
                );
                let code = change(&rotate.signing, |ring| {
                    ring.root = next;
                    Ok(())
                })
                .await?;
                say(&hint)?;
                Ok(code)
            }
            Command::Renew(renew) => change(&renew.signing, |_| Ok(())).await,
            Command::Show(show) => shown(show).await,
        }
    })
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")
}

/// What of a store has to do with keys.
enum Place {
    Folder(PathBuf),
    Bucket(S3),
}

impl Place {
    async fn open(store: &Store) -> anyhow::Result<Self> {
        Ok(match store {
            Store::Folder(folder) => Self::Folder(folder.clone()),
            Store::Bucket(bucket) => Self::Bucket(S3::new(&aws::config().await?, CallLog::default(), bucket.clone())),
        })
    }

    /// Every ring that is kept here, in order. In a bucket every version is looked at: one that is hidden is there all the same.
    async fn rings(&self) -> anyhow::Result<Rings> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        match self {
            Self::Folder(folder) => {
                let rings = folder.join(RINGS);
                let listed = match fs::read_dir(&rings) {
                    Ok(listed) => listed,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Rings::default()),
                    Err(error) => return Err(error).with_context(|| format!("could not list `{}`", rings.display())),
                };
                for entry in listed {
                    let entry = entry.with_context(|| format!("could not list `{}`", rings.display()))?;
                    if Folder::is_unfinished(&entry.file_name()) {
                        continue;
                    }
                    let object = format!("{RINGS}{}", entry.file_name().to_string_lossy());
                    let size = entry.metadata().with_context(|| format!("could not read `{object}`"))?.len();
                    if usize::try_from(size).is_ok_and(|size| size > largest_object(&object)) {
                        bail!("{object}: larger than any ring can be");
                    }
                    let bytes = fs::read(entry.path()).with_context(|| format!("could not read `{object}`"))?;
                    found.push((object, bytes));
                }
            }
            Self::Bucket(s3) => {
                for listed in s3.versions(RINGS, None).await.context("could not list the keyring's versions")? {
                    if listed.marker {
                        bail!("{}: hidden under delete marker {}: someone tampered with the keyring", listed.key, listed.version);
                    }
                    let read = s3.record(&listed.key, Some(&listed.version)).await;
                    let bytes = read.with_context(|| format!("could not read `{}`", listed.key))?;
                    found
                        .push((listed.key.clone(), bytes.ok_or_else(|| anyhow!("`{}` was listed, and is not there", listed.key))?));
                }
            }
        }
        found.sort();
        let mut rings = Rings::default();
        for (object, bytes) in found {
            let (ring, digest) = Keyring::open(&object, &bytes).with_context(|| object.clone())?;
            rings.add(ring, digest).with_context(|| object.clone())?;
        }
        Ok(rings)
    }

    /// Writes a ring, once.
    async fn create(&self, object: &str, bytes: &[u8]) -> anyhow::Result<Created> {
        let created = match self {
            Self::Folder(folder) if folder.join(LIST).exists() => {
                bail!("`{}` is an archive: sign where the evidence is kept", folder.display())
            }
            Self::Folder(folder) => Folder::new(folder).create(object, bytes).await,
            Self::Bucket(s3) => s3.create_once(object, bytes, BUNDLE_TYPE).await,
        };
        created.with_context(|| format!("could not write {object}"))
    }
}

/// The root key at hand.
enum Signer {
    Key(Box<LocalEndorser>),
    Kms(KmsKey, PublicKey),
}

impl Signer {
    async fn open(signing: &Signing) -> anyhow::Result<Self> {
        match (&signing.key, &signing.kms_key) {
            (Some(file), _) => Ok(Self::Key(Box::new(read_key(file)?))),
            (None, Some(arn)) => {
                let key = KmsKey::new(&aws::config().await?, CallLog::default(), arn.clone());
                let public = key.public_key().await?;
                Ok(Self::Kms(key, public))
            }
            (None, None) => bail!("no root key: give --key FILE or --kms-key ARN"),
        }
    }

    fn public_key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key.public_key(),
            Self::Kms(_, public) => public,
        }
    }

    async fn sign(&self, digest: &Sha256) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Self::Key(key) => key.sign(digest)?,
            Self::Kms(key, _) => key.sign("sign the keyring", digest).await?,
        })
    }
}

/// Reads a public key from wherever someone has it.
async fn public_key(place: &str) -> anyhow::Result<PublicKey> {
    if place.starts_with("arn:") {
        let key = KmsKey::new(&aws::config().await?, CallLog::default(), place.to_owned());
        return key.public_key().await.with_context(|| format!("`{place}`"));
    }
    let bytes = fs::read(Path::new(place)).with_context(|| format!("could not read `{place}`"))?;
    let key = if bytes.starts_with(b"-----BEGIN PRIVATE KEY-----") {
        // Whoever made a key a moment ago has no other file of it.
        read_key(Path::new(place))?.public_key().clone()
    } else if let Ok(text) = std::str::from_utf8(&bytes) {
        PublicKey::from_pem(text).with_context(|| format!("`{place}`"))?
    } else {
        PublicKey::from_der(&bytes).with_context(|| format!("`{place}`"))?
    };
    Ok(key)
}

async fn new_keys(keys: &Keys, from: Timestamp) -> anyhow::Result<Vec<RingKey>> {
    let mut entries = Vec::new();
    for Named { function, place } in &keys.keys {
        entries.push(RingKey { function: function.clone(), key: public_key(place).await?, from, until: None, reason: None });
    }
    Ok(entries)
}

async fn begin(new: &New) -> anyhow::Result<ExitCode> {
    let (place, signer) = (Place::open(&new.signing.store).await?, Signer::open(&new.signing).await?);
    if let Some((ring, _)) = place.rings().await?.newest() {
        bail!("there is a keyring: {} is its newest ring. `cordon evidence trust add` adds keys to it", ring_key(ring.number));
    }
    let keys = new_keys(&new.keys, new.from.unwrap_or(Timestamp::saturating(0))).await?;
    write(&Keyring::first(signer.public_key().clone(), now()?, keys), &place, &signer).await
}

/// Reads the newest ring, changes it, and signs the next, if the rules allow it.
async fn change(signing: &Signing, edit: impl FnOnce(&mut Keyring) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let (place, signer) = (Place::open(&signing.store).await?, Signer::open(signing).await?);
    let rings = place.rings().await?;
    let (before, digest) =
        rings.newest().ok_or_else(|| anyhow!("there is no keyring yet: `cordon evidence trust new` begins one"))?;
    if before.root != *signer.public_key() {
        bail!(
            "this key ({}) is not the root that {} names ({})",
            signer.public_key().fingerprint(),
            ring_key(before.number),
            before.root.fingerprint()
        );
    }
    let mut next = before.successor(*digest, now()?);
    edit(&mut next)?;
    // What it must keep by itself first: of a key that is listed twice, that is what to say.
    next.prepare().context("refused")?;
    next.follows(before, digest).context("refused")?;
    write(&next, &place, &signer).await
}

async fn write(ring: &Keyring, place: &Place, signer: &Signer) -> anyhow::Result<ExitCode> {
    let unsigned = ring.prepare().context("refused")?;
    let object = unsigned.key();
    let signature = signer.sign(&unsigned.digest()).await?;
    let bytes = unsigned.finish(&signature).context("the signature does not fit its own key")?;
    if place.create(&object, &bytes).await? == Created::Existed {
        bail!(
            "another {object} was written meanwhile, and this one was not: look at it with `cordon evidence trust show`, and try again"
        );
    }
    let digest = Sha256::of(&bytes);
    let report = RingReport::of(ring, RingTrust::Trusted);
    say(&format!("signed {object}, SHA-256 {digest}\n{report}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn shown(show: &Show) -> anyhow::Result<ExitCode> {
    let rings = Place::open(&show.store).await?.rings().await?;
    let (newest, _) = rings.newest().ok_or_else(|| anyhow!("there is no keyring here"))?;
    let trust = match show.root {
        None => RingTrust::NotAsked,
        Some(root) if rings.trusted(&BTreeSet::from([root])).is_some_and(|ring| ring.number == newest.number) => RingTrust::Trusted,
        Some(_) => RingTrust::NotTrusted,
    };
    let report = RingReport::of(newest, trust);
    say(&if show.json { serde_json::to_string_pretty(&report)? + "\n" } else { format!("{report}\n") })?;
    Ok(ExitCode::from(u8::from(trust == RingTrust::NotTrusted)))
}
