//! Whether a sender knows a key, in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::keys::Key;
use crate::read::Refusal;

/// Whether `given`, in hex, is the HMAC-SHA256 of `message` under one of the keys, each preceded by `salt`.
pub(crate) fn signed(given: &str, keys: &[Key], salt: &str, message: &[u8]) -> Result<(), Refusal> {
    let given = hex::decode(given).map_err(|_| Refusal::NoProof("the signature is no hexadecimal number"))?;
    // Every key is tried, whatever the first one says: how long it takes tells nobody which one held.
    let mut held = Choice::from(0);
    for key in keys {
        let mac = key.with(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&[salt.as_bytes(), key.as_bytes()].concat()).ok()?;
            mac.update(message);
            Some(mac.finalize().into_bytes())
        });
        if let Some(mac) = mac {
            held |= mac.as_slice().ct_eq(&given);
        }
    }
    if bool::from(held) { Ok(()) } else { Err(Refusal::NoProof("the signature does not hold")) }
}

/// Whether `given` is one of the keys. Their digests are compared, so that not even a length shows.
pub(crate) fn known(given: &str, keys: &[Key]) -> Result<(), Refusal> {
    let given = Sha256::digest(given.as_bytes());
    let mut held = Choice::from(0);
    for key in keys {
        held |= key.with(|key| Sha256::digest(key.as_bytes())).as_slice().ct_eq(given.as_slice());
    }
    if bool::from(held) { Ok(()) } else { Err(Refusal::NoProof("the key does not hold")) }
}
