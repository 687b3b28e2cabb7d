//! `completions`: for the shell to complete this program's command line.

use clap::Args;
use clap_complete::Shell;

use super::out::Out;

/// Print a script that lets the shell complete commands and options
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend completions bash > ~/.local/share/bash-completion/completions/gemini-backend"
)]
pub(super) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, command: &mut clap::Command, out: Out) -> super::Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "gemini-backend", &mut script);
        out.answer(&serde_json::json!({"script": String::from_utf8_lossy(&script)}), || {
            String::from_utf8_lossy(&script).into_owned()
        })
    }
}
