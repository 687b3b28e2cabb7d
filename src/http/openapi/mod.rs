//! The OpenAPI document: what the handlers' types say, completed with what holds for every operation.
//!
//! A handler names the problems it may answer with in its `#[utoipa::path]`:
//! `extensions(("x-problems" = json!(["mobile_taken", {"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}}])))`
//! (a schema in `members` may be a `$ref`). [`document`] turns them, and the ones that any operation of its kind can
//! meet, into whole responses. `security(("bearer" = []))` marks an operation that needs a token.

mod example;
mod problems;

use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::UtoipaMethodRouter;

use super::FieldError;

/// The members of a path item that are operations.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// The same handlers under another path, declared there too: for the names that older clients use.
pub fn alias<S>(routes: UtoipaMethodRouter<S>, path: &str) -> UtoipaMethodRouter<S> {
    let (schemas, mut paths, handlers) = routes;
    let items = std::mem::take(&mut paths.paths);
    for (_, mut item) in items {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            rename(operation);
        }
        paths.paths.insert(path.to_owned(), item);
    }
    (schemas, paths, handlers)
}

fn rename(operation: &mut Operation) {
    operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_alias"));
}

/// The whole document as it is served; `server` is the address clients reach it under.
///
/// # Panics
/// When an operation names a problem that does not exist: the suite builds the document, so no release can.
#[must_use]
pub fn document(api: &OpenApi, server: &str) -> Value {
    let mut document = serde_json::to_value(api).expect("the document is plain data");
    document["info"] = json!({
        "title": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "license": {"name": "MIT", "identifier": "MIT"},
    });
    document["servers"] = json!([{"url": server}]);
    let mut components = document["components"].take();
    add_components(&mut components);
    for (path, item) in members(document.get_mut("paths")) {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete(path, operation, &components);
            }
        }
    }
    document["components"] = components;
    document
}

fn add_components(components: &mut Value) {
    let field_error = serde_json::to_value(FieldError::schema()).expect("a schema is plain data");
    components["schemas"]["FieldError"] = field_error;
    components["schemas"]["Problem"] = problems::schema();
    components["securitySchemes"] = json!({"bearer": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The `access_token` of a token pair",
    }});
    let text =
        |about: &str, example: &str| json!({"description": about, "schema": {"type": "string"}, "example": example});
    components["examples"] = problems::examples();
    components["headers"] = json!({
        "RequestId": text("The id of this request: the client's own, when it sent a sane one", "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11"),
        "RetryAfter": {"description": "Seconds after which it is worth trying again",
            "schema": {"type": "integer", "minimum": 1}, "example": 2},
        "RateLimitPolicy": text("The limits that apply: `q` in `w` seconds", "\"requests\";q=120;w=60"),
        "RateLimit": text("What is left of them: `r`, whole again after `t` seconds", "\"requests\";r=119;t=1"),
    });
}

fn complete(path: &str, operation: &mut Value, components: &Value) {
    let needs_token = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
    if operation["tags"].as_array().is_none_or(Vec::is_empty) {
        let first = path.split('/').find(|segment| !segment.is_empty()).unwrap_or("service");
        operation["tags"] = json!([first]);
    }
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_lowercase();
    let name = operation["operationId"].as_str().unwrap_or_default();
    // Handlers are named within their room: `list` of chatrooms, `list` of messages.
    operation["operationId"] = json!(format!("{tag}_{name}").replace([' ', '-'], "_"));
    if operation["summary"].is_null() {
        operation["summary"] = summary(operation).into();
    }
    for (_, media) in members(operation.pointer_mut("/requestBody/content")) {
        example::fill(media, components);
    }
    for (_, response) in members(operation.get_mut("responses")) {
        for (_, media) in members(response.get_mut("content")) {
            example::fill(media, components);
        }
        if needs_token {
            response["headers"]["RateLimit-Policy"] = json!({"$ref": "#/components/headers/RateLimitPolicy"});
            response["headers"]["RateLimit"] = json!({"$ref": "#/components/headers/RateLimit"});
        }
    }
    problems::add(path, operation, needs_token, components);
    for (_, response) in members(operation.get_mut("responses")) {
        response["headers"]["x-request-id"] = json!({"$ref": "#/components/headers/RequestId"});
    }
}

/// What a success means, where the handler has no words of its own.
fn summary(operation: &Value) -> Option<String> {
    let responses = operation["responses"].as_object()?;
    let (_, success) = responses.iter().find(|(status, _)| status.starts_with('2'))?;
    success["description"].as_str().map(str::to_owned)
}

fn members(value: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    value.and_then(Value::as_object_mut).into_iter().flatten()
}

fn remove(value: &mut Value, member: &str) -> Option<Value> {
    value.as_object_mut()?.remove(member)
}
