//! What the server's secrets are used for: access tokens, refresh tokens, sign-up tokens, codes; and how passwords are hashed.
//!
//! Each use of `SECRET_KEY` but the access tokens' has a key of its own, derived from it, so that nothing made for one
//! use passes in another. The first secret makes, all of them check.

mod access;
mod code;
mod password;
mod sealed;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use crate::config::Auth;

pub use access::{AccessKeys, BadToken, Claims, Jwks};
pub use code::{Codes, Nonce};
pub use password::Passwords;
pub use sealed::Sealer;

/// Every key of the process.
#[derive(Debug)]
pub struct Keys {
    pub access: AccessKeys,
    pub refresh: Sealer,
    pub signup: Sealer,
    pub codes: Codes,
    pub passwords: Passwords,
}

/// A key that the settings name cannot be used, or none is named.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    #[error("SECRET_KEY: is missing")]
    NoSecret,
    #[error("JWT_PRIVATE_KEY: is not an Ed25519 key in PEM: {0}")]
    Private(#[from] jsonwebtoken::errors::Error),
}

impl Keys {
    pub fn new(settings: &Auth) -> Result<Self, BadKey> {
        if settings.secret_keys.is_empty() {
            return Err(BadKey::NoSecret);
        }
        let secrets: Vec<&[u8]> = settings.secret_keys.iter().map(|key| key.expose_secret().as_bytes()).collect();
        let derive = |purpose| secrets.iter().map(|secret| mac(secret, &[purpose])).collect();
        Ok(Self {
            access: AccessKeys::new(settings)?,
            refresh: Sealer::new(derive(b"refresh token")),
            signup: Sealer::new(derive(b"sign-up token")),
            codes: Codes::new(derive(b"one-time code")),
            passwords: Passwords::new(),
        })
    }
}

/// HMAC-SHA256 over the parts, each preceded by its length, so that no two lists of parts give the same bytes.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
