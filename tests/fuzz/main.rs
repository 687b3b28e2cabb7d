//! Every operation of the OpenAPI document with a valid request and one thing wrong in it, signed in and out: never a
//! 500, never a hang, every answer as the document declares it, and what is refused has stored nothing. Among them are
//! some with nothing wrong, so that the others are known to differ from what would be taken in.
//!
//! `cargo test --test fuzz -- --cases 5000 --seed 7 --only "post /chatroom"`; the seed is printed, and the same seed
//! makes the same requests.

#[path = "../api/harness/mod.rs"]
mod harness;
mod mutation;
#[allow(dead_code, reason = "another test needs more of it")]
mod random;
mod request;
mod stage;
mod valid;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use gemini_backend::config::Proxies;
use gemini_backend::fetch_one;
use harness::{Answer, TestApp, document};
use random::Random;
use request::{Operation, Request};
use stage::Stage;

/// Of so many requests two have nothing wrong, one signed in and one not; `--cases` counts the others.
const ROUND: u64 = 22;
/// After this many failures of one operation the rest would say the same.
const MOST_FAILURES: usize = 5;

struct Options {
    cases: u64,
    seed: u64,
    only: Option<String>,
}

/// None when cargo looks for the tests of a name that is not ours.
fn options() -> Option<Options> {
    let mut options = Options { cases: 500, seed: Random::any_seed(), only: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--cases" => options.cases = value().parse().expect("--cases takes a number"),
            "--seed" => options.seed = value().parse().expect("--seed takes a number"),
            "--only" => options.only = Some(value()),
            "--list" => return None,
            flag if flag.starts_with('-') => {}
            filter if !"fuzz".contains(filter) => return None,
            _ => {}
        }
    }
    Some(options)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(options) = options() else { return ExitCode::SUCCESS };
    println!("seed {}, {} mutations for each operation, signed in and out", options.seed, options.cases);
    let words: Arc<Mutex<String>> = Arc::default();
    let heard = words.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panic.to_string().clone_into(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
    }));
    let mut failures = 0;
    for operation in request::operations(document()) {
        if options.only.as_ref().is_none_or(|only| *only == operation.name) {
            failures += run(&operation, &options, &words).await;
        }
    }
    println!("{failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All cases of one operation; how many failed.
async fn run(operation: &Operation, options: &Options, words: &Mutex<String>) -> usize {
    let app = TestApp::selling_idle(|settings| {
        settings.quota.basic_daily_prompts = u32::MAX;
        settings.server.trusted_proxies = Proxies::Hops(1);
        settings.auth.allow_otp_in_response = true;
    })
    .await;
    // What Stripe tells by itself would be stored at any time.
    app.block_webhooks();
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    let (mut failures, mut valid) = (0, 0_u64);
    let mut stage = Stage::set(&app, operation).await;
    let mut before = stored(&app).await;
    for case in 0..options.cases.div_ceil(ROUND / 2 - 1) * ROUND {
        let mut random = Random::of(options.seed, &operation.name, case);
        if stage.is_worn(operation) {
            stage = Stage::set(&app, operation).await;
            before = stored(&app).await;
        }
        let request = Request::make(operation, &stage, case % 2 == 0, case % ROUND >= 2, &mut random);
        let outcome = AssertUnwindSafe(judged(&app, operation, &request, before)).catch_unwind().await;
        // Throttles forgive with time, and the clock moves only here.
        app.clock.advance(Duration::from_millis(500));
        if let Ok(answer) = outcome {
            *statuses.entry(answer.status).or_default() += 1;
            valid += u64::from(answer.status < 400 && !request.is_elsewhere);
            stage.wear(answer.status);
            if answer.status < 400 {
                before = stored(&app).await;
            }
            continue;
        }
        failures += 1;
        before = stored(&app).await;
        let words = words.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{} case {case}\n  {request}\n  {words}\n", operation.name);
        if failures == MOST_FAILURES {
            break;
        }
    }
    println!("{:<50} {statuses:?}", operation.name);
    // What operators see takes a token that is set nowhere here.
    let is_reached = valid > 0 || operation.path == "/metrics";
    // A few cases prove nothing.
    if failures == 0 && !is_reached && options.cases >= 100 {
        println!("{}: no valid request was made", operation.name);
        failures = 1;
    }
    failures
}

/// Sends a request and fails unless its answer is right. The harness holds it against the document.
async fn judged(app: &TestApp, operation: &Operation, request: &Request, before: Stored) -> Answer {
    let answer = request.call(app).send().await;
    assert_ne!(answer.status, 500);
    if operation.needs_token && !request.is_signed_in && !request.is_elsewhere {
        assert_eq!(answer.status, 401, "without a good token: {}", String::from_utf8_lossy(&answer.body));
    }
    if answer.status >= 400 {
        assert_eq!(stored(app).await, before, "a refusal stored something");
    }
    answer
}

type Stored = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// How much there is of what a refused request must not touch.
async fn stored(app: &TestApp) -> Stored {
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select (select count(*) from users), (select count(*) from signups), (select count(*) from chatrooms),
        (select count(*) from messages), (select count(*) from jobs), (select count(*) from idempotency_keys),
        (select cast(coalesce(sum(used), 0) as bigint) from prompt_days), (select count(*) from sessions),
        (select cast(coalesce(sum(rooms_rev), 0) as bigint) from users),
        (select cast(coalesce(sum(rev), 0) as bigint) from chatrooms),
        (select cast(coalesce(sum(length(mobile) + length(coalesce(username, '')) + length(coalesce(password_hash, ''))), 0)
                     as bigint) from users),
        (select count(*) from billing_accounts) + (select count(*) from checkouts)
            + (select count(*) from subscriptions) + (select count(*) from stripe_events)
            + (select count(*) from attachments) + (select count(*) from objects_to_delete)";
    fetch_one!(&mut reader, Stored, sql).expect("the rows are counted")
}
