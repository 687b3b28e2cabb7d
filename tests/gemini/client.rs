//! The client against the sandbox: what goes right.

use gemini_backend::gemini::{Client, FinishReason, Request, Thinking, Turn};
use gemini_backend::sandbox::gemini::{Card, Ended, KeyPlace, Options, Rule, UsageAt};
use serde_json::json;

use crate::{MODEL, ask, client_of, hear, settings, start, start_with};

#[tokio::test]
async fn an_answer_arrives_word_by_word_and_whole() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let text = "Grüße, नमस्ते दुनिया, 你好世界, 👩‍👩‍👧 and  two spaces\n\n```rust\nfn main() {}\n```";
    sandbox.script(Rule::say(text));
    let heard = hear(&client, &ask("hello")).await;
    assert_eq!(heard.text, text);
    assert!(heard.pieces > 8, "{} pieces", heard.pieces);
    let outcome = heard.outcome();
    assert_eq!(outcome.finish_reason, FinishReason::Stop);
    assert_eq!(outcome.model_version.as_deref(), Some(MODEL));
    assert!(outcome.response_id.is_some());
    let usage = outcome.usage.expect("counted");
    assert!(usage.prompt > 0 && usage.completion > 20 && usage.total == usage.prompt + usage.completion, "{usage:?}");
    let journal = sandbox.journal();
    assert_eq!((journal[0].text.as_str(), journal[0].end), (text, Ended::Finished));
    assert_eq!(journal[0].tag.as_deref(), Some("reply.1"));
}

#[tokio::test]
async fn a_name_that_was_told_earlier_is_known() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let mut request = ask("Hi, my name is Ada.");
    let first = client.generate(&request, "r.1").await.expect("an answer");
    request.contents.extend([Turn::model(first.text), Turn::user("What is my name?")]);
    let second = client.generate(&request, "r.1").await.expect("an answer");
    assert_eq!(second.text, "Your name is Ada.");
}

#[tokio::test]
async fn the_request_is_what_the_protocol_wants() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let mut request = ask("hi");
    request.model = format!("models/{MODEL}");
    request.system_instruction = Some("be brief".to_owned());
    request.max_output_tokens = Some(50);
    hear(&client, &request).await.outcome();
    let entry = sandbox.journal().remove(0);
    assert_eq!(entry.path, format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"));
    assert_eq!(entry.key, Some(KeyPlace::Header));
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {"maxOutputTokens": 50},
        "store": false,
    });
    assert_eq!(entry.body, expected);
}

#[tokio::test]
async fn thoughts_stay_apart() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let mut request = ask("hi");
    request.thinking = Some(Thinking { include_thoughts: true, ..Thinking::default() });
    sandbox.script(Rule::say("The answer").thoughts("Hmm, let me see"));
    let heard = hear(&client, &request).await;
    assert_eq!((heard.text.as_str(), heard.thoughts.as_str()), ("The answer", "Hmm, let me see"));
    assert!(heard.outcome().usage.is_some_and(|usage| usage.thoughts > 0));
    sandbox.script(Rule::say("The answer").thoughts("Hmm, let me see"));
    let whole = client.generate(&request, "r.1").await.expect("an answer");
    assert_eq!((whole.text.as_str(), whole.thoughts.as_str()), ("The answer", "Hmm, let me see"));
}

#[tokio::test]
async fn the_last_count_is_kept_wherever_it_stands() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    sandbox.script(Rule::say("one two three").usage(UsageAt::Last));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!(heard.outcome().usage.map(|usage| usage.completion), Some(4));
    sandbox.script(Rule::say("one two three").usage(UsageAt::Never));
    let heard = hear(&client, &ask("hi")).await;
    assert_eq!((heard.text.as_str(), heard.outcome().usage), ("one two three", None));
}

#[tokio::test]
async fn tokens_are_counted_with_the_system_instruction() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    let mut request = ask("hello world");
    assert_eq!(client.count_tokens(&request).await, Ok(5));
    request.system_instruction = Some("नमस्ते".to_owned());
    assert_eq!(client.count_tokens(&request).await, Ok(5 + 7));
}

#[tokio::test]
async fn all_pages_of_models_are_read() {
    let many: Vec<String> = (0..1_100).map(|at| format!("model-{at}")).collect();
    let options = Options::default().with_models(many.iter().map(String::as_str));
    let known = options.models.len();
    let sandbox = start_with(options).await;
    let client = client_of(&sandbox.base_url());
    let models = client.models().await.expect("a list");
    assert_eq!((models.len(), models[known - 1].name.as_str()), (known, "model-1099"));
    assert_eq!(sandbox.journal().len(), 2);
    assert!(models.iter().any(|model| model.name == "gemini-embedding-001" && !model.answers()));
}

#[tokio::test]
async fn a_model_says_its_limits() {
    let mut options = Options::default();
    options.models.push(Card::new("small", 77, 7));
    let sandbox = start_with(options).await;
    let client = client_of(&sandbox.base_url());
    let models = client.models().await.expect("a list");
    let small = models.iter().find(|model| model.name == "small").expect("it is there");
    assert_eq!((small.input_token_limit, small.output_token_limit, small.answers()), (Some(77), Some(7), true));
}

#[tokio::test]
async fn an_unknown_model_is_gone_and_leads_nowhere_else() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    for name in ["gemini-1.0-pro", "../../sandbox/journal?x#"] {
        let error = client.count_tokens(&Request { model: name.to_owned(), ..ask("hi") }).await.expect_err(name);
        assert_eq!((error.code(), error.is_passing(), error.is_gone()), ("model_not_found", false, true), "{name}");
    }
}

#[tokio::test]
async fn hanging_up_stops_the_answer_at_once() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    sandbox.script(Rule::words(50).hold(3));
    let mut stream = client.stream(&ask("hi"), "r.7").await.expect("a stream");
    for _ in 0..3 {
        stream.next().await.expect("a word");
    }
    assert!(stream.usage().is_some_and(|usage| usage.completion > 0));
    drop(stream);
    let journal = sandbox.wait_until(|entries| entries.iter().all(|entry| entry.end.is_over())).await;
    assert_eq!((journal[0].end, journal[0].text.as_str()), (Ended::Aborted, "word1 word2 word3 "));
}

#[tokio::test]
async fn asking_again_loses_nothing() {
    let sandbox = start().await;
    let client = client_of(&sandbox.base_url());
    sandbox.script(Rule::words(2).hold(1));
    let mut stream = client.stream(&ask("hi"), "r.1").await.expect("a stream");
    stream.next().await.expect("a word");
    sandbox.wait_until(|entries| entries[0].end == Ended::Held).await;
    for _ in 0..20 {
        // Polled and dropped, as `select!` does with the branch that loses.
        tokio::select! {
            biased;
            event = stream.next() => panic!("nothing was sent, but {event:?} came"),
            () = tokio::task::yield_now() => {}
        }
    }
    sandbox.release();
    let heard = crate::listen(stream).await;
    assert_eq!((heard.text.as_str(), heard.outcome().finish_reason), ("word2 ", FinishReason::Stop));
}

#[tokio::test]
async fn no_key_is_ever_shown_and_none_is_sent_when_none_is_set() {
    let sandbox = start_with(Options { require_key: false, ..Options::default() }).await;
    let client = Client::new(&settings(&sandbox.base_url(), None)).expect("a client");
    hear(&client, &ask("hi")).await.outcome();
    assert_eq!(sandbox.journal()[0].key, None);
    let secret = client_of(&sandbox.base_url());
    assert!(!format!("{secret:?}").contains("AIzaSyTest"), "{secret:?}");
    assert!(Client::new(&settings("not a url", None)).is_err());
    assert!(Client::new(&settings("http://x", Some("new\nline"))).is_err());
}
