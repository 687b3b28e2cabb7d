//! The client against the sandbox: what goes wrong, and how it is judged.

use std::time::{Duration, Instant};

use gemini_backend::clock::Moment;
use gemini_backend::gemini::{BlockReason, Client, Error, FinishReason, Timeouts, Waited};
use gemini_backend::sandbox::gemini::{End, Ended, Fault, Options, Rule};
use tokio_util::sync::CancellationToken;

use crate::{ask, client_of, hear, patient, settings, start, start_with};

const NOW: Moment = Moment::from_millis(1_795_258_020_000); // 2026-11-21T10:47:00Z

#[tokio::test]
async fn limits_are_waited_out_as_they_ask() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for (fault, code, wait) in [
        (Fault::of(429).retry("38s"), "upstream_rate_limited", "2026-11-21T10:47:38.000Z"),
        (Fault::of(429).quota("PerMinute"), "upstream_rate_limited", "2026-11-21T10:48:00.000Z"),
        (Fault::of(429).quota("PerDay").retry("5s"), "upstream_quota_exhausted", "2026-11-22T08:00:00.000Z"),
        (Fault::of(503).retry_after("9"), "upstream_unavailable", "2026-11-21T10:47:09.000Z"),
    ] {
        sandbox.script(Rule::refuse(fault.clone()));
        let heard = hear(&client, &ask("hi")).await;
        let error = heard.error();
        assert_eq!((error.code(), error.is_passing()), (code, true), "{fault:?}");
        assert_eq!(error.not_before(NOW).map(|at| at.to_string()).as_deref(), Some(wait), "{fault:?}");
        assert_eq!(error.is_overload(), matches!(fault.status, 429 | 503));
        assert_eq!(error.is_gone(), fault.status == 404);
    }
    assert_eq!(hear(&client, &ask("hi")).await.outcome().finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn each_status_is_passing_or_not() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for (status, code, passing) in [
        (400, "upstream_rejected", false),
        (401, "bad_key", false),
        (403, "bad_key", false),
        (404, "model_not_found", false),
        (408, "upstream_unavailable", true),
        (429, "upstream_rate_limited", true),
        (500, "upstream_unavailable", true),
        (502, "upstream_unavailable", true),
        (503, "upstream_unavailable", true),
        (504, "upstream_unavailable", true),
    ] {
        for array in [false, true] {
            sandbox.script(Rule::refuse(Fault { array, ..Fault::of(status).message("key AIzaSyTest is bad") }));
            let heard = hear(&client, &ask("hi")).await;
            let error = heard.error();
            assert_eq!((error.code(), error.is_passing(), error.not_before(NOW)), (code, passing, None), "{status}");
            let shown = format!("{error} {error:?} {}", error.message());
            assert!(shown.contains("key [key] is bad") && !shown.contains("AIza"), "{shown}");
        }
    }
    let raw = Fault { raw: Some("<html>AIzaSyTest</html>".to_owned()), ..Fault::of(502) };
    sandbox.script(Rule::refuse(raw));
    assert_eq!(hear(&client, &ask("hi")).await.error().code(), "upstream_unavailable");
}

#[tokio::test]
async fn a_blocked_prompt_is_final() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for (word, reason, code) in [
        ("SAFETY", BlockReason::Safety, "blocked_safety"),
        ("OTHER", BlockReason::Other, "blocked_other"),
        ("BLOCKLIST", BlockReason::Blocklist, "blocked_blocklist"),
        ("PROHIBITED_CONTENT", BlockReason::ProhibitedContent, "blocked_prohibited_content"),
        ("IMAGE_SAFETY", BlockReason::ImageSafety, "blocked_image_safety"),
        ("SOMETHING_NEW", BlockReason::Other, "blocked_other"),
    ] {
        sandbox.script(Rule::block(word).times(2));
        let heard = hear(&client, &ask("hi")).await;
        assert_eq!(heard.error(), &Error::Blocked(reason));
        assert_eq!((heard.error().code(), heard.error().is_passing(), heard.text.as_str()), (code, false, ""));
        assert_eq!(client.generate(&ask("hi"), "r.1").await, Err(Error::Blocked(reason)));
    }
    assert!(sandbox.journal().iter().all(|entry| entry.end == Ended::Blocked));
}

#[tokio::test]
async fn an_answer_without_a_finish_reason_is_cut() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for end in [End::Cut, End::Silent] {
        sandbox.script(Rule::words(9).end(4, end.clone()));
        let heard = hear(&client, &ask("hi")).await;
        assert_eq!(heard.text, "word1 word2 word3 word4 ", "{end:?}");
        assert!(matches!(heard.error(), Error::Cut(_)), "{:?}", heard.end);
        assert_eq!((heard.error().code(), heard.error().is_passing()), ("upstream_cut", true));
        let entry = sandbox.journal().pop().expect("an entry");
        assert_eq!((entry.end, entry.text), (Ended::Cut, heard.text));
        sandbox.script(Rule::words(9).end(4, end));
        assert!(matches!(client.generate(&ask("hi"), "r.1").await, Err(Error::Cut(_))));
    }
}

#[tokio::test]
async fn an_error_in_the_middle_is_that_error() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let fault = Fault::of(429).retry("2s");
    for end in [End::Error(fault.clone()), End::BareError(fault.clone())] {
        for after in [0, 2] {
            sandbox.script(Rule::words(9).end(after, end.clone()));
            let heard = hear(&client, &ask("hi")).await;
            assert_eq!(heard.pieces, after);
            assert_eq!((heard.error().code(), heard.error().is_passing()), ("upstream_rate_limited", true), "{end:?}");
            assert_eq!(heard.error().not_before(NOW), Some(NOW.plus(Duration::from_secs(2))));
        }
    }
    let array = End::BareError(Fault { array: true, ..Fault::of(500) });
    sandbox.script(Rule::words(9).end(2, array));
    assert_eq!(hear(&client, &ask("hi")).await.error().code(), "upstream_unavailable");
    assert!(sandbox.journal().iter().all(|entry| entry.end == Ended::Failed));
}

#[tokio::test]
async fn an_answer_may_end_early_or_empty_and_says_why() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for (after, word, reason) in [
        (3, "SAFETY", FinishReason::Safety),
        (0, "MAX_TOKENS", FinishReason::MaxTokens),
        (1, "RECITATION", FinishReason::Recitation),
        (2, "A_WORD_OF_TOMORROW", FinishReason::Other),
    ] {
        sandbox.script(Rule { finish_message: Some("so it is".to_owned()), ..Rule::words(9).finish(after, word) });
        let heard = hear(&client, &ask("hi")).await;
        assert_eq!((heard.outcome().finish_reason, heard.pieces), (reason, after), "{word}");
        assert_eq!(heard.outcome().finish_message.as_deref(), Some("so it is"));
    }
    let mut request = ask("tell me a long story about the sea");
    request.max_output_tokens = Some(5);
    let heard = hear(&client, &request).await;
    assert_eq!(heard.outcome().finish_reason, FinishReason::MaxTokens);
    assert!(heard.outcome().usage.is_some_and(|usage| usage.completion <= 5) && !heard.text.is_empty());
    sandbox.script(Rule { finish_with_text: true, bare_newlines: true, ..Rule::say("all in one") });
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!((heard.text.as_str(), heard.outcome().finish_reason), ("all in one", FinishReason::Stop));
}

#[tokio::test]
async fn nuls_are_dropped() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    sandbox.script(Rule::chunks(["a\0b", "\0", "", "c\0"]));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!((heard.text.as_str(), heard.pieces), ("abc", 2));
    assert_eq!(sandbox.journal()[0].text, "a\0b\0c\0");
}

#[tokio::test]
async fn a_huge_answer_comes_whole() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    sandbox.script(Rule::words(60_000));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!(heard.outcome().finish_reason, FinishReason::Stop);
    assert_eq!(heard.text, sandbox.journal()[0].text);
    assert!(heard.text.ends_with("word59999 word60000 "));
    sandbox.script(Rule::chunks(["x".repeat(5_000_000)]));
    assert_eq!(hear(&client, &ask("hi")).await.text.len(), 5_000_000);
}

/// Short enough to be reached: each of them is reached in a test of its own.
fn hasty() -> Timeouts {
    Timeouts { first_byte: Duration::from_millis(150), idle: Duration::from_millis(150), ..patient() }
}

#[tokio::test]
async fn silence_is_given_up_on() {
    let sandbox = start().await;
    let limits = hasty();
    let client = Client::with_timeouts(&settings(&sandbox.base_url(), Some("k")), limits.clone()).expect("a client");
    let began = Instant::now();
    sandbox.script(Rule::words(9).end(0, End::Hang));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!(heard.error(), &Error::TimedOut(Waited::FirstByte(limits.first_byte)));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    sandbox.script(Rule::words(9).end(3, End::Hang));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!((heard.pieces, heard.error()), (3, &Error::TimedOut(Waited::Idle(limits.idle))));
    assert_eq!((heard.error().code(), heard.error().is_passing()), ("upstream_timeout", true));
    // It hung up both times.
    sandbox.wait_until(|entries| entries.iter().all(|entry| entry.end == Ended::Aborted)).await;
}

#[tokio::test]
async fn asking_again_and_again_does_not_push_the_limit_off() {
    let sandbox = start().await;
    let client = Client::with_timeouts(&settings(&sandbox.base_url(), Some("k")), hasty()).expect("a client");
    sandbox.script(Rule::words(9).end(1, End::Hang));
    let mut stream = client.stream(&ask("hi"), "r.1").await.expect("a stream");
    stream.next().await.expect("a word");
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..500 {
        tokio::select! {
            biased;
            event = stream.next() => {
                assert_eq!(event, Err(Error::TimedOut(Waited::Idle(hasty().idle))));
                return;
            }
            _ = ticks.tick() => {}
        }
    }
    panic!("it was never given up on");
}

#[tokio::test]
async fn a_slow_answer_is_not_an_idle_one() {
    let sandbox = start().await;
    let limits = Timeouts { idle: Duration::from_secs(2), ..patient() };
    let client = Client::with_timeouts(&settings(&sandbox.base_url(), Some("k")), limits).expect("a client");
    sandbox.script(Rule::words(100).pace(Duration::ZERO, Duration::from_millis(25)));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!((heard.pieces, heard.outcome().finish_reason), (100, FinishReason::Stop));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up_on() {
    let sandbox = start().await;
    let limits = Timeouts { whole: Duration::from_millis(200), ..patient() };
    let client = Client::with_timeouts(&settings(&sandbox.base_url(), Some("k")), limits.clone()).expect("a client");
    sandbox.script(Rule::words(100_000).pace(Duration::ZERO, Duration::from_millis(5)));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!(heard.error(), &Error::TimedOut(Waited::Whole(limits.whole)));
    assert!(heard.pieces > 2, "{} pieces", heard.pieces);
}

#[tokio::test]
async fn a_server_that_is_away_is_a_passing_fault() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let heard = hear(&client_of(&format!("http://{nobody}")), &ask("hi")).await;
    assert!(matches!(heard.error(), Error::Unreachable(_)), "{:?}", heard.end);
    assert_eq!((heard.error().code(), heard.error().is_passing()), ("upstream_unavailable", true));
}

#[tokio::test]
async fn a_sandbox_that_stops_cuts_what_is_open() {
    let stop = CancellationToken::new();
    let any = "127.0.0.1:0".parse().expect("an address");
    let sandbox = gemini_backend::sandbox::gemini::start(any, Options::default(), stop.clone()).await.expect("a port");
    sandbox.script(Rule::words(9).hold(3));
    let client = client_of(&sandbox.base_url());
    let request = ask("hi");
    let (heard, ()) = tokio::join!(hear(&client, &request), async {
        sandbox.wait_until(|entries| entries.iter().any(|entry| entry.end == Ended::Held)).await;
        stop.cancel();
    });
    assert_eq!((heard.pieces, heard.error().code()), (3, "upstream_cut"));
    drop(client);
    sandbox.stopped().await;
}

#[tokio::test]
async fn words_in_a_prompt_are_obeyed() {
    let sandbox = start_with(Options { word: Duration::ZERO, ..Options::by_hand() }).await;
    let client = client_of(&sandbox.base_url());
    let code = async |words: &str| hear(&client, &ask(&format!("please {words} now"))).await.error().code();
    assert_eq!(code("[[sandbox:429 retry=38s]]").await, "upstream_rate_limited");
    assert_eq!(code("[[sandbox:429 quota=PerDay]]").await, "upstream_quota_exhausted");
    assert_eq!(code("[[sandbox:500]]").await, "upstream_unavailable");
    assert_eq!(code("[[sandbox:cut after=2]]").await, "upstream_cut");
    assert_eq!(code("[[sandbox:silent after=2]]").await, "upstream_cut");
    assert_eq!(code("[[sandbox:block BLOCKLIST]]").await, "blocked_blocklist");
    assert_eq!(code("[[sandbox:error 503 after=2]]").await, "upstream_unavailable");
    assert_eq!(code("[[sandbox:error 429 bare after=2]]").await, "upstream_rate_limited");
    assert_eq!(code("[[sandbox:nonsense]]").await, "upstream_rejected");
    assert_eq!(code("[[sandbox:cut after=soon]]").await, "upstream_rejected");
    let heard =
        hear(&client, &ask("[[sandbox:say exactly this, cut after=2]] [[sandbox:finish SAFETY after=2]]")).await;
    assert_eq!((heard.text.as_str(), heard.outcome().finish_reason), ("exactly this, ", FinishReason::Safety));
    let heard = hear(&client, &ask("[[sandbox:words 3]][[sandbox:thoughts]]")).await;
    assert_eq!((heard.text.as_str(), heard.thoughts.is_empty()), ("word1 word2 word3 ", false));
    assert!(hear(&client, &ask("[[sandbox:nul]]")).await.text.starts_with("word1 word2 "));
    let twice = ask("[[sandbox:503 times=2]] What is my name?");
    assert!(hear(&client, &twice).await.error().is_passing());
    assert!(hear(&client, &twice).await.error().is_passing());
    assert_eq!(hear(&client, &twice).await.text, "You have not told me your name yet.");
}
