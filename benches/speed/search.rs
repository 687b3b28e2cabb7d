//! A search by somebody with 10,000 messages among a million, and how long it takes to make a million findable.

use std::time::{Duration, Instant};

use gemini_backend::clock::Clock;
use gemini_backend::store::sql::Fork;
use gemini_backend::store::{self, Store};
use gemini_backend::{execute, fetch_one, transaction};

use crate::Scale;
use crate::engine::Engine;
use crate::http::{Connection, Request};
use crate::load::percentile;
use crate::person::Person;
use crate::process::Process;
use crate::report::{Report, Target};

const PEOPLE: u32 = 100;
/// A word that all of somebody's messages have, beginnings of words that all have, rare ones, several at once, none.
const QUERIES: [&str; 8] =
    ["lighthouse", "lig", "wav", "wave77", "tide1%20wave", "light%20tide%20the", "a%20on", "nothing%20lighthouse"];

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let fresh = engine.fresh().await?;
    let settings = [("DATABASE_URL", fresh.url.as_str())];
    let messages = i64::from(scale.of(1_000_000));
    let person = {
        let server = Process::server(fresh.folder.path(), &["serve", "--no-worker"], &settings).await?;
        Person::crowd(server.address, PEOPLE).await?.swap_remove(0)
    };
    let store = store::connect(&fresh.url, 2).await?;
    fill(&store, messages).await?;
    let began = Instant::now();
    let server = Process::server(fresh.folder.path(), &["serve"], &settings).await?;
    until_indexed(&store, messages).await?;
    let rate = f64::from(u32::try_from(messages)?) / began.elapsed().as_secs_f64();
    let how = format!("{messages} messages, the server otherwise idle");
    report.add(&format!("older messages indexed, {}", engine.name()), rate, "/s", Target::None, how);

    let mut connection = Connection::open(server.address).await?;
    let mut times = Vec::new();
    for _ in 0..scale.of(50) {
        for query in QUERIES {
            let request = Request::get(&format!("/search?q={query}"), Some(&person.token));
            let began = Instant::now();
            connection.send(&request).await?.json()?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let middle = percentile(times.iter().copied(), 50);
    let how =
        format!("median {middle:.1} ms; somebody with {} messages among {messages}", messages / i64::from(PEOPLE));
    let p95 = percentile(times.into_iter(), 95);
    report.add(&format!("`GET /search`, p95, {}", engine.name()), p95, "ms", Target::AtMost(100.0), how);
    store.close().await;
    Ok(())
}

/// Everybody's messages lie among everybody else's.
async fn fill(store: &Store, messages: i64) -> anyhow::Result<()> {
    let now = Clock::system().now();
    for first in (1..=messages).step_by(20_000) {
        let last = messages.min(first + 19_999);
        transaction!(store, |tx| { execute!(tx, MESSAGES, first, now, last).map(|_| ()) })?;
    }
    // What PostgreSQL would have done by itself a minute later.
    transaction!(store, |tx| { execute!(tx, "analyze").map(|_| ()) })?;
    Ok(())
}

async fn until_indexed(store: &Store, messages: i64) -> anyhow::Result<()> {
    loop {
        let sql = "select count(*) from message_terms";
        let (count,) = fetch_one!(&mut store.read().await?, (i64,), sql)?;
        if count >= messages {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

macro_rules! messages {
    ($numbers:literal, $id:literal) => {
        concat!(
            "insert into messages (id, chatroom_id, seq, current, role, content, status, created_at, attempt, rev) ",
            $numbers,
            " select ",
            $id,
            ", r.id, n, true, 'user',
                'The lighthouse stood on a rock in the sea, and tide' || (n * 7919 % 997) || ' came with wave' ||
                (n * 104729 % 29989) || ' while the keeper' || (n * 31337 % 4999) || ' wrote the log of day ' || n ||
                ' by the light of a lamp that nobody had filled for weeks',
                'sent', $2, 0, 1
             from numbers join (select id, row_number() over (order by id) as k from chatrooms) r on r.k = n % 100 + 1"
        )
    };
}

/// Ids in the order in which messages come.
const MESSAGES: Fork = Fork {
    sqlite: messages!(
        "with recursive numbers (n) as (select $1 union all select n + 1 from numbers where n < $3)",
        "unhex(printf('%012x', 1710000000000 + n) || hex(randomblob(10)))"
    ),
    postgres: messages!(
        "with numbers (n) as (select * from generate_series($1, $3))",
        "cast(lpad(to_hex(1710000000000 + n), 12, '0') || substr(md5(cast(random() as text)), 1, 20) as uuid)"
    ),
};
