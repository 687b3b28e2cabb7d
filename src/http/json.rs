//! Bodies: [`Json`] in and out, `Option<Json<T>>` where a body may be left away.
//!
//! What is not JSON is 400, what is JSON and does not fit is 422 and names the field. Unknown fields are ignored.

use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::body::read_body;
use super::json_flaw::{Flaw, first_flaw};
use super::{ApiError, Code, FieldError};

/// The largest body that is read.
pub(super) const MAX_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = <Self as OptionalFromRequest<S>>::from_request(request, state).await?;
        body.ok_or_else(|| ApiError::new(Code::NotJson).detail("The body is empty"))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, MAX_BYTES).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json(&parts.headers) {
            return Err(ApiError::new(Code::UnsupportedMediaType).detail("The body must be application/json"));
        }
        parse(&bytes).map(|value| Some(Self(value)))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(cause) => ApiError::internal(cause).into_response(),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a value from a body by the rules of this module.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let not_json = |why: String| ApiError::new(Code::NotJson).detail(why);
    let text = std::str::from_utf8(bytes).map_err(|_| not_json("The body is not UTF-8".to_owned()))?;
    // Skipping needs no stack, however deep the text nests; it also finds what lies behind a wrong field.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(error.to_string()))?;
    if let Some(flaw) = first_flaw(text) {
        return Err(match flaw {
            Flaw::TooDeep => ApiError::field("body", "nests too deep"),
            Flaw::Nul { field } => ApiError::field(field, "contains a NUL character"),
            Flaw::LoneSurrogate { field } => ApiError::field(field, "contains half a surrogate pair"),
        });
    }
    // A struct would also take its fields as an array, in order.
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::field("body", "expected an object"));
    }
    let mut source = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let message = error.inner().to_string();
        ApiError::new(Code::Invalid).errors(vec![field_error(&error.path().to_string(), &message)])
    })
}

/// Serde's words for a value that does not fit, in the client's terms.
pub(super) fn field_error(path: &str, message: &str) -> FieldError {
    let message = message.split(" at line ").next().unwrap_or(message);
    let within = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field") {
        FieldError { field: within(quoted()), message: "is required".to_owned() }
    } else if message.starts_with("duplicate field") {
        FieldError { field: within(quoted()), message: "is given twice".to_owned() }
    } else {
        // The value itself is not repeated: it may be a password.
        let expected = message.rsplit_once(", expected ").map(|(_, what)| format!("expected {what}"));
        let message =
            expected.unwrap_or_else(|| message.to_owned()).replace("expected struct ", "expected an object: ");
        FieldError { field: if path == "." { "body".to_owned() } else { path.to_owned() }, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        name: String,
        #[serde(default)]
        count: u32,
    }

    fn refusal(body: &[u8]) -> (u16, Option<FieldError>) {
        let error = parse::<Sample>(body).expect_err("the body should be refused");
        (error.code().status(), error.field_errors().first().cloned())
    }

    fn field(body: &str) -> (String, String) {
        let (status, error) = refusal(body.as_bytes());
        assert_eq!(status, 422, "{body}");
        let error = error.expect("a 422 names a field");
        (error.field, error.message)
    }

    #[test]
    fn a_fitting_object_is_read_and_unknown_fields_are_ignored() {
        let sample: Sample = parse(br#" {"name":"a","count":2,"more":[{"x":null}]} "#).expect("a good body");
        assert_eq!((sample.name.as_str(), sample.count), ("a", 2));
    }

    #[test]
    fn what_is_not_json_is_400() {
        let bodies: [&[u8]; 7] =
            [b"{", b"name=a", b"{\"name\":\"a\"} x", b"{\"name\":5,}", b"\xff\xfe", b"{\"name\":\"a\0\"}", b"   "];
        for body in bodies {
            assert_eq!(refusal(body).0, 400, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn the_field_at_fault_is_named_and_its_value_is_not_repeated() {
        assert_eq!(field("{}"), ("name".into(), "is required".into()));
        assert_eq!(field(r#"{"name":5}"#), ("name".into(), "expected a string".into()));
        assert_eq!(field(r#"{"name":"a","count":"secret"}"#), ("count".into(), "expected u32".into()));
        assert_eq!(field(r#"{"name":"a","name":"b"}"#), ("name".into(), "is given twice".into()));
        assert_eq!(field(r#"["a"]"#), ("body".into(), "expected an object".into()));
        assert_eq!(field("null"), ("body".into(), "expected an object".into()));
    }

    #[test]
    fn nul_half_surrogates_and_deep_nesting_are_422_even_where_nobody_looks() {
        assert_eq!(field(r#"{"name":"a\u0000b"}"#).0, "name");
        assert_eq!(field(r#"{"name":"a","x":[{"y":"\ud83d"}]}"#).0, "x");
        let deep = format!("{{\"name\":\"a\",\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(field(&deep).0, "body");
        assert_eq!(refusal("[".repeat(100_000).as_bytes()).0, 400);
    }
}
