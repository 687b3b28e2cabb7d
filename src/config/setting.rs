//! One setting: its name, default and meaning. The tables of these are what `.env.example`, the reference and `config` are made of.

/// What holds when nothing is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Read as if it had been set.
    Always(&'static str),
    ByEnv {
        development: &'static str,
        production: &'static str,
    },
    /// As this other setting.
    As(&'static str),
    /// No value; what happens then, in words.
    Unset(&'static str),
}

/// How a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Plain,
    Masked,
    /// An address: only its password is masked.
    Address,
}

#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    /// Names that mean the same, from older systems; the first one wins.
    pub older: &'static [&'static str],
    pub preset: Preset,
    pub shown: Shown,
    pub what: &'static str,
}

impl Setting {
    pub(super) const fn new(name: &'static str, preset: Preset, what: &'static str) -> Self {
        Self { name, older: &[], preset, shown: Shown::Plain, what }
    }

    pub(super) const fn or(mut self, older: &'static [&'static str]) -> Self {
        self.older = older;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.shown = Shown::Masked;
        self
    }

    pub(super) const fn address(mut self) -> Self {
        self.shown = Shown::Address;
        self
    }

    /// The default as a person reads it.
    #[must_use]
    pub fn default_in_words(&self) -> String {
        match self.preset {
            Preset::Always(text) => text.to_owned(),
            Preset::ByEnv { development, production: "" } => {
                format!("{development} in development, must be set in production")
            }
            Preset::ByEnv { development, production } => {
                format!("{development} in development, {production} in production")
            }
            Preset::As(other) => format!("as {other}"),
            Preset::Unset(words) => words.to_owned(),
        }
    }
}
