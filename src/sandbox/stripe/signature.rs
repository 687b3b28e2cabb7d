//! `Stripe-Signature: t=…,v1=…`: HMAC-SHA256 of `"<t>.<raw body>"` with the secret as it is.
//! <https://docs.stripe.com/webhooks#verify-manually>

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header's value for a body sent at `time`.
pub(super) fn header(body: &[u8], secret: &str, time: i64) -> String {
    format!("t={time},v1={}", digest(body, secret, time))
}

fn digest(body: &[u8], secret: &str, time: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest;

    use super::*;

    /// RFC 2104 written out, so that both ways would have to be wrong alike.
    fn by_hand(body: &[u8], secret: &str, time: i64) -> String {
        let mut key = secret.as_bytes().to_vec();
        if key.len() > 64 {
            key = Sha256::digest(&key).to_vec();
        }
        key.resize(64, 0);
        let pad = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
        let text = [time.to_string().as_bytes(), b".", body].concat();
        let inner = Sha256::digest([pad(0x36), text].concat());
        hex::encode(Sha256::digest([pad(0x5c), inner.to_vec()].concat()))
    }

    proptest! {
        #[test]
        fn it_is_the_hmac_of_time_and_body(body: Vec<u8>, secret in ".{0,90}", time: i64) {
            prop_assert_eq!(header(&body, &secret, time), format!("t={time},v1={}", by_hand(&body, &secret, time)));
        }

        #[test]
        fn another_body_time_or_secret_is_another_signature(body: Vec<u8>, secret in "[a-z]{1,20}", time in 0_i64..1 << 40) {
            let signed = digest(&body, &secret, time);
            let longer = [body.as_slice(), b"x"].concat();
            prop_assert_ne!(&signed, &digest(&longer, &secret, time));
            prop_assert_ne!(&signed, &digest(&body, &format!("{secret}x"), time));
            prop_assert_ne!(&signed, &digest(&body, &secret, time + 1));
        }
    }
}
