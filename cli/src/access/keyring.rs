//! The system's own place for secrets: the kernel's memory on Linux, the login keychain on macOS. On other systems there is none here.
//!
//! On Linux it is the user's persistent keyring (persistent-keyring(7)): every session of theirs has it, nothing of it touches a disk, and a
//! reboot empties it. It is linked to this process, so that it does not matter whether a login has made a session keyring.

use std::time::Duration;

use zeroize::Zeroizing;

/// Keeps the identity of `recipient` for as long as it can be of use, and sees that it is kept.
///
/// # Errors
/// What the system says, if it keeps none: as in many containers.
pub(crate) fn keep(recipient: &str, identity: &str, lasts: Duration) -> Result<(), String> {
    let name = name(recipient);
    let kept = system::keep(&name, identity.as_bytes(), lasts).and_then(|()| match system::find(&name)? {
        Some(kept) if kept.as_slice() == identity.as_bytes() => Ok(()),
        _ => Err("it does not give back what it is given".to_owned()),
    });
    if kept.is_err() {
        // It is kept elsewhere then, or not used at all.
        let _best = system::forget(&name);
    }
    kept
}

/// The identity of `recipient`; none if it is not kept, or not any more.
///
/// # Errors
/// What the system says, if it says anything else.
pub(crate) fn find(recipient: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    system::find(&name(recipient))
}

/// Forgets the identity of `recipient`. One that is not there is forgotten already.
///
/// # Errors
/// What the system says.
pub(crate) fn forget(recipient: &str) -> Result<(), String> {
    system::forget(&name(recipient))
}

fn name(recipient: &str) -> String {
    format!("cordon-access:{recipient}")
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier};
    use zeroize::Zeroizing;

    /// An identity has 74 characters.
    const LARGEST: usize = 4096;

    fn ring() -> Result<KeyRing, String> {
        KeyRing::get_persistent(KeyRingIdentifier::Process).map_err(said)
    }

    fn said(error: KeyError) -> String {
        error.to_string()
    }

    fn search(name: &str) -> Result<Option<Key>, String> {
        match ring()?.search(name) {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => Ok(None),
            Err(error) => Err(said(error)),
        }
    }

    pub(super) fn keep(name: &str, secret: &[u8], lasts: Duration) -> Result<(), String> {
        let key = ring()?.add_key(name, secret).map_err(said)?;
        key.set_timeout(usize::try_from(lasts.as_secs()).unwrap_or(usize::MAX)).map_err(said)
    }

    pub(super) fn find(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let Some(key) = search(name)? else { return Ok(None) };
        let mut secret = Zeroizing::new(vec![0; LARGEST]);
        let length = key.read(&mut *secret).map_err(said)?;
        secret.truncate(length);
        Ok(Some(secret))
    }

    pub(super) fn forget(name: &str) -> Result<(), String> {
        match search(name)? {
            Some(key) => key.invalidate().map_err(said),
            None => Ok(()),
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::time::Duration;

    use security_framework::base::Error;
    use security_framework::passwords::{delete_generic_password, get_generic_password, set_generic_password};
    use zeroize::Zeroizing;

    /// `errSecItemNotFound`.
    const NOT_FOUND: i32 = -25300;
    const ACCOUNT: &str = "cordon";

    fn said(error: Error) -> String {
        error.to_string()
    }

    pub(super) fn keep(name: &str, secret: &[u8], _lasts: Duration) -> Result<(), String> {
        set_generic_password(name, ACCOUNT, secret).map_err(said)
    }

    pub(super) fn find(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        match get_generic_password(name, ACCOUNT) {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(said(error)),
        }
    }

    pub(super) fn forget(name: &str) -> Result<(), String> {
        match delete_generic_password(name, ACCOUNT) {
            Err(error) if error.code() != NOT_FOUND => Err(said(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod system {
    use std::time::Duration;

    use zeroize::Zeroizing;

    pub(super) fn keep(_name: &str, _secret: &[u8], _lasts: Duration) -> Result<(), String> {
        Err("it is not known here".to_owned())
    }

    pub(super) fn find(_name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        Ok(None)
    }

    pub(super) fn forget(_name: &str) -> Result<(), String> {
        Ok(())
    }
}
