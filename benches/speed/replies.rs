//! From a message to its stored reply: how long, how many a second, and in how much memory.
//!
//! The stand-in for Gemini runs as a process of its own, so that what it costs is not counted as the server's.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gemini_backend::fetch_one;
use gemini_backend::ids::ChatroomId;
use gemini_backend::store::{self, Store};
use serde_json::json;

use crate::Scale;
use crate::engine::{Engine, Fresh};
use crate::http::{Connection, Request};
use crate::load::median;
use crate::person::{Person, TEXT, id, new_room};
use crate::process::{Process, bound_to_us, server_binary};
use crate::report::{Report, Target};

const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    latency(engine, scale, report).await?;
    throughput(engine, 100, scale, report).await?;
    throughput(engine, 1000, scale, report).await?;
    memory(engine, scale, report).await
}

/// A server whose Gemini is the stand-in at `gemini`.
pub(crate) struct Setup {
    pub(crate) gemini: Process,
    pub(crate) server: Process,
    fresh: Fresh,
}

impl Setup {
    pub(crate) async fn new(engine: &Engine, rule: &serde_json::Value) -> anyhow::Result<Self> {
        let fresh = engine.fresh().await?;
        let gemini = stand_in(fresh.folder.path()).await?;
        Connection::open(gemini.address).await?.send(&Request::post("/sandbox/script", None, rule)).await?.json()?;
        let base = format!("http://{}", gemini.address);
        let settings = [
            ("DATABASE_URL", fresh.url.as_str()),
            ("GEMINI_BASE_URL", &base),
            ("GEMINI_API_KEY", "a key for the stand-in"),
            ("WORKER_CONCURRENCY", "1000"),
        ];
        let server = Process::server(fresh.folder.path(), &["serve"], &settings).await?;
        Ok(Self { gemini, server, fresh })
    }
}

async fn stand_in(folder: &Path) -> anyhow::Result<Process> {
    Process::on_a_free_port("/v1beta/models", |address| {
        let mut command = bound_to_us(&server_binary()?);
        command.args(["sandbox", "gemini", "--no-key", "--words-per-second", "0", "--bind", &address.to_string()]);
        command.current_dir(folder);
        Ok(command)
    })
    .await
}

/// One message at a time, each in a new room; the stand-in's own time, measured beside it, is taken off.
async fn latency(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(engine, &json!({ "times": null, "words": 20, "first_byte_ms": 0, "word_ms": 0 })).await?;
    let ada = Person::sign_in(setup.server.address, 0).await?;
    let mut server = Connection::open(setup.server.address).await?;
    let mut gemini = Connection::open(setup.gemini.address).await?;
    let (mut whole, mut own) = (Vec::new(), Vec::new());
    let question = json!({ "contents": [{ "role": "user", "parts": [{ "text": TEXT }] }] });
    let asked = Request::post("/v1beta/models/gemini-flash-latest:streamGenerateContent?alt=sse", None, &question);
    for _ in 0..scale.of(300) {
        let room = new_room(&mut server, &ada.token).await?;
        let began = Instant::now();
        let accepted = server.send(&ada.message_in(room)).await?.json()?;
        wait_for_reply(&mut server, &ada, room, id(&accepted["reply"])?).await?;
        whole.push(began.elapsed().as_secs_f64() * 1000.0);
        let began = Instant::now();
        let answer = gemini.send(&asked).await?;
        ensure!(answer.status == 200, "the stand-in answered {}", answer.status);
        own.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let most = if matches!(engine, Engine::Sqlite) { 10.0 } else { 25.0 };
    let (whole, own) = (median(whole.into_iter()), median(own.into_iter()));
    let how = format!("{whole:.1} ms, of which {own:.1} ms are the stand-in's; median, one message at a time");
    report.add(&format!("POST to stored reply, {}", engine.name()), whole - own, "ms", Target::AtMost(most), how);
    Ok(())
}

async fn wait_for_reply(
    connection: &mut Connection,
    person: &Person,
    room: ChatroomId,
    reply: uuid::Uuid,
) -> anyhow::Result<()> {
    let look = Request::get(&format!("/chatroom/{}/messages/{reply}", room.0), Some(&person.token));
    let began = Instant::now();
    loop {
        let seen = connection.send(&look).await?.json()?;
        match seen["status"].as_str().context("no status")? {
            "complete" => return Ok(()),
            "queued" | "generating" => ensure!(began.elapsed() < PATIENCE, "no reply within {PATIENCE:?}: {seen}"),
            _ => anyhow::bail!("not a good end: {seen}"),
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
}

/// People with rooms, as many as there are messages to be outstanding.
async fn crowded(address: SocketAddr, rooms: u32) -> anyhow::Result<Vec<(Person, ChatroomId)>> {
    let mut places = Vec::new();
    let mut connection = Connection::open(address).await?;
    for person in Person::crowd(address, rooms.min(50)).await? {
        places.push((person.clone(), person.room));
        for _ in 1..rooms.div_ceil(50) {
            places.push((person.clone(), new_room(&mut connection, &person.token).await?));
        }
    }
    places.truncate(usize::try_from(rooms)?);
    Ok(places)
}

/// Replies finished a second while `outstanding` are always waiting or being written.
async fn throughput(engine: &Engine, outstanding: u32, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let outstanding = scale.of(outstanding);
    let setup = Setup::new(engine, &json!({ "times": null, "words": 20, "first_byte_ms": 0, "word_ms": 0 })).await?;
    let places = crowded(setup.server.address, outstanding).await?;
    let store = store::connect(&setup.fresh.url, 2).await?;
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(Connection::open(setup.server.address).await?);
    }
    let mut turn = places.iter().cycle();
    let (warm, measured) = (Duration::from_secs(2), Duration::from_secs(u64::from(scale.of(15))));
    let (mut finished, mut began, mut open, mut warming) = (0_i64, Instant::now(), 0, true);
    loop {
        let now_open = unfinished(&store).await?;
        finished += open - now_open;
        if warming && began.elapsed() > warm {
            (finished, began, warming) = (0, Instant::now(), false);
        }
        if !warming && began.elapsed() > measured {
            break;
        }
        let wanted = usize::try_from((i64::from(outstanding) - now_open).max(0))?;
        send(&mut connections, turn.by_ref().take(wanted)).await?;
        open = now_open + i64::try_from(wanted)?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = f64::from(i32::try_from(finished)?) / began.elapsed().as_secs_f64();
    let how = "accepted, asked, streamed and stored; replies of 20 words".to_owned();
    let what = format!("finished replies a second, {outstanding} outstanding, {}", engine.name());
    report.add(&what, rate, "/s", Target::None, how);
    store.close().await;
    Ok(())
}

/// Sends one message to each place, over all connections at once.
async fn send<'a>(
    connections: &mut [Connection],
    places: impl Iterator<Item = &'a (Person, ChatroomId)>,
) -> anyhow::Result<()> {
    let requests: Vec<Request> = places.map(|(person, room)| person.message_in(*room)).collect();
    let share = requests.len().div_ceil(connections.len()).max(1);
    let sending = connections.iter_mut().zip(requests.chunks(share)).map(|(connection, requests)| async move {
        for request in requests {
            let answer = connection.send(request).await?;
            ensure!(answer.status == 202, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(sending).await?;
    Ok(())
}

async fn unfinished(store: &Store) -> anyhow::Result<i64> {
    let count = "select count(*) from jobs where state in ('queued', 'running') and owner is not null";
    Ok(fetch_one!(&mut store.read().await?, (i64,), count)?.0)
}

/// Resident memory while as many replies as may be are half written.
async fn memory(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let replies = scale.of(1000);
    let setup = Setup::new(engine, &json!({ "times": null, "words": 500, "word_ms": 0, "hold": 250 })).await?;
    let places = crowded(setup.server.address, replies).await?;
    let mut connections = vec![Connection::open(setup.server.address).await?];
    send(&mut connections, places.iter()).await?;
    let began = Instant::now();
    for (person, room) in &places {
        let look = Request::get(&format!("/chatroom/{}/messages", room.0), Some(&person.token));
        while !is_half_written(&connections[0].send(&look).await?.json()?) {
            ensure!(began.elapsed() < PATIENCE, "not all replies have text within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (now, highest) = setup.server.memory()?;
    let how = format!("resident; highest {highest:.0} MB; 250 words of each are there");
    let what = format!("memory, {replies} replies in flight, {}", engine.name());
    report.add(&what, now, "MB", Target::AtMost(250.0), how);
    Ok(())
}

fn is_half_written(list: &serde_json::Value) -> bool {
    list["data"].as_array().is_some_and(|messages| {
        messages.iter().any(|message| {
            message["status"] == "generating"
                && message["content"].as_str().is_some_and(|text| text.contains("word250"))
        })
    })
}
