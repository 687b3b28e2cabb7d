//! Reads a request as strictly as Google does: names and types it does not know are refused.

use serde_json::{Map, Value};

use super::error::Fault;
use super::files::InlineFile;
use super::tokens;

/// What a part costs that is neither text nor a file in it.
const TOKENS_OF_A_PART: u64 = 258;

/// What is asked of `generateContent`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub(super) turns: Vec<Turn>,
    pub(super) system: Option<String>,
    pub(super) max_output: Option<u64>,
    pub(super) stops: Vec<String>,
    pub(super) include_thoughts: bool,
    pub(super) wants_json: bool,
    /// Of the whole prompt.
    pub(super) tokens: u64,
}

#[derive(Clone, Debug, Hash, PartialEq)]
pub(super) struct Turn {
    pub(super) is_user: bool,
    pub(super) text: String,
    files: Vec<InlineFile>,
    tokens: u64,
}

impl Asked {
    /// The text to answer.
    pub(super) fn last(&self) -> &str {
        self.turns.last().map_or("", |turn| &turn.text)
    }

    /// The files that came with it.
    pub(super) fn files(&self) -> &[InlineFile] {
        self.turns.last().map_or(&[], |turn| &turn.files)
    }
}

const REQUEST: &[&str] = &[
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "store",
    "labels",
    "serviceTier",
];
const CONTENT: &[&str] = &["role", "parts"];
/// The first of these are a part's data, of which it has one.
const PART: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "thought",
    "thoughtSignature",
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
];
const PART_DATA: usize = 9;
const GENERATION: &[&str] = &[
    "candidateCount",
    "stopSequences",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "mediaResolution",
    "imageConfig",
    "audioTimestamp",
];
const THINKING: &[&str] = &["includeThoughts", "thinkingBudget", "thinkingLevel"];

/// Reads the body of `generateContent`; `output_limit` is the model's.
pub(super) fn generate(body: &Value, output_limit: u32) -> Result<Asked, Box<Fault>> {
    let request = Node::root(body).object(REQUEST)?;
    let turns = request.get("contents").map_or(Ok(Vec::new()), contents)?;
    if turns.is_empty() {
        return Err(Fault::invalid("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    if !turns.last().is_some_and(|turn| turn.is_user) {
        return Err(Fault::invalid(
            "Please ensure that multiturn requests end with a user role or a function response.",
        ));
    }
    let mut asked = Asked { turns, ..Asked::default() };
    if let Some(system) = request.get("systemInstruction") {
        asked.system = Some(content(&system)?.text);
    }
    if let Some(store) = request.get("store") {
        store.boolean()?;
    }
    if let Some(config) = request.get("generationConfig") {
        configure(&mut asked, &config.object(GENERATION)?, output_limit)?;
    }
    asked.tokens = asked.turns.iter().map(|turn| turn.tokens + 1).sum::<u64>()
        + asked.system.as_deref().map_or(0, |text| tokens::count(text) + 1);
    Ok(asked)
}

/// Reads the body of `countTokens`: bare contents, or a whole request.
pub(super) fn count(body: &Value) -> Result<u64, Box<Fault>> {
    let request = Node::root(body).object(&["model", "contents", "generateContentRequest"])?;
    match (request.get("generateContentRequest"), request.get("contents")) {
        (Some(_), Some(_)) => {
            Err(Fault::invalid("CountTokensRequest: contents and generate_content_request are mutually exclusive"))
        }
        (Some(whole), None) => Ok(generate(whole.value, u32::MAX)?.tokens),
        (None, Some(bare)) => Ok(contents(bare)?.iter().map(|turn| turn.tokens + 1).sum()),
        (None, None) => Err(Fault::invalid("* CountTokensRequest.contents: contents is not specified\n")),
    }
}

/// Reads the text to embed.
pub(super) fn embed(body: &Value) -> Result<(String, Option<u64>), Box<Fault>> {
    const EMBED: &[&str] = &["model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"];
    let request = Node::root(body).object(EMBED)?;
    let Some(wanted) = request.get("content") else {
        return Err(Fault::invalid("* EmbedContentRequest.content: content is not specified\n"));
    };
    let text = content(&wanted)?.text;
    if text.is_empty() {
        return Err(Fault::invalid("* EmbedContentRequest.content: content is empty\n"));
    }
    let size = request.get("outputDimensionality").map(|size| size.number()).transpose()?;
    Ok((text, size))
}

fn configure(asked: &mut Asked, config: &Node<'_>, output_limit: u32) -> Result<(), Box<Fault>> {
    if let Some(most) = config.get("maxOutputTokens") {
        let most = most.number()?;
        if most == 0 || most > u64::from(output_limit) {
            return Err(Fault::invalid(format!(
                "Unable to submit request because it has a maxOutputTokens value of {most} but the supported range \
                 is from 1 (inclusive) to {} (exclusive). Update the value and try again.",
                u64::from(output_limit) + 1
            )));
        }
        asked.max_output = Some(most);
    }
    if let Some(warmth) = config.get("temperature")
        && !warmth.value.as_f64().is_some_and(|warmth| (0.0..=2.0).contains(&warmth))
    {
        return Err(Fault::invalid(
            "* GenerateContentRequest.generation_config.temperature: must be in the range [0.0, 2.0]",
        ));
    }
    if let Some(stops) = config.get("stopSequences") {
        asked.stops = stops.items()?.iter().map(|stop| stop.string().map(str::to_owned)).collect::<Result<_, _>>()?;
    }
    if let Some(kind) = config.get("responseMimeType") {
        asked.wants_json = kind.string()? == "application/json";
    }
    if let Some(thinking) = config.get("thinkingConfig") {
        let thinking = thinking.object(THINKING)?;
        asked.include_thoughts = thinking.get("includeThoughts").map_or(Ok(false), |node| node.boolean())?;
    }
    Ok(())
}

fn contents(node: Node<'_>) -> Result<Vec<Turn>, Box<Fault>> {
    // Google takes one object for a list of one.
    let items = if node.value.is_object() { vec![node] } else { node.items()? };
    items.iter().map(content).collect()
}

fn content(node: &Node<'_>) -> Result<Turn, Box<Fault>> {
    let content = node.object(CONTENT)?;
    let is_user = match content.get("role").map(|role| role.string().map(str::to_owned)).transpose()?.as_deref() {
        None | Some("" | "user" | "function" | "system") => true,
        Some("model") => false,
        Some(_) => return Err(Fault::invalid("Please use a valid role: user, model.")),
    };
    let parts = match content.get("parts") {
        Some(parts) if parts.value.is_object() => vec![parts],
        Some(parts) => parts.items()?,
        None => Vec::new(),
    };
    if parts.is_empty() {
        let place = &node.path;
        return Err(Fault::invalid(format!(
            "* GenerateContentRequest.{place}.parts: contents.parts must not be empty.\n"
        )));
    }
    let mut turn = Turn { is_user, text: String::new(), files: Vec::new(), tokens: 0 };
    for part in &parts {
        let part = part.object(PART)?;
        if let Some(text) = part.get("text") {
            turn.text.push_str(text.string()?);
        } else if let Some(file) = part.get("inlineData") {
            let file = InlineFile::read(&file)?;
            turn.tokens += file.tokens;
            turn.files.push(file);
        } else if PART[..PART_DATA].iter().any(|name| part.get(name).is_some()) {
            turn.tokens += TOKENS_OF_A_PART;
        } else {
            return Err(Fault::invalid(format!(
                "* GenerateContentRequest.{}.data: required oneof field 'data' must have one initialized field\n",
                part.path
            )));
        }
    }
    turn.tokens += tokens::count(&turn.text);
    Ok(turn)
}

/// A value and where it stands, for messages like Google's.
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// An object with no other names than these, in camel or snake case.
    pub(super) fn object(&self, names: &[&str]) -> Result<Node<'a>, Box<Fault>> {
        let fields = self.fields().ok_or_else(|| self.wrong("TYPE_MESSAGE"))?;
        for name in fields.keys() {
            if !names.contains(&camel(name).as_str()) {
                let at = if self.path.is_empty() { String::new() } else { format!(" at '{}'", self.path) };
                let text = format!("Unknown name \"{name}\"{at}: Cannot find field.");
                return Err(Fault::bad_field(&self.path, &text));
            }
        }
        Ok(Node { value: self.value, path: self.path.clone() })
    }

    /// A field by its camel case name; null is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let (_, value) = self.fields()?.iter().find(|(key, value)| camel(key) == name && !value.is_null())?;
        let path = if self.path.is_empty() { snake(name) } else { format!("{}.{}", self.path, snake(name)) };
        Some(Node { value, path })
    }

    fn items(&self) -> Result<Vec<Node<'a>>, Box<Fault>> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("TYPE_MESSAGE"))?;
        let nodes = items.iter().enumerate();
        Ok(nodes.map(|(at, value)| Node { value, path: format!("{}[{at}]", self.path) }).collect())
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn string(&self) -> Result<&'a str, Box<Fault>> {
        self.value.as_str().ok_or_else(|| self.wrong("TYPE_STRING"))
    }

    fn boolean(&self) -> Result<bool, Box<Fault>> {
        self.value.as_bool().ok_or_else(|| self.wrong("TYPE_BOOL"))
    }

    fn number(&self) -> Result<u64, Box<Fault>> {
        let number = self.value.as_u64().or_else(|| self.value.as_str()?.parse().ok());
        number.ok_or_else(|| self.wrong("TYPE_INT32"))
    }

    fn fields(&self) -> Option<&'a Map<String, Value>> {
        self.value.as_object()
    }

    fn wrong(&self, wanted: &str) -> Box<Fault> {
        let mut shown = self.value.to_string();
        shown.truncate((0..=60.min(shown.len())).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0));
        Fault::bad_field(&self.path, &format!("Invalid value at '{}' ({wanted}), {shown}", self.path))
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(body: &Value) -> String {
        generate(body, 65_536).expect_err("refused").message.unwrap_or_default()
    }

    #[test]
    fn a_good_request_is_read() {
        let body = json!({
            "system_instruction": {"parts": {"text": "be kind"}},
            "contents": [
                {"role": "user", "parts": [{"text": "hi "}, {"text": "you"}]},
                {"role": "model", "parts": [{"text": "yes?", "thoughtSignature": "x"}]},
                {"parts": [{"text": "ok"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
            ],
            "generationConfig": {"maxOutputTokens": 7, "thinkingConfig": {"includeThoughts": true}, "stopSequences": ["X"]},
            "store": false,
        });
        let asked = generate(&body, 65_536).expect("accepted");
        assert_eq!(asked.turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>(), ["hi you", "yes?", "ok"]);
        assert_eq!((asked.max_output, asked.include_thoughts, asked.stops), (Some(7), true, vec!["X".to_owned()]));
        assert_eq!(asked.tokens, (2 + 1) + (2 + 1) + (1 + 1_120 + 1) + (2 + 1));
        assert_eq!(count(&json!({"generateContentRequest": body})).ok(), Some(asked.tokens));
    }

    #[test]
    fn bad_requests_are_refused_in_google_s_words() {
        let hi = json!([{"parts": [{"text": "hi"}]}]);
        for (body, words) in [
            (json!({}), "contents is not specified"),
            (json!({"contents": []}), "contents is not specified"),
            (json!([]), "Invalid value at ''"),
            (json!({"contents": "hi"}), "Invalid value at 'contents' (TYPE_MESSAGE)"),
            (json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "valid role: user, model"),
            (
                json!({"contents": [{"role": "user", "parts": []}]}),
                "contents[0].parts: contents.parts must not be empty",
            ),
            (json!({"contents": [{"role": "user", "parts": [{}]}]}), "parts[0].data: required oneof field 'data'"),
            (
                json!({"contents": [{"parts": [{"text": 5}]}]}),
                "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5",
            ),
            (json!({"contents": [{"role": "model", "parts": [{"text": "x"}]}]}), "end with a user role"),
            (json!({"contents": hi, "prompt": 1}), "Unknown name \"prompt\": Cannot find field."),
            (
                json!({"contents": hi, "generationConfig": {"max_tokens": 1}}),
                "Unknown name \"max_tokens\" at 'generation_config'",
            ),
            (json!({"contents": hi, "generationConfig": {"maxOutputTokens": 65_537}}), "to 65537 (exclusive)"),
            (json!({"contents": hi, "generationConfig": {"maxOutputTokens": 0}}), "value of 0"),
            (json!({"contents": hi, "generationConfig": {"temperature": 3}}), "temperature"),
            (json!({"contents": hi, "store": "no"}), "Invalid value at 'store' (TYPE_BOOL)"),
        ] {
            assert!(message(&body).contains(words), "{body}: {}", message(&body));
        }
    }
}
