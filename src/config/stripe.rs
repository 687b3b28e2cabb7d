//! Stripe: whose account, which price, where checkout leads back to, and what refunds and disputes mean.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::sample::is_sample;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Stripe {
    /// None: the built-in sandbox sells in development, nothing is sold in production.
    pub secret_key: Option<SecretString>,
    /// Any of them may have signed. Empty: no webhook is believed.
    pub webhook_secrets: Vec<SecretString>,
    /// There whenever there is a key.
    pub pro_price: Option<String>,
    /// None: Stripe. Without path or slash at the end.
    pub base_url: Option<String>,
    /// None: `/billing/return` of this service.
    pub success_url: Option<String>,
    pub cancel_url: Option<String>,
    /// What callers may name instead, beside these two.
    pub return_urls: Vec<ReturnUrl>,
    pub on_refund: Consequence,
    pub on_dispute: Consequence,
    /// How long a subscription whose payment is overdue stays Pro.
    pub grace: Duration,
    pub sync_every: Duration,
    /// The built-in sandbox sells. Set by the process that starts it.
    pub is_sandbox: bool,
}

/// What follows for the subscription that a payment was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is written down and goes on.
    Keep,
    /// It is cancelled at once.
    Cancel,
}

pub(super) static SECRET_KEY: Setting = Setting::new(
    "STRIPE_SECRET_KEY",
    Preset::Unset("none: a built-in sandbox sells in development, nothing is sold in production"),
    "The secret key of the Stripe account (sk_... or rk_...).",
)
.secret();
pub(super) static WEBHOOK_SECRET: Setting = Setting::new(
    "STRIPE_WEBHOOK_SECRET",
    Preset::Unset("none: no webhook is believed, news comes by the sync alone"),
    "The signing secret of the webhook endpoint (whsec_...); several apart by commas while one is being replaced.",
)
.secret();
static PRO_PRICE: Setting = Setting::new(
    "STRIPE_PRO_PRICE_ID",
    Preset::Unset("the sandbox's; must be set with a key"),
    "The recurring price that Pro costs (price_...).",
);
static BASE_URL: Setting =
    Setting::new("STRIPE_BASE_URL", Preset::Unset("Stripe's"), "Another server that speaks Stripe's protocol.")
        .address();
static SUCCESS_URL: Setting = Setting::new(
    "STRIPE_SUCCESS_URL",
    Preset::Unset("/billing/return of this service"),
    "Where checkout leads after paying; {CHECKOUT_SESSION_ID} in it becomes the session's id.",
);
static CANCEL_URL: Setting = Setting::new(
    "STRIPE_CANCEL_URL",
    Preset::Unset("/billing/return of this service"),
    "Where checkout leads when the person turns back.",
);
static RETURN_URLS: Setting = Setting::new(
    "CHECKOUT_RETURN_URLS",
    Preset::Unset("none beside the two above and PUBLIC_URL; in development loopback addresses too"),
    "What callers may name as return addresses: https://app.example.com/billing takes all below it, chat-app:// a whole scheme.",
);
static ON_REFUND: Setting = Setting::new(
    "STRIPE_ON_REFUND",
    Preset::Always("cancel"),
    "What the full refund of a subscription's last payment does to it: cancel, or keep. It is written down either way.",
);
static ON_DISPUTE: Setting = Setting::new(
    "STRIPE_ON_DISPUTE",
    Preset::Always("cancel"),
    "What a dispute about a subscription's last payment does to it: cancel, or keep. It is written down either way.",
);
static GRACE: Setting =
    Setting::new("BILLING_GRACE_DAYS", Preset::Always("7"), "How long an overdue subscription stays Pro.");
static SYNC: Setting = Setting::new(
    "BILLING_SYNC_MINUTES",
    Preset::Always("30"),
    "How often Stripe is asked for what no webhook told, in minutes.",
);

pub(super) static SETTINGS: [&Setting; 11] = [
    &SECRET_KEY,
    &WEBHOOK_SECRET,
    &PRO_PRICE,
    &BASE_URL,
    &SUCCESS_URL,
    &CANCEL_URL,
    &RETURN_URLS,
    &ON_REFUND,
    &ON_DISPUTE,
    &GRACE,
    &SYNC,
];

pub(super) fn read(reader: &mut Reader<'_>) -> Stripe {
    const WORDS: &[(&str, Consequence)] = &[("keep", Consequence::Keep), ("cancel", Consequence::Cancel)];
    let key = reader.optional(&SECRET_KEY, parse::text);
    let base_url = reader.optional(&BASE_URL, base_url);
    let is_real = key.as_deref().is_some_and(|key| base_url.is_some() || !is_sample(key));
    if key.is_some() && !is_real && !reader.is_production() {
        reader.note("STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells".to_owned());
    }
    let secrets = reader.optional(&WEBHOOK_SECRET, |text| Ok(parse::list(text))).unwrap_or_default();
    let pro_price = reader.optional(&PRO_PRICE, parse::text);
    if is_real && pro_price.is_none() {
        reader.problem(PRO_PRICE.name, "is missing: STRIPE_SECRET_KEY is set");
    }
    if is_real && secrets.is_empty() {
        reader.note("STRIPE_WEBHOOK_SECRET: not set, so what happens at Stripe is seen by the sync alone".to_owned());
    }
    Stripe {
        secret_key: key.filter(|_| is_real).map(SecretString::from),
        webhook_secrets: secrets.into_iter().map(SecretString::from).collect(),
        pro_price: pro_price.filter(|_| is_real),
        base_url,
        success_url: reader.optional(&SUCCESS_URL, address),
        cancel_url: reader.optional(&CANCEL_URL, address),
        return_urls: reader.optional(&RETURN_URLS, return_urls).unwrap_or_default(),
        on_refund: reader.value(&ON_REFUND, parse::choice(WORDS)),
        on_dispute: reader.value(&ON_DISPUTE, parse::choice(WORDS)),
        grace: reader.value(&GRACE, parse::days(0..=60)),
        sync_every: reader.value(&SYNC, parse::minutes(1..=1440)),
        is_sandbox: false,
    }
}

impl Stripe {
    /// Whether there is an account to sell from.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.secret_key.is_some() && self.pro_price.is_some()
    }
}

/// Paths are the client's to add: a version at the end would stand there twice.
fn base_url(value: &str) -> Parsed<String> {
    parse::web_address(value)?;
    let url = value.trim_end_matches('/');
    Ok(url.strip_suffix("/v1").unwrap_or(url).to_owned())
}

/// An address of a page or of an app.
fn address(value: &str) -> Parsed<String> {
    let is_address = Url::parse(value).is_ok_and(|url| is_lawful(&url));
    if is_address { Ok(value.to_owned()) } else { Err("is not an address like https://example.com/paid".to_owned()) }
}

/// Neither relative nor one that a browser would execute.
fn is_lawful(url: &Url) -> bool {
    let is_web = matches!(url.scheme(), "http" | "https");
    let is_app = url.as_str().contains("://")
        && !matches!(url.scheme(), "javascript" | "data" | "file" | "blob" | "ws" | "wss" | "ftp");
    let has_no_login = url.username().is_empty() && url.password().is_none();
    has_no_login && if is_web { url.has_host() } else { is_app }
}

/// A return address that callers may name, and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnUrl(Url);

impl ReturnUrl {
    /// None when it is no address that somebody could be led to.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Url::parse(text).ok().filter(is_lawful).map(Self)
    }

    /// Same scheme, host and port, and a path that begins with this one's, part by part. A scheme alone takes all of it.
    #[must_use]
    pub fn covers(&self, text: &str) -> bool {
        let Self(allowed) = self;
        let Some(Self(url)) = Self::new(text) else { return false };
        let same_place = allowed.scheme() == url.scheme()
            && (allowed.host_str() == url.host_str() || !allowed.has_host() || allowed.host_str() == Some(""))
            && allowed.port_or_known_default() == url.port_or_known_default();
        let (prefix, path) = (allowed.path().trim_end_matches('/'), url.path());
        same_place && path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn return_urls(value: &str) -> Parsed<Vec<ReturnUrl>> {
    let read = |text: &String| ReturnUrl::new(text).ok_or_else(|| format!("{text:?} is not an address"));
    parse::list(value).iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(allowed: &str, url: &str) -> bool {
        ReturnUrl::new(allowed).expect("an address").covers(url)
    }

    #[test]
    fn a_return_address_lies_below_one_of_the_list() {
        let page = "https://app.example.com/billing";
        for url in ["https://app.example.com/billing", "https://app.example.com/billing/done?x=1#y"] {
            assert!(covers(page, url), "{url}");
        }
        for url in [
            "https://app.example.com/billingx",
            "https://app.example.com/",
            "http://app.example.com/billing",
            "https://app.example.com:8443/billing",
            "https://app.example.com.evil.net/billing",
            "https://app.example.com@evil.net/billing",
            "https://user@app.example.com/billing",
            "https://app.example.com/billing/../other",
            "//app.example.com/billing",
            "/billing",
            "",
        ] {
            assert!(!covers(page, url), "{url}");
        }
        assert!(covers("https://app.example.com", "https://app.example.com/anything"));
    }

    #[test]
    fn app_links_are_allowed_by_scheme_or_by_place() {
        assert!(covers("chat-app://", "chat-app://paid/now"));
        assert!(covers("chat-app://paid", "chat-app://paid?session=1"));
        assert!(!covers("chat-app://paid", "chat-app://other"));
        assert!(!covers("chat-app://", "other-app://paid"));
        for unlawful in ["javascript://x/%0aalert(1)", "data://x", "file:///etc/passwd", "mailto:a@b"] {
            assert!(ReturnUrl::new(unlawful).is_none(), "{unlawful}");
        }
    }
}
