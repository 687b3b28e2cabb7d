//! The webhook: one POST per message, signed so that its receiver can tell it from anybody's.
//!
//! `X-Signature: t=<unix seconds>,v1=<hex>`, HMAC-SHA256 with `SMS_WEBHOOK_SECRET` of `<t>.<body>`. The body is JSON:
//! `id` (the same for a repetition), `to`, `text`, `code`, `purpose`, `expires_at`. Any 2xx means taken.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::{Error, Message, error};
use crate::clock::Moment;

/// The header with the signature.
pub const SIGNATURE: &str = "x-signature";
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Webhook {
    url: url::Url,
    secret: SecretString,
    client: reqwest::Client,
}

impl Webhook {
    pub(super) fn new(url: url::Url, secret: SecretString) -> Result<Self, reqwest::Error> {
        // A signed code goes to the address that was set, not to where that points.
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { url, secret, client })
    }

    pub(super) async fn post(&self, message: &Message, now: Moment) -> Result<(), Error> {
        let body = serde_json::json!({
            "id": message.id, "to": message.to, "text": message.text, "code": message.code,
            "purpose": message.purpose, "expires_at": message.expires_at,
        })
        .to_string();
        let answer = self
            .client
            .post(self.url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE, self.sign(&body, now))
            .body(body)
            .send()
            .await
            // The address may hold a key of the receiver's: errors are shown without it.
            .map_err(|error| Error::Unreachable(error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Error::of_status(status.as_u16(), error::retry_after(&answer)))
    }

    fn sign(&self, body: &str, now: Moment) -> String {
        let key = self.secret.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(format!("{}.{body}", now.seconds()).as_bytes());
        format!("t={},v1={}", now.seconds(), hex::encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: uuid::Uuid::nil(),
            to: "+919876543210".into(),
            masked: "…10".into(),
            text: "271828 is your code".into(),
            code: "271828".into(),
            purpose: "login",
            expires_at: Moment::from_millis(0),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_says_nothing_is_left_after_five_seconds() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let webhook = Webhook::new(url, "secret".into()).expect("a client");
        let begun = tokio::time::Instant::now();
        let message = message();
        let posted = tokio::time::timeout(PATIENCE * 10, webhook.post(&message, Moment::from_millis(0))).await;
        assert!(matches!(posted, Ok(Err(Error::Unreachable(_)))), "{posted:?}");
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let elsewhere = || async { axum::response::Redirect::temporary("/elsewhere") };
        let router = axum::Router::new().route("/", axum::routing::post(elsewhere));
        let router = router.route("/elsewhere", axum::routing::post(|| async {}));
        let webhook = Webhook::new(url, "secret".into()).expect("a client");
        let message = message();
        tokio::select! {
            _ = axum::serve(listener, router) => panic!("the server ended"),
            posted = webhook.post(&message, Moment::from_millis(0)) => {
                assert!(matches!(posted, Err(Error::Refused { status: 307, .. })), "{posted:?}");
            }
        }
    }

    #[test]
    fn the_signature_is_over_time_and_body() {
        let url = "https://sender.example".parse().expect("an address");
        let webhook = Webhook::new(url, "secret".into()).expect("a client");
        let signed = webhook.sign("{}", Moment::from_millis(1_700_000_000_999));
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let known = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signed, format!("t=1700000000,v1={known}"));
        assert_ne!(signed, webhook.sign("{} ", Moment::from_millis(1_700_000_000_999)));
    }
}
