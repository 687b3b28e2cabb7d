//! Signatures of webhooks: `t=<unix seconds>,v1=<hex>`, HMAC-SHA256 of `<t>.<body>`, five minutes to either side.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const TOLERANCE: i64 = 300;

/// What is wrong with a signature, if anything is.
pub(super) fn check(header: &str, body: &[u8], secret: &str, now: i64) -> Result<(), &'static str> {
    let parts: Vec<_> = header.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let time = parts.iter().find(|(name, _)| *name == "t").map(|(_, time)| *time).ok_or("there is no time in it")?;
    let at: i64 = time.parse().map_err(|_| "its time is no number")?;
    if now.saturating_sub(at).saturating_abs() > TOLERANCE {
        return Err("its time is not within five minutes");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let is_right = |hex: &str| hex::decode(hex).is_ok_and(|given| mac.clone().verify_slice(&given).is_ok());
    let mut given = parts.iter().filter(|(name, _)| *name == "v1");
    if given.any(|(_, hex)| is_right(hex)) { Ok(()) } else { Err("it does not fit the body and the secret") }
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    const SIGNED: &str = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";

    #[test]
    fn only_what_was_signed_lately_with_the_secret_is_taken() {
        let now = 1_700_000_000;
        assert_eq!(check(SIGNED, b"{}", "secret", now), Ok(()));
        assert_eq!(check(&SIGNED.replace("v1=", "v1=00,v1="), b"{}", "secret", now + 300), Ok(()), "a second one");
        let wrong = [
            check(SIGNED, b"{} ", "secret", now),
            check(SIGNED, b"{}", "other", now),
            check(SIGNED, b"{}", "secret", now + 301),
            check(SIGNED, b"{}", "secret", now - 301),
            check(&SIGNED.replace("1700000000", "1700000001"), b"{}", "secret", now),
            check("t=1700000000", b"{}", "secret", now),
            check("v1=00", b"{}", "secret", now),
            check("", b"{}", "secret", now),
        ];
        assert!(wrong.iter().all(Result::is_err), "{wrong:?}");
    }
}
