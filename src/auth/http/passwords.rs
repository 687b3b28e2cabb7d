//! Changing what signs somebody in, over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::fields;
use super::views::UserView;
use crate::app::App;
use crate::auth::{self, Device, Proof, SignedIn};
use crate::http::{ApiError, Json};

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostResetPassword {
    #[schema(example = "9876543210")]
    mobile: String,
    /// A code with the purpose `reset_password`.
    #[serde(alias = "code")]
    #[schema(example = "271828")]
    otp: String,
    #[serde(alias = "newPassword")]
    #[schema(min_length = 8, max_length = 128, example = "correct horse battery")]
    new_password: String,
}

/// The old password, or a code; one of them.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostChangePassword {
    /// `newPassword` is taken for it as well.
    #[serde(alias = "newPassword")]
    #[schema(min_length = 8, max_length = 128, example = "correct horse battery")]
    new_password: String,
    /// `oldPassword` and `current_password` are taken for it as well.
    #[serde(alias = "oldPassword", alias = "current_password")]
    #[schema(nullable = false)]
    old_password: Option<String>,
    /// A code to the present number with the purpose `confirm` or `reset_password`.
    #[serde(alias = "code")]
    #[schema(nullable = false, example = "271828")]
    otp: Option<String>,
}

/// The password, or a code to the old number; one of them.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct PostChangeMobile {
    /// The new number.
    #[schema(example = "9876543211")]
    mobile: String,
    /// A code to the new number with the purpose `change_mobile`.
    #[serde(alias = "code")]
    #[schema(example = "271828")]
    otp: String,
    #[schema(nullable = false)]
    password: Option<String>,
    /// A code to the old number with the purpose `confirm`.
    #[schema(nullable = false, example = "314159")]
    confirm_otp: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ChangedMobileView {
    user: UserView,
}

#[utoipa::path(
    post, path = "/auth/reset-password", tag = "Sign-in", operation_id = "reset_password",
    request_body = PostResetPassword,
    responses((status = 204, description = "The password is set and every session ended")),
    extensions(("x-problems" = json!([{"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}},
        "otp_expired", "otp_attempts_exhausted", "rate_limited"]))),
)]
pub(super) async fn reset(
    State(app): State<Arc<App>>,
    device: Device,
    Json(body): Json<PostResetPassword>,
) -> Result<StatusCode, ApiError> {
    let mobile = fields::mobile(&app, &body.mobile)?;
    let otp = fields::code("otp", &body.otp)?;
    let new = fields::new_password("new_password", body.new_password)?;
    auth::reset_password(&app, &mobile, &otp, new, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/auth/change-password", tag = "Sign-in", operation_id = "change_password",
    request_body = PostChangePassword,
    responses((status = 204, description = "The password is set and every other session ended")),
    extensions(("x-problems" = json!(["bad_credentials",
        {"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}},
        "otp_expired", "otp_attempts_exhausted"]))),
    security(("bearer" = [])),
)]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    me: SignedIn,
    device: Device,
    Json(body): Json<PostChangePassword>,
) -> Result<StatusCode, ApiError> {
    let new = fields::new_password("new_password", body.new_password)?;
    let proof = proof(body.old_password, ("otp", body.otp), "old_password")?;
    auth::change_password(&app, &me, proof, new, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/auth/change-mobile", tag = "Sign-in", operation_id = "change_mobile",
    request_body = PostChangeMobile,
    responses((status = 200, description = "The account has the new number", body = ChangedMobileView)),
    extensions(("x-problems" = json!(["mobile_taken", "bad_credentials",
        {"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}},
        "otp_expired", "otp_attempts_exhausted"]))),
    security(("bearer" = [])),
)]
pub(super) async fn change_mobile(
    State(app): State<Arc<App>>,
    me: SignedIn,
    device: Device,
    Json(body): Json<PostChangeMobile>,
) -> Result<Json<ChangedMobileView>, ApiError> {
    let mobile = fields::mobile(&app, &body.mobile)?;
    let otp = fields::code("otp", &body.otp)?;
    let proof = proof(body.password, ("confirm_otp", body.confirm_otp), "password")?;
    let user = auth::change_mobile(&app, &me, &mobile, &otp, proof, &device).await?;
    Ok(Json(ChangedMobileView { user: user.into() }))
}

/// The password if there is one, else the code; 422 on `missing` without either.
pub fn proof(
    password: Option<String>,
    (field, code): (&str, Option<String>),
    missing: &str,
) -> Result<Proof, ApiError> {
    match (password, code) {
        (Some(password), _) => Ok(Proof::Password(password)),
        (None, Some(code)) => Ok(Proof::Code(fields::code(field, &code)?)),
        (None, None) => Err(ApiError::field(missing, format!("this or {field} is required"))),
    }
}
