//! Values that a schema allows.

use serde_json::{Map, Value, json};

use crate::harness::document;
use crate::random::Random;

/// A value for `name` that fits the schema; what only our rules know (numbers of phones, codes) is made by name.
pub(crate) fn value(name: &str, schema: &Value, random: &mut Random) -> Value {
    if let Some(target) = schema["$ref"].as_str() {
        let component = target.rsplit('/').next().expect("a name");
        return value(name, &document()["components"]["schemas"][component], random);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return random.pick(choices).clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let objects = parts.iter().map(|part| value(name, part, random));
        return Value::Object(objects.filter_map(|part| part.as_object().cloned()).flatten().collect());
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return value(name, random.pick(choices), random);
    }
    match kind(schema, random).as_str() {
        "object" => object(schema, random),
        "array" => (0..random.below(3)).map(|_| value(name, &schema["items"], random)).collect(),
        "integer" | "number" => {
            let (least, most) = (schema["minimum"].as_i64().unwrap_or(0), schema["maximum"].as_i64().unwrap_or(200));
            let span = usize::try_from(most - least + 1).expect("the maximum is above the minimum");
            json!(least + i64::try_from(random.below(span)).expect("a small number"))
        }
        "boolean" => json!(random.one_in(2)),
        "null" => Value::Null,
        _ => json!(string(name, schema, random)),
    }
}

fn kind(schema: &Value, random: &mut Random) -> String {
    let kind = match &schema["type"] {
        Value::Array(kinds) => random.pick(kinds).as_str(),
        kind => kind.as_str(),
    };
    kind.unwrap_or("string").to_owned()
}

fn object(schema: &Value, random: &mut Random) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut made = Map::new();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if required.contains(&json!(name)) || random.one_in(2) {
            made.insert(name.clone(), value(name, schema, random));
        }
    }
    Value::Object(made)
}

fn string(name: &str, schema: &Value, random: &mut Random) -> String {
    let limit =
        |key: &str, otherwise: u64| usize::try_from(schema[key].as_u64().unwrap_or(otherwise)).expect("a length");
    match (name, schema["format"].as_str()) {
        ("mobile", _) => format!("+9198{}", random.digits(8)),
        (name, _) if name.ends_with("otp") => random.digits(6),
        (name, _) if name.contains("password") => format!("secret {}", random.digits(8)),
        (_, Some("uuid")) => uuid::Uuid::now_v7().to_string(),
        (_, Some("date-time")) => "2026-11-21T10:47:00.000Z".to_owned(),
        _ => {
            let (least, most) = (limit("minLength", 0), limit("maxLength", 20));
            let length = if random.one_in(20) { most } else { least + random.below(most.min(40) - least.min(39)) };
            // Only white space is no text in most fields: something to see stands first.
            format!("x{}", random.text(length.max(1) - 1))
        }
    }
}
