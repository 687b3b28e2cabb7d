//! `openapi`: the description of the API, without a server.

use clap::Args;

use super::out;
use crate::serve;

/// Print the OpenAPI document that the server serves as /openapi.json
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend openapi --server https://chat.example.com > openapi.json")]
pub(super) struct Openapi {
    /// Where clients reach the service
    #[arg(long, value_name = "URL", default_value = "/")]
    server: String,
}

impl Openapi {
    pub(super) fn run(&self) -> super::Result {
        out::print(&serde_json::to_string_pretty(&serve::document(&self.server))?)
    }
}
