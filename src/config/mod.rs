//! Settings: typed, one file per section, read once at start from the environment and `.env`.
//!
//! Start at [`Settings::load`]. Each section has its table of settings, its type, and the function that reads one into
//! the other; the tables are also what `.env.example` and `docs/CONFIGURATION.md` are made of ([`reference`](mod@reference)).

mod auth;
mod database;
mod delivery;
mod dotenv;
mod environment;
mod files;
mod gemini;
mod parse;
mod production;
mod quota;
mod reader;
mod redis;
pub mod reference;
mod sample;
mod secret;
mod server;
mod setting;
mod sms;
mod strangers;
mod stripe;
mod throttles;
mod worker;

#[cfg(test)]
mod older_tests;
#[cfg(test)]
mod tests;

pub use auth::{Auth, MobileNumbers};
pub use database::Database;
pub use delivery::{OtpDelivery, Twilio, TwilioFrom};
pub use environment::{Environment, Place};
pub use files::{Files, FilesPlace, S3};
pub use gemini::Gemini;
pub use quota::Quota;
pub use redis::Redis;
pub use secret::{SecretError, keep_development_secret, random as random_secret, take_passing_secret};
pub use server::{AppEnv, LogFormat, Proxies, Server};
pub use setting::{Preset, Setting, Shown};
pub use sms::{Prices, Pumping, Sms};
pub use stripe::{Consequence, ReturnUrl, Stripe};
pub use throttles::Throttles;
pub use worker::{Retention, Worker};

use reader::Reader;

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: Server,
    pub database: Database,
    pub redis: Redis,
    pub auth: Auth,
    pub sms: Sms,
    pub throttles: Throttles,
    pub quota: Quota,
    pub gemini: Gemini,
    pub files: Files,
    pub stripe: Stripe,
    pub worker: Worker,
    pub retention: Retention,
}

/// Settings, and what is to be told about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Worth a line at start: what is not needed, not used yet, or a sample.
    pub notes: Vec<String>,
    /// Every setting with what is in force, secrets masked, in the order of the tables.
    pub entries: Vec<Entry>,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    /// Masked where it is secret; None when nothing is set and there is no default.
    pub value: Option<String>,
    pub origin: Origin,
    pub default: String,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// Under an older name, when there is one.
    Set {
        place: Place,
        older: Option<&'static str>,
    },
}

impl Origin {
    fn name(self, own: &'static str) -> &'static str {
        match self {
            Self::Set { older: Some(older), .. } => older,
            Self::Default | Self::Set { older: None, .. } => own,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Set { place, older } = self else {
            return out.write_str("default");
        };
        out.write_str(match place {
            Place::Environment => "environment",
            Place::DotEnv => ".env",
        })?;
        older.map_or(Ok(()), |older| write!(out, " as {older}"))
    }
}

/// A setting that is wrong or missing, in one line that shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Problem {
    pub name: String,
    pub what: String,
}

impl Problem {
    fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}

/// Every setting, section by section.
pub fn all_settings() -> impl Iterator<Item = &'static Setting> {
    reference::SECTIONS.iter().flat_map(|section| section.settings).copied()
}

impl Settings {
    /// Reads and checks all settings. Pure: what is not in `environment` does not exist.
    ///
    /// In development without `SECRET_KEY`, `auth.secret_keys` is empty until [`keep_development_secret`] fills it.
    ///
    /// # Errors
    /// Everything that is wrong or missing, at once.
    pub fn load(environment: &Environment) -> Result<Loaded, Vec<Problem>> {
        let mut reader = Reader::new(environment);
        reader.env = server::read_env(&mut reader);
        let (server, database) = (server::read(&mut reader), database::read(&mut reader));
        let (redis, auth) = (redis::read(&mut reader), auth::read(&mut reader));
        let settings = Self {
            sms: sms::read(&mut reader, &auth),
            server,
            database,
            redis,
            auth,
            throttles: throttles::read(&mut reader),
            quota: quota::read(&mut reader),
            gemini: gemini::read(&mut reader),
            files: files::read(&mut reader),
            stripe: stripe::read(&mut reader),
            worker: worker::read_worker(&mut reader),
            retention: worker::read_retention(&mut reader),
        };
        if reader.is_production() {
            production::refuse_unsafe(&mut reader, &settings);
        }
        strangers::name_them(&mut reader, environment);
        let Reader { problems, notes, mut entries, .. } = reader;
        if !problems.is_empty() {
            return Err(problems);
        }
        let order: Vec<&str> = all_settings().map(|setting| setting.name).collect();
        entries.sort_by_key(|entry| order.iter().position(|name| *name == entry.name));
        Ok(Loaded { settings, notes, entries })
    }

    /// What a laptop without settings runs with, and a secret of this process's own: for tests and benches.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test holds the defaults valid")]
    pub fn development() -> Self {
        let loaded = Self::load(&Environment::default()).expect("the defaults are valid");
        let mut settings = loaded.settings;
        settings.auth.secret_keys = vec![secret::random()];
        settings
    }
}
