//! A database that hangs: its connections stay open, and nothing comes through them any more.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::sandbox::gemini::{Rule, count_tokens};
use gemini_backend::{fetch_all, store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{TestApp, until};

/// What a line keeps to itself.
#[derive(Clone, Copy, Default)]
struct Kept {
    is_all: bool,
    /// Connections before this one, for ever.
    before: usize,
    /// From the connection that says this and then commits, the answer to that, for ever; once.
    commit_of: Option<&'static str>,
}

/// Stands before PostgreSQL and can be told to hold back what comes.
struct Line(watch::Sender<Kept>);

impl Line {
    /// Puts itself between a service and its database; None where that is a file.
    fn cut_in(url: &mut String) -> Option<Self> {
        let mut through = url::Url::parse(url).expect("an address");
        let server = format!("{}:{}", through.host_str()?, through.port().unwrap_or(5432));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("as tokio wants it");
        through.set_host(Some("127.0.0.1")).ok()?;
        through.set_port(Some(listener.local_addr().expect("an address").port())).ok()?;
        // What is said has to be understood on the way.
        through.query_pairs_mut().append_pair("sslmode", "disable");
        *url = through.into();
        let line = watch::Sender::new(Kept::default());
        spawn(serve(TcpListener::from_std(listener).expect("a listener"), server, line.clone()));
        Some(Self(line))
    }

    fn hold(&self, is_all: bool) {
        self.0.send_modify(|kept| kept.is_all = is_all);
    }

    /// What commits after these words is stored, and nobody hears of it.
    fn lose_the_commit_of(&self, words: &'static str) {
        self.0.send_modify(|kept| kept.commit_of = Some(words));
    }

    fn has_lost_it(&self) -> bool {
        self.0.borrow().commit_of.is_none()
    }

    /// As a firewall that has forgotten them: those that are open hang for ever, new ones do not.
    fn forget(&self) {
        self.0.send_modify(|kept| kept.before = usize::MAX);
    }
}

async fn serve(listener: TcpListener, server: String, line: watch::Sender<Kept>) {
    while let Ok((client, _)) = listener.accept().await {
        let is_new = line.borrow().before == usize::MAX;
        let (reads, writes) = client.into_split();
        let (answers, asks) = TcpStream::connect(&server).await.expect("the server is there").into_split();
        let number = if is_new { usize::MAX } else { 0 };
        let mute = watch::Sender::new(false);
        spawn(ask(reads, asks, number, line.clone(), mute.clone()));
        spawn(answer(answers, writes, number, line.subscribe(), mute.subscribe()));
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

async fn ask(
    mut from: OwnedReadHalf,
    mut into: OwnedWriteHalf,
    number: usize,
    line: watch::Sender<Kept>,
    mute: watch::Sender<bool>,
) {
    let (mut bytes, mut has_said_it) = (vec![0; 16 * 1024], false);
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let said = |words: &str| bytes[..read].windows(words.len()).any(|some| some == words.as_bytes());
        let words = line.borrow().commit_of;
        has_said_it |= words.is_some_and(said);
        if has_said_it && said("commit") && line.send_if_modified(|kept| kept.commit_of.take().is_some()) {
            mute.send_replace(true);
        }
        let passes = line.subscribe().wait_for(|kept| !kept.is_all && number >= kept.before).await.is_ok();
        if !passes || into.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut into: OwnedWriteHalf,
    number: usize,
    mut kept: watch::Receiver<Kept>,
    mut mute: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let passes = kept.wait_for(|kept| !kept.is_all && number >= kept.before).await.is_ok();
        // Once mute it stays so until the connection goes.
        let speaks = passes && mute.wait_for(|is_mute| !is_mute).await.is_ok();
        if !speaks || into.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Does something that waits while nothing else happens: the clock that it waits by goes fifty times as fast.
async fn while_time_passes<T>(work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(Duration::from_millis(5), &mut work).await {
            return done;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_millis(250)).await;
        tokio::time::resume();
    }
}

/// A file does not hang, but its one writer may: whoever waits for it is told in time, and it goes on afterwards.
async fn wait_for_the_writer(app: &TestApp) {
    let held = app.app.store.begin().await.expect("a transaction");
    let refused = while_time_passes(app.app.store.begin()).await;
    assert!(matches!(refused, Err(store::Error::Unavailable(_))), "{refused:?}");
    drop(held);
    app.app.store.begin().await.expect("a transaction");
}

#[tokio::test]
async fn a_database_that_hangs_is_given_up_on_and_nothing_that_was_accepted_is_lost() {
    let mut line = None;
    let app = TestApp::with(|settings| line = Line::cut_in(&mut settings.database.url)).await;
    let Some(line) = line else { return wait_for_the_writer(&app).await };
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    line.hold(true);
    app.gemini.release();
    let path = format!("/chatroom/{room}");
    // More than there are connections.
    for refused in while_time_passes(join_all((0..20).map(|_| ada.get(&path)))).await {
        assert_eq!(refused.expect(503).code(), "database_unavailable");
    }
    let refused = while_time_passes(app.get("/readyz").send()).await.expect(503);
    assert_eq!(refused.code(), "not_ready");
    app.get("/healthz").send().await.expect(200);
    line.hold(false);
    until("it is ready again", async || (app.get("/readyz").send().await.status == 200).then_some(())).await;
    app.settle().await;
    let message = ada.message(&room, &reply).await;
    assert_eq!((&message["status"], &message["content"]), (&"complete".into(), &"word1 word2 word3 word4 ".into()));
    assert_eq!(ada.hears(&room, "and now?").await["status"], "complete");
}

#[tokio::test]
async fn connections_that_hang_for_ever_make_room_for_new_ones() {
    let mut line = None;
    let app = TestApp::with(|settings| line = Line::cut_in(&mut settings.database.url)).await;
    let Some(line) = line else { return wait_for_the_writer(&app).await };
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = format!("/chatroom/{room}");
    // All that there may be.
    for answer in join_all((0..40).map(|_| ada.get(&path))).await {
        answer.expect(200);
    }
    line.forget();
    // Each round gives up those that it met, and so on until there is none left.
    let mut rounds = 0;
    while while_time_passes(join_all((0..8).map(|_| ada.get(&path)))).await.iter().any(|answer| answer.status != 200) {
        rounds += 1;
        assert!(rounds < 20, "they hang on");
    }
    assert!(rounds > 0, "nothing hung");
    let (_, open) = app.app.store.connections();
    assert!(open <= app.app.settings.database.max_connections, "{open} connections");
}

/// What became of a reply whose end was stored while the answer to its commit was lost.
#[tokio::test]
async fn an_end_whose_commit_nobody_heard_of_is_counted_once() {
    let mut line = None;
    let app = TestApp::with(|settings| line = Line::cut_in(&mut settings.database.url)).await;
    let Some(line) = line else { return wait_for_the_writer(&app).await };
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    line.lose_the_commit_of("word1 word2 word3 word4 ");
    app.gemini.release();
    let is_heard = async || (ada.message(&room, &reply).await["status"] == "complete").then_some(());
    until("the end is stored", is_heard).await;
    assert!(line.has_lost_it());
    // It waits for that commit, then looks what became of it.
    while_time_passes(app.stop()).await;
    let beside = app.command().await;
    let mut reader = beside.store.read().await.expect("a connection");
    let sql = "select replies, completion_tokens from token_days";
    let counted = fetch_all!(&mut reader, (i64, i64), sql).expect("the tokens");
    assert_eq!(counted, [(1, count_tokens("word1 word2 word3 word4 ").cast_signed())]);
}
