//! The client: where Stripe is, the key, how long to wait, and one call with its repetitions.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::form::Form;
use super::{Error, Refusal};
use crate::config;
use crate::http::outgoing;

const STRIPE: &str = "https://api.stripe.com";
/// The version whose shapes we expect; without it, each account would get those of its own age.
pub const VERSION: &str = "2026-10-28.endive";
/// For one try, the answer included: Stripe ends its own after 30 s at most, and people wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// What passes is tried again this often at once; whoever calls may come back later.
const MORE_TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
/// A longer wait than this is the caller's.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_JSON: usize = 16 * 1024 * 1024;

/// Speaks to Stripe, or to any server of its protocol. `Debug` shows no key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Whether the key is of the live mode, the test mode, or does not say.
    livemode: Option<bool>,
}

/// Settings that no client can be made from.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("the address of the Stripe server is not a URL: {0}")]
    Address(#[from] url::ParseError),
    #[error("the Stripe key has characters that no HTTP header takes")]
    Key,
    #[error("no TLS: {0} (are the system's CA certificates installed?)")]
    Tls(String),
}

/// What is asked: a call, and the key that makes its repetition the same call.
pub(super) enum Ask<'a> {
    Get,
    Post(&'a str),
    Delete(&'a str),
}

impl Client {
    /// None when nothing is sold here.
    pub fn new(settings: &config::Stripe) -> Result<Option<Self>, Unusable> {
        let Some(key) = settings.secret_key.as_ref().filter(|_| settings.is_configured()) else { return Ok(None) };
        let base = Url::parse(settings.base_url.as_deref().unwrap_or(STRIPE))?;
        let builder = outgoing::client(&base).default_headers(headers(key)?).timeout(PATIENCE);
        let http = builder.build().map_err(|error| Unusable::Tls(outgoing::no_tls(&error)))?;
        Ok(Some(Self { http, base, livemode: livemode(key.expose_secret()) }))
    }

    /// Whether this event or object belongs to the mode of our key.
    #[must_use]
    pub fn is_of_our_mode(&self, livemode: bool) -> bool {
        self.livemode.is_none_or(|ours| ours == livemode)
    }

    /// One call. What passes is repeated a little: a POST has the same idempotency key each time, so that it is done once.
    pub(super) async fn call(&self, path: &[&str], ask: &Ask<'_>, form: &Form) -> Result<Value, Error> {
        let mut tries = 0;
        loop {
            let since = Instant::now();
            let outcome = self.once(path, ask, form).await;
            let word = if outcome.is_ok() { "ok" } else { "error" };
            metrics::histogram!("stripe_call_seconds", "outcome" => word).record(since.elapsed());
            let fault = match outcome {
                Err(fault) if fault.is_passing() && tries < MORE_TRIES => fault,
                outcome => return outcome,
            };
            let pause = fault.retry_after().unwrap_or(PAUSE * 3_u32.pow(tries));
            if pause > LONGEST_PAUSE {
                return Err(fault);
            }
            tries += 1;
            tokio::time::sleep(pause + jitter(pause)).await;
        }
    }

    async fn once(&self, path: &[&str], ask: &Ask<'_>, form: &Form) -> Result<Value, Error> {
        let mut url = self.url(path);
        let (method, key) = match ask {
            Ask::Get => (Method::GET, None),
            Ask::Post(key) => (Method::POST, Some(key)),
            Ask::Delete(key) => (Method::DELETE, Some(key)),
        };
        let mut request = match method {
            Method::GET => {
                url.set_query(Some(form.as_str()).filter(|query| !query.is_empty()));
                self.http.get(url)
            }
            method => self
                .http
                .request(method, url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.as_str().to_owned()),
        };
        if let Some(key) = key {
            request = request.header("idempotency-key", *key);
        }
        let unreachable = |error: reqwest::Error| Error::Unreachable(outgoing::in_words(&error.without_url()));
        let answer = request.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if answer.content_length().is_some_and(|length| length > LONGEST_JSON as u64) {
            return Err(Error::Unreadable("it is too long".to_owned()));
        }
        let body = answer.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Error::Refused(Refusal::of(status, &headers, &body)));
        }
        serde_json::from_slice(&body).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Segments are escaped, so that no id can lead elsewhere.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        url
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, livemode, .. } = self;
        out.debug_struct("Client").field("base", &base.as_str()).field("livemode", livemode).finish_non_exhaustive()
    }
}

fn headers(key: &SecretString) -> Result<HeaderMap, Unusable> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| Unusable::Key)?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        ("stripe-version".parse().map_err(|_| Unusable::Key)?, HeaderValue::from_static(VERSION)),
    ]))
}

/// `sk_live_...`, `rk_test_...`; another server's key need not say.
fn livemode(key: &str) -> Option<bool> {
    let rest = key.strip_prefix("sk_").or_else(|| key.strip_prefix("rk_"))?;
    if rest.starts_with("live_") { Some(true) } else { rest.starts_with("test_").then_some(false) }
}

/// Up to half as much again, so that those who were refused together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers they do.
    let _ = getrandom::fill(&mut byte);
    pause / 2 * u32::from(byte[0]) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_from_the_key() {
        assert_eq!(livemode("sk_live_abc"), Some(true));
        assert_eq!(livemode("rk_test_abc"), Some(false));
        assert_eq!(livemode("anything"), None);
    }

    #[test]
    fn ids_cannot_lead_elsewhere() {
        let settings = config::Stripe {
            secret_key: Some("sk_test_x".into()),
            pro_price: Some("price_1".to_owned()),
            base_url: Some("http://127.0.0.1:1/below".to_owned()),
            ..config::Settings::development().stripe
        };
        let client = Client::new(&settings).expect("a client").expect("it is configured");
        assert_eq!(client.url(&["subscriptions", "../x?y#z"]).path(), "/below/v1/subscriptions/..%2Fx%3Fy%23z");
        assert!(!format!("{client:?}").contains("sk_test_x"));
    }
}
