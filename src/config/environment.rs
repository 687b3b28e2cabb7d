//! Where settings come from: the process's environment, and beneath it a `.env` file. Read into a map; nothing is set.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Problem, dotenv};

/// Which of the two said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Environment,
    DotEnv,
}

/// All names and values in reach; the environment wins over the file, with an empty value too.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, (String, Place)>,
    bad_lines: Vec<usize>,
}

impl Environment {
    /// The process's environment, and `.env` in `folder` if there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn of_process(folder: &Path) -> Result<Self, Problem> {
        let file = match std::fs::read(folder.join(".env")) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| Problem::new(".env", "is not UTF-8 text"))?,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(cause) => return Err(Problem::new(".env", format!("cannot be read: {cause}"))),
        };
        // What is not UTF-8 cannot be a setting of ours.
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self::new(pairs, &file))
    }

    /// From names and values and the text of a `.env` file.
    pub fn new(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>, file: &str) -> Self {
        let mut environment = Self::default();
        for line in dotenv::parse(file) {
            match line {
                Ok((name, value)) => drop(environment.values.insert(name, (value, Place::DotEnv))),
                Err(number) => environment.bad_lines.push(number),
            }
        }
        for (name, value) in pairs {
            environment.values.insert(name.into(), (value.into(), Place::Environment));
        }
        environment
    }

    /// A value that says something: an empty one counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<(&str, Place)> {
        let (text, place) = self.values.get(name)?;
        let text = text.trim();
        (!text.is_empty()).then_some((text, *place))
    }

    /// Every name that says something.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str).filter(|name| self.get(name).is_some())
    }

    pub(super) fn is_in_file(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|(_, place)| *place == Place::DotEnv)
    }

    /// Numbers of the file's lines that are not `NAME=value`.
    pub(super) fn bad_lines(&self) -> &[usize] {
        &self.bad_lines
    }
}
