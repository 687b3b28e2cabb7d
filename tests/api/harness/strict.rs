//! Schemas made strict: an object has the members it declares and no others, unless it says that it is open.

use serde_json::{Map, Value, json};

/// A schema that stands on its own, with every object closed.
pub(crate) fn closed(schema: &Value, document: &Value) -> Value {
    let components = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let closed: Map<_, _> =
        components.iter().map(|(name, schema)| (name.clone(), close(schema, &components, true))).collect();
    let mut whole = close(schema, &components, true);
    whole["components"] = json!({"schemas": closed});
    whole
}

/// `is_whole` is false for a part of an `allOf`: the sum of the parts is closed, not each part.
fn close(schema: &Value, components: &Map<String, Value>, is_whole: bool) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()).filter(|_| !is_whole) {
        return close(&components[name], components, false);
    }
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut made: Map<String, Value> = members
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                match key.as_str() {
                    "properties" => each(value, |schema| close(schema, components, true)),
                    "items" | "additionalProperties" => close(value, components, true),
                    "oneOf" | "anyOf" => all(value, |schema| close(schema, components, is_whole)),
                    "allOf" => all(value, |schema| close(schema, components, false)),
                    _ => value.clone(),
                },
            )
        })
        .collect();
    let is_object = members.contains_key("properties") || members.contains_key("allOf");
    if is_whole && is_object && !members.contains_key("additionalProperties") {
        made.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    Value::Object(made)
}

fn each(members: &Value, change: impl Fn(&Value) -> Value) -> Value {
    members.as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), change(schema))).collect()
}

fn all(list: &Value, change: impl Fn(&Value) -> Value) -> Value {
    list.as_array().into_iter().flatten().map(change).collect()
}

#[test]
fn a_closed_schema_refuses_what_it_does_not_declare() {
    let document = json!({"components": {"schemas": {
        "Base": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "Open": {"type": "object", "properties": {}, "additionalProperties": true},
    }}});
    let base = json!({"$ref": "#/components/schemas/Base"});
    let sum = json!({"allOf": [base, {"type": "object", "properties": {"b": {"type": "array", "items": base}}}]});
    let fits = |schema: &Value, value: Value| jsonschema::is_valid(&closed(schema, &document), &value);
    assert!(fits(&base, json!({"a": 1})) && !fits(&base, json!({"a": 1, "x": 1})));
    assert!(fits(&sum, json!({"a": 1, "b": [{"a": 1}]})));
    assert!(!fits(&sum, json!({"a": 1, "x": 1})) && !fits(&sum, json!({"b": [{"x": 1}]})));
    assert!(fits(&json!({"$ref": "#/components/schemas/Open"}), json!({"x": 1})));
}
