//! Live events: how soon the first letter is there, what an open stream costs, how far apart many readers of one room hear.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Scale;
use crate::engine::Engine;
use crate::http::{Connection, Request};
use crate::load::median;
use crate::person::{Person, TEXT};
use crate::replies::Setup;
use crate::report::{Report, Target};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    first_delta(engine, scale, report).await?;
    streams(engine, scale, report).await?;
    spread(engine, scale, report).await
}

/// A connection on which text comes in as it comes.
struct Listening {
    stream: TcpStream,
    text: Vec<u8>,
}

impl Listening {
    async fn open(address: SocketAddr, request: &Request) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.bytes()).await?;
        Ok(Self { stream, text: Vec::with_capacity(4096) })
    }

    async fn to(address: SocketAddr, person: &Person) -> anyhow::Result<Self> {
        let request = Request::get(&format!("/chatroom/{}/events", person.room.0), Some(&person.token));
        let mut listening = Self::open(address, &request).await?;
        listening.until("retry: 2000").await?;
        Ok(listening)
    }

    /// Returns when these words have come, and forgets what came through them.
    async fn until(&mut self, words: &str) -> anyhow::Result<Instant> {
        let read = async {
            loop {
                let at = self.text.windows(words.len()).position(|window| window == words.as_bytes());
                if let Some(at) = at {
                    self.text.drain(..at + words.len());
                    return Ok(Instant::now());
                }
                ensure!(self.stream.read_buf(&mut self.text).await? > 0, "the stream ended before {words}");
            }
        };
        timeout(PATIENCE, read).await.with_context(|| format!("{words} never came"))?
    }
}

/// From the message to the first delta that its room's reader has, less the same of the stand-in alone.
async fn first_delta(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(engine, &json!({ "times": null, "words": 3, "first_byte_ms": 0, "word_ms": 0 })).await?;
    let ada = Person::sign_in(setup.server.address, 0).await?;
    let mut reader = Listening::to(setup.server.address, &ada).await?;
    let mut server = Connection::open(setup.server.address).await?;
    let question = json!({ "contents": [{ "role": "user", "parts": [{ "text": TEXT }] }] });
    let asked = Request::post("/v1beta/models/gemini-flash-latest:streamGenerateContent?alt=sse", None, &question);
    let (mut whole, mut own) = (Vec::new(), Vec::new());
    for _ in 0..scale.of(300) {
        let began = Instant::now();
        server.send(&ada.message()).await?.json()?;
        let heard = reader.until("event: reply.delta").await?;
        whole.push(heard.duration_since(began).as_secs_f64() * 1000.0);
        reader.until("event: reply.completed").await?;
        let began = Instant::now();
        let mut gemini = Listening::open(setup.gemini.address, &asked).await?;
        own.push(gemini.until("\"text\"").await?.duration_since(began).as_secs_f64() * 1000.0);
    }
    let (whole, own) = (median(whole.into_iter()), median(own.into_iter()));
    let how = format!("{whole:.1} ms from the POST, of which {own:.1} ms are the stand-in's; median, one at a time");
    report.add(&format!("first delta, {}", engine.name()), whole - own, "ms", Target::AtMost(10.0), how);
    Ok(())
}

/// Resident memory of the server for each stream that is open and idle.
async fn streams(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let wanted = scale.of(5000);
    let setup = Setup::new(engine, &json!({ "times": null, "words": 3 })).await?;
    let people = Person::crowd(setup.server.address, 50.min(wanted)).await?;
    let (before, _) = setup.server.memory()?;
    let mut open = Vec::new();
    let readers: Vec<&Person> = people.iter().cycle().take(usize::try_from(wanted)?).collect();
    for some in readers.chunks(50) {
        open.extend(try_join_all(some.iter().map(|person| Listening::to(setup.server.address, person))).await?);
    }
    let (with, _) = setup.server.memory()?;
    let each = (with - before) * 1000.0 / f64::from(wanted);
    let how = format!("resident; {before:.0} MB before, {with:.0} MB with {wanted} open streams of 50 people");
    report.add(&format!("memory of a stream, {}", engine.name()), each, "KB", Target::AtMost(30.0), how);
    drop(open);
    Ok(())
}

/// Between the first and the last of many readers of one room to have a delta.
async fn spread(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let many = scale.of(1000);
    let setup = Setup::new(engine, &json!({ "times": null, "words": 1, "first_byte_ms": 0, "word_ms": 0 })).await?;
    let ada = Person::sign_in(setup.server.address, 0).await?;
    let mut readers = Vec::new();
    for _ in 0..many {
        readers.push(Listening::to(setup.server.address, &ada).await?);
    }
    let mut server = Connection::open(setup.server.address).await?;
    let mut spreads = Vec::new();
    for _ in 0..10 {
        let hearing = join_all(readers.iter_mut().map(|reader| reader.until("event: reply.delta")));
        let sending = async { server.send(&ada.message()).await?.json() };
        let (heard, sent) = futures_util::future::join(hearing, sending).await;
        sent?;
        let heard: Vec<Instant> = heard.into_iter().collect::<anyhow::Result<_>>()?;
        let (first, last) = (heard.iter().min().context("a reader")?, heard.iter().max().context("a reader")?);
        spreads.push(last.duration_since(*first).as_secs_f64() * 1000.0);
        try_join_all(readers.iter_mut().map(|reader| reader.until("event: reply.completed"))).await?;
    }
    let how = format!("from the first to the last of {many} readers of one room; median of ten deltas");
    report.add(&format!("spread of a delta, {}", engine.name()), median(spreads.into_iter()), "ms", Target::None, how);
    Ok(())
}
