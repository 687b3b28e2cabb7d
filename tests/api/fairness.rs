//! Whose turn it is, seen in the order in which the sandbox was asked.

use futures_util::future::join_all;
use gemini_backend::auth::Plan;
use gemini_backend::sandbox::gemini::{Entry, Rule};

use crate::harness::{TestApp, until};

/// Who asked.
fn name(question: &Entry) -> String {
    let text = question.body["contents"][0]["parts"][0]["text"].as_str().expect("a text");
    text.split(' ').next().expect("a name").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_next_or_next_but_one_however_much_another_has_queued() {
    let mut app = TestApp::idle(|settings| {
        settings.worker.concurrency = 1;
        settings.quota.basic_daily_prompts = 1000;
    })
    .await;
    app.may_leave_jobs();
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    ada.fill_rooms(500, |number| format!("ada {number}")).await;
    app.gemini.script(Rule::words(1).hold(0).always());
    app.work();
    let next = async |count: usize| {
        let asked = async || Some(app.questions()).filter(|questions| questions.len() > count);
        let questions = until("the next is asked", asked).await;
        app.until_held(1).await;
        questions.iter().map(name).collect::<Vec<_>>()
    };
    for served in 0..7 {
        assert!(next(served).await.iter().all(|name| name == "ada"));
        app.gemini.release();
    }
    next(7).await;
    let room = bob.new_room().await;
    let reply = bob.asks(&room, "bob").await;
    app.gemini.release();
    next(8).await;
    app.gemini.release();
    let names = next(9).await;
    assert!(names[8..10].contains(&"bob".to_owned()), "{names:?}");
    app.gemini.clear_script();
    app.gemini.release();
    bob.watches(&room, &reply, |reply| reply["status"] == "complete").await;
    app.app.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pro_saturated_one_claim_in_five_is_basics() {
    let app = TestApp::idle(|settings| {
        settings.worker.concurrency = 1;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let people = join_all((0..7).map(|_| app.sign_up())).await;
    let (basic, pros) = people.split_first().expect("seven people");
    join_all(pros.iter().map(async |pro| {
        pro.set_plan(Plan::Pro).await;
        pro.fill_rooms(8, |number| format!("pro {number}")).await;
    }))
    .await;
    basic.fill_rooms(8, |number| format!("basic {number}")).await;
    app.work();
    app.settle().await;
    let names: Vec<_> = app.questions().iter().map(name).collect();
    assert_eq!(names.len(), 56);
    let last = names.iter().rposition(|name| name == "basic").expect("basic was served");
    for window in names[..=last].windows(5) {
        assert!(window.iter().any(|name| name == "basic"), "five in a row without basic: {names:?}");
    }
    assert!(names[..last].iter().filter(|name| *name == "pro").count() >= 3 * 7, "Pro keeps its greater share");
}

/// The most answers of each person that were written at the same time.
fn most_at_once(questions: &[Entry]) -> Vec<(String, usize)> {
    let mut names: Vec<_> = questions.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    let at_once = |name_of: &String| {
        let theirs: Vec<_> = questions.iter().filter(|question| name(question) == *name_of).collect();
        let during = |moment: u64| {
            let open = |question: &&&Entry| {
                question.received_us <= moment && question.ended_us.is_none_or(|ended| moment < ended)
            };
            theirs.iter().filter(open).count()
        };
        theirs.iter().map(|question| during(question.received_us)).max().unwrap_or(0)
    };
    names.iter().map(|name| (name.clone(), at_once(name))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_more_replies_at_once_than_their_plan_gives() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let millisecond = std::time::Duration::from_millis(1);
    app.gemini.script(Rule::words(2).hold(1).times(14));
    app.gemini.script(Rule::words(8).pace(millisecond, millisecond).always());
    let people = join_all((0..4).map(|_| app.sign_up())).await;
    people[2].set_plan(Plan::Pro).await;
    people[3].set_plan(Plan::Pro).await;
    join_all(people.iter().zip(["b1", "b2", "p1", "p2"]).map(async |(person, name)| {
        person.fill_rooms(15, |number| format!("{name} {number}")).await;
    }))
    .await;
    app.until_held(14).await;
    app.gemini.release();
    app.settle().await;
    let most = most_at_once(&app.questions());
    let limits = [("b1", 2), ("b2", 2), ("p1", 5), ("p2", 5)];
    assert_eq!(most, limits.map(|(name, limit)| (name.to_owned(), limit)), "as many as allowed, and never more");
}

#[tokio::test]
async fn a_new_plan_brings_its_replies_at_once() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::words(2).hold(1).always());
    ada.fill_rooms(7, |number| format!("ada {number}")).await;
    app.until_held(2).await;
    ada.set_plan(Plan::Pro).await;
    // A new message rings; without one the queue is looked at once a second.
    ada.ask(&ada.new_room().await, "ada").await;
    app.until_held(5).await;
    app.gemini.clear_script();
    app.gemini.release();
    app.settle().await;
    assert_eq!(app.questions().len(), 8);
}

#[tokio::test]
async fn the_worker_keeps_the_floor_that_newcomers_start_from() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    for text in ["one", "two", "three"] {
        ada.hears(&room, text).await;
    }
    let floor = async || Some(app.count("select vtime from queue_floor").await).filter(|floor| *floor > 0);
    let floor = until("the floor is kept", floor).await;
    bob.hears(&bob.new_room().await, "me too").await;
    let newest = "select vtime from queue_users order by user_id desc limit 1";
    assert!(app.count(newest).await >= floor + 1000, "bob began no lower than the floor");
}
