//! The models it knows, and how they are listed.

use serde_json::{Value, json};

use super::error::Fault;

/// One model.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Without `models/`.
    pub name: String,
    pub input_token_limit: u32,
    pub output_token_limit: u32,
    pub embeds: bool,
    pub description: String,
}

impl Default for Card {
    /// As capable as Gemini's default model, and without a name.
    fn default() -> Self {
        Self {
            name: String::new(),
            input_token_limit: 1_048_576,
            output_token_limit: 65_536,
            embeds: false,
            description: "A model of the sandbox.".to_owned(),
        }
    }
}

impl Card {
    #[must_use]
    pub fn new(name: &str, input_token_limit: u32, output_token_limit: u32) -> Self {
        Self { name: name.to_owned(), input_token_limit, output_token_limit, ..Self::default() }
    }

    pub(super) fn does(&self, call: &str) -> bool {
        match call {
            "generateContent" | "streamGenerateContent" => !self.embeds,
            "embedContent" | "batchEmbedContents" => self.embeds,
            _ => true,
        }
    }

    pub(super) fn value(&self) -> Value {
        let words = self.name.split('-').map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        });
        let display_name = words.collect::<Vec<String>>().join(" ");
        let version = self.name.split('-').find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        let methods = if self.embeds {
            json!(["embedContent", "countTokens", "batchEmbedContents"])
        } else {
            json!(["generateContent", "countTokens"])
        };
        let mut card = json!({
            "name": format!("models/{}", self.name),
            "version": version.unwrap_or("001"),
            "displayName": display_name,
            "description": self.description,
            "inputTokenLimit": self.input_token_limit,
            "outputTokenLimit": self.output_token_limit,
            "supportedGenerationMethods": methods,
        });
        if !self.embeds {
            card["temperature"] = json!(1);
            card["topP"] = json!(0.95);
            card["topK"] = json!(64);
            card["maxTemperature"] = json!(2);
            card["thinking"] = json!(true);
        }
        card
    }
}

/// Gemini's models as of November 2026, and a tiny one to fill up quickly.
pub(super) fn known() -> Vec<Card> {
    let embeds = |name, limit| Card { embeds: true, ..Card::new(name, limit, 1) };
    vec![
        Card::new("gemini-3.8-flash", 1_048_576, 65_536),
        Card::new("gemini-flash-latest", 1_048_576, 65_536),
        embeds("gemini-embedding-001", 2_048),
        embeds("gemini-embedding-2", 8_192),
        Card::new("sandbox-tiny", 1_000, 200),
    ]
}

/// One page: `{models, nextPageToken?}`. Tokens are positions.
pub(super) fn page(cards: &[Card], size: Option<&str>, token: Option<&str>) -> Result<Value, Box<Fault>> {
    let size = match size.filter(|size| !size.is_empty()).map(str::parse::<i64>) {
        None | Some(Ok(0)) => 50,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(1000).min(1000),
        Some(_) => return Err(Fault::invalid("* ListModelsRequest.page_size: page_size must be a positive number")),
    };
    let from = match token.filter(|token| !token.is_empty()).map(|token| token.strip_prefix("p")?.parse::<usize>().ok())
    {
        None => 0,
        Some(Some(from)) if from <= cards.len() => from,
        Some(_) => return Err(Fault::invalid("* ListModelsRequest.page_token: invalid page token")),
    };
    let to = (from + size).min(cards.len());
    let mut page = json!({"models": cards[from..to].iter().map(Card::value).collect::<Vec<_>>()});
    if to < cards.len() {
        page["nextPageToken"] = json!(format!("p{to}"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_up_to_the_whole_list() {
        let cards = known();
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let page = page(&cards, Some("2"), token.as_deref()).expect("a page");
            let models = page["models"].as_array().expect("models").iter();
            names.extend(models.map(|model| model["name"].as_str().expect("a name").to_owned()));
            token = page["nextPageToken"].as_str().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        assert_eq!(names, cards.iter().map(|card| format!("models/{}", card.name)).collect::<Vec<_>>());
        assert!(page(&cards, Some("-1"), None).is_err());
        assert!(page(&cards, None, Some("p99")).is_err());
    }
}
