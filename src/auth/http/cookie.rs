//! `X-Token-Delivery: cookie`: the refresh token where no script can read it.
//!
//! A cookie is sent by whatever page makes the browser ask, so the page's Origin has to be one of ours.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::views::TokenPairView;
use crate::app::App;
use crate::auth::TokenPair;
use crate::config::Server;
use crate::http::{ApiError, Code, Json};

const DELIVERY: &str = "x-token-delivery";
/// Browsers take a name like this from HTTPS only (or from this machine), for the whole host and no other.
const NAME: &str = "__Host-refresh";

/// On answers with tokens or codes in them: nothing on the way may keep them (RFC 6749, 5.1).
pub(super) const SECRET: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// How the refresh token travels. An extractor; it refuses a cookie for a page of another origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Body,
    /// With the token that came in the cookie, if one did.
    Cookie(Option<String>),
}

impl FromRequestParts<Arc<App>> for Delivery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Some(wanted) = parts.headers.get(DELIVERY) else { return Ok(Self::Body) };
        match wanted.as_bytes().to_ascii_lowercase().as_slice() {
            b"body" => Ok(Self::Body),
            b"cookie" if is_ours(&parts.headers, &app.settings.server) => Ok(Self::Cookie(carried(&parts.headers))),
            b"cookie" => Err(ApiError::new(Code::OriginRefused)),
            _ => Err(ApiError::field("X-Token-Delivery", "must be body or cookie")),
        }
    }
}

/// The cookie of a request that may end the session it belongs to. An extractor.
#[derive(Clone, Copy, Debug)]
pub struct Carried(bool);

impl<S: Send + Sync> FromRequestParts<S> for Carried {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(carried(&parts.headers).is_some()))
    }
}

impl Carried {
    /// Takes the cookie away from the browser that sent it, if its session has ended.
    pub fn forget(self, has_ended: bool) -> AppendHeaders<Option<(header::HeaderName, HeaderValue)>> {
        AppendHeaders((self.0 && has_ended).then(|| (header::SET_COOKIE, set("", 0))))
    }
}

impl utoipa::IntoParams for Delivery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["body", "cookie"]));
        let about = "`cookie` keeps the refresh token in a cookie that no script can read, and out of the body";
        let header = ParameterBuilder::new().name("X-Token-Delivery").parameter_in(ParameterIn::Header);
        vec![header.required(utoipa::openapi::Required::False).description(Some(about)).schema(Some(text)).build()]
    }
}

impl Delivery {
    /// The refresh token that a request carries: given in its body, or in the cookie.
    pub(super) fn token(&self, given: Option<String>) -> Option<String> {
        match self {
            Self::Body => given,
            Self::Cookie(carried) => given.or_else(|| carried.clone()),
        }
    }

    /// The answer that carries a pair this way.
    pub(super) fn answer(&self, app: &App, pair: TokenPair) -> Response {
        match self {
            Self::Body => (SECRET, Json(TokenPairView::new(pair, true))).into_response(),
            Self::Cookie(_) => {
                let lasts = app.settings.auth.refresh_token.as_secs();
                let cookie = set(&pair.refresh, lasts);
                let cookie = AppendHeaders([(header::SET_COOKIE, cookie)]);
                (SECRET, cookie, Json(TokenPairView::new(pair, false))).into_response()
            }
        }
    }

    /// A token is refused. The cookie that brought it is taken away if it will never be worth anything again.
    pub(super) fn refuse(&self, token: &str, error: impl Into<ApiError>) -> ApiError {
        let error = error.into();
        let is_over = matches!(error.code(), Code::TokenInvalid | Code::SessionEnded | Code::RefreshReused);
        match self {
            Self::Cookie(Some(carried)) if carried == token && is_over => error.header(header::SET_COOKIE, set("", 0)),
            _ => error,
        }
    }
}

fn set(token: &str, lasts: u64) -> HeaderValue {
    let cookie = format!("{NAME}={token}; Max-Age={lasts}; Path=/; Secure; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(cookie).expect("a token is letters, digits, - and _")
}

fn carried(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, token)| *name == NAME && !token.is_empty()).map(|(_, token)| token.to_owned())
}

/// Whether the asking page is of our own host, of `PUBLIC_URL`, or of an origin that may call. `*` is no such origin.
fn is_ours(headers: &HeaderMap, server: &Server) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN).and_then(|origin| origin.parse::<url::Url>().ok()) else { return false };
    let origin = origin.origin();
    if !origin.is_tuple() {
        return false;
    }
    let is_public = server.public_url.as_ref().is_some_and(|url| url.origin() == origin);
    let mut allowed = server.cors_allowed_origins.iter().filter_map(|allowed| allowed.parse::<url::Url>().ok());
    // Without PUBLIC_URL the address that the browser asked for is ours, whichever scheme a proxy took away.
    let is_own_host = server.public_url.is_none() && text(header::HOST).is_some_and(|host| is_host(&origin, host));
    is_public || is_own_host || allowed.any(|allowed| allowed.origin() == origin)
}

fn is_host(origin: &url::Origin, host: &str) -> bool {
    ["http", "https"].iter().any(|scheme| {
        let own = format!("{scheme}://{host}").parse::<url::Url>();
        own.is_ok_and(|own| own.origin() == *origin)
    })
}
