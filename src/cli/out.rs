//! What a command says: text for people, or JSON for programs. A reader who stops reading is no fault.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::config::Problem;

/// Wrong settings, told together.
#[derive(Debug, thiserror::Error)]
#[error("the settings are wrong or incomplete")]
pub(super) struct WrongSettings(pub Vec<Problem>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    json: bool,
}

impl Out {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// One answer, in either form.
    pub(super) fn answer<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) -> super::Result {
        let text = if self.json { serde_json::to_string(value)? } else { text() };
        print(&text)
    }

    /// Says why a command failed, and with which exit code.
    pub(super) fn failed(self, error: &anyhow::Error) -> ExitCode {
        let (code, problems): (u8, &[Problem]) = match error.downcast_ref::<WrongSettings>() {
            Some(WrongSettings(problems)) => (2, problems),
            None => (1, &[]),
        };
        let mut err = io::stderr().lock();
        let told = if self.json {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            writeln!(err, "{}", serde_json::json!({"error": format!("{error:#}"), "problems": problems}))
        } else {
            let lines: String = problems.iter().flat_map(|problem| ["\n  ".to_owned(), problem.to_string()]).collect();
            writeln!(err, "error: {error:#}{lines}")
        };
        // Nobody listens: the exit code still says it.
        drop(told);
        ExitCode::from(code)
    }
}

/// Text that is the same for people and programs.
pub(super) fn print(text: &str) -> super::Result {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause.into()),
        _ => Ok(()),
    }
}

/// Rows in columns as wide as their widest word.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|word| word.chars().count())).max().unwrap_or(0)
    };
    let line = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = if column == last { 0 } else { width(column) };
            format!("{cell:width$}")
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let lines = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(head.to_vec())).chain(lines).collect::<Vec<_>>().join("\n")
}
