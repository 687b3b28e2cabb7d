//! What the service does in a second, measured on the binary that ships, each figure against something bare beside it.
//!
//! `scripts/bench` builds it, gives it a PostgreSQL of its own and writes the result into docs/PERFORMANCE.md. Nothing here is
//! part of the binary or of the tests. Begin with [`measure_all`]; each file measures one thing.

mod accept;
mod bare;
mod claim;
mod engine;
mod http;
mod live;
mod load;
mod person;
mod process;
mod replies;
mod report;
mod rooms;
mod search;
mod start;
mod statements;
mod webhooks;

use anyhow::Context;

use crate::engine::Engine;
use crate::report::Report;

/// Counts and times, made smaller to try the measurement itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    divisor: u32,
}

impl Scale {
    pub(crate) fn of(self, full: u32) -> u32 {
        (full / self.divisor).max(2)
    }

    /// Rounds of a comparison.
    pub(crate) fn rounds(self) -> u32 {
        if self.divisor == 1 { 10 } else { 2 }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [bare, word, address, argument] = words.as_slice()
        && bare == "bare"
    {
        return bare::run(word, address, argument).await;
    }
    let quick = words.iter().any(|word| word == "--quick");
    let only: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let mut report = Report::default();
    let measured = measure_all(Scale { divisor: if quick { 50 } else { 1 } }, &only, &mut report).await;
    // What was measured before something failed stands, too.
    if !report.is_empty() {
        print!("{}", report.to_markdown());
        if measured.is_err() {
            println!("\nWhat is missing was not measured: this run failed before its end.");
        }
    }
    measured?;
    anyhow::ensure!(report.is_good() || quick, "a figure is not what it should be");
    Ok(())
}

/// Everything, one after the other; `only` names what to measure, all of it when it is empty.
async fn measure_all(scale: Scale, only: &[&String], report: &mut Report) -> anyhow::Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| *word == name);
    for engine in Engine::all()? {
        let name = engine.name();
        if wanted("start") {
            start::measure(&engine, scale, report).await.with_context(|| format!("start, {name}"))?;
        }
        if wanted("rooms") {
            rooms::measure(&engine, scale, report).await.with_context(|| format!("rooms, {name}"))?;
        }
        if wanted("accept") {
            accept::measure(&engine, scale, report).await.with_context(|| format!("accept, {name}"))?;
        }
        if wanted("replies") {
            replies::measure(&engine, scale, report).await.with_context(|| format!("replies, {name}"))?;
        }
        if wanted("live") {
            live::measure(&engine, scale, report).await.with_context(|| format!("live, {name}"))?;
        }
        if wanted("claim") {
            claim::measure(&engine, scale, report).await.with_context(|| format!("claim, {name}"))?;
        }
        if wanted("search") {
            search::measure(&engine, scale, report).await.with_context(|| format!("search, {name}"))?;
        }
        if wanted("webhooks") {
            webhooks::measure(&engine, scale, report).await.with_context(|| format!("webhooks, {name}"))?;
        }
    }
    Ok(())
}
