//! What Gemini is asked: the conversation as far as it fits, the newest always, and nothing that was no conversation.
//!
//! The tests read the bodies that the sandbox received.

use gemini_backend::chat::{self, tokens};
use gemini_backend::sandbox::gemini::{End, Fault, KeyPlace, Rule, count_tokens};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::chat::reply_id;
use crate::harness::{Person, TestApp};

/// What our estimate adds for each message: its role and what stands around it.
const AROUND: u64 = 4;

/// The turns of a body: who, and what they said.
fn turns(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let turns = body["contents"].as_array().expect("turns").iter();
    turns.map(|turn| (text(&turn["role"]), text(&turn["parts"][0]["text"]))).collect()
}

fn last_turns(app: &TestApp) -> Vec<(String, String)> {
    turns(&app.questions().last().expect("a question").body)
}

fn said(turns: &[(String, String)]) -> Vec<&str> {
    turns.iter().map(|(_, text)| text.as_str()).collect()
}

/// A new room's id.
async fn room_with(person: &Person<'_>, body: Value) -> String {
    person.post("/chatroom", body).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn gemini_gets_the_conversation_and_nothing_that_was_not_set() {
    let app = TestApp::with(|settings| settings.gemini.max_output_tokens = 300).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("Hello Ada."));
    ada.hears(&room, "My name is Ada.").await;
    let reply = ada.hears(&room, "What is my name?").await;
    assert!(reply["content"].as_str().expect("a text").contains("Ada"), "{reply}");
    let question = app.questions().pop().expect("a question");
    let said = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    let body = json!({
        "contents": [said("user", "My name is Ada."), said("model", "Hello Ada."), said("user", "What is my name?")],
        "generationConfig": {"maxOutputTokens": 300},
        "store": false,
    });
    assert_eq!(question.body, body);
    assert_eq!(question.path, "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse");
    assert_eq!(question.tag, Some(format!("{}.1", reply["id"].as_str().expect("an id"))));
}

#[tokio::test]
async fn the_key_travels_in_a_header_alone() {
    let app = TestApp::with(|settings| settings.gemini.api_key = Some("a-key-of-the-operator".to_owned().into())).await;
    let ada = app.sign_up().await;
    assert_eq!(ada.hears(&ada.new_room().await, "hello").await["status"], "complete");
    for entry in app.gemini.journal() {
        assert_eq!(entry.key, Some(KeyPlace::Header));
        assert!(!entry.path.contains("key") && !entry.body.to_string().contains("a-key"), "{entry:?}");
    }
}

#[tokio::test]
async fn a_room_says_which_model_answers_and_how() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let instruction = json!({"parts": [{"text": "Answer in rhymes."}]});
    let body = json!({"model": "gemini-flash-latest", "system_instruction": "Answer in rhymes."});
    let room = room_with(&ada, body).await;
    assert_eq!(ada.hears(&room, "hello").await["model"], "gemini-flash-latest");
    assert_eq!(app.questions()[0].body["systemInstruction"], instruction);
    let change = json!({"model": null, "system_instruction": "Be brief."});
    ada.patch(&format!("/chatroom/{room}"), change).await.expect(200);
    assert_eq!(ada.hears(&room, "hello again").await["model"], "gemini-3.8-flash");
    let question = app.questions().pop().expect("a question");
    assert_eq!(question.body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    assert_eq!((turns(&question.body).len(), question.model.as_deref()), (3, Some("gemini-3.8-flash")));
    ada.patch(&format!("/chatroom/{room}"), json!({"system_instruction": null})).await.expect(200);
    ada.hears(&room, "and again").await;
    assert_eq!(app.questions().pop().expect("a question").body.get("systemInstruction"), None);
}

/// Our estimate of some messages.
fn estimate<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts.into_iter().map(|text| tokens(text) + AROUND).sum()
}

/// The same as Gemini counts them.
fn counted<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts.into_iter().map(|text| count_tokens(text) + 1).sum()
}

/// Gemini does not count.
fn counts_nothing() -> Rule {
    Rule::refuse(Fault::of(500)).call("countTokens").always()
}

#[tokio::test]
async fn the_newest_turns_that_fit_are_kept_whole() {
    const LIMIT: u64 = 150;
    let app = TestApp::with(|settings| {
        settings.gemini.context_max_tokens = 150;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let instruction = "You are a helpful assistant of few words.";
    for (room, fixed) in [
        (room_with(&ada, json!({})).await, 0),
        (room_with(&ada, json!({"system_instruction": instruction})).await, estimate([instruction])),
    ] {
        let mut conversation: Vec<String> = Vec::new();
        let told = if fixed == 0 { 0 } else { counted([instruction]) };
        let (mut dropped, mut more) = (0, 0);
        for number in 0..16 {
            // Of very different lengths and scripts.
            let question =
                format!("{number} {}", ["word ", "1", "नमस्ते ", "🙂", "好"][number % 5].repeat(1 + number * 7 % 9));
            let answer = format!("{number} {}", "yes ".repeat(1 + number * 5 % 23));
            app.gemini.script(Rule::say(&answer));
            ada.hears(&room, &question).await;
            conversation.push(question);
            let asked = last_turns(&app);
            let kept = said(&asked);
            assert_eq!(kept, conversation[conversation.len() - kept.len()..], "the newest, in order");
            assert!(asked.iter().enumerate().all(|(at, turn)| turn.0 == ["user", "model"][at % 2]), "whole turns");
            let counted = told + counted(kept.iter().copied());
            assert!(counted <= LIMIT, "Gemini counts no more than is allowed");
            let within = |turns: usize| {
                let from = conversation.len() - turns;
                fixed + estimate(conversation[from..].iter().map(String::as_str)) <= LIMIT
            };
            let sure = (1..=conversation.len()).step_by(2).take_while(|turns| within(*turns)).last().unwrap_or(0);
            assert!(kept.len() >= sure, "what fits by our estimate fits by Gemini's count");
            more += usize::from(kept.len() > sure);
            dropped += usize::from(kept.len() < conversation.len());
            conversation.push(answer);
        }
        assert!(dropped > 4, "the limit was reached {dropped} times");
        assert!(more > 4, "Gemini's count made room {more} times");
    }
}

#[tokio::test]
async fn a_long_conversation_is_there_from_its_first_word() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("yes").always());
    for number in 0..40 {
        ada.ask(&room, &format!("number {number}")).await;
    }
    app.settle().await;
    let conversation: Vec<_> = (0..40).flat_map(|number| [format!("number {number}"), "yes".to_owned()]).collect();
    assert_eq!(said(&last_turns(&app)), conversation[..79]);
}

#[tokio::test]
async fn turns_that_failed_are_no_context() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for (question, rule) in [
        ("blocked at once", Rule::block("SAFETY")),
        ("good", Rule::say("fine")),
        ("refused", Rule::refuse(Fault::of(400))),
        ("empty", Rule::words(0)),
        ("failed after a word", Rule::words(3).end(1, End::Error(Fault::of(400)))),
        ("cut short", Rule::words(3).finish(2, "MAX_TOKENS")),
        ("withheld", Rule::words(0).finish(0, "SAFETY")),
    ] {
        app.gemini.script(rule);
        ada.hears(&room, question).await;
    }
    ada.hears(&room, "and now?").await;
    assert_eq!(said(&last_turns(&app)), ["good", "fine", "cut short", "word1 word2 ", "and now?"]);
    let failed = ada.messages(&room).await[5].clone();
    chat::retry_reply(&app.app, reply_id(&failed)).await.expect("it failed");
    app.settle().await;
    assert_eq!(said(&last_turns(&app)), ["good", "fine", "refused"], "what came before it, not what came after");
    ada.hears(&room, "and now?").await;
    assert!(said(&last_turns(&app)).contains(&"refused"), "it is conversation now");
}

/// Digits are a token each.
fn digits(count: usize) -> String {
    "7".repeat(count)
}

#[tokio::test]
async fn a_message_too_long_by_itself_is_refused_and_costs_nothing() {
    let app = TestApp::with(|settings| settings.gemini.context_max_tokens = 300).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let strict = room_with(&ada, json!({"system_instruction": digits(100)})).await;
    // As Gemini counts them: one beside each message and one beside the instruction.
    for (room, fits, estimated) in [(&room, 299, "304"), (&strict, 198, "307")] {
        let refused = ada.say(room, &digits(fits + 1)).await.expect(422);
        assert_eq!(refused.code(), "context_overflow");
        assert!(refused.json()["detail"].as_str().expect("words").contains(estimated), "{}", refused.text());
        assert_eq!(ada.messages(room).await, Vec::<Value>::new());
        assert_eq!(ada.hears(room, &digits(fits)).await["status"], "complete");
    }
    assert_eq!(ada.prompts_used().await, 2);
    assert_eq!(app.count("select count(*) from jobs").await, 2);
}

#[tokio::test]
async fn while_gemini_does_not_count_our_estimate_decides() {
    let app = TestApp::with(|settings| settings.gemini.context_max_tokens = 300).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(counts_nothing());
    assert_eq!(ada.say(&room, &digits(297)).await.expect(422).code(), "context_overflow");
    assert_eq!(ada.hears(&room, &digits(296)).await["status"], "complete");
    app.gemini.script(Rule::say("yes"));
    ada.hears(&room, &digits(100)).await;
    ada.hears(&room, &digits(190)).await;
    assert_eq!(said(&last_turns(&app)), [digits(190)], "by four tokens the last turn does not fit");
    app.gemini.clear_script();
    ada.regenerate(&room, ada.messages(&room).await.last().expect("a reply")["id"].as_str().expect("an id"))
        .await
        .expect(202);
    app.settle().await;
    assert_eq!(said(&last_turns(&app)), [digits(100), "yes".to_owned(), digits(190)], "as Gemini counts it does");
}

#[tokio::test]
async fn what_surely_fits_is_not_counted() {
    let app = TestApp::with(|settings| settings.gemini.context_max_tokens = 300).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("yes").always());
    let counts = || app.gemini.journal().iter().filter(|entry| entry.call == "countTokens").count();
    ada.hears(&room, &digits(100)).await;
    ada.hears(&room, &digits(100)).await;
    assert_eq!(counts(), 0);
    ada.hears(&room, &digits(80)).await;
    assert_eq!(counts(), 1, "near the limit it is");
}

#[tokio::test]
async fn a_model_that_takes_in_less_is_given_less() {
    let app = TestApp::with(|settings| {
        settings.gemini.model = "sandbox-tiny".to_owned();
        settings.gemini.max_output_tokens = 200;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    assert_eq!(ada.say(&room, &digits(800)).await.expect(422).code(), "context_overflow");
    assert_eq!((ada.prompts_used().await, app.questions().len()), (0, 0));
    assert_eq!(ada.hears(&room, &digits(799)).await["status"], "complete", "1000 less 200 for the answer");
    ada.hears(&room, &digits(700)).await;
    assert_eq!(said(&last_turns(&app)), [digits(700)], "what came before does not fit any more");
    let asked = app.gemini.journal().iter().filter(|entry| entry.call == "models.list").count();
    assert_eq!(asked, 1, "once in a while is enough");
}

#[tokio::test]
async fn while_gemini_does_not_tell_its_limits_ours_hold() {
    let app = TestApp::with(|settings| settings.gemini.context_max_tokens = 300).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(500)).call("models.list").always());
    assert_eq!(ada.hears(&room, &digits(299)).await["status"], "complete");
    assert_eq!(ada.say(&room, &digits(300)).await.expect(422).code(), "context_overflow");
}

const SAMPLES: [&str; 10] = [
    "The quick brown fox jumps over the lazy dog. Pneumonoultramicroscopicsilicovolcanoconiosis!",
    "Straßenbahnhaltestelle, œuvre, naïveté, Đặng Thị, Größenwahn; İstanbul'da",
    "Привет, как дела? Γειά σου Κόσμε. שלום עולם مرحبا بالعالم",
    "नमस्ते दुनिया, यह एक परीक्षण है। क्ष्म्य त्र्यम्बकम् தமிழ் বাংলা ગુજરાતી",
    "你好，世界。这是一个很长的句子，没有空格。日本語のテキスト、カタカナ。한국어 텍스트입니다.",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇮🇳🙂🙃❤️‍🔥 𝕳𝖊𝖑𝖑𝖔 𐍈𐍉",
    "fn main() {\n    let x: Vec<u8> = (0..10).map(|i| i * 2).collect();\n\tprintln!(\"{x:?}\");\n}\n",
    "{\"a\":[1,2.5e-10,null,true],\"b\":\"\\u00e9\"}      \t\t\n\n\n// ---- ==== ####",
    "1234567890 +49 (0)89 123-456 https://example.com/a?b=c&d=%20 a_b-c.d@e.f",
    "",
];

#[test]
fn our_estimate_is_never_below_geminis_count_on_samples() {
    for text in SAMPLES {
        let long = text.repeat(50);
        for text in [text, &long, &format!(" {text}"), &format!("{text} x")] {
            assert!(tokens(text) >= count_tokens(text), "{} < {}: {text}", tokens(text), count_tokens(text));
        }
    }
    let english = SAMPLES[0].repeat(50);
    assert!(tokens(&english) < 2 * count_tokens(&english), "nor so far above it that little fits");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn our_estimate_is_never_below_geminis_count(
        text in any::<String>(),
        words in "([a-zA-Z]{1,9}| {1,9}|[0-9.,\n]{1,3}|[à-я]{1,4}|[ऀ-ൿ]{1,3}|[一-三😀-😅]{1,2}){0,20}",
    ) {
        for text in [text, words] {
            prop_assert!(tokens(&text) >= count_tokens(&text), "{text:?}");
        }
    }
}
