//! Where Stripe's pages lead back to: our own address, the settings' words, or what the caller names and the list allows.

use crate::app::App;
use crate::billing::Leading;
use crate::config::{AppEnv, ReturnUrl};
use crate::http::ApiError;

const LONGEST: usize = 2_000;
/// The page of this service where checkout ends when nothing else is said.
pub(super) const LANDING: &str = "/billing/return";

/// Both addresses of a checkout.
pub(super) fn of_checkout(
    app: &App,
    success_url: Option<String>,
    cancel_url: Option<String>,
) -> Result<Leading, ApiError> {
    let settings = &app.settings.stripe;
    Ok(Leading {
        success_url: chosen(app, "success_url", success_url, settings.success_url.as_ref(), || {
            format!("{}{LANDING}?session_id={{CHECKOUT_SESSION_ID}}", base(app))
        })?,
        cancel_url: of_portal(app, "cancel_url", cancel_url)?,
    })
}

/// Where a person goes who has bought nothing.
pub(super) fn of_portal(app: &App, field: &str, named: Option<String>) -> Result<String, ApiError> {
    chosen(app, field, named, app.settings.stripe.cancel_url.as_ref(), || format!("{}{LANDING}", base(app)))
}

fn chosen(
    app: &App,
    field: &str,
    named: Option<String>,
    set: Option<&String>,
    own: impl FnOnce() -> String,
) -> Result<String, ApiError> {
    match named {
        Some(named) if Some(&named) == set => Ok(named),
        Some(named) if named.len() > LONGEST => {
            Err(ApiError::field(field, format!("must have at most {LONGEST} characters")))
        }
        Some(named) if is_allowed(app, &named) => Ok(named),
        Some(_) => Err(ApiError::field(field, "is not an address that CHECKOUT_RETURN_URLS allows")),
        None => Ok(set.cloned().unwrap_or_else(own)),
    }
}

/// Anything else would let a stranger's link lead somebody from a real payment to a page of the stranger's.
fn is_allowed(app: &App, named: &str) -> bool {
    let settings = &app.settings;
    let own = settings.server.public_url.as_ref().and_then(|url| ReturnUrl::new(url.as_str()));
    let is_listed = settings.stripe.return_urls.iter().chain(&own).any(|allowed| allowed.covers(named));
    is_listed || settings.server.env == AppEnv::Development && is_loopback(named)
}

fn is_loopback(named: &str) -> bool {
    let Ok(url) = url::Url::parse(named) else { return false };
    let is_here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    is_here && ReturnUrl::new(named).is_some()
}

/// The address of this service as the person's browser reaches it.
fn base(app: &App) -> String {
    let server = &app.settings.server;
    match &server.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => server.base_from_here(server.bind),
    }
}
