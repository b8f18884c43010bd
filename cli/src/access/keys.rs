//! The keys that credentials are sealed to: one for each request, kept by the system or in a file that a passphrase opens.
//!
//! Beside each key is a file that says what it is for, in `cordon/access` of the user's state folder. Without a passphrase's file it holds no
//! secret; with one it holds the key, sealed with age's scrypt.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519::Identity;
use age::{Decryptor, Encryptor};
use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum;
use ids::{EntitlementName, GrantId, RecipientKey, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keyring;

/// The variable that has the passphrase. Never an argument: others see those.
pub(crate) const PASSPHRASE: &str = "CORDON_ACCESS_PASSPHRASE";
/// scrypt's work, 2^17 (OWASP, Password Storage Cheat Sheet): most of a second, and 128 MiB.
const WORK: u8 = 17;
/// A file that wants more work than this was not made here.
const MOST_WORK: u8 = 20;
/// A request can be approved for four hours, and then has half an hour to become active.
const ASKED_FOR: Duration = Duration::from_secs(5 * 60 * 60);
/// A sealed identity is a few hundred bytes.
const LARGEST: u64 = 64 * 1024;

/// Where a key is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// In the system's keyring if there is one, else in a file.
    Any,
    /// In the system's keyring.
    Keyring,
    /// In a file that the passphrase opens.
    File,
}

/// What a key is for, and where it is: a file of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    format: KeptFormat,
    /// The grant, once the server has named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<GrantId>,
    /// Where it was asked for.
    pub(crate) api: String,
    /// What was asked for.
    pub(crate) entitlement: EntitlementName,
    /// The key's public half.
    pub(crate) recipient: RecipientKey,
    /// When it was made.
    pub(crate) made: Timestamp,
    /// With which profile the API was asked: not the one that this key's credentials become.
    pub(crate) profile: String,
    /// In which Region the API is.
    pub(crate) region: String,
    key: Place,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum KeptFormat {
    #[serde(rename = "cordon/access/key/v1")]
    V1,
}

/// Where a key is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case", deny_unknown_fields)]
enum Place {
    /// In the system's keyring, under its recipient.
    Keyring,
    /// Here, as an age file that the passphrase opens.
    File { sealed: String },
}

impl Kept {
    /// Whether the passphrase opens it.
    pub(crate) fn in_file(&self) -> bool {
        matches!(self.key, Place::File { .. })
    }
}

/// What a key is made for.
#[derive(Debug, Clone)]
pub(crate) struct For {
    pub(crate) api: String,
    pub(crate) entitlement: EntitlementName,
    pub(crate) profile: String,
    pub(crate) region: String,
    /// How long the grant is to last.
    pub(crate) lasts: Duration,
}

/// All keys of this user.
#[derive(Debug)]
pub(crate) struct Keys(PathBuf);

impl Keys {
    /// Those in the user's state folder. It need not exist yet.
    ///
    /// # Errors
    /// If the environment names none.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
        let state = state.context("where are keys to be kept? Set XDG_STATE_HOME or HOME")?;
        Ok(Self(state.join("cordon/access")))
    }

    /// Makes a key and keeps it, before anybody is told of it.
    ///
    /// # Errors
    /// If it can be kept nowhere: then nothing may be sealed to it.
    pub(crate) fn make(&self, keep: Keep, purpose: For, now: Timestamp) -> anyhow::Result<Kept> {
        let identity = Identity::generate();
        let recipient = identity.to_public().to_string();
        let text = identity.to_string();
        let in_keyring = match keep {
            Keep::File => Err("the system's keyring was not to be used".to_owned()),
            Keep::Any | Keep::Keyring => keyring::keep(&recipient, text.expose_secret(), ASKED_FOR + purpose.lasts)
                .map_err(|error| format!("the system's keyring keeps nothing here ({error})")),
        };
        let key = match (in_keyring, keep, passphrase()) {
            (Ok(()), _, _) => Place::Keyring,
            (Err(why), Keep::Keyring, _) => bail!("the key cannot be kept: {why}. Try --keep file"),
            (Err(_), Keep::Any | Keep::File, Some(passphrase)) => Place::File { sealed: sealed(text.expose_secret(), passphrase)? },
            (Err(why), Keep::Any | Keep::File, None) => bail!(
                "the key cannot be kept: {why}, and there is no passphrase for a file. Set {PASSPHRASE} (and keep it set for `cordon access credentials`)"
            ),
        };
        let For { api, entitlement, profile, region, lasts: _ } = purpose;
        let recipient = recipient.parse().context("age makes other recipients than this program knows")?;
        let kept = Kept { format: KeptFormat::V1, grant: None, api, entitlement, recipient, made: now, profile, region, key };
        if let Err(error) = self.write(&kept) {
            // Or a key would stay in the keyring that nothing leads to.
            let _best = self.forget(&kept);
            return Err(error);
        }
        Ok(kept)
    }

    /// Notes which grant a key turned out to be for.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(crate) fn name(&self, kept: &Kept, grant: &GrantId) -> anyhow::Result<Kept> {
        let named = Kept { grant: Some(grant.clone()), ..kept.clone() };
        self.write(&named)?;
        let unnamed = self.file(kept);
        std::fs::remove_file(&unnamed).with_context(|| format!("could not remove `{}`", unnamed.display()))?;
        Ok(named)
    }

    /// The key of `grant`, if it is kept here.
    ///
    /// # Errors
    /// If there is a file that is none, or that others can read.
    pub(crate) fn of(&self, grant: &GrantId) -> anyhow::Result<Option<Kept>> {
        let kept = read(&self.0.join(format!("{grant}.json")))?;
        match kept {
            Some(kept) if kept.grant.as_ref() != Some(grant) => bail!("the file of {grant}'s key is another grant's"),
            kept => Ok(kept),
        }
    }

    /// All that are kept here. What cannot be read is left out: it opens nothing.
    pub(crate) fn all(&self) -> Vec<Kept> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        files.filter_map(|path| read(&path).ok().flatten()).collect()
    }

    /// The secret half of a key.
    ///
    /// # Errors
    /// If it is kept no more, or the passphrase does not open it.
    pub(crate) fn identity(&self, kept: &Kept) -> anyhow::Result<Identity> {
        let whose = kept.grant.as_ref().map_or_else(|| "this request".to_owned(), ToString::to_string);
        let text = match &kept.key {
            Place::Keyring => {
                let found = keyring::find(kept.recipient.as_str());
                let found = found.map_err(|error| {
                    anyhow!("the system's keyring cannot be read ({error}): is this the session that made the request?")
                })?;
                found.with_context(|| {
                    format!("the key of {whose} is not in the system's keyring any more: return the grant and make another request")
                })?
            }
            Place::File { sealed } => {
                let passphrase =
                    passphrase().with_context(|| format!("the key of {whose} is in a file: set {PASSPHRASE} to its passphrase"))?;
                opened(sealed, passphrase)?
            }
        };
        let text = std::str::from_utf8(&text).ok().context("what is kept is no key")?;
        let identity: Identity = text.parse().map_err(|_| anyhow!("what is kept is no key"))?;
        if identity.to_public().to_string() != kept.recipient.as_str() {
            bail!("the key that is kept is not that of {whose}");
        }
        Ok(identity)
    }

    /// Removes a key and what is noted of it. Whatever was sealed to it is then closed for good.
    ///
    /// # Errors
    /// If something of it is left.
    pub(crate) fn forget(&self, kept: &Kept) -> anyhow::Result<()> {
        if matches!(kept.key, Place::Keyring) {
            keyring::forget(kept.recipient.as_str())
                .map_err(|error| anyhow!("a key could not be removed from the system's keyring ({error})"))?;
        }
        let file = self.file(kept);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("could not remove `{}`", file.display()))
            }
            _ => Ok(()),
        }
    }

    fn file(&self, kept: &Kept) -> PathBuf {
        let name = kept.grant.as_ref().map_or_else(|| format!("request-{}", kept.recipient), ToString::to_string);
        self.0.join(format!("{name}.json"))
    }

    /// Writes what is noted of a key: whole, or not at all.
    fn write(&self, kept: &Kept) -> anyhow::Result<()> {
        let failed = || format!("could not write to `{}`", self.0.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).with_context(failed)?;
        // One that was there already may be open to others.
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700)).with_context(failed)?;
        let file = self.file(kept);
        let draft = file.with_extension("new");
        let text = serde_json::to_string_pretty(kept)? + "\n";
        let mut opened =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).with_context(failed)?;
        opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).with_context(failed)?;
        std::fs::rename(&draft, &file).with_context(failed)
    }
}

/// What is noted in `file`; none if there is no such file.
fn read(file: &Path) -> anyhow::Result<Option<Kept>> {
    let unreadable = || format!("could not read `{}`", file.display());
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(unreadable),
    };
    if opened.metadata().with_context(unreadable)?.permissions().mode() & 0o077 != 0 {
        bail!("others can read `{0}` too: chmod 600 {0}", file.display());
    }
    let mut text = String::new();
    opened.take(LARGEST).read_to_string(&mut text).with_context(unreadable)?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("`{}` is no note of a key", file.display()))
}

fn passphrase() -> Option<SecretString> {
    std::env::var(PASSPHRASE).ok().filter(|text| !text.is_empty()).map(SecretString::from)
}

/// `identity` as an age file that the passphrase opens.
fn sealed(identity: &str, passphrase: SecretString) -> anyhow::Result<String> {
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK);
    let encryptor =
        Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).context("the key cannot be sealed")?;
    let mut armored = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut armored, Format::AsciiArmor).context("the key cannot be sealed")?;
    let mut writer = encryptor.wrap_output(armor).context("the key cannot be sealed")?;
    writer.write_all(identity.as_bytes()).context("the key cannot be sealed")?;
    writer.finish().and_then(ArmoredWriter::finish).context("the key cannot be sealed")?;
    String::from_utf8(armored).context("the key cannot be sealed")
}

fn opened(sealed: &str, passphrase: SecretString) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed.as_bytes())).context("the file of the key is damaged")?;
    let reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity));
    let reader = reader.map_err(|_| anyhow!("the passphrase in {PASSPHRASE} does not open the key"))?;
    // At once, so that no part of it is left behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.take(LARGEST).read_to_end(&mut text).context("the file of the key is damaged")?;
    Ok(text)
}
