//! Whether a webhook is Stripe's: `Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>]`, HMAC-SHA256 of `<t>.<raw body>`.
//!
//! Source: <https://docs.stripe.com/webhooks/signature>. The body is taken as it came, before any JSON.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::clock::Moment;

/// The header with the signature.
pub const HEADER: &str = "stripe-signature";
/// How old a signature may be: what was recorded on the way cannot be played again later.
const TOLERANCE: Duration = Duration::from_mins(5);
/// More signatures than an endpoint has secrets.
const MOST_SIGNATURES: usize = 20;

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("the Stripe-Signature header is missing or is none")]
    NoSignature,
    #[error("no signature fits the body")]
    Wrong,
    #[error("the signature is older than five minutes")]
    TooOld,
}

/// Checks that one of the secrets signed this body, lately. Each comparison takes the same time whatever it finds.
pub fn check(header: &str, body: &[u8], secrets: &[SecretString], now: Moment) -> Result<(), Unsigned> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let mut times = parts().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(time), None) = (times.next(), times.next()) else { return Err(Unsigned::NoSignature) };
    let seconds: i64 = time.parse().map_err(|_| Unsigned::NoSignature)?;
    let signatures: Vec<Vec<u8>> = parts()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, value)| hex::decode(value).ok())
        .take(MOST_SIGNATURES)
        .collect();
    if signatures.is_empty() {
        return Err(Unsigned::NoSignature);
    }
    let fits = |secret: &SecretString| {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    if !secrets.iter().any(fits) {
        return Err(Unsigned::Wrong);
    }
    let signed_at = Moment::from_millis(seconds.saturating_mul(1000));
    if now.since(signed_at) > TOLERANCE { Err(Unsigned::TooOld) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_sample
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn sign(secret: &str, time: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(&[time.as_bytes(), b".", body].concat());
        hex::encode(mac.finalize().into_bytes())
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn judge(header: &str, now: i64) -> Result<(), Unsigned> {
        check(header, BODY, &["whsec_old".into(), "whsec_new".into()], at(now))
    }

    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        let known = "46af097807a69c71b5a5aeb8c1f54802abcf27f9fad66df056a65f52daa26045";
        assert_eq!(
            check(&format!("t=1700000000,v1={known}"), BODY, &["whsec_sample".into()], at(1_700_000_000)),
            Ok(())
        );
    }

    #[test]
    fn any_secret_and_any_signature_may_fit() {
        let (old, new) = (sign("whsec_old", "100", BODY), sign("whsec_new", "100", BODY));
        for header in [
            format!("t=100,v1={old}"),
            format!("t=100,v1={new}"),
            format!("t=100,v1={},v1={new}", "00".repeat(32)),
            format!("t=100, v1={new},v0=ignored,x"),
        ] {
            assert_eq!(judge(&header, 100), Ok(()), "{header}");
        }
    }

    #[test]
    fn what_is_not_signed_is_refused() {
        let good = sign("whsec_new", "100", BODY);
        let foreign = sign("whsec_other", "100", BODY);
        for header in ["", "t=100", "v1=00", "t=,v1=00", "t=x,v1=00", "t=1,t=100,v1=00", "t=100,v1=nothex", "garbage"] {
            assert_eq!(judge(header, 100), Err(Unsigned::NoSignature), "{header}");
        }
        for header in [format!("t=100,v1={foreign}"), format!("t=101,v1={good}"), format!("t=100,v1={}", &good[..62])] {
            assert_eq!(judge(&header, 100), Err(Unsigned::Wrong), "{header}");
        }
        assert_eq!(check(&format!("t=100,v1={good}"), b"{}", &["whsec_new".into()], at(100)), Err(Unsigned::Wrong));
        assert_eq!(check(&format!("t=100,v1={good}"), BODY, &[], at(100)), Err(Unsigned::Wrong));
    }

    #[test]
    fn a_signature_lives_for_five_minutes() {
        let header = format!("t=1000,v1={}", sign("whsec_new", "1000", BODY));
        assert_eq!(judge(&header, 1300), Ok(()));
        assert_eq!(judge(&header, 1301), Err(Unsigned::TooOld));
        // A clock of ours that is behind is no reason to lose news.
        assert_eq!(judge(&header, 0), Ok(()));
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_check(header in any::<String>(), body in any::<Vec<u8>>()) {
            prop_assert!(check(&header, &body, &["whsec_new".into()], at(100)).is_err());
        }
    }
}
