//! Coming in and going out over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::cookie::{Carried, Delivery, SECRET};
use super::views::{SignedUpView, TokenPairView};
use super::{codes, fields};
use crate::app::App;
use crate::auth::{self, Device, Presented, Purpose, SignedIn, Wish};
use crate::http::{ApiError, Code, Json};
use crate::keys::Jwks;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostSignup {
    #[schema(example = "9876543210")]
    mobile: String,
    /// 8 to 128 characters.
    #[schema(nullable = false, min_length = 8, max_length = 128, example = "correct horse battery")]
    password: Option<String>,
    /// At most 80 characters.
    #[schema(max_length = 80)]
    username: Option<String>,
}

/// The purposes that let somebody in.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum SignInPurpose {
    Login,
    Signup,
}

impl From<SignInPurpose> for Purpose {
    fn from(purpose: SignInPurpose) -> Self {
        match purpose {
            SignInPurpose::Login => Self::Login,
            SignInPurpose::Signup => Self::Signup,
        }
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostVerifyOtp {
    #[schema(example = "9876543210")]
    mobile: String,
    /// The code; `code` is taken for it as well.
    #[serde(alias = "code")]
    #[schema(example = "271828")]
    otp: String,
    /// Whichever is living when it is left away. A code for another purpose signs nobody in.
    #[schema(nullable = false, inline)]
    purpose: Option<SignInPurpose>,
    /// From the sign-up: its password and name count then.
    #[schema(nullable = false)]
    signup_token: Option<String>,
    /// The sign-up's password, in place of its token.
    #[schema(nullable = false)]
    password: Option<String>,
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostObtain {
    #[schema(example = "9876543210")]
    mobile: String,
    #[schema(example = "correct horse battery")]
    password: String,
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PostRefresh {
    /// `refresh` is taken for it as well. Not needed with a cookie.
    #[serde(alias = "refresh")]
    #[schema(nullable = false, example = "AZn3qtaofRCcnjsfDF1-IgAAAAAAAAAC")]
    refresh_token: Option<String>,
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PostLogout {
    /// For when the access token has run out.
    #[serde(alias = "refresh")]
    #[schema(nullable = false, example = "AZn3qtaofRCcnjsfDF1-IgAAAAAAAAAC")]
    refresh_token: Option<String>,
}

#[utoipa::path(
    post, path = "/auth/signup", tag = "Sign-in", request_body = PostSignup,
    responses((
        status = 201,
        description = "Waits for its code; ask for one with `/auth/send-otp`. With `LEGACY_SIGNUP` a number alone is sent one",
        body = SignedUpView,
    )),
    extensions(("x-problems" = json!(["mobile_taken", "rate_limited", "sms_budget_exhausted"]))),
)]
pub(super) async fn sign_up(
    State(app): State<Arc<App>>,
    device: Device,
    Json(body): Json<PostSignup>,
) -> Result<Response, ApiError> {
    let mobile = fields::reachable_mobile(&app, &body.mobile)?;
    let password = body.password.map(|password| fields::new_password("password", password)).transpose()?;
    let wish = Wish { mobile, username: fields::username(body.username)?, password };
    let made = auth::sign_up(&app, wish, &device, codes::may_see_codes(&app, &device)).await?;
    Ok((StatusCode::CREATED, SECRET, Json(SignedUpView::from(made))).into_response())
}

#[utoipa::path(
    post, path = "/auth/verify-otp", tag = "Sign-in", operation_id = "verify_otp", params(Delivery),
    request_body = PostVerifyOtp,
    responses((status = 200, description = "Signed in", body = TokenPairView,
        headers(("Set-Cookie" = String, description = "With `X-Token-Delivery: cookie`")))),
    extensions(("x-problems" = json!([{"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}},
        "otp_expired", "otp_attempts_exhausted", "account_suspended", "signup_closed", "origin_refused",
        "rate_limited"]))),
)]
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    device: Device,
    delivery: Delivery,
    Json(body): Json<PostVerifyOtp>,
) -> Result<Response, ApiError> {
    let presented = Presented {
        mobile: fields::mobile(&app, &body.mobile)?,
        otp: fields::code("otp", &body.otp)?,
        purpose: body.purpose.map(Purpose::from),
        signup_token: body.signup_token,
        password: body.password,
    };
    let pair = auth::verify(&app, presented, &device).await?;
    Ok(delivery.answer(&app, pair))
}

#[utoipa::path(
    post, path = "/auth/token/obtain", tag = "Sign-in", operation_id = "obtain_token", params(Delivery),
    request_body = PostObtain,
    responses((status = 200, description = "Signed in", body = TokenPairView,
        headers(("Set-Cookie" = String, description = "With `X-Token-Delivery: cookie`")))),
    extensions(("x-problems" = json!(["bad_credentials", "account_suspended", "origin_refused", "rate_limited"]))),
)]
pub(super) async fn obtain(
    State(app): State<Arc<App>>,
    device: Device,
    delivery: Delivery,
    Json(body): Json<PostObtain>,
) -> Result<Response, ApiError> {
    let mobile = fields::mobile(&app, &body.mobile)?;
    let pair = auth::obtain(&app, &mobile, body.password, &device).await?;
    Ok(delivery.answer(&app, pair))
}

#[utoipa::path(
    post, path = "/auth/token/refresh", tag = "Sign-in", operation_id = "refresh_token", params(Delivery),
    request_body = Option<PostRefresh>,
    responses((status = 200, description = "The next pair; the token that was given is spent", body = TokenPairView,
        headers(("Set-Cookie" = String, description = "With `X-Token-Delivery: cookie`")))),
    extensions(("x-problems" = json!(["token_missing", "token_invalid", "session_ended", "refresh_reused",
        "account_suspended", "origin_refused", "rate_limited"]))),
)]
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    device: Device,
    delivery: Delivery,
    body: Option<Json<PostRefresh>>,
) -> Result<Response, ApiError> {
    let given = body.and_then(|Json(body)| body.refresh_token);
    let token = delivery.token(given).ok_or_else(|| match delivery {
        Delivery::Cookie(_) => ApiError::new(Code::TokenMissing),
        Delivery::Body => ApiError::field("refresh_token", "is required"),
    })?;
    let pair = auth::refresh(&app, &token, &device).await.map_err(|error| delivery.refuse(&token, error))?;
    Ok(delivery.answer(&app, pair))
}

#[utoipa::path(
    post, path = "/auth/logout", tag = "Sign-in", operation_id = "log_out", params(Delivery),
    request_body = Option<PostLogout>,
    responses((status = 204, description = "The session is dead, on every node",
        headers(("Set-Cookie" = String, description = "Takes the cookie away that the request carried")))),
    extensions(("x-problems" = json!(["origin_refused"]))),
    security((), ("bearer" = [])),
)]
pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    delivery: Delivery,
    carried: Carried,
    signed_in: Result<SignedIn, ApiError>,
    body: Option<Json<PostLogout>>,
) -> Result<Response, ApiError> {
    let given = body.and_then(|Json(body)| body.refresh_token);
    let token = delivery.token(given);
    let ended_by_token = match &token {
        Some(token) => auth::end_by_refresh_token(&app, token).await?,
        None => false,
    };
    match (signed_in, token) {
        (Ok(me), _) => {
            auth::end(&app, me.user, me.session).await?;
        }
        (Err(_), _) if ended_by_token => {}
        (Err(_), Some(token)) => return Err(delivery.refuse(&token, ApiError::new(Code::TokenInvalid))),
        (Err(error), None) => return Err(error),
    }
    Ok((StatusCode::NO_CONTENT, carried.forget(true)).into_response())
}

#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "Sign-in",
    responses((status = 200, description = "The keys that access tokens can be verified with (RFC 7517); none when \
        they are signed with a shared secret", body = Jwks)),
)]
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Json<Jwks> {
    Json(app.keys.access.jwks().clone())
}
