//! What is over goes: however long the service is used, its tables stop growing.

use std::time::Duration;

use gemini_backend::chat::{self, RoomError, Text};
use gemini_backend::ids::ChatroomId;
use gemini_backend::retention;
use gemini_backend::sandbox::gemini::{Fault, Rule};
use serde_json::json;

use crate::harness::chat::fate;
use crate::harness::{Person, TestApp, until};

const DAY: Duration = Duration::from_hours(24);

async fn say(person: &Person<'_>, room: &str, key: &str) -> Option<String> {
    let call = person.call("POST", &format!("/chatroom/{room}/message")).header("idempotency-key", key);
    let answer = call.json(&json!({"content": "hello"})).send().await.expect(202);
    answer.header("idempotency-replayed").map(str::to_owned)
}

/// How many rows each table holds that grows with use.
async fn rows(app: &TestApp) -> [i64; 4] {
    [
        app.count("select count(*) from jobs").await,
        app.count("select count(*) from idempotency_keys").await,
        app.count("select count(*) from prompt_days").await,
        app.count("select count(*) from token_days").await,
    ]
}

#[tokio::test]
async fn tables_stop_growing() {
    let app = TestApp::with(|settings| {
        let kept = &mut settings.retention;
        (kept.finished_jobs, kept.idempotency_keys, kept.prompt_days, kept.token_days) =
            (DAY, 2 * DAY, 3 * DAY, 4 * DAY);
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut seen = Vec::new();
    for day in 0..12 {
        let ada = ada.at(&app);
        for message in 0..2 {
            say(&ada, &room, &format!("{day}.{message}")).await;
        }
        app.settle().await;
        retention::sweep(&app.app).await.expect("a sweep");
        seen.push(rows(&app).await);
        app.clock.advance(DAY);
    }
    // Exactly a day old is not older than a day.
    assert_eq!(seen[0], [2, 2, 1, 1]);
    assert_eq!(seen[11], [4, 6, 4, 5]);
    assert_eq!(seen[11], seen[5], "{seen:?}");
    assert_eq!(app.count("select count(*) from messages").await, 48, "what was said stays");
}

#[tokio::test]
async fn a_sweep_takes_all_that_is_over_in_small_batches_and_nothing_else() {
    let app = TestApp::with(|settings| {
        settings.retention.batch = 2;
        settings.retention.finished_jobs = DAY;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let rooms = ada.new_rooms(3).await;
    for number in 0..7 {
        say(&ada, &rooms[0], &format!("{number}")).await;
    }
    app.settle().await;
    app.clock.advance(DAY);
    let ada = ada.at(&app);
    app.gemini.script(Rule::refuse(Fault::of(503).retry("300s")));
    let waiting = ada.hears(&rooms[1], "waiting").await;
    say(&ada, &rooms[2], "recent").await;
    app.settle().await;
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(retention::sweep(&app.app).await.expect("a sweep"), 7, "in more batches than one");
    assert_eq!(rows(&app).await[0], 2);
    app.clock.advance(Duration::from_secs(299));
    app.settle().await;
    let waiting = ada.at(&app).message(&rooms[1], waiting["id"].as_str().expect("an id")).await;
    assert_eq!(fate(&waiting).0, "complete", "what is not over is not touched");
    assert_eq!(retention::sweep(&app.app).await.expect("a sweep"), 0);
}

#[tokio::test]
async fn a_key_is_remembered_for_seven_days() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 1).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    assert_eq!(say(&ada, &room, "k").await, None);
    app.settle().await;
    app.clock.advance(7 * DAY);
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(say(&ada.at(&app), &room, "k").await.as_deref(), Some("true"));
    app.clock.advance(Duration::from_millis(1));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(say(&ada.at(&app), &room, "k").await, None);
    app.settle().await;
}

#[tokio::test]
async fn the_sweep_comes_round_by_itself_and_is_counted() {
    let app = TestApp::with(|settings| {
        settings.retention.finished_jobs = DAY;
        settings.server.metrics_token = Some("a-token-for-operators".to_owned().into());
    })
    .await;
    app.app.tasks.spawn(retention::run(app.app.clone()));
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for round in 0..2 {
        assert_eq!(ada.at(&app).hears(&room, "hello").await["status"], "complete", "{round}");
        app.clock.advance(DAY + app.app.settings.retention.sweep_every);
        until("the sweep came round", async || (rows(&app).await[0] == 0).then_some(())).await;
    }
    let metrics = app.get("/metrics").bearer("a-token-for-operators").send().await.expect(200);
    let counted = metrics.text().lines().find_map(|line| line.strip_prefix("swept_rows_total{table=\"jobs\"} "));
    assert!(counted.expect("the sweep is counted").parse::<u64>().expect("a number") >= 2);
}

#[tokio::test]
async fn two_that_sweep_at_once_do_not_stand_in_each_others_way() {
    let app = TestApp::with(|settings| {
        settings.retention.batch = 3;
        settings.retention.finished_jobs = DAY;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for number in 0..12 {
        say(&ada, &room, &format!("{number}")).await;
    }
    app.settle().await;
    app.clock.advance(2 * DAY);
    let other = app.beside().await;
    let (one, two) = tokio::join!(retention::sweep(&app.app), retention::sweep(&other.app));
    let swept = one.expect("a sweep") + two.expect("a sweep");
    assert_eq!((swept, rows(&app).await[0]), (12, 0));
}

#[tokio::test]
async fn a_room_whose_deletion_is_cut_short_is_gone_and_its_messages_are_swept() {
    let app = TestApp::idle(|settings| settings.retention.batch = 1).await;
    let ada = app.sign_up().await;
    let sender = chat::Sender { user: ada.user, daily_limit: None };
    let (mut untouched, mut halves, mut micros) = (0, 0, 0);
    loop {
        let room = ada.new_room().await;
        let id: ChatroomId = room.parse().expect("an id");
        for _ in 0..10 {
            let text = Text::try_from("hello".to_owned()).expect("a text");
            chat::send(&app.app, sender, id, &text, None).await.expect("it is taken in");
        }
        let deletion = chat::delete_room(&app.app, ada.user, id);
        let whole = tokio::time::timeout(Duration::from_micros(micros), deletion).await;
        let left = app.count("select count(*) from messages").await;
        let list = ada.get("/chatroom").await.expect(200).json()["data"].as_array().expect("a list").len();
        if left == 20 && list == 1 {
            untouched += 1;
            // A commit that was given up may have come through meanwhile.
            let deleted = chat::delete_room(&app.app, ada.user, id).await;
            assert!(matches!(deleted, Ok(()) | Err(RoomError::NoSuchRoom)), "{deleted:?}");
        } else {
            halves += usize::from((1..20).contains(&left));
            assert_eq!(list, 0, "{left} messages are left");
            ada.get(&format!("/chatroom/{room}")).await.expect(404);
            ada.get(&format!("/chatroom/{room}/messages")).await.expect(404);
            ada.say(&room, "still there?").await.expect(404);
        }
        retention::sweep(&app.app).await.expect("a sweep");
        assert_eq!(app.count("select count(*) from messages").await, 0);
        assert_eq!(app.count("select count(*) from chatrooms").await, 0);
        if whole.is_ok_and(|deleted| deleted.is_ok()) {
            break;
        }
        micros = 200 + micros * 4 / 3;
    }
    assert!(untouched > 0 && halves > 0, "{untouched} not begun, {halves} cut in the middle");
}
