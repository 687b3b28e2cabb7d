//! An account's end by its own person: nothing of them is left, in any table.

use std::time::Duration;

use gemini_backend::sandbox::gemini::Rule;
use gemini_backend::sandbox::stripe::{Fault, Rule as StripeRule};
use gemini_backend::store::Store;
use gemini_backend::{account, execute, jobs, retention, transaction};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::auth::other_than;
use crate::harness::files::png;
use crate::harness::shop::event;
use crate::harness::{Person, TestApp};

/// Every place of the database in which one of the words stands: table, column and how often; hidden tables of the index
/// too. Ids are looked for as the engine keeps them.
pub(crate) async fn traces(app: &TestApp, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (table, column) in columns(app).await {
        for word in words {
            let id = uuid::Uuid::parse_str(word).map_or_else(|_| hex::encode(word), |id| id.simple().to_string());
            let count = match &app.app.store {
                Store::Sqlite { readers, .. } => {
                    let sql = format!(
                        "select count(*) from \"{table}\" where instr(cast(\"{column}\" as blob), cast($1 as blob)) > 0
                         or instr(lower(hex(\"{column}\")), $2) > 0"
                    );
                    sqlx::query(AssertSqlSafe(sql))
                        .bind(word)
                        .bind(&id)
                        .fetch_one(readers)
                        .await
                        .expect("counted")
                        .get(0)
                }
                Store::Postgres(pool) => {
                    let sql = format!("select count(*) from \"{table}\" where strpos(\"{column}\"::text, $1) > 0");
                    sqlx::query(AssertSqlSafe(sql)).bind(word).fetch_one(pool).await.expect("counted").get::<i64, _>(0)
                }
            };
            if count > 0 {
                found.push(format!("{table}.{column}: {word}, {count} times"));
            }
        }
    }
    found
}

async fn columns(app: &TestApp) -> Vec<(String, String)> {
    let rows: Vec<(String, String)> = match &app.app.store {
        Store::Sqlite { readers, .. } => {
            let sql = "select t.name, c.name from sqlite_master t, pragma_table_info(t.name) c where t.type = 'table'";
            sqlx::query_as(sql).fetch_all(readers).await.expect("the columns")
        }
        Store::Postgres(pool) => {
            let sql = "select table_name::text, column_name::text from information_schema.columns
                       where table_schema = 'public'";
            sqlx::query_as(sql).fetch_all(pool).await.expect("the columns")
        }
    };
    assert!(rows.len() > 100, "{rows:?}");
    rows
}

/// What leads to a person, as it may stand in a row.
async fn marks(person: &Person<'_>) -> Vec<String> {
    let mobile = person.get("/user/me").await.expect(200).json()["mobile"].as_str().expect("a number").to_owned();
    vec![person.id.clone(), person.session.to_string(), mobile, "zygomorphic".to_owned(), "quixotry".to_owned()]
}

const NUMBER: &str = "+919876543210";

/// Somebody with a number that codes can be sent to.
async fn sign_up(app: &TestApp) -> Person<'_> {
    let person = app.sign_up().await;
    let given = transaction!(app.app.store, |tx| {
        execute!(tx, "update users set mobile = $2 where id = $1", person.user, NUMBER)
    });
    assert_eq!(given.map_err(|cause: gemini_backend::store::Error| cause.to_string()), Ok(1));
    person
}

/// A picture with the person's own words in it.
fn file() -> Vec<u8> {
    [png(100), b"zygomorphic".to_vec()].concat()
}

/// The files in the folder in which a person's words stand.
fn traces_in_files(app: &TestApp) -> usize {
    let has_trace = |content: Vec<u8>| content.windows(11).any(|words| words == b"zygomorphic");
    app.objects().into_iter().filter(|path| has_trace(std::fs::read(path).expect("a file"))).count()
}

/// Somebody who has left a trace everywhere, and whom Stripe knows.
async fn lives(app: &TestApp, ada: &Person<'_>) -> String {
    let room =
        ada.post("/chatroom", json!({"name": "zygomorphic", "system_instruction": "quixotry"})).await.expect(201);
    let room = room.json()["id"].as_str().expect("an id").to_owned();
    let call = ada.call("POST", &format!("/chatroom/{room}/message")).header("idempotency-key", "zygomorphic");
    app.gemini.script(Rule::say("quixotry of the zygomorphic kind"));
    call.json(&json!({"content": "zygomorphic, if you please"})).send().await.expect(202);
    app.settle().await;
    let (used, unused) =
        (ada.uploads(&room, "zygomorphic.png", &file()).await, ada.uploads(&room, "quixotry", &file()).await);
    assert_ne!(used, unused);
    // Too much for the little that the model is shown here: the message stays, and carries its file.
    let roomy = app.reset(|settings| settings.gemini.context_max_tokens = 32_000).await;
    ada.at(&roomy).say_with(&room, "with a file", &[&used]).await.expect(202);
    // Another process's bell is not heard here.
    app.app.live.ring_for_jobs();
    app.settle().await;
    let deleted = ada.new_room().await;
    ada.uploads(&deleted, "zygomorphic", &file()).await;
    ada.hears(&deleted, "quixotry").await;
    // Long enough to be summed up.
    for _ in 0..8 {
        ada.hears(&room, &"zygomorphic quixotry ".repeat(9)).await;
    }
    assert!(app.count("select count(*) from summaries").await > 0);
    ada.delete(&format!("/chatroom/{deleted}")).await.expect(204);
    assert!(ada.get("/search?q=zygo").await.expect(200).json()["data"].as_array().is_some_and(|found| found.len() > 2));
    ada.buys().await;
    room
}

#[tokio::test]
async fn nothing_is_left_of_somebody_who_goes_while_stripe_is_down() {
    let app = TestApp::selling_with(|settings| {
        settings.gemini.context_summary = true;
        settings.gemini.context_max_tokens = 300;
        settings.gemini.chatroom_titles = true;
        settings.quota.basic_daily_prompts = 1000;
    })
    .await;
    let (ada, bob) = (sign_up(&app).await, app.sign_up().await);
    let others = bob.new_room().await;
    bob.hears(&others, "zygotes").await;
    bob.uploads(&others, "bob.png", &png(100)).await;
    let room = lives(&app, &ada).await;
    let (customer, sub) = (ada.customer().await, ada.subscriptions().await.remove(0));
    let words = [marks(&ada).await, vec![customer.clone(), sub.clone(), room.clone()]].concat();
    let otp = app.code(NUMBER, "confirm").await;
    assert!(traces(&app, &words).await.len() > 20);
    assert_eq!(traces_in_files(&app), 2);

    // One answer is being written.
    app.gemini.script(Rule::words(5).hold(2));
    let reply = ada.asks(&room, "zygomorphic once more").await;
    app.until_held(1).await;
    app.shop().script(StripeRule::on("DELETE", "/v1/customers").times(3).refuse(Fault::of(500)));
    let receipt = ada.post("/user/me/delete", json!({"otp": otp})).await.expect(202).json();
    assert!(receipt["completed_at"].is_string(), "{receipt}");
    let erased = &receipt["erased"];
    assert_eq!((&erased["chatrooms"], &erased["messages"]), (&json!(1), &json!(22)), "{receipt}");
    assert_eq!(erased["attachments"], 2, "{receipt}");
    assert_eq!(app.objects().len(), 1, "another's file stays");
    assert_eq!((&erased["sessions"], &erased["subscriptions"]), (&json!(1), &json!(1)), "{receipt}");
    assert_eq!(ada.post("/user/me/delete", json!({"otp": "123456"})).await.expect(401).code(), "session_ended");

    // Only what is still to be said to Stripe names them, and that to Stripe alone.
    let left = traces(&app, &words).await;
    assert!(left.iter().all(|trace| trace.starts_with("jobs.payload: cus_")), "{left:#?}");
    app.gemini.release();
    app.live(Duration::from_mins(1)).await;
    app.live(Duration::from_mins(1)).await;
    assert_eq!(app.shop().subscription(&sub).expect("it is there")["status"], "canceled");
    assert_eq!(app.app.live.read(reply.parse().expect("an id")), None);
    let late = event("evt_late", "customer.subscription.updated", json!({"id": sub, "customer": customer}));
    app.webhook(&late).await.expect(200);
    app.hear().await;
    assert_eq!(traces(&app, &words).await, Vec::<String>::new());
    assert_eq!(app.count("select count(*) from messages").await, 2, "another's stay");
    assert_eq!(bob.at(&app).get("/search?q=zyg").await.expect(200).json()["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_wrong_proof_changes_nothing() {
    let app = TestApp::start().await;
    let ada = sign_up(&app).await;
    let room = ada.new_room().await;
    let delete = async |body: Value| ada.post("/user/me/delete", body).await;
    assert_eq!(delete(json!({})).await.expect(422).json()["errors"][0]["field"], "password");
    assert_eq!(delete(json!({"password": "not the one"})).await.expect(401).code(), "bad_credentials");
    let otp = app.code(NUMBER, "confirm").await;
    assert_eq!(delete(json!({"otp": other_than(&otp)})).await.expect(401).code(), "otp_invalid");
    let login = app.code(NUMBER, "login").await;
    if login != otp {
        assert_eq!(delete(json!({"otp": login})).await.expect(401).code(), "otp_invalid");
    }
    ada.get(&format!("/chatroom/{room}")).await.expect(200);
    delete(json!({"otp": otp})).await.expect(202);
    assert_eq!(app.count("select count(*) from users").await, 0);
}

#[tokio::test]
async fn what_a_dead_process_began_to_erase_is_erased_by_another() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.hears(&room, "zygomorphic").await;
    let words = marks(&ada).await;
    // As it stands behind the first transaction.
    let now = app.clock.now();
    let promised = transaction!(app.app.store, |tx| {
        execute!(tx, "update users set suspended_at = $2 where id = $1", ada.user, now)?;
        let job = jobs::Job::EraseUser { user: ada.user };
        jobs::keep_house(tx, gemini_backend::ids::JobId(ada.user.0), &job, now).await
    });
    promised.expect("the job is there");
    app.app.live.ring_for_jobs();
    app.settle().await;
    assert_eq!(traces(&app, &words).await, Vec::<String>::new());
    assert!(matches!(account::erase(&app.app, ada.user).await, Err(account::EraseError::NoSuchUser)));
    retention::sweep(&app.app).await.expect("a sweep");
}
