//! What single fields may hold.

use crate::app::App;
use crate::auth::{Mobile, password};
use crate::http::ApiError;

const LONGEST_USERNAME: usize = 80;
/// A code has six digits; anything that short is looked at and found wrong.
const LONGEST_CODE: usize = 32;

pub(super) fn mobile(app: &App, typed: &str) -> Result<Mobile, ApiError> {
    Mobile::parse(typed, &app.settings.auth).map_err(|error| ApiError::field("mobile", error.to_string()))
}

/// A number that a code may be sent to. Those that were let in as they are belong to no country, so none forbids them.
pub(super) fn reachable_mobile(app: &App, typed: &str) -> Result<Mobile, ApiError> {
    let mobile = mobile(app, typed)?;
    if mobile.is_as_typed() || app.settings.sms.allows(mobile.country().0) {
        return Ok(mobile);
    }
    Err(ApiError::field("mobile", "must be a number of a country that codes are sent to"))
}

/// A password that is being set.
pub(super) fn new_password(field: &str, password: String) -> Result<String, ApiError> {
    password::fit(password).map_err(|unfit| ApiError::field(field, unfit.to_string()))
}

pub(super) fn code(field: &str, code: &str) -> Result<String, ApiError> {
    let code = code.trim();
    if code.is_empty() || code.len() > LONGEST_CODE {
        return Err(ApiError::field(field, "must be the code's six digits"));
    }
    Ok(code.to_owned())
}

/// A name to be called by; nothing but spaces is none.
pub fn username(name: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(name) = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.chars().count() > LONGEST_USERNAME || name.chars().any(char::is_control) {
        return Err(ApiError::field(
            "username",
            format!("must have at most {LONGEST_USERNAME} characters, all visible"),
        ));
    }
    Ok(Some(name))
}
