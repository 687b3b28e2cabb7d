//! Every problem an operation can answer with, as responses: a schema whose `code` is one of the declared words, and
//! an example of each.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{example, remove};
use crate::http::Code;

/// One problem of an operation, and what its document carries beyond the common members.
struct Declared {
    code: Code,
    members: Map<String, Value>,
}

impl From<Code> for Declared {
    fn from(code: Code) -> Self {
        Self { code, members: Map::new() }
    }
}

/// The members that every problem has, and `errors`.
pub(super) fn schema() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    json!({
        "type": "object",
        "description": "An RFC 9457 problem. Switch on `code`.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": text("`urn:problem:` and the code"),
            "title": text("The same for the same code"),
            "status": {"type": "integer"},
            "detail": text("What happened this time, for a person"),
            "code": text("A stable word, for a program"),
            "request_id": text("As in `x-request-id`"),
            "errors": {
                "type": "array",
                "description": "Which fields are wrong",
                "items": {"$ref": "#/components/schemas/FieldError"},
            },
        },
    })
}

/// Replaces `x-problems` by responses.
pub(super) fn add(path: &str, operation: &mut Value, needs_token: bool, components: &Value) {
    let mut by_status: BTreeMap<u16, Vec<Declared>> = BTreeMap::new();
    for declared in own(operation).into_iter().chain(general(path, operation, needs_token).map(Declared::from)) {
        let list = by_status.entry(declared.code.status()).or_default();
        if list.iter().all(|other| other.code != declared.code) {
            list.push(declared);
        }
    }
    for (status, problems) in by_status {
        let titles: Vec<_> = problems.iter().map(|problem| problem.code.title()).collect();
        let response = &mut operation["responses"][status.to_string()];
        if !response.is_object() {
            *response = json!({"description": titles.join(" · ")});
        }
        response["content"]["application/problem+json"] = media(status, &problems, components);
        if matches!(status, 429 | 503) {
            response["headers"]["Retry-After"] = json!({"$ref": "#/components/headers/RetryAfter"});
        }
    }
}

fn own(operation: &mut Value) -> Vec<Declared> {
    let words = remove(operation, "x-problems").unwrap_or_default();
    let known = |word: &Value| {
        let code = Code::ALL.iter().copied().find(|code| Some(code.as_str()) == word.as_str());
        code.unwrap_or_else(|| panic!("{word} is no problem that exists"))
    };
    let declared = |entry: &Value| match entry.get("code") {
        Some(word) => {
            Declared { code: known(word), members: entry["members"].as_object().cloned().unwrap_or_default() }
        }
        None => known(entry).into(),
    };
    words.as_array().into_iter().flatten().map(declared).collect()
}

/// What any operation of this kind can meet.
fn general(path: &str, operation: &Value, needs_token: bool) -> impl Iterator<Item = Code> + use<> {
    let takes = |kind: &str| operation.pointer(&format!("/requestBody/content/{kind}")).is_some();
    let (has_json, has_file) = (takes("application~1json"), takes("multipart~1form-data"));
    let has_body = has_json || has_file;
    let has_parameters = operation["parameters"].as_array().into_iter().flatten().any(|one| one["in"] != "path");
    let when = |holds: bool, codes: &'static [Code]| codes.iter().copied().filter(move |_| holds);
    when(needs_token, &[Code::TokenMissing, Code::TokenInvalid, Code::TokenExpired, Code::SessionEnded])
        .chain(when(needs_token, &[Code::AccountSuspended, Code::RateLimited]))
        .chain(when(has_json, &[Code::NotJson]))
        .chain(when(has_file, &[Code::NotMultipart, Code::UnsupportedFile, Code::TooManyUploads]))
        .chain(when(has_body, &[Code::BodyTimedOut, Code::BodyTooLarge]))
        .chain(when(has_body, &[Code::UnsupportedMediaType, Code::Invalid]))
        .chain(when(has_parameters, &[Code::Invalid]))
        .chain(when(path.contains('{'), &[Code::BadPath]))
        .chain(when(true, &[Code::BadHost, Code::Internal, Code::DatabaseUnavailable, Code::TimedOut]))
}

fn media(status: u16, problems: &[Declared], components: &Value) -> Value {
    let words: Vec<_> = problems.iter().map(|problem| problem.code.as_str()).collect();
    let mut properties = json!({"status": {"const": status}, "code": {"enum": words}});
    for (name, member) in problems.iter().flat_map(|problem| &problem.members) {
        properties[name] = member.clone();
    }
    let examples: Map<_, _> = problems.iter().map(|problem| example_of(problem, components)).collect();
    json!({
        "schema": {"allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"type": "object", "properties": properties},
        ]},
        "examples": examples,
    })
}

/// An example of every problem without members of its own, by its code.
pub(super) fn examples() -> Value {
    let example = |code: &Code| {
        let example = json!({"summary": code.title(), "value": value_of(*code)});
        (code.as_str().to_owned(), example)
    };
    Code::ALL.iter().map(example).collect()
}

fn value_of(code: Code) -> Value {
    let mut value = json!({
        "type": format!("urn:problem:{}", code.as_str()),
        "title": code.title(),
        "status": code.status(),
        "detail": code.title(),
        "code": code.as_str(),
        "request_id": "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11",
    });
    if code == Code::Invalid {
        value["errors"] = json!([{"field": "name", "message": "is required"}]);
    }
    value
}

fn example_of(problem: &Declared, components: &Value) -> (String, Value) {
    let word = problem.code.as_str();
    if problem.members.is_empty() {
        return (word.to_owned(), json!({"$ref": format!("#/components/examples/{word}")}));
    }
    let mut value = value_of(problem.code);
    for (name, schema) in &problem.members {
        value[name] = example::of(schema, components);
    }
    (word.to_owned(), json!({"summary": problem.code.title(), "value": value}))
}
