//! Tokens that are nothing but an id, a number and a seal: the same content always gives the same token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::mac;

const CONTENT: usize = 24;
const SEAL: usize = 32;

/// Seals with its first key, opens with all.
pub struct Sealer(Vec<[u8; 32]>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sealer")
    }
}

impl Sealer {
    pub(super) const fn new(keys: Vec<[u8; 32]>) -> Self {
        Self(keys)
    }

    #[must_use]
    pub fn seal(&self, id: Uuid, number: i64) -> String {
        let mut token = [0; CONTENT + SEAL];
        token[..16].copy_from_slice(id.as_bytes());
        token[16..CONTENT].copy_from_slice(&number.to_be_bytes());
        let seal = mac(&self.0[0], &[&token[..CONTENT]]);
        token[CONTENT..].copy_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What was sealed; None for anything that this server did not make.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<(Uuid, i64)> {
        let bytes: [u8; CONTENT + SEAL] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (content, seal) = bytes.split_at(CONTENT);
        let is_ours = self.0.iter().any(|key| bool::from(mac(key, &[content]).ct_eq(seal)));
        let (id, number) = content.split_at(16);
        is_ours.then_some((Uuid::from_slice(id).ok()?, i64::from_be_bytes(number.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_opens_also_after_a_new_key() {
        let (old, id) = (Sealer::new(vec![[1; 32]]), Uuid::from_u128(7));
        let token = old.seal(id, 3);
        assert_eq!(token, old.seal(id, 3));
        assert_eq!(Sealer::new(vec![[2; 32], [1; 32]]).open(&token), Some((id, 3)));
        assert_eq!(Sealer::new(vec![[2; 32]]).open(&token), None);
        for foreign in ["", "x", &token[1..], &format!("{token}AA"), &token.replace(&token[30..31], "_")] {
            assert!(old.open(foreign).is_none() || foreign == token, "{foreign}");
        }
    }
}
