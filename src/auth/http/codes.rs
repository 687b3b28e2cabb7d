//! Asking for codes over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::cookie::SECRET;
use super::fields;
use super::views::SentView;
use crate::app::App;
use crate::auth::marks::TEN_MINUTES;
use crate::auth::{self, Device, Purpose};
use crate::http::{ApiError, Json};
use crate::limits::Limit;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PostSendOtp {
    /// Digits with an optional +, spaces, dashes, brackets.
    #[schema(example = "9876543210")]
    mobile: String,
    /// `login` when it is left away.
    #[schema(nullable = false)]
    purpose: Option<Purpose>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PostForgotPassword {
    #[schema(example = "9876543210")]
    mobile: String,
}

#[utoipa::path(
    post, path = "/auth/send-otp", tag = "Sign-in", operation_id = "send_otp", request_body = PostSendOtp,
    responses((status = 200, description = "A code is on its way; the same answer for every number", body = SentView)),
    extensions(("x-problems" = json!(["rate_limited", "sms_budget_exhausted"]))),
)]
pub(super) async fn send(
    State(app): State<Arc<App>>,
    device: Device,
    Json(body): Json<PostSendOtp>,
) -> Result<Response, ApiError> {
    let mobile = fields::reachable_mobile(&app, &body.mobile)?;
    let limit = Limit::new(app.settings.throttles.codes_by_address, TEN_MINUTES);
    app.limits.hit("codes-by-address", &device.throttle_key, limit, app.clock.now()).await?;
    let purpose = body.purpose.unwrap_or(Purpose::Login);
    let sent = auth::send_code(&app, &mobile, purpose, may_see_codes(&app, &device)).await?;
    Ok((SECRET, Json(SentView::from(sent))).into_response())
}

#[utoipa::path(
    post, path = "/auth/forgot-password", tag = "Sign-in", operation_id = "forgot_password",
    request_body = PostForgotPassword,
    responses((status = 200, description = "A code is on its way, if the number is a user's", body = SentView)),
    extensions(("x-problems" = json!(["rate_limited", "sms_budget_exhausted"]))),
)]
pub(super) async fn forgot(
    State(app): State<Arc<App>>,
    device: Device,
    Json(body): Json<PostForgotPassword>,
) -> Result<Response, ApiError> {
    let mobile = fields::reachable_mobile(&app, &body.mobile)?;
    let limit = Limit::new(app.settings.throttles.forgotten_passwords_by_address, TEN_MINUTES);
    app.limits.hit("forgotten-passwords", &device.throttle_key, limit, app.clock.now()).await?;
    let sent = auth::send_code(&app, &mobile, Purpose::ResetPassword, may_see_codes(&app, &device)).await?;
    Ok((SECRET, Json(SentView::from(sent))).into_response())
}

/// Whether a code may stand in the answer.
pub(super) fn may_see_codes(app: &App, device: &Device) -> bool {
    device.is_local_and_direct || app.settings.auth.allow_otp_in_response
}
