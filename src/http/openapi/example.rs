//! Examples made from schemas, where nobody wrote a better one: what is required, and what has an example of its own.

use serde_json::{Value, json};

/// No schema of ours nests this deep; one that refers to itself would.
const MAX_DEPTH: usize = 24;

/// Gives a media type its example, if it has none.
pub(super) fn fill(media: &mut Value, components: &Value) {
    let has_one = media.get("example").is_some() || media.get("examples").is_some();
    if let Some(schema) = media.get("schema").filter(|_| !has_one) {
        media["example"] = of(schema, components);
    }
}

/// A value that fits a schema.
pub(super) fn of(schema: &Value, components: &Value) -> Value {
    build(schema, components, 0)
}

fn build(schema: &Value, components: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return build(&components["schemas"][name], components, depth + 1);
    }
    if let Some(given) = given(schema) {
        return given;
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().fold(json!({}), |whole, part| merged(whole, build(part, components, depth + 1)));
    }
    for choice in ["oneOf", "anyOf"] {
        let choices = schema[choice].as_array().into_iter().flatten();
        if let Some(first) = choices.into_iter().find(|choice| choice["type"] != "null") {
            return build(first, components, depth + 1);
        }
    }
    of_type(schema, components, depth)
}

fn given(schema: &Value) -> Option<Value> {
    let first = |list: &str| schema[list].as_array().and_then(|values| values.first());
    let value = schema.get("example").or_else(|| first("examples")).or_else(|| schema.get("const"));
    value.or_else(|| schema.get("default")).or_else(|| first("enum")).cloned()
}

fn merged(mut whole: Value, part: Value) -> Value {
    match (whole.as_object_mut(), part) {
        (Some(members), Value::Object(more)) => {
            members.extend(more);
            whole
        }
        (_, other) => other,
    }
}

fn of_type(schema: &Value, components: &Value, depth: usize) -> Value {
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
    match kind {
        Some("string") => json!(match schema["format"].as_str() {
            Some("uuid") => "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11",
            Some("date-time") => "2026-11-21T10:47:00.000Z",
            Some("uri") => "https://example.com/",
            _ => "text",
        }),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([build(&schema["items"], components, depth + 1)]),
        _ => {
            let required = schema["required"].as_array();
            let is_required = |name: &String| required.is_some_and(|names| names.iter().any(|one| one == name));
            let properties = schema["properties"].as_object().into_iter().flatten();
            let shown = properties.filter(|(name, schema)| is_required(name) || given(schema).is_some());
            Value::Object(shown.map(|(name, schema)| (name.clone(), build(schema, components, depth + 1))).collect())
        }
    }
}
