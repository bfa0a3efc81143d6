//! Secrets that are shown once: 32 random bytes as text, of which the database keeps SHA-256.
//! The server checks the same hash of the same text.

use crate::failure::Failure;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// A fresh secret.
pub(crate) struct Token {
    /// What its owner keeps.
    pub(crate) text: String,
    /// What the database keeps.
    pub(crate) hash: [u8; 32],
}

impl Token {
    /// `prefix`, which tells people what it is, and 256 bits of the operating system's randomness.
    pub(crate) fn random(prefix: &str) -> Result<Self, Failure> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::Refused(format!("no randomness: {error}")))?;
        let text = format!("{prefix}{}", BASE64URL_NOPAD.encode(&bytes));
        let hash = Sha256::digest(text.as_bytes()).into();
        Ok(Self { text, hash })
    }
}
