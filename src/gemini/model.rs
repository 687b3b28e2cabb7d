//! What Gemini says about its models.

use serde::Deserialize;

use super::request::bare_model;

/// One model, as Gemini describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Without `models/`, as it stands in settings.
    pub name: String,
    pub display_name: String,
    /// In Gemini's words; empty when it says nothing.
    pub description: String,
    /// In tokens; None when it does not say.
    pub input_token_limit: Option<u32>,
    pub output_token_limit: Option<u32>,
    /// Such as `generateContent`, `embedContent`.
    pub methods: Vec<String>,
}

impl Model {
    /// Whether Gemini says that it will be gone: there is no field for it, but its description tells.
    #[must_use]
    pub fn retires(&self) -> bool {
        const WORDS: [&str; 6] = ["deprecat", "discontinu", "retire", "retiring", "shut down", "shutdown"];
        let told = self.description.to_lowercase();
        WORDS.iter().any(|word| told.contains(word))
    }

    /// Whether it answers prompts; others embed.
    pub fn answers(&self) -> bool {
        self.methods.iter().any(|method| method == "generateContent")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelOnWire {
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    input_token_limit: Option<u32>,
    output_token_limit: Option<u32>,
    supported_generation_methods: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelsOnWire {
    pub(super) models: Option<Vec<ModelOnWire>>,
    pub(super) next_page_token: Option<String>,
}

impl From<ModelOnWire> for Model {
    fn from(wire: ModelOnWire) -> Self {
        let name = bare_model(&wire.name).to_owned();
        Self {
            display_name: wire.display_name.unwrap_or_else(|| name.clone()),
            description: wire.description.unwrap_or_default(),
            name,
            input_token_limit: wire.input_token_limit,
            output_token_limit: wire.output_token_limit,
            methods: wire.supported_generation_methods.unwrap_or_default(),
        }
    }
}
