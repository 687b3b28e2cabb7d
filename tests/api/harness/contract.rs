//! The OpenAPI document as law: every answer of every test is held against it.
//!
//! An operation that is not there, a status, a content type, a member or a `code` that it does not declare fails the
//! test that saw it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::Value;

use super::answer::Answer;
use super::{called, strict};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| gemini_backend::serve::document("/"));
static VALIDATORS: LazyLock<Mutex<HashMap<String, std::sync::Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The document of the service under test.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// Fails when the answer is not one that the document declares.
pub(super) fn hold(method: &Method, path: &str, answer: &Answer) {
    let seen = format!("{method} {path} → {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no x-request-id: {seen}"));
    if answer.content_type() == "application/problem+json" && !answer.body.is_empty() {
        let problem = answer.json();
        assert_eq!(problem["request_id"], id, "{seen}");
        assert_eq!(problem["status"], answer.status, "{seen}");
        assert_eq!(problem["type"], format!("urn:problem:{}", answer.code()), "{seen}");
    }
    if matches!(answer.status, 429 | 503) {
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "when to come back: {seen}");
    }
    assert!(answer.status != 500, "a 500 is a bug: {seen}");
    let Some(template) = template_of(path) else {
        return hold_refusal(answer, "not_found", &seen);
    };
    let verb = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let operation = &document()["paths"][template][&verb];
    if operation.is_null() {
        return hold_refusal(answer, "method_not_allowed", &seen);
    }
    hold_response(operation, &format!("{verb} {template}"), method, answer, &seen);
    called::note(&verb, template);
}

/// What may come back where there is no operation: this problem or the refusal of a host, or, asked with OPTIONS or
/// HEAD, a success without words.
fn hold_refusal(answer: &Answer, code: &str, seen: &str) {
    let is_refusal = answer.content_type() == "application/problem+json";
    assert!(is_refusal || answer.status / 100 == 2, "not declared: {seen}");
    if answer.body.is_empty() {
        return;
    }
    assert!([code, "bad_host", "bad_path"].contains(&answer.code().as_str()), "not declared: {seen}");
}

fn hold_response(operation: &Value, name: &str, method: &Method, answer: &Answer, seen: &str) {
    let response = &operation["responses"][answer.status.to_string()];
    assert!(!response.is_null(), "status not declared: {seen}");
    if answer.body.is_empty() {
        let may_be_empty = response.get("content").is_none() || *method == Method::HEAD;
        assert!(may_be_empty, "a body is declared: {seen}");
        return;
    }
    let declared = response["content"].as_object().unwrap_or_else(|| panic!("no body is declared: {seen}"));
    let kind = answer.content_type();
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_owned();
    let media = declared.iter().find(|(name, _)| essence(name) == essence(kind)).map(|(_, media)| media);
    let media = media.unwrap_or_else(|| panic!("content type {kind} is not declared: {seen}"));
    if essence(kind).ends_with("json") {
        let validator = validator(&format!("{name} {} {kind}", answer.status), &media["schema"]);
        let errors: Vec<_> = validator
            .iter_errors(&answer.json())
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{seen}");
    }
}

fn validator(name: &str, schema: &Value) -> std::sync::Arc<Validator> {
    let mut known = VALIDATORS.lock().expect("no test died while it held this");
    let made = known.entry(name.to_owned()).or_insert_with(|| {
        let schema = strict::closed(schema, document());
        let validator = jsonschema::options().should_validate_formats(true).build(&schema);
        validator.unwrap_or_else(|error| panic!("the schema of {name} is none: {error}")).into()
    });
    made.clone()
}

/// The path of the document that a real one belongs to; words win over parameters, as they do in the router.
pub(super) fn template_of(path: &str) -> Option<&'static str> {
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let paths = document()["paths"].as_object().expect("paths");
    let parts: Vec<_> = path.split('/').collect();
    let fits = |template: &&String| {
        let segments: Vec<_> = template.split('/').collect();
        let same = |(segment, part): (&&str, &&str)| segment == part || segment.starts_with('{') && !part.is_empty();
        segments.len() == parts.len() && segments.iter().zip(&parts).all(same)
    };
    paths.keys().filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
}

impl Answer {
    pub(crate) fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }
}
