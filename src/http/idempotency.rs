//! [`IdempotencyKey`]: the header by which a client says "this is the same request again".

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::ApiError;

const NAME: &str = "idempotency-key";
const MAX_LENGTH: usize = 255;

/// 1 to 255 visible characters, kept as they came. Extract it as `Option<IdempotencyKey>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        let mut values = parts.headers.get_all(NAME).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let sane = (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if sane && values.next().is_none() => Ok(Some(Self(key.to_owned()))),
            _ => {
                Err(ApiError::field("Idempotency-Key", format!("must be one of 1 to {MAX_LENGTH} visible characters")))
            }
        }
    }
}

impl utoipa::IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_LENGTH));
        let about = "The same key again, within 7 days, gives the first answer again and does nothing twice";
        let header = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
        vec![header.required(utoipa::openapi::Required::False).description(Some(about)).schema(Some(text)).build()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, Request};

    async fn read(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, ApiError> {
        let (mut parts, ()) = Request::new(()).into_parts();
        for value in values {
            parts.headers.append(NAME, HeaderValue::from_bytes(value).expect("a value that headers may have"));
        }
        IdempotencyKey::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_key_is_one_to_255_visible_characters() {
        assert_eq!(read(&[]).await.expect("no key"), None);
        assert_eq!(read(&[b"k-1"]).await.expect("a key").expect("a key").as_str(), "k-1");
        assert!(read(&[&[b'k'; 255]]).await.is_ok());
        let bad: [&[&[u8]]; 5] = [&[b""], &[&[b'k'; 256]], &[b"a b"], &["é".as_bytes()], &[b"a", b"b"]];
        for values in bad {
            assert_eq!(read(values).await.expect_err("a bad key").field_errors()[0].field, "Idempotency-Key");
        }
    }
}
