//! Accepting messages against the same statements without a server: as many tasks, the same pool, the same database.
//!
//! The server runs without a worker, so that nothing but accepting is measured.

use std::time::{Duration, Instant};

use gemini_backend::clock::Clock;
use gemini_backend::store::{self, Store};
use tokio::task::JoinSet;

use crate::Scale;
use crate::engine::Engine;
use crate::load::{Callers, compared};
use crate::person::Person;
use crate::process::Process;
use crate::report::{Report, Target};
use crate::statements;

const TASKS: usize = 32;
const ROUND: Duration = Duration::from_secs(2);

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let fresh = engine.fresh().await?;
    let server =
        Process::server(fresh.folder.path(), &["serve", "--no-worker"], &[("DATABASE_URL", &fresh.url)]).await?;
    let people = Person::crowd(server.address, 2 * u32::try_from(TASKS)?).await?;
    let (callers, writers) = people.split_at(TASKS);
    let store = store::connect(&fresh.url, 16).await?;
    let mut ours = Callers::open(server.address, callers.iter().map(Person::message).collect(), 202).await?;
    ours.rate(ROUND / 4).await?;
    written(&store, writers, ROUND / 4).await?;
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds() {
        rounds.push((ours.rate(ROUND).await?, written(&store, writers, ROUND).await?));
    }
    let compared = compared(&rounds);
    let how = format!(
        "{:.0}/s against {:.0}/s of the same statements alone; {TASKS} tasks, each another person's room",
        compared.ours, compared.theirs
    );
    report.add(
        &format!("accepted `POST .../message`, {}", engine.name()),
        compared.ratio,
        "",
        Target::AtLeast(0.7),
        how,
    );
    store.close().await;
    Ok(())
}

/// Transactions a second, a task for each of `people`.
async fn written(store: &Store, people: &[Person], time: Duration) -> anyhow::Result<f64> {
    let clock = Clock::system();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for person in people {
        let (store, clock, user, room) = (store.clone(), clock.clone(), person.id, person.room);
        tasks.spawn(async move {
            let mut done = 0_u32;
            while began.elapsed() < time {
                statements::accept(&store, user, room, clock.now()).await?;
                done += 1;
            }
            Ok::<_, store::Error>(done)
        });
    }
    let mut all = 0;
    while let Some(ended) = tasks.join_next().await {
        all += ended??;
    }
    Ok(f64::from(all) / began.elapsed().as_secs_f64())
}
