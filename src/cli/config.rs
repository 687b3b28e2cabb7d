//! `config`: what is in force, and why.

use clap::Args;
use serde::Serialize;

use super::open;
use super::out::{self, Out, table};
use crate::config::{Entry, reference};

/// Show the settings in force, secrets masked, with where each came from
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gemini-backend config\n  gemini-backend config --example > .env")]
pub(super) struct Config {
    /// Print a .env with every setting at its default instead
    #[arg(long)]
    example: bool,
    /// Print the tables of the reference, in Markdown, instead
    #[arg(long, conflicts_with = "example")]
    reference: bool,
}

#[derive(Serialize)]
struct Row<'e> {
    name: &'e str,
    value: Option<&'e str>,
    origin: String,
    default: &'e str,
}

impl Config {
    pub(super) fn run(self, out: Out) -> super::Result {
        if self.example {
            return out::print(&reference::env_example());
        }
        if self.reference {
            return out::print(&reference::markdown());
        }
        let loaded = open::settings()?;
        let rows: Vec<Row<'_>> = loaded.entries.iter().map(row).collect();
        out.answer(&serde_json::json!({"settings": rows, "notes": loaded.notes}), || {
            let cells = |row: &Row<'_>| {
                let value = row.value.unwrap_or("-").to_owned();
                vec![row.name.to_owned(), value, row.origin.clone(), row.default.to_owned()]
            };
            let lines = table(&["SETTING", "IN FORCE", "FROM", "DEFAULT"], &rows.iter().map(cells).collect::<Vec<_>>());
            let notes: Vec<String> = loaded.notes.iter().map(|note| format!("\nnote: {note}")).collect();
            format!("{lines}\n{}", notes.concat())
        })
    }
}

fn row(entry: &Entry) -> Row<'_> {
    Row { name: entry.name, value: entry.value.as_deref(), origin: entry.origin.to_string(), default: &entry.default }
}
