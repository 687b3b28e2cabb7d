//! The cached room list against a bare handler with the same bytes; on PostgreSQL that handler makes one select, as the
//! server has to.

use std::time::Duration;

use crate::Scale;
use crate::engine::Engine;
use crate::http::{Connection, Request};
use crate::load::{Callers, compared};
use crate::person::{Person, new_room};
use crate::process::Process;
use crate::report::{Report, Target};

const PEOPLE: u32 = 32;
const ROUND: Duration = Duration::from_secs(1);

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let fresh = engine.fresh().await?;
    let server = Process::server(fresh.folder.path(), &["serve"], &[("DATABASE_URL", &fresh.url)]).await?;
    let people = Person::crowd(server.address, PEOPLE).await?;
    let mut connection = Connection::open(server.address).await?;
    for person in &people {
        for _ in 0..2 {
            new_room(&mut connection, &person.token).await?;
        }
    }
    let list = |person: &Person| Request::get("/chatroom", Some(&person.token));
    let body = connection.send(&list(&people[0])).await?.body;
    let file = fresh.folder.path().join("body.json");
    std::fs::write(&file, &body)?;
    let (bare, target, what) = match engine {
        Engine::Sqlite => (Process::bare("bytes", &file.display().to_string()).await?, 0.6, "the same bytes"),
        Engine::Postgres(_) => {
            let argument = format!("{} {}", file.display(), fresh.url);
            (Process::bare("select", &argument).await?, 0.7, "one select by primary key")
        }
    };
    let mut ours = Callers::open(server.address, people.iter().map(list).collect(), 200).await?;
    let mut theirs = Callers::open(bare.address, vec![Request::get("/", None); people.len()], 200).await?;
    // Caches and pools, filled.
    ours.rate(ROUND / 2).await?;
    theirs.rate(ROUND / 2).await?;
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds() {
        rounds.push((ours.rate(ROUND).await?, theirs.rate(ROUND).await?));
    }
    let compared = compared(&rounds);
    let how = format!(
        "{:.0}/s against {:.0}/s of a bare handler with {what}; {PEOPLE} people, {} bytes",
        compared.ours,
        compared.theirs,
        body.len()
    );
    report.add(&format!("cached `GET /chatroom`, {}", engine.name()), compared.ratio, "", Target::AtLeast(target), how);
    Ok(())
}
