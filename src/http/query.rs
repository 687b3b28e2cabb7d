//! [`Query`]: what stands behind the question mark. Unknown parameters are ignored, wrong ones are 422 by name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json::field_error;
use super::{ApiError, Code};

#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

pub(super) fn read<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs.clone().find(|(_, value)| value.contains('\0')) {
        return Err(ApiError::field(name, "contains a NUL character"));
    }
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let error = field_error(&error.path().to_string(), &error.inner().to_string());
        ApiError::new(Code::Invalid).errors(vec![error])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        archived: Option<bool>,
    }

    #[test]
    fn wrong_parameters_are_named() {
        assert_eq!(read::<Sample>("archived=true&other=1").expect("a good query").archived, Some(true));
        for query in ["archived=maybe", "archived=", "archived=true&archived=true", "archived=%00"] {
            let error = read::<Sample>(query).expect_err(query);
            assert_eq!((error.code(), error.field_errors()[0].field.as_str()), (Code::Invalid, "archived"), "{query}");
        }
    }
}
