//! Reads settings one by one, and remembers: what was wrong, what is worth saying, and where each value came from.

use super::environment::{Environment, Place};
use super::parse::{Parsed, list};
use super::sample::is_sample;
use super::server::AppEnv;
use super::setting::{Preset, Setting, Shown};
use super::{Entry, Origin, Problem};

#[derive(Debug)]
pub(super) struct Reader<'e> {
    environment: &'e Environment,
    pub env: AppEnv,
    pub problems: Vec<Problem>,
    pub notes: Vec<String>,
    pub entries: Vec<Entry>,
    /// Older names that were used.
    pub used: Vec<&'static str>,
}

struct Found {
    text: String,
    origin: Origin,
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: &'e Environment) -> Self {
        Self {
            environment,
            env: AppEnv::Development,
            problems: Vec::new(),
            notes: Vec::new(),
            entries: Vec::new(),
            used: Vec::new(),
        }
    }

    /// A setting that always has a value. A wrong one is recorded, and the default goes on in its place.
    pub(super) fn value<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Parsed<T>) -> T {
        let preset = self.preset(setting).expect("a setting with a value has a default");
        self.given(setting, &parse).unwrap_or_else(|| parse(&preset).expect("defaults are valid"))
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let preset = self.preset(setting);
        self.given(setting, &parse).or_else(|| preset.map(|text| parse(&text).expect("defaults are valid")))
    }

    /// What is set, checked; and the entry that shows what is in force.
    fn given<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let Some(found) = self.find(setting) else {
            let preset = self.preset(setting);
            self.enter(setting, preset.as_deref(), Origin::Default);
            return None;
        };
        self.enter(setting, Some(&found.text), found.origin);
        match parse(&found.text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.problem(
                    found.origin.name(setting.name),
                    format!("{}{expected}", shown_in_problem(setting, &found.text)),
                );
                // Others may take their default from here; they are judged by themselves.
                let preset = self.preset(setting);
                if let Some(entry) = self.entries.last_mut() {
                    entry.value = preset;
                }
                None
            }
        }
    }

    /// A setting whose value was put together from others.
    pub(super) fn composed<T: AsRef<str>>(&mut self, setting: &'static Setting, value: T, from: &'static str) -> T {
        let place = self.environment.get(from).map_or(Place::Environment, |(_, place)| place);
        self.enter(setting, Some(value.as_ref()), Origin::Set { place, older: Some(from) });
        value
    }

    /// The value of a name that older systems have, and that only says a part.
    pub(super) fn older(&mut self, name: &'static str) -> Option<String> {
        let text = self.environment.get(name)?.0.to_owned();
        self.used.push(name);
        Some(text)
    }

    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.environment.get(setting.name).is_some()
    }

    pub(super) fn says(&self, setting: &Setting, word: &str) -> bool {
        self.environment.get(setting.name).is_some_and(|(text, _)| text.eq_ignore_ascii_case(word))
    }

    /// Whether one of the texts that are set for it is a sample's.
    pub(super) fn holds_sample(&self, setting: &Setting) -> bool {
        self.environment.get(setting.name).is_some_and(|(text, _)| list(text).iter().any(|one| is_sample(one)))
    }

    /// Whether neither the setting nor an older name of it is there.
    pub(super) fn is_missing(&self, setting: &Setting) -> bool {
        let mut names = std::iter::once(&setting.name).chain(setting.older);
        names.all(|name| self.environment.get(name).is_none())
    }

    /// Whether this address reads otherwise elsewhere: `scheme:///folder/file`.
    pub(super) fn is_three_slashes(&self, setting: &Setting) -> bool {
        let rest = self.environment.get(setting.name).and_then(|(text, _)| text.split_once(":///"));
        rest.is_some_and(|(_, path)| path.contains('/') && !path.starts_with(['/', '.']))
    }

    pub(super) fn problem(&mut self, name: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem::new(name, what));
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    pub(super) fn is_production(&self) -> bool {
        self.env == AppEnv::Production
    }

    fn find(&mut self, setting: &'static Setting) -> Option<Found> {
        if let Some((text, place)) = self.environment.get(setting.name) {
            return Some(Found { text: text.to_owned(), origin: Origin::Set { place, older: None } });
        }
        let (older, (text, place)) =
            setting.older.iter().find_map(|name| Some((*name, self.environment.get(name)?)))?;
        self.used.push(older);
        Some(Found { text: text.to_owned(), origin: Origin::Set { place, older: Some(older) } })
    }

    fn preset(&self, setting: &Setting) -> Option<String> {
        match setting.preset {
            Preset::Always(text) => Some(text.to_owned()),
            Preset::ByEnv { development, .. } if self.env == AppEnv::Development => Some(development.to_owned()),
            Preset::ByEnv { production, .. } => (!production.is_empty()).then(|| production.to_owned()),
            Preset::As(name) => {
                let other = self.entries.iter().find(|entry| entry.name == name);
                Some(other.and_then(|entry| entry.value.clone()).expect("the other setting is read first"))
            }
            Preset::Unset(_) => None,
        }
    }

    fn enter(&mut self, setting: &'static Setting, text: Option<&str>, origin: Origin) {
        let value = text.map(|text| match setting.shown {
            Shown::Plain => text.to_owned(),
            Shown::Masked => "********".to_owned(),
            Shown::Address => mask_password(text),
        });
        self.entries.push(Entry { name: setting.name, value, origin, default: setting.default_in_words() });
    }
}

/// A wrong value is quoted, so that it is found again; a secret one is not.
fn shown_in_problem(setting: &Setting, text: &str) -> String {
    if setting.shown == Shown::Plain { format!("{text:?} ") } else { String::new() }
}

/// `scheme://user:********@host`, or all stars when the text cannot be taken apart.
pub(super) fn mask_password(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    match url::Url::parse(text) {
        Ok(mut url) => {
            if url.password().is_some() && url.set_password(Some("********")).is_err() {
                return "********".to_owned();
            }
            if url.query().is_some_and(|query| query.contains("password")) {
                url.set_query(Some("********"));
            }
            url.into()
        }
        Err(_) => "********".to_owned(),
    }
}
