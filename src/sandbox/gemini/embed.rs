//! Embeddings that mean a little: texts with the same words and stretches of letters lie near each other.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::asked;
use super::error::Fault;

const DIMENSIONS: u64 = 3_072;
/// Google takes no more at once.
const MOST: usize = 100;

pub(super) fn one(model: &str, body: &Value) -> Result<Value, Box<Fault>> {
    check_model("EmbedContentRequest.model", model, &body["model"])?;
    Ok(json!({"embedding": {"values": values(body)?}}))
}

pub(super) fn batch(model: &str, body: &Value) -> Result<Value, Box<Fault>> {
    let requests = body["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
    if requests.is_empty() {
        return Err(Fault::invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n"));
    }
    if requests.len() > MOST {
        return Err(Fault::invalid("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"));
    }
    let mut embeddings = Vec::with_capacity(requests.len());
    for (at, request) in requests.iter().enumerate() {
        let place = format!("BatchEmbedContentsRequest.requests[{at}].model");
        if request["model"].is_null() {
            return Err(Fault::invalid(format!("* {place}: model is not specified\n")));
        }
        check_model(&place, model, &request["model"])?;
        embeddings.push(json!({"values": values(request)?}));
    }
    Ok(json!({ "embeddings": embeddings }))
}

fn check_model(place: &str, model: &str, named: &Value) -> Result<(), Box<Fault>> {
    if named.is_null() || named.as_str().and_then(|named| named.strip_prefix("models/")) == Some(model) {
        return Ok(());
    }
    Err(Fault::invalid(format!("* {place}: model does not match the request path models/{model}\n")))
}

fn values(body: &Value) -> Result<Vec<f32>, Box<Fault>> {
    let (text, size) = asked::embed(body)?;
    let size = size.unwrap_or(DIMENSIONS);
    if !(1..=DIMENSIONS).contains(&size) {
        return Err(Fault::invalid("* EmbedContentRequest.output_dimensionality: must be between 1 and 3072\n"));
    }
    Ok(vector(&text, size))
}

/// A sum of directions, one for each word and each three letters in a row, of length 1.
fn vector(text: &str, size: u64) -> Vec<f32> {
    let text = text.to_lowercase();
    let mut values = vec![0.0_f32; usize::try_from(size).unwrap_or(1)];
    let letters: Vec<char> = text.chars().collect();
    let words = text.split_whitespace().map(|word| place(word, size));
    for (at, sign) in words.chain(letters.windows(3).map(|three| place(three, size))).chain([place(&text, size)]) {
        values[at] += sign;
    }
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.into_iter().map(|value| value / length).collect()
}

fn place(of: impl Hash, size: u64) -> (usize, f32) {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let hash = hasher.finish();
    (usize::try_from((hash >> 1) % size).unwrap_or(0), if hash & 1 == 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(one: &str, other: &str) -> f32 {
        vector(one, 768).iter().zip(vector(other, 768)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn like_texts_lie_near_each_other() {
        assert!((nearness("the cat sat", "the cat sat") - 1.0).abs() < 1e-5);
        assert!(nearness("the cat sat on the mat", "a cat sat on a mat") > 0.4);
        assert!(nearness("the cat sat on the mat", "quarterly revenue figures") < 0.2);
        assert!(nearness("नमस्ते दुनिया", "नमस्ते") > nearness("नमस्ते दुनिया", "hello"));
    }
}
