//! From the start of the process to its first answer, and the memory of a server that nobody uses.

use std::time::Duration;

use crate::Scale;
use crate::engine::Engine;
use crate::load::median;
use crate::process::Process;
use crate::report::{Report, Target};

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let fresh = engine.fresh().await?;
    let settings = [("DATABASE_URL", fresh.url.as_str())];
    let mut times = Vec::new();
    // The first start creates and migrates the database.
    let first = Process::server(fresh.folder.path(), &["serve"], &settings).await?.ready_after;
    for _ in 0..scale.of(10) {
        times.push(Process::server(fresh.folder.path(), &["serve"], &settings).await?.ready_after.as_secs_f64());
    }
    let how = format!(
        "median of {} starts; the first one, with an empty database, {:.2} s",
        times.len(),
        first.as_secs_f64()
    );
    report.add(&format!("start to ready, {}", engine.name()), median(times.into_iter()), "s", Target::AtMost(0.2), how);

    let server = Process::server(fresh.folder.path(), &["serve"], &settings).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let how = "resident, two seconds after the start, stand-in for Gemini and worker included".to_owned();
    report.add(&format!("memory, idle, {}", engine.name()), server.memory()?.0, "MB", Target::AtMost(50.0), how);
    Ok(())
}
