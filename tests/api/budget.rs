//! Tokens: kept per user and day whatever came of the answer, and held against the whole deployment's budget.

use std::time::Duration;

use gemini_backend::auth::Plan;
use gemini_backend::ids::UserId;
use gemini_backend::sandbox::gemini::{End, Rule, UsageAt, count_tokens};
use gemini_backend::{execute, fetch_optional, store, transaction};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp};

#[tokio::test]
async fn a_spent_budget_refuses_everybody_until_the_next_day() {
    let app = TestApp::with(|settings| settings.gemini.daily_token_budget = Some(50)).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    bob.set_plan(Plan::Pro).await;
    let (room, his) = (ada.new_room().await, bob.new_room().await);
    app.gemini.script(Rule::words(100));
    assert_eq!(ada.hears(&room, "talk").await["status"], "complete", "what has begun is finished");
    for (person, room) in [(&ada, &room), (&bob, &his)] {
        let refused = person.say(room, "and me?").await.expect(503);
        assert_eq!(refused.code(), "budget_exhausted");
        let seconds: u64 = refused.header("retry-after").expect("a header").parse().expect("seconds");
        assert!((50_400..=50_401).contains(&seconds), "until midnight: {seconds}");
    }
    assert_eq!((ada.prompts_used().await, bob.prompts_used().await), (1, 0));
    assert_eq!(app.count("select count(*) from messages").await, 2);
    bob.new_room().await;
    app.advance_to_midnight();
    assert_eq!(bob.at(&app).hears(&his, "and me?").await["status"], "complete");
}

#[tokio::test]
async fn what_waits_when_the_budget_is_spent_is_given_back_unasked() {
    let app = TestApp::idle(|settings| {
        settings.gemini.daily_token_budget = Some(50);
        settings.worker.concurrency = 1;
    })
    .await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    app.gemini.script(Rule::words(100).always());
    let mut waiting = Vec::new();
    for person in [&ada, &bob, &ada] {
        let room = person.new_room().await;
        let reply = person.asks(&room, "talk").await;
        waiting.push((person, room, reply));
    }
    app.work();
    app.settle().await;
    let mut fates = Vec::new();
    for (person, room, reply) in &waiting {
        let reply = person.message(room, reply).await;
        assert_eq!(charged(&reply), Some(reply["status"] == "complete"));
        fates.push(fate(&reply).1.to_owned());
    }
    fates.sort_unstable();
    assert_eq!(fates, ["", "budget_exhausted", "budget_exhausted"]);
    assert_eq!(app.questions().len(), 1);
    assert_eq!(ada.prompts_used().await + bob.prompts_used().await, 1);
    app.advance_to_midnight();
    let (person, room, _) = &waiting[1];
    assert_eq!(person.at(&app).hears(room, "and today?").await["status"], "complete");
}

/// Tokens that another process has counted for somebody else.
async fn spend_elsewhere(app: &TestApp, people: usize, tokens_each: i64) {
    let day = app.clock.now().day();
    let spent = transaction!(app.app.store, |tx| {
        for _ in 0..people {
            execute!(
                tx,
                "insert into token_days (user_id, day, replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens)
                 values ($1, $2, 1, 0, $3, 0, $3)",
                UserId::new(app.clock.now()),
                &day,
                tokens_each
            )?;
        }
        Ok::<_, store::Error>(())
    });
    spent.expect("the database takes them");
}

#[tokio::test]
async fn of_many_people_the_sum_counts_and_is_not_made_anew_for_every_question() {
    let app = TestApp::with(|settings| settings.gemini.daily_token_budget = Some(10_000)).await;
    spend_elsewhere(&app, 1_000, 9).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(1));
    assert_eq!(ada.hears(&room, "one").await["status"], "complete");
    // Another process spends the rest. For a second it is not known here, which costs an answer more and no sum.
    spend_elsewhere(&app, 1, 1_000).await;
    app.gemini.script(Rule::words(1));
    assert_eq!(ada.hears(&room, "two").await["status"], "complete");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.say(&room, "three").await.expect(503).code(), "budget_exhausted");
}

#[tokio::test]
async fn a_budget_of_nothing_spends_nothing() {
    let app = TestApp::with(|settings| settings.gemini.daily_token_budget = Some(0)).await;
    let ada = app.sign_up().await;
    assert_eq!(ada.say(&ada.new_room().await, "hi").await.expect(503).code(), "budget_exhausted");
    assert_eq!(app.questions().len(), 0);
}

/// Answers and their tokens of a day: prompt, completion, thoughts, total.
async fn kept(person: &Person<'_>, day: &'static str) -> Option<(i64, i64, i64, i64, i64)> {
    let mut reader = person.app.app.store.read().await.expect("a connection");
    let sql = "select replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens from token_days
               where user_id = $1 and day = $2";
    fetch_optional!(&mut reader, (i64, i64, i64, i64, i64), sql, person.user, day).expect("the tokens")
}

fn usage(reply: &Value) -> (i64, i64, i64, i64) {
    let count = |name: &str| reply["usage"][name].as_i64().expect("a count");
    (count("prompt_tokens"), count("completion_tokens"), count("thought_tokens"), count("total_tokens"))
}

#[tokio::test]
async fn tokens_are_kept_for_each_user_and_day() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(3).thoughts("let me see"));
    let first = usage(&ada.hears(&room, "hello").await);
    assert!(first.2 > 0 && first.3 == first.0 + first.1 + first.2, "{first:?}");
    assert_eq!(first.1, count_tokens("word1 word2 word3 ").cast_signed());
    assert_eq!(kept(&ada, "2026-11-21").await, Some((1, first.0, first.1, first.2, first.3)));
    app.gemini.script(Rule::words(5).usage(UsageAt::Last));
    let second = usage(&ada.hears(&room, "more").await);
    let both = (2, first.0 + second.0, first.1 + second.1, first.2 + second.2, first.3 + second.3);
    assert_eq!(kept(&ada, "2026-11-21").await, Some(both));
    app.gemini.script(Rule::words(5).usage(UsageAt::Never));
    let reply = ada.hears(&room, "uncounted").await;
    assert_eq!((reply["status"].as_str(), reply.get("usage")), (Some("complete"), None));
    assert_eq!(kept(&ada, "2026-11-21").await, Some(both));
    assert_eq!(kept(&bob, "2026-11-21").await, None);

    app.advance_to_midnight();
    let third = usage(&ada.at(&app).hears(&room, "a new day").await);
    assert_eq!(kept(&ada, "2026-11-22").await, Some((1, third.0, third.1, third.2, third.3)));
    assert_eq!(kept(&ada, "2026-11-21").await, Some(both));
}

#[tokio::test]
async fn tokens_of_answers_that_came_to_nothing_count_too() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(9).end(2, End::Cut));
    app.gemini.script(Rule::words(1));
    let reply = ada.hears(&room, "hello").await;
    let cut = kept(&ada, "2026-11-21").await.expect("the cut answer counts");
    assert_eq!((cut.0, cut.2), (1, count_tokens("word1 word2 ").cast_signed()));
    app.clock.advance(Duration::from_secs(2));
    app.settle().await;
    let reply = usage(&ada.message(&room, reply["id"].as_str().expect("an id")).await);
    let both = (2, cut.1 + reply.0, cut.2 + reply.1, cut.3 + reply.2, cut.4 + reply.3);
    assert_eq!(kept(&ada, "2026-11-21").await, Some(both));

    app.gemini.script(Rule::words(0).thoughts("all of it").finish(0, "MAX_TOKENS"));
    let failed = ada.hears(&room, "hello").await;
    assert_eq!((fate(&failed).0, &failed["prompt"]["charged"]), ("failed", &json!(false)));
    let all = kept(&ada, "2026-11-21").await.expect("a row");
    assert_eq!((all.0, all.4), (3, both.4 + usage(&failed).3), "the operator pays for it all the same");
}
