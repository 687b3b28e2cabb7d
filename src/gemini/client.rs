//! The client: where Gemini is, the key, how long to wait.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::incoming::Incoming;
use super::model::ModelsOnWire;
use super::{Answer, Error, Model, Request, Stream};
use crate::config;
use crate::http::outgoing;

const GOOGLE: &str = "https://generativelanguage.googleapis.com";
/// In a header, because URLs end in logs.
const KEY: &str = "x-goog-api-key";
const TAG: &str = "x-client-request-id";
/// As many as Gemini gives at once.
const PAGE: &str = "1000";
/// Gemini has some fifty models; a server that turns in a circle must end.
const MOST_PAGES: usize = 50;
const LONGEST_JSON: usize = 16 * 1024 * 1024;

/// Speaks to Gemini, or to any server of its protocol. Cheap to clone; `Debug` shows no key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
    pub(super) timeouts: Timeouts,
}

/// How long is waited for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// From the request to the end of the answer.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: outgoing::CONNECT_TIME,
            first_byte: Duration::from_mins(1),
            idle: Duration::from_secs(30),
            whole: Duration::from_mins(10),
        }
    }
}

/// Settings that no client can be made from.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("the address of the Gemini server is not a URL: {0}")]
    Address(#[from] url::ParseError),
    #[error("the Gemini API key has characters that no HTTP header takes")]
    Key,
    #[error("no TLS: {0} (are the system's CA certificates installed?)")]
    Tls(String),
}

impl Client {
    /// Speaks to `base_url`, else to Google.
    pub fn new(settings: &config::Gemini) -> Result<Self, Unusable> {
        Self::with_timeouts(settings, Timeouts::default())
    }

    pub fn with_timeouts(settings: &config::Gemini, timeouts: Timeouts) -> Result<Self, Unusable> {
        let base = Url::parse(settings.base_url.as_deref().unwrap_or(GOOGLE))?;
        let key = settings.api_key.clone();
        let http = http(&base, key.as_ref(), &timeouts)?;
        Ok(Self { http, base, key, timeouts })
    }

    /// Asks, and returns as soon as Gemini has agreed to answer. `tag` names the attempt (`<reply>.<attempt>`)
    /// and goes along as `x-client-request-id`.
    pub async fn stream(&self, request: &Request, tag: &str) -> Result<Stream, Error> {
        let mut url = self.model_url(request.bare_model(), "streamGenerateContent");
        url.set_query(Some("alt=sse"));
        let post = self.http.post(url).header(TAG, tag).json(&request.body());
        Ok(Stream::of(Incoming::open(self, post).await?))
    }

    /// Asks and waits for the whole answer.
    pub async fn generate(&self, request: &Request, tag: &str) -> Result<Answer, Error> {
        let url = self.model_url(request.bare_model(), "generateContent");
        let post = self.http.post(url).header(TAG, tag).json(&request.body());
        Stream::of(Incoming::open(self, post).await?).collect().await
    }

    /// How many tokens the request would be, its system instruction too.
    pub async fn count_tokens(&self, request: &Request) -> Result<u64, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Counted {
            total_tokens: u64,
        }
        let url = self.model_url(request.bare_model(), "countTokens");
        let counted: Counted = self.json(self.http.post(url).json(&request.count_body())).await?;
        Ok(counted.total_tokens)
    }

    /// All models, whatever they are for.
    pub async fn models(&self) -> Result<Vec<Model>, Error> {
        let mut models = Vec::new();
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let mut url = self.url(&["models"]);
            url.query_pairs_mut().append_pair("pageSize", PAGE);
            if !token.is_empty() {
                url.query_pairs_mut().append_pair("pageToken", &token);
            }
            let page: ModelsOnWire = self.json(self.http.get(url)).await?;
            models.extend(page.models.unwrap_or_default().into_iter().map(Model::from));
            token = page.next_page_token.unwrap_or_default();
            if token.is_empty() {
                break;
            }
        }
        Ok(models)
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(ExposeSecret::expose_secret)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let body = Incoming::open(self, request).await?.collect(LONGEST_JSON).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Cut(format!("it was not what was asked for: {error}")))
    }

    fn model_url(&self, model: &str, verb: &str) -> Url {
        self.url(&["models", &format!("{model}:{verb}")])
    }

    /// Segments are escaped, so that no model's name can lead elsewhere.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1beta").extend(segments);
        }
        url
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "[key]");
        let Self { base, timeouts, .. } = self;
        out.debug_struct("Client")
            .field("base", &base.as_str())
            .field("key", &key)
            .field("timeouts", timeouts)
            .finish_non_exhaustive()
    }
}

fn http(base: &Url, key: Option<&SecretString>, timeouts: &Timeouts) -> Result<reqwest::Client, Unusable> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let mut value = HeaderValue::from_str(key.expose_secret()).map_err(|_| Unusable::Key)?;
        value.set_sensitive(true);
        headers.insert(KEY, value);
    }
    let builder = outgoing::client(base).default_headers(headers).connect_timeout(timeouts.connect);
    builder.build().map_err(|error| Unusable::Tls(outgoing::no_tls(&error)))
}
