//! Access tokens: JWTs, HS256 with `SECRET_KEY` or EdDSA with `JWT_PRIVATE_KEY`; no other algorithm is ever looked at.
//!
//! Claims are checked here and not by the library: it asks the machine's clock, and it reads header and claims of every
//! token twice, in front of every request. A token that was found genuine is remembered: its signature and its claims
//! are always the same, only the time that they are held against is not.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto};
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::mac;
use crate::clock::Moment;
use crate::config::Auth;
use crate::ids::{SessionId, UserId};

/// Issuer and audience: fixed, so that a new `PUBLIC_URL` signs nobody out.
const ISSUER: &str = "gemini-backend";
/// How far a token's beginning may lie in the future: another node's clock.
const SKEW: i64 = 60;
/// How many genuine tokens are remembered, of about 600 bytes each.
const REMEMBERED: u64 = 10_000;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: UserId,
    pub sid: SessionId,
    /// The generation of the token pair it came with.
    #[serde(rename = "gen")]
    pub generation: i64,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub iss: String,
    pub aud: String,
}

impl Claims {
    #[must_use]
    pub fn new(user: UserId, session: SessionId, generation: i64, now: Moment, lasts: Duration) -> Self {
        let (iat, exp) = (now.seconds(), now.plus(lasts).seconds());
        Self { sub: user, sid: session, generation, iat, nbf: iat, exp, iss: ISSUER.into(), aud: ISSUER.into() }
    }
}

/// Why an access token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the token is not valid")]
    Invalid,
    /// It was ours, and its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Public keys (RFC 7517).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Jwks {
    pub keys: Vec<PublicKey>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PublicKey {
    #[schema(example = "OKP")]
    pub kty: &'static str,
    #[schema(example = "Ed25519")]
    pub crv: &'static str,
    pub x: String,
    #[schema(example = "EdDSA")]
    pub alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub usage: &'static str,
    pub kid: String,
}

/// The keys that sign and verify access tokens.
pub struct AccessKeys {
    algorithm: Algorithm,
    header: Header,
    signing: EncodingKey,
    verifying: Vec<Verifying>,
    jwks: Jwks,
    genuine: Cache<Box<str>, Arc<Claims>>,
}

struct Verifying {
    kid: String,
    /// The header of tokens that this key signed, as it stands in them.
    head: String,
    key: DecodingKey,
}

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AccessKeys").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl AccessKeys {
    /// # Errors
    /// When a `JWT_PRIVATE_KEY` is not an Ed25519 key in PEM.
    pub fn new(settings: &Auth) -> Result<Self, jsonwebtoken::errors::Error> {
        if settings.jwt_private_keys.is_empty() {
            return Ok(Self::symmetric(&settings.secret_keys));
        }
        let mut signing = None;
        let (mut verifying, mut jwks) = (Vec::new(), Jwks::default());
        for pem in &settings.jwt_private_keys {
            let private = EncodingKey::from_ed_pem(pem.expose_secret().as_bytes())?;
            let jwk = Jwk::from_encoding_key(&private, Algorithm::EdDSA)?;
            let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
            if let AlgorithmParameters::OctetKeyPair(public) = &jwk.algorithm {
                let (kty, crv, alg, usage) = ("OKP", "Ed25519", "EdDSA", "sig");
                jwks.keys.push(PublicKey { kty, crv, x: public.x.clone(), alg, usage, kid: kid.clone() });
            }
            verifying.push((kid.clone(), DecodingKey::from_jwk(&jwk)?));
            signing.get_or_insert((kid, private));
        }
        let (kid, private) = signing.expect("the list is not empty");
        Ok(Self::of(Algorithm::EdDSA, kid, private, verifying, jwks))
    }

    fn symmetric(secrets: &[SecretString]) -> Self {
        let kid = |secret: &[u8]| hex::encode(&mac(secret, &[b"key id"])[..8]);
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).collect();
        let first = secrets.first().copied().unwrap_or_default();
        let verifying = secrets.iter().map(|secret| (kid(secret), DecodingKey::from_secret(secret))).collect();
        Self::of(Algorithm::HS256, kid(first), EncodingKey::from_secret(first), verifying, Jwks::default())
    }

    fn of(
        algorithm: Algorithm,
        kid: String,
        signing: EncodingKey,
        verifying: Vec<(String, DecodingKey)>,
        jwks: Jwks,
    ) -> Self {
        let header = |kid| Header { kid: Some(kid), ..Header::new(algorithm) };
        let head = |kid: &str| {
            let json = serde_json::to_vec(&header(kid.to_owned())).expect("a header is plain data");
            URL_SAFE_NO_PAD.encode(json)
        };
        let verifying = verifying.into_iter().map(|(kid, key)| Verifying { head: head(&kid), kid, key }).collect();
        let genuine = Cache::new(REMEMBERED);
        Self { algorithm, header: header(kid), signing, verifying, jwks, genuine }
    }

    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.signing).expect("plain claims and a key that was read")
    }

    /// # Errors
    /// [`BadToken::Expired`] only for a token that we signed and whose time is over; anything else is invalid.
    pub fn read(&self, token: &str, now: Moment) -> Result<Arc<Claims>, BadToken> {
        let claims = match self.genuine.get(token) {
            Some(claims) => claims,
            None => self.verify(token)?,
        };
        if claims.nbf > now.seconds() + SKEW {
            return Err(BadToken::Invalid);
        }
        if claims.exp <= now.seconds() { Err(BadToken::Expired) } else { Ok(claims) }
    }

    fn verify(&self, token: &str) -> Result<Arc<Claims>, BadToken> {
        let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Invalid)?;
        let (head, body) = message.split_once('.').ok_or(BadToken::Invalid)?;
        let ours = self.verifying.iter().find(|verifying| verifying.head == head);
        let is_genuine = match ours {
            Some(ours) => self.verifies(message, signature, ours),
            None => self.candidates(token)?.any(|candidate| self.verifies(message, signature, candidate)),
        };
        let claims = URL_SAFE_NO_PAD.decode(body).ok().filter(|_| is_genuine);
        let claims: Option<Claims> = claims.and_then(|json| serde_json::from_slice(&json).ok());
        let claims = claims.filter(|claims| claims.iss == ISSUER && claims.aud == ISSUER).ok_or(BadToken::Invalid)?;
        let claims = Arc::new(claims);
        self.genuine.insert(token.into(), Arc::clone(&claims));
        Ok(claims)
    }

    fn verifies(&self, message: &str, signature: &str, with: &Verifying) -> bool {
        crypto::verify(signature, message.as_bytes(), &with.key, self.algorithm).unwrap_or(false)
    }

    /// The keys that may have signed a token whose header another program wrote.
    fn candidates(&self, token: &str) -> Result<impl Iterator<Item = &Verifying>, BadToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| BadToken::Invalid)?;
        if header.alg != self.algorithm {
            return Err(BadToken::Invalid);
        }
        Ok(self.verifying.iter().filter(move |known| header.kid.as_ref().is_none_or(|kid| *kid == known.kid)))
    }

    /// The public keys; none when a shared secret signs.
    #[must_use]
    pub const fn jwks(&self) -> &Jwks {
        &self.jwks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_header_that_is_expected_is_the_one_that_is_written() {
        let keys = AccessKeys::new(&Settings::development().auth).expect("keys");
        let now = Moment::from_millis(1_795_255_200_000);
        let claims = Claims::new(UserId::new(now), SessionId::new(now), 1, now, Duration::from_mins(15));
        let token = keys.sign(&claims);
        assert!(token.starts_with(&format!("{}.", keys.verifying[0].head)), "{token}");
        let claims = Ok(Arc::new(claims));
        assert_eq!((keys.read(&token, now), keys.read(&token, now)), (claims.clone(), claims));
        let later = |by| now.plus(Duration::from_mins(by));
        assert!(keys.read(&token, later(14)).is_ok());
        assert_eq!(keys.read(&token, later(15)), Err(BadToken::Expired), "remembered, and held against the time");
        let (message, _) = token.rsplit_once('.').expect("a signature");
        assert_eq!(keys.read(&format!("{message}.AAAA"), now), Err(BadToken::Invalid));
    }
}
