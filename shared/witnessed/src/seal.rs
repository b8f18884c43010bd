//! Pieces of output, encrypted to whoever may read them: the age format (C2SP, age.md), which the standard `age` program reads.
//!
//! What is stored is named by the digest of the encrypted piece. That digest binds what is in it: age authenticates every byte under a
//! key which the header commits to. So no digest of the plain bytes is needed, and none is recorded: short output could be guessed from one.

use std::fmt;
use std::io::{Read as _, Write as _};

use age::secrecy::ExposeSecret as _;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use evidence::{LARGEST_BLOB, Secret};
use thiserror::Error;

/// More recipients than this are refused: each adds a hundred bytes to every piece.
const MOST: usize = 64;
/// So many bytes of output go into one encrypted piece, which adds less than 64 KiB: a header, and 16 bytes for each 64 KiB.
pub(crate) const LARGEST_SEALED: usize = LARGEST_BLOB - (64 << 10);

/// To whom output is encrypted: age recipients of the kind `age1…` (X25519), each once, in their order.
#[derive(Clone)]
pub struct Recipients(Vec<Recipient>);

/// A recipient or an identity that cannot be used. It never quotes an identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is no recipient.
    #[error("`{0}` is no age recipient (age1 and 58 letters and digits)")]
    Recipient(String),
    /// It is the secret half.
    #[error("that is an identity, a SECRET: give its recipient (age1…), and make another identity")]
    Secret,
    /// None, or too many.
    #[error("expected 1 to 64 age recipients, not {0}")]
    Count(usize),
    /// A line of an identity file is none.
    #[error("line {0} is no age identity (AGE-SECRET-KEY-1…)")]
    Identity(usize),
    /// There is no identity in it.
    #[error("there is no age identity in it (AGE-SECRET-KEY-1…)")]
    NoIdentity,
}

impl Recipients {
    /// Reads recipients.
    ///
    /// # Errors
    /// If one is none, or if there are none or too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, KeyError> {
        let mut recipients: Vec<Recipient> = Vec::new();
        for text in texts {
            let text = text.as_ref().trim();
            if text.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("AGE-SECRET-KEY-")) {
                return Err(KeyError::Secret);
            }
            let short: String = text.chars().take(80).flat_map(char::escape_debug).collect();
            let recipient: Recipient = text.parse().map_err(|_| KeyError::Recipient(short))?;
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        if (1..=MOST).contains(&recipients.len()) { Ok(Self(recipients)) } else { Err(KeyError::Count(recipients.len())) }
    }

    /// As they are recorded.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Encrypts `plain` into `sealed`, in place of what was in there.
    pub(crate) fn seal(&self, plain: &[u8], sealed: &mut Vec<u8>) -> Result<(), String> {
        sealed.clear();
        // At once, not by doubling.
        sealed.reserve_exact(plain.len().saturating_add(64 << 10));
        let failed = |error: &dyn fmt::Display| format!("could not be sealed: {error}");
        let encryptor = Encryptor::with_recipients(self.0.iter().map(|recipient| recipient as &dyn age::Recipient))
            .map_err(|error| failed(&error))?;
        let mut writer = encryptor.wrap_output(&mut *sealed).map_err(|error| failed(&error))?;
        writer.write_all(plain).and_then(|()| writer.finish().map(drop)).map_err(|error| failed(&error))?;
        if sealed.len() > LARGEST_BLOB { Err("could not be sealed: it grew too large".to_owned()) } else { Ok(()) }
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// What opens pieces: age identities. It has no `Display` and no `Serialize`, and its `Debug` says nothing.
pub struct Identities(Vec<Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identities")
    }
}

/// Why a piece was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is encrypted to others.
    #[error("it is not sealed to this identity")]
    NotForUs,
    /// It is no age file, or not a whole one.
    #[error("it is no whole age file: {0}")]
    Broken(String),
}

impl Identities {
    /// Reads an identity file as `age-keygen` writes it: comments, and one identity a line.
    ///
    /// # Errors
    /// If a line is something else, or there is no identity.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut identities = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                identities.push(line.parse().map_err(|_| KeyError::Identity(number))?);
            }
        }
        if identities.is_empty() { Err(KeyError::NoIdentity) } else { Ok(Self(identities)) }
    }

    /// The recipients that these are the identities of.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    /// What is in an encrypted piece.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let broken = |error: &dyn fmt::Display| OpenError::Broken(error.to_string());
        let decryptor = Decryptor::new_buffered(sealed).map_err(|error| broken(&error))?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(|error| match error {
            DecryptError::NoMatchingKeys => OpenError::NotForUs,
            other => broken(&other),
        })?;
        let mut plain = Vec::with_capacity(sealed.len());
        // A piece is at most a blob; its plain bytes are fewer.
        let most = u64::try_from(LARGEST_BLOB).unwrap_or(u64::MAX);
        reader.take(most).read_to_end(&mut plain).map_err(|error| broken(&error))?;
        Ok(plain)
    }
}

/// Makes an identity, from the system's randomness: the identity, which is a secret, and its recipient.
#[must_use]
pub fn new_identity() -> (Secret<String>, String) {
    let identity = Identity::generate();
    (Secret::new(identity.to_string().expose_secret().to_owned()), identity.to_public().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Identities, String) {
        let (identity, recipient) = new_identity();
        (identity.with(|text| Identities::parse(&format!("# made for a test\n\n{text}\n"))).unwrap(), recipient)
    }

    #[test]
    fn each_recipient_opens_and_no_one_else() {
        let ((one, a), (two, b), (other, _)) = (pair(), pair(), pair());
        let recipients = Recipients::parse(&[&a, &b, &a]).unwrap();
        assert_eq!(recipients.names(), [a.clone(), b]);
        assert_eq!(one.recipients(), [a]);
        for plain in [&b""[..], b"hunter2", &vec![7; 200_000]] {
            let mut sealed = b"of an earlier piece".to_vec();
            recipients.seal(plain, &mut sealed).unwrap();
            assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
            assert_eq!((one.open(&sealed).unwrap(), two.open(&sealed).unwrap()), (plain.to_vec(), plain.to_vec()));
            assert!(matches!(other.open(&sealed), Err(OpenError::NotForUs)));
            // Neither a byte less nor another one.
            for at in [30, sealed.len() - 1] {
                let mut altered = sealed.clone();
                *altered.get_mut(at).unwrap() ^= 1;
                assert!(one.open(&altered).is_err());
            }
            assert!(one.open(&sealed[..sealed.len() - 1]).is_err());
        }
    }

    #[test]
    fn the_largest_piece_is_no_larger_than_a_blob_however_many_may_read_it() {
        let names: Vec<String> = (0..MOST).map(|_| new_identity().1).collect();
        let mut sealed = Vec::new();
        Recipients::parse(&names).unwrap().seal(&vec![7; LARGEST_SEALED], &mut sealed).unwrap();
        assert!(sealed.len() <= LARGEST_BLOB, "{}", sealed.len());
    }

    #[test]
    fn a_wrong_key_is_named_and_a_secret_is_not() {
        let (identity, recipient) = new_identity();
        let secret = identity.with(Clone::clone);
        assert_eq!(Recipients::parse(std::slice::from_ref(&secret)).unwrap_err(), KeyError::Secret);
        assert_eq!(Recipients::parse::<&str>(&[]).unwrap_err(), KeyError::Count(0));
        let error = Recipients::parse(&[recipient.replace("age1", "age2")]).unwrap_err().to_string();
        assert!(error.contains("is no age recipient"), "{error}");
        for text in [format!("# x\n{}", secret.replace('1', "2")), recipient] {
            let error = Identities::parse(&text).unwrap_err().to_string();
            assert!(error.contains("is no age identity") && !error.contains(secret.get(20..).unwrap()), "{error}");
        }
        assert_eq!(Identities::parse("# nothing").unwrap_err(), KeyError::NoIdentity);
        assert_eq!(format!("{:?} {:?}", Identities::parse(&secret).unwrap(), identity), "Identities Secret");
    }
}
