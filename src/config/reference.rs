//! The settings as documents: `.env.example` and the table of `docs/CONFIGURATION.md`, made from the same tables that
//! the program reads by.

use std::fmt::Write;

use super::setting::{Preset, Setting};
use super::{auth, database, delivery, files, gemini, quota, redis, server, sms, stripe, throttles, worker};

/// Settings that belong together, under the title that documents give them.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub settings: &'static [&'static Setting],
}

pub static SECTIONS: [Section; 12] = [
    Section { title: "The server", settings: &server::SETTINGS },
    Section { title: "The database", settings: &database::SETTINGS },
    Section { title: "Gemini", settings: &gemini::SETTINGS },
    Section { title: "What the plans give", settings: &quota::SETTINGS },
    Section { title: "Attachments", settings: &files::SETTINGS },
    Section { title: "Stripe", settings: &stripe::SETTINGS },
    Section { title: "Sign-in", settings: &auth::SETTINGS },
    Section { title: "How often sign-in may be tried", settings: &throttles::SETTINGS },
    Section { title: "How codes are sent", settings: &delivery::SETTINGS },
    Section { title: "What codes may cost", settings: &sms::SETTINGS },
    Section { title: "The worker, and how long things are kept", settings: &worker::SETTINGS },
    Section { title: "For later versions", settings: &redis::SETTINGS },
];

/// A `.env` with every setting, commented out, at its default.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# All settings, each at its default. Copy to .env and uncomment what should differ; the environment wins over .env.\n\
         # This file is what `gemini-backend config --example` prints.\n",
    );
    for section in &SECTIONS {
        let _ = write!(text, "\n# ---- {} ----\n", section.title);
        for setting in section.settings {
            let value = match setting.preset {
                Preset::Always(value) => value,
                Preset::ByEnv { development, .. } => development,
                Preset::As(_) | Preset::Unset(_) => "",
            };
            let default = match setting.preset {
                Preset::Always(_) => String::new(),
                _ => format!(" Default: {}", setting.default_in_words()),
            };
            let _ = write!(text, "\n# {}{default}\n#{}={value}\n", setting.what, setting.name);
        }
    }
    text
}

/// The tables of the reference, one per section, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for section in &SECTIONS {
        let _ = write!(text, "### {}\n\n| setting | default | meaning |\n|---|---|---|\n", section.title);
        for setting in section.settings {
            let older: String = setting.older.iter().flat_map(|name| [", also `", name, "`"]).collect();
            let default = match setting.preset {
                Preset::Always(value) => format!("`{value}`"),
                _ => setting.default_in_words(),
            };
            let _ = writeln!(text, "| `{}`{older} | {} | {} |", setting.name, default, setting.what);
        }
        text.push('\n');
    }
    text
}
