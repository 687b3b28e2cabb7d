//! Sending, cancelling, editing and asking again all at once, while Gemini delays and fails: the room stays one tree with one
//! head, each prompt is charged as its reply ended, and each reply saw its own ancestors.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use gemini_backend::clock::Moment;
use gemini_backend::fetch_all;
use gemini_backend::ids::MessageId;
use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp};

const TASKS: u64 = 8;
const ACTS: u64 = 25;

/// What Gemini does in turn; then it only takes its time.
fn weather(app: &TestApp) {
    let (soon, slow) = (Duration::from_millis(1), Duration::from_millis(8));
    for _ in 0..20 {
        app.gemini.script(Rule::words(4).end(1, End::Error(Fault::of(400))));
        app.gemini.script(Rule::words(6).pace(soon, slow).times(2));
        app.gemini.script(Rule::refuse(Fault::of(503)));
        app.gemini.script(Rule::words(3).pace(slow, soon));
        app.gemini.script(Rule::words(6).pace(soon, soon).end(2, End::Cut));
        app.gemini.script(Rule::refuse(Fault::of(400)));
    }
    app.gemini.script(Rule::words(5).pace(soon, slow).always());
}

/// Everything that anybody has seen of the room so far.
#[derive(Default)]
struct Seen {
    messages: Vec<String>,
    replies: Vec<String>,
}

/// One of many who act in the room at once.
struct Actor<'a> {
    ada: &'a Person<'a>,
    room: &'a str,
    seen: &'a Mutex<Seen>,
    number: u64,
    chance: AtomicU64,
}

impl Actor<'_> {
    /// A number below `most`, the same in each run.
    fn below(&self, most: usize) -> usize {
        let next = self
            .chance
            .load(Ordering::Relaxed)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.chance.store(next, Ordering::Relaxed);
        usize::try_from(next >> 33).expect("31 bits") % most
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_of(&self, of: impl Fn(&Seen) -> &Vec<String>) -> Option<String> {
        let seen = self.seen();
        let list = of(&seen);
        // Mostly what is new.
        let newest = list.len().min(if self.below(3) == 0 { list.len() } else { 6 });
        (newest > 0).then(|| list[list.len() - 1 - self.below(newest)].clone())
    }

    async fn act(&self, turn: u64) {
        let (reply, message) = (self.one_of(|seen| &seen.replies), self.one_of(|seen| &seen.messages));
        let content = json!({"content": format!("{} says {turn}", self.number)});
        let (method, path, body) = match (self.below(10), reply, message) {
            (0..4, Some(reply), _) => {
                return self.cancel(&reply).await;
            }
            (4..6, Some(reply), _) => ("POST", format!("messages/{reply}/regenerate"), None),
            (6..8, _, Some(message)) => ("PATCH", format!("messages/{message}"), Some(content)),
            _ => ("POST", "message".to_owned(), Some(content)),
        };
        let ada = self.ada.at(self.ada.app);
        let key = format!("{}-{turn}", self.number);
        let once = async || {
            let call = ada.call(method, &format!("/chatroom/{}/{path}", self.room)).header("idempotency-key", &key);
            if let Some(body) = &body { call.json(body).send().await } else { call.send().await }
        };
        // Now and then the client does not wait for the answer and asks a second time.
        let (first, second) = if self.below(4) == 0 {
            let (first, second) = join(once(), once()).await;
            (first, Some(second))
        } else {
            (once().await, None)
        };
        if first.status == 409 {
            assert_eq!(first.code(), "reply_in_progress");
            return;
        }
        let accepted = first.expect(202).json();
        if let Some(second) = second {
            assert_eq!(second.expect(202).json()["reply"]["id"], accepted["reply"]["id"], "one key, one act");
        }
        let id = |of: &str| accepted[of]["id"].as_str().expect("an id").to_owned();
        let mut seen = self.seen();
        seen.messages.push(id("message"));
        seen.replies.push(id("reply"));
    }

    async fn cancel(&self, reply: &str) {
        let told = self.ada.at(self.ada.app).cancels(self.room, reply).await;
        let has_ended =
            |reply: &Value| ["complete", "failed", "cancelled"].contains(&reply["status"].as_str().unwrap_or(""));
        if !has_ended(&told) {
            // A machine with much else to do may be slow to tell.
            assert_eq!(told["status"], "generating");
            self.ada.at(self.ada.app).watches(self.room, reply, has_ended).await;
        }
    }
}

/// A row of the room, as it is in the end.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Row {
    id: MessageId,
    parent_id: Option<MessageId>,
    seq: i64,
    role: String,
    current: bool,
    status: String,
    content: String,
    charged_day: Option<String>,
    refunded_at: Option<Moment>,
    rev: i64,
    made_rev: i64,
}

struct Tree {
    rows: Vec<Row>,
    by_id: HashMap<MessageId, Row>,
}

impl Tree {
    async fn of(app: &TestApp) -> Self {
        let mut reader = app.app.store.read().await.expect("a connection");
        let sql = "select id, parent_id, seq, role, current, status, content, charged_day, refunded_at, rev, made_rev
                   from messages order by seq";
        let rows = fetch_all!(&mut reader, Row, sql).expect("the room's messages");
        let by_id = rows.iter().map(|row| (row.id, row.clone())).collect();
        Self { rows, by_id }
    }

    /// The ancestors of a message, nearest first, without itself.
    fn ancestors(&self, of: &Row) -> Vec<&Row> {
        let mut chain = Vec::new();
        let mut next = of.parent_id;
        while let Some(row) = next.map(|id| &self.by_id[&id]) {
            chain.push(row);
            next = row.parent_id;
        }
        chain
    }

    /// Every message hangs on one of the other side that was there before it.
    fn assert_is_one(&self) {
        for (row, seq) in self.rows.iter().zip(1..) {
            assert_eq!(row.seq, seq, "no number is missing or there twice");
            let parent = row.parent_id.map(|id| &self.by_id[&id]);
            assert_ne!(parent.map_or("model", |parent| &parent.role), row.role, "{row:?}");
            assert!(parent.is_none_or(|parent| parent.seq < seq && parent.made_rev <= row.made_rev), "{row:?}");
            assert!(row.rev >= row.made_rev, "{row:?}");
        }
    }

    /// The current branch is the head with its ancestors and nothing else; nothing hangs behind the head.
    fn assert_has_one_head(&self, head: MessageId) {
        let mut branch: HashSet<_> = self.ancestors(&self.by_id[&head]).iter().map(|row| row.id).collect();
        branch.insert(head);
        let current: HashSet<_> = self.rows.iter().filter(|row| row.current).map(|row| row.id).collect();
        assert_eq!(current, branch);
        assert!(self.rows.iter().all(|row| row.parent_id != Some(head)));
    }

    /// How many prompts the replies have cost, each as it ended.
    fn cost(&self) -> i64 {
        let mut cost = 0;
        for row in self.rows.iter().filter(|row| row.role == "model") {
            let is_paid = match row.status.as_str() {
                "complete" => true,
                "cancelled" => !row.content.is_empty(),
                "failed" => false,
                other => panic!("{other}: {row:?}"),
            };
            assert!(row.charged_day.is_some());
            assert_eq!(row.refunded_at.is_none(), is_paid, "{row:?}");
            cost += i64::from(is_paid);
        }
        cost
    }

    /// What a reply was to be asked with: the answered questions before it, and its own.
    fn context(&self, reply: &Row) -> Vec<&str> {
        let chain = self.ancestors(reply);
        let mut texts = vec![chain[0].content.as_str()];
        for pair in chain[1..].chunks(2) {
            let is_answered =
                !pair[0].content.is_empty() && ["complete", "cancelled"].contains(&pair[0].status.as_str());
            if is_answered {
                texts.extend([pair[0].content.as_str(), pair[1].content.as_str()]);
            }
        }
        texts.reverse();
        texts
    }

    fn assert_was_asked_rightly(&self, app: &TestApp) {
        let questions = app.questions();
        let mut last = HashMap::new();
        for question in &questions {
            let tag = question.tag.as_deref().expect("a tag");
            let (reply, attempt) = tag.split_once('.').expect("a reply and its attempt");
            let reply = &self.by_id[&reply.parse().expect("an id")];
            let turns = question.body["contents"].as_array().expect("turns").iter();
            let turns: Vec<_> = turns.map(|turn| turn["parts"][0]["text"].as_str().expect("a text")).collect();
            assert_eq!(turns, self.context(reply), "{tag}");
            let attempt: i64 = attempt.parse().expect("a number");
            let newest = last.entry(reply.id).or_insert((attempt, question));
            if attempt > newest.0 {
                *newest = (attempt, question);
            }
        }
        for (reply, (_, question)) in last {
            let stored = &self.by_id[&reply];
            let is_right = match stored.status.as_str() {
                "complete" => question.text == stored.content,
                // Gemini may have sent more than arrived.
                _ => question.text.starts_with(&stored.content),
            };
            assert!(is_right, "{stored:?} {question:?}");
        }
    }
}

/// Lets time pass, so that what waits is tried again, until everything has ended.
async fn until_all_is_over(app: &TestApp) {
    for _ in 0..400 {
        app.settle().await;
        if app.count("select count(*) from jobs where finished_at is null").await == 0 {
            return;
        }
        app.clock.advance(Duration::from_secs(1));
    }
    panic!("there is always something left to do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_leaves_one_tree_that_is_paid_for_exactly() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_daily_prompts = 100_000;
        // Time passes in leaps here, and nobody dies.
        settings.worker.lease = Duration::from_hours(10);
    })
    .await;
    weather(&app);
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let seen = Mutex::default();
    let actors = (0..TASKS).map(|number| {
        let actor = Actor { ada: &ada, room: &room, seen: &seen, number, chance: AtomicU64::new(number + 1) };
        async move {
            for turn in 0..ACTS {
                actor.act(turn).await;
                // Something has to be written between two changes of mind.
                let pause = u64::try_from(actor.below(60)).expect("a small number");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    });
    let time = async {
        loop {
            tokio::time::sleep(Duration::from_millis(30)).await;
            app.clock.advance(Duration::from_millis(500));
        }
    };
    tokio::select! {
        _ = join_all(actors) => {}
        () = time => {}
    }
    until_all_is_over(&app).await;

    let tree = Tree::of(&app).await;
    tree.assert_is_one();
    let room_now: Value = ada.at(&app).get(&format!("/chatroom/{room}")).await.expect(200).json();
    let mut reader = app.app.store.read().await.expect("a connection");
    let heads = fetch_all!(&mut reader, (MessageId,), "select head from chatrooms").expect("the room");
    drop(reader);
    tree.assert_has_one_head(heads[0].0);
    let shown = room_now["messages"].as_array().expect("a list");
    assert!(shown.last().is_some_and(|last| last["id"] == heads[0].0.to_string()));
    assert_eq!(ada.prompts_used().await, tree.cost());
    tree.assert_was_asked_rightly(&app);
    let at_rest = "select count(*) from queue_users where in_flight <> 0 or next_due is not null";
    assert_eq!(app.count(at_rest).await, 0);
    let ended = |how: &str| tree.rows.iter().filter(|row| row.status == how).count();
    // How many come to an end of their own before somebody cancels them depends on the machine.
    let (by_themselves, cancelled) = (ended("complete") + ended("failed"), ended("cancelled"));
    assert!(by_themselves > 0 && cancelled > 0, "it was no storm: {by_themselves}, {cancelled} cancelled");
}
