//! Files in a request: pictures and documents, as base64 in `inlineData`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::asked::Node;
use super::error::Fault;

/// What a picture costs, of whatever size, and a page of a document: as Gemini 3 counts them by default.
const TOKENS_OF_A_PICTURE: u64 = 1_120;
const TOKENS_OF_A_PAGE: u64 = 560;
/// What models read; a GIF's first picture too.
const TYPES: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/heic",
    "image/heif",
    "application/pdf",
    "text/plain",
];
/// Longer ones are not kept in the journal.
const LONGEST_SHOWN: usize = 100;

#[derive(Clone, Debug, Hash, PartialEq)]
pub(super) struct InlineFile {
    mime_type: String,
    bytes: usize,
    pub(super) tokens: u64,
}

impl InlineFile {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, Box<Fault>> {
        let blob = node.object(&["mimeType", "data", "displayName"])?;
        let mime_type = blob.get("mimeType").map_or(Ok(""), |kind| kind.string())?.to_owned();
        if !TYPES.contains(&mime_type.as_str()) {
            return Err(Fault::invalid(format!("Unsupported MIME type: {mime_type}")));
        }
        let text = blob.get("data").map_or(Ok(""), |data| data.string())?;
        let Some(data) = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok() else {
            let path = format!("{}.data", node.path());
            let shown = &text[..text.floor_char_boundary(20)];
            return Err(Fault::bad_field(
                &path,
                &format!("Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\""),
            ));
        };
        if data.is_empty() {
            return Err(Fault::invalid("Unable to process input image. Please retry or report."));
        }
        let tokens =
            if mime_type == "application/pdf" { pages(&data).max(1) * TOKENS_OF_A_PAGE } else { TOKENS_OF_A_PICTURE };
        Ok(Self { mime_type, bytes: data.len(), tokens })
    }
}

/// Pages that stand in the open.
fn pages(document: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(document).replace(char::is_whitespace, "");
    (text.matches("/Type/Page").count() - text.matches("/Type/Pages").count()) as u64
}

/// What it got, in words: `an image/png of 1234 bytes and an application/pdf of 99 bytes`.
pub(super) fn in_words(files: &[InlineFile]) -> String {
    let each = files.iter().map(|file| {
        let article = if file.mime_type.starts_with(['a', 'i']) { "an" } else { "a" };
        format!("{article} {} of {} bytes", file.mime_type, file.bytes)
    });
    each.collect::<Vec<_>>().join(" and ")
}

/// The body as the journal keeps it: without the megabytes.
pub(super) fn shown(body: &Value) -> Value {
    match body {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| match value.as_str() {
                Some(data) if name == "data" && data.len() > LONGEST_SHOWN => {
                    let begin = &data[..data.floor_char_boundary(24)];
                    (name.clone(), format!("{begin}… {} characters", data.len()).into())
                }
                _ => (name.clone(), shown(value)),
            };
            members.iter().map(member).collect()
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked;
    use super::*;

    fn ask(file: &Value) -> Result<asked::Asked, Box<Fault>> {
        let parts = json!([{"inlineData": file}, {"text": "What is it?"}]);
        asked::generate(&json!({"contents": [{"parts": parts}]}), 65_536)
    }

    #[test]
    fn files_are_counted_and_named() {
        let png = ask(&json!({"mimeType": "image/png", "data": "iVBORw0KGgo="})).expect("a picture");
        assert_eq!(png.tokens, 1_120 + 4 + 1);
        assert_eq!(in_words(png.files()), "an image/png of 8 bytes");
        let two_pages = STANDARD.encode("%PDF-1.4 <</Type /Pages>> <</Type /Page>> <</Type/Page>>");
        let pdf = ask(&json!({"mime_type": "application/pdf", "data": two_pages})).expect("a document");
        assert_eq!(pdf.tokens, 2 * 560 + 4 + 1);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for (file, words) in [
            (json!({"mimeType": "image/svg+xml", "data": "AAAA"}), "Unsupported MIME type: image/svg+xml"),
            (json!({"data": "AAAA"}), "Unsupported MIME type: "),
            (json!({"mimeType": "image/png", "data": "?"}), "contents[0].parts[0].inline_data.data' (TYPE_BYTES)"),
            (json!({"mimeType": "image/png", "data": ""}), "Unable to process input image"),
            (json!({"mimeType": "image/png", "data": 5}), "(TYPE_STRING), 5"),
            (json!({"mimeType": "image/png", "bytes": "AAAA"}), "Unknown name \"bytes\""),
        ] {
            let message = ask(&file).expect_err("refused").message.unwrap_or_default();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_journal_keeps_no_megabytes() {
        let body =
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "A".repeat(4_000)}}]}]});
        let kept = shown(&body);
        assert_eq!(kept["contents"][0]["parts"][0]["inlineData"]["mimeType"], "image/png");
        let data = kept["contents"][0]["parts"][0]["inlineData"]["data"].as_str().expect("text");
        assert_eq!(data, format!("{}… 4000 characters", "A".repeat(24)));
    }
}
