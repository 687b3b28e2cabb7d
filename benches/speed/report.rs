//! What was measured, as the table of docs/PERFORMANCE.md.

use std::fmt::Write;

/// One line: what, the figure, and what it should be.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: String,
    figure: String,
    target: String,
    met: Option<bool>,
    how: String,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Only told.
    None,
}

impl Report {
    /// Adds a figure, and prints it at once: a run takes minutes.
    pub(crate) fn add(&mut self, what: &str, figure: f64, unit: &str, target: Target, how: String) {
        let shown = |value: f64| {
            let digits = if unit.is_empty() || value < 10.0 { 2 } else { 0 };
            format!("{value:.digits$} {unit}").trim_end().to_owned()
        };
        let (target, met) = match target {
            Target::AtLeast(least) => (format!("at least {}", shown(least)), Some(figure >= least)),
            Target::AtMost(most) => (format!("at most {}", shown(most)), Some(figure <= most)),
            Target::None => (String::new(), None),
        };
        let line = Line { what: what.to_owned(), figure: shown(figure), target, met, how };
        eprintln!("{}: {} ({}) {}", line.what, line.figure, line.target, line.how);
        self.lines.push(line);
    }

    /// Whether every target was met.
    pub(crate) fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.met != Some(false))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from("| what | measured | should be | |\n|---|---|---|---|\n");
        for line in &self.lines {
            let mark = if line.met == Some(false) { " **missed**" } else { "" };
            let _ = writeln!(text, "| {} | {}{mark} | {} | {} |", line.what, line.figure, line.target, line.how);
        }
        text
    }
}
