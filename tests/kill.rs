//! The promise, against `kill -9`: real processes, killed again and again while dozens of replies are being written.
//!
//! Afterwards every accepted message has exactly one finished reply, in its room's order, whose text is what the
//! sandbox sent for that attempt, and the prompts are exact. None is given up: what died a few times comes to its end
//! before the next kill. The sandbox is a process of its own and keeps the journal.
//! `KILL_SEED` repeats a run, `TEST_DATABASE_URL` names a PostgreSQL server, `KILL_ROUNDS` makes it longer.

#[path = "api/harness/database.rs"]
mod database;
#[path = "processes/mod.rs"]
mod processes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use database::Database;
use gemini_backend::{fetch_one, store};
use processes::{Journal, Process, Random, free_port, setting};
use serde_json::{Value, json};

const USERS: usize = 20;
const ROOMS_EACH: usize = 3;
/// Replies with text that make a kill count as one in the thick of it.
const MANY: usize = 30;
const THICK_KILLS: usize = 20;
/// Who died so often may come to an end before the next kill.
const DEATHS: i64 = 3;
/// A lease that lapses because the machine is slow is a death, too: long enough for that to be seldom.
const LEASE: Duration = Duration::from_secs(5);

/// One person, with what they were promised.
struct Person {
    token: String,
    mobile: String,
    rooms: Vec<Room>,
}

struct Room {
    id: String,
    /// Accepted messages in the order of their acceptance: what was said, and the reply that was promised.
    said: Mutex<Vec<(String, String)>>,
}

struct Load {
    client: reqwest::Client,
    base: String,
    people: Vec<Person>,
    is_over: AtomicBool,
    accepted: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_accepted_message_is_lost_or_answered_twice_whatever_dies() {
    let mut random = Random::from_setting("KILL_SEED");
    let rounds: usize = setting("KILL_ROUNDS").map_or(50, |rounds| rounds.parse().expect("KILL_ROUNDS is a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = Database::create().await;
    let journal_file = folder.path().join("journal.jsonl");
    let sandbox = Process::sandbox(&folder, &journal_file, 50);
    let port = free_port();
    let environment = environment(&database, port, &sandbox.address);
    let mut server = Process::server(&folder, &environment).await;
    let load = Arc::new(Load::begin(&server.address).await);
    let mut speakers = tokio::task::JoinSet::new();
    for person in 0..USERS {
        for room in 0..ROOMS_EACH {
            speakers.spawn(Arc::clone(&load).speak(person, room));
        }
    }
    let mut journal = Journal::new(&journal_file);
    let (mut thick, mut round, mut rests) = (0, 0, true);
    let wanted = THICK_KILLS.min(rounds * 2 / 5);
    // A busy machine spoils some aims; then it takes more rounds.
    while round < rounds || (thick < wanted && round < 2 * rounds) {
        // What was cut short again and again ends first, or it would be given up after its tenth death.
        if rests {
            load.until_the_battered_are_finished(&mut journal).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(1000))).await;
        // More than half are aimed, so that enough of them fall where it hurts; the others fall anywhere, the first
        // moments of a process included.
        if rests && (matches!(round % 8, 1..=5) || round >= rounds) {
            load.until_many_have_text().await;
        }
        server.kill();
        rests = round % 8 < 6;
        let mut next = Process::server_unready(&folder, &environment);
        let ready = async {
            if rests {
                next.until_ready().await;
            }
        };
        let (cut, ()) = tokio::join!(journal.cut_short(), ready);
        server = next;
        thick += usize::from(cut >= MANY);
        round += 1;
    }
    server.until_ready().await;
    load.is_over.store(true, SeqCst);
    speakers.join_all().await;
    eprintln!(
        "{} messages accepted, {thick} of {rounds} kills with {MANY} or more replies cut short",
        load.accepted.load(SeqCst)
    );
    load.until_all_are_answered().await;
    journal.read();
    load.check_everything(&journal).await;
    check_prompts(&database, load.accepted.load(SeqCst)).await;
    assert!(thick >= wanted, "only {thick} kills fell while {MANY} or more replies had text");
    server.stop_gently();
    sandbox.stop_gently();
    assert_eq!(database.end(), 0, "no job is left");
}

fn environment(database: &Database, port: u16, sandbox: &str) -> [(&'static str, String); 11] {
    [
        // In the setting it takes four slashes to begin a path at the root.
        ("DATABASE_URL", database.url().replacen("sqlite:///", "sqlite:////", 1)),
        ("BIND", format!("127.0.0.1:{port}")),
        ("GEMINI_BASE_URL", sandbox.to_owned()),
        ("GEMINI_API_KEY", "a-key-for-the-sandbox".to_owned()),
        ("SECRET_KEY", "only for this test, and long enough for it".to_owned()),
        ("BASIC_DAILY_PROMPTS", "1000000".to_owned()),
        ("BASIC_REPLIES_AT_ONCE", ROOMS_EACH.to_string()),
        ("REQUESTS_PER_MINUTE", "1000000".to_owned()),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "600".to_owned()),
        ("WORKER_LEASE_SECONDS", LEASE.as_secs().to_string()),
        ("LOG_LEVEL", "warn".to_owned()),
    ]
}

impl Load {
    async fn begin(base: &str) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client");
        let mut people = Vec::new();
        for number in 0..USERS {
            let mobile = format!("+9198765{:05}", 10_000 + number);
            people.push(processes::sign_in(&client, base, &mobile).await);
        }
        let mut load = Self {
            client,
            base: base.to_owned(),
            people: Vec::new(),
            is_over: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
        };
        for (number, token) in people.into_iter().enumerate() {
            let mut rooms = Vec::new();
            for _ in 0..ROOMS_EACH {
                let (status, room) = load.call(&token, "POST", "/chatroom", None, None).await.expect("a server");
                assert_eq!(status, 201, "{room}");
                rooms.push(Room { id: text(&room["id"]), said: Mutex::default() });
            }
            load.people.push(Person { token, mobile: format!("{number}"), rooms });
        }
        load
    }

    /// One request; None when the server died under it.
    async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    /// Says one thing after the other in a room, at most two of them unanswered. What the server did not answer is sent
    /// again under the same key until it does.
    async fn speak(self: Arc<Self>, person: usize, room: usize) {
        let (person, mut number) = (&self.people[person], 0);
        let room = &person.rooms[room];
        while !self.is_over.load(SeqCst) {
            if self.unanswered(person, room).await >= 2 {
                // The second one keeps the room busy meanwhile.
                tokio::time::sleep(Duration::from_millis(300)).await;
                continue;
            }
            number += 1;
            let said = format!("{} · message {number} · नमस्ते 你好 🙂", room.id);
            let (key, body) = (format!("{}-{number}", room.id), json!({"content": said}));
            let path = format!("/chatroom/{}/message", room.id);
            let accepted = loop {
                match self.call(&person.token, "POST", &path, Some(&body), Some(&key)).await {
                    Some((202, accepted)) => break accepted,
                    Some((503, _)) | None => tokio::time::sleep(Duration::from_millis(50)).await,
                    Some((status, refusal)) => panic!("{status}: {refusal}"),
                }
            };
            self.accepted.fetch_add(1, SeqCst);
            room.said.lock().expect("no panic").push((said, text(&accepted["reply"]["id"])));
        }
    }

    /// How many of a room's newest replies have not ended; two while the server does not say.
    async fn unanswered(&self, person: &Person, room: &Room) -> usize {
        let path = format!("/chatroom/{}/messages?limit=4", room.id);
        match self.call(&person.token, "GET", &path, None, None).await {
            Some((200, page)) => rows(&page).iter().filter(|message| is_unfinished(message)).count(),
            _ => 2,
        }
    }

    /// Waits until every reply that died `DEATHS` times came to its end.
    async fn until_the_battered_are_finished(&self, journal: &mut Journal) {
        let rooms = self.people.iter().flat_map(|person| person.rooms.iter().map(move |room| (person, room)));
        let looks = rooms.map(|(person, room)| async move {
            let path = format!("/chatroom/{}/messages", room.id);
            let page = self.call(&person.token, "GET", &format!("{path}?limit=4"), None, None).await;
            let Some((200, page)) = page else { return Vec::new() };
            let is_battered = |message: &&Value| message["attempt"].as_i64().is_some_and(|attempt| attempt > DEATHS);
            let open = rows(&page).iter().filter(|message| is_unfinished(message)).filter(is_battered);
            open.map(|message| (person, path.clone(), text(&message["id"]))).collect::<Vec<_>>()
        });
        let mut open = futures_util::future::join_all(looks).await.concat();
        let deadline = Instant::now() + Duration::from_mins(3);
        let mut looks = 0_u32;
        while !open.is_empty() {
            assert!(Instant::now() < deadline, "{} answers do not come to their end", open.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
            journal.read();
            looks += 1;
            let mut left = Vec::new();
            for (person, path, reply) in open {
                // The journal costs the server nothing; who is not in it is looked at every second.
                let has_ended = (journal.finished.contains(&reply) || looks.is_multiple_of(20)) && {
                    let message = self.call(&person.token, "GET", &format!("{path}/{reply}"), None, None).await;
                    message.is_some_and(|(status, message)| status == 200 && !is_unfinished(&message))
                };
                if !has_ended {
                    left.push((person, path, reply));
                }
            }
            open = left;
        }
    }

    /// Waits until more than `MANY` replies have text, some of which will end before the kill; a slow machine gets fewer
    /// after a while, and none at last: then this kill is not one in the thick of it, which the end of the test counts.
    async fn until_many_have_text(&self) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            let enough = if begin.elapsed() < Duration::from_secs(5) { MANY + 8 } else { MANY + 2 };
            let mut looks = Vec::new();
            for person in &self.people {
                for room in &person.rooms {
                    looks.push(self.has_text(person, room));
                }
            }
            if futures_util::future::join_all(looks).await.into_iter().filter(|has| *has).count() >= enough {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn has_text(&self, person: &Person, room: &Room) -> bool {
        let path = format!("/chatroom/{}/messages?limit=4", room.id);
        let Some((200, page)) = self.call(&person.token, "GET", &path, None, None).await else { return false };
        rows(&page).iter().any(|message| message["status"] == "generating" && message["content"] != "")
    }

    async fn until_all_are_answered(&self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        for person in &self.people {
            for room in &person.rooms {
                while self.unanswered(person, room).await > 0 {
                    assert!(Instant::now() < deadline, "a reply in room {} never ended", room.id);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn check_everything(&self, journal: &Journal) {
        for person in &self.people {
            for room in &person.rooms {
                let said = room.said.lock().expect("no panic").clone();
                let messages = self.all_messages(person, room).await;
                assert_eq!(messages.len(), 2 * said.len(), "room {} of person {}", room.id, person.mobile);
                for ((said, reply_id), pair) in said.iter().zip(messages.chunks(2)) {
                    let [message, reply] = pair else { panic!("a message without its reply") };
                    assert_eq!(
                        (message["role"].as_str(), message["content"].as_str()),
                        (Some("user"), Some(said.as_str()))
                    );
                    assert_eq!(reply["id"].as_str(), Some(reply_id.as_str()));
                    assert_eq!(reply["parent_id"], message["id"]);
                    assert_eq!(reply["status"], "complete", "{reply}");
                    let tag = format!("{reply_id}.{}", reply["attempt"]);
                    let sent = journal.sent.get(&tag).unwrap_or_else(|| panic!("{tag} is not in the journal"));
                    assert_eq!(reply["content"].as_str(), Some(sent.as_str()), "{tag}");
                }
            }
        }
    }

    /// All of a room, oldest first; their `seq` only rises.
    async fn all_messages(&self, person: &Person, room: &Room) -> Vec<Value> {
        let (mut messages, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/chatroom/{}/messages?order=asc&limit=200&cursor={cursor}", room.id);
            let (status, page) = self.call(&person.token, "GET", &path, None, None).await.expect("a server");
            assert_eq!(status, 200, "{page}");
            messages.extend(rows(&page).iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        let order: Vec<i64> = messages.iter().filter_map(|message| message["seq"].as_i64()).collect();
        assert!(order.is_sorted_by(|one, next| one < next), "{order:?}");
        messages
    }
}

/// As many prompts are spent as messages were answered, and none went back.
async fn check_prompts(database: &Database, accepted: usize) {
    let store = store::connect(database.url(), 2).await.expect("the database opens");
    let mut reader = store.read().await.expect("a connection");
    let (spent, refunded) = fetch_one!(
        &mut reader,
        (i64, i64),
        "select (select cast(sum(used) as bigint) from prompt_days),
                (select count(*) from messages where refunded_at is not null)"
    )
    .expect("the counts");
    assert_eq!((spent, refunded), (i64::try_from(accepted).expect("a small number"), 0));
    drop(reader);
    store.close().await;
}

fn rows(page: &Value) -> &[Value] {
    page["data"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_unfinished(message: &Value) -> bool {
    matches!(message["status"].as_str(), Some("queued" | "generating"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
