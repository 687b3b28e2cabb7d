//! Gemini: which server, which model, how much.

use secrecy::SecretString;

use super::parse::{self, Parsed};
use super::quota::LARGEST_FILE;
use super::reader::Reader;
use super::sample::is_sample;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Gemini {
    /// None: the built-in sandbox answers (unless `base_url` is set).
    pub api_key: Option<SecretString>,
    /// None with a key: Google. Without path or slash at the end.
    pub base_url: Option<String>,
    pub model: String,
    pub fallback_models: Vec<String>,
    /// What Basic gives beside `model`; empty: all.
    pub basic_models: Vec<String>,
    pub context_max_tokens: u32,
    /// Of the files in one question, before base64.
    pub context_max_attachment_bytes: u64,
    /// Whether what no longer fits is summed up.
    pub context_summary: bool,
    /// Whether rooms without a name get one.
    pub chatroom_titles: bool,
    pub max_output_tokens: u32,
    /// Tokens a UTC day for the whole deployment; None: no limit.
    pub daily_token_budget: Option<u64>,
}

pub(super) static API_KEY: Setting = Setting::new(
    "GEMINI_API_KEY",
    Preset::Unset("none: the built-in sandbox answers, in development"),
    "The key for Google's Gemini API.",
)
.or(&["GOOGLE_GEMINI_API_KEY"])
.secret();
pub(super) static BASE_URL: Setting = Setting::new(
    "GEMINI_BASE_URL",
    Preset::Unset("Google's, once there is a key"),
    "Another server that speaks Gemini's protocol.",
)
.address();
static MODEL: Setting =
    Setting::new("GEMINI_MODEL", Preset::Always("gemini-3.8-flash"), "The model of rooms that choose none.");
static FALLBACK_MODELS: Setting = Setting::new(
    "GEMINI_FALLBACK_MODELS",
    Preset::Unset("none"),
    "Models that answer, in this order, when the room's own is gone or stays overloaded.",
);
static BASIC_MODELS: Setting = Setting::new(
    "BASIC_MODELS",
    Preset::Unset("all"),
    "Models that rooms of Basic may have; GEMINI_MODEL is always among them.",
);
static CONTEXT_MAX_TOKENS: Setting =
    Setting::new("CONTEXT_MAX_TOKENS", Preset::Always("32000"), "How much of a conversation the model is shown.");
static CONTEXT_MAX_ATTACHMENT_BYTES: Setting = Setting::new(
    "CONTEXT_MAX_ATTACHMENT_BYTES",
    Preset::Always("20971520"),
    "How much of a conversation's files the model is shown, in bytes (20 MiB); the oldest are left out first.",
);
static CONTEXT_SUMMARY: Setting = Setting::new(
    "CONTEXT_SUMMARY",
    Preset::Always("off"),
    "Whether the model sums up in the background what it is no longer shown, and is shown that.",
);
static CHATROOM_TITLES: Setting = Setting::new(
    "CHATROOM_TITLES",
    Preset::Always("on"),
    "Whether the model names chatrooms without a name after their first exchange.",
);
static MAX_OUTPUT_TOKENS: Setting =
    Setting::new("MAX_OUTPUT_TOKENS", Preset::Always("8192"), "How long an answer may be, thoughts included.");
static DAILY_TOKEN_BUDGET: Setting = Setting::new(
    "DAILY_TOKEN_BUDGET",
    Preset::Unset("no limit"),
    "Tokens that the whole deployment may spend in a UTC day; beyond it 503 budget_exhausted.",
);

pub(super) static SETTINGS: [&Setting; 11] = [
    &API_KEY,
    &BASE_URL,
    &MODEL,
    &FALLBACK_MODELS,
    &BASIC_MODELS,
    &CONTEXT_MAX_TOKENS,
    &CONTEXT_MAX_ATTACHMENT_BYTES,
    &CONTEXT_SUMMARY,
    &CHATROOM_TITLES,
    &MAX_OUTPUT_TOKENS,
    &DAILY_TOKEN_BUDGET,
];

pub(super) fn read(reader: &mut Reader<'_>) -> Gemini {
    let key = reader.optional(&API_KEY, parse::text);
    let base_url = reader.optional(&BASE_URL, base_url);
    let real = key.as_deref().is_some_and(|key| !is_sample(key));
    if key.is_some() && !real && base_url.is_none() && !reader.is_production() {
        reader.note("GEMINI_API_KEY: a sample's, so the built-in sandbox answers".to_owned());
    }
    Gemini {
        // Another server may take any key.
        api_key: key.filter(|_| real || base_url.is_some()).map(SecretString::from),
        base_url,
        model: reader.value(&MODEL, model),
        fallback_models: reader.optional(&FALLBACK_MODELS, models).unwrap_or_default(),
        basic_models: reader.optional(&BASIC_MODELS, models).unwrap_or_default(),
        context_max_tokens: reader.value(&CONTEXT_MAX_TOKENS, parse::number(256..=10_000_000)),
        context_max_attachment_bytes: reader.value(&CONTEXT_MAX_ATTACHMENT_BYTES, parse::number(1..=LARGEST_FILE)),
        context_summary: reader.value(&CONTEXT_SUMMARY, parse::boolean),
        chatroom_titles: reader.value(&CHATROOM_TITLES, parse::boolean),
        max_output_tokens: reader.value(&MAX_OUTPUT_TOKENS, parse::number(16..=1_000_000)),
        daily_token_budget: reader.optional(&DAILY_TOKEN_BUDGET, parse::number(0..=u64::MAX)),
    }
}

impl Gemini {
    /// Whether the built-in sandbox answers: neither a key nor a server is given.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.api_key.is_none() && self.base_url.is_none()
    }
}

/// Paths are the client's to add: a version at the end would stand there twice.
fn base_url(value: &str) -> Parsed<String> {
    parse::web_address(value)?;
    let url = value.trim_end_matches('/');
    Ok(url.strip_suffix("/v1beta").or_else(|| url.strip_suffix("/v1")).unwrap_or(url).to_owned())
}

fn model(value: &str) -> Parsed<String> {
    let name = value.strip_prefix("models/").unwrap_or(value);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !name.is_empty() && name.bytes().all(fits) {
        Ok(name.to_owned())
    } else {
        Err("is not a model's name like gemini-3.8-flash".to_owned())
    }
}

fn models(value: &str) -> Parsed<Vec<String>> {
    parse::list(value).iter().map(|name| model(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_address_carries_no_version() {
        for given in ["http://localhost:9000", "http://localhost:9000/", "http://localhost:9000/v1beta/"] {
            assert_eq!(base_url(given).as_deref(), Ok("http://localhost:9000"), "{given}");
        }
        assert!(base_url("localhost:9000").is_err());
    }

    #[test]
    fn models_are_named_without_their_prefix() {
        assert_eq!(models("models/gemini-a, gemini-b"), Ok(vec!["gemini-a".to_owned(), "gemini-b".to_owned()]));
        assert!(model("../../secrets").is_err());
    }
}
