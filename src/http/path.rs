//! [`Path`]: parameters in the path. An id that is no UUID cannot exist, so it is 404 like one that does not.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::{ApiError, Code};

#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => Err(match failed.into_kind() {
                ErrorKind::InvalidUtf8InPathParam { .. } => ApiError::new(Code::BadPath),
                kind @ (ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. }) => {
                    ApiError::internal(kind)
                }
                _ => ApiError::new(missing(parts)),
            }),
            Err(rejection) => Err(ApiError::internal(rejection)),
        }
    }
}

/// What the first id that cannot be one would have named, by the segment before it.
fn missing(parts: &Parts) -> Code {
    let template = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let pairs: Vec<_> = template.split('/').zip(parts.uri.path().split('/')).collect();
    let bad = pairs.windows(2).find(|pair| pair[1].0.starts_with('{') && pair[1].1.parse::<uuid::Uuid>().is_err());
    match bad.map(|pair| pair[0].0) {
        Some("chatroom") => Code::ChatroomNotFound,
        Some("message" | "messages") => Code::MessageNotFound,
        Some("attachments") => Code::AttachmentNotFound,
        Some("sessions") => Code::SessionNotFound,
        _ => Code::NotFound,
    }
}
