//! The Gemini client and the Gemini sandbox, held against each other over real HTTP, and each against bytes of its own.

mod client;
mod misbehaviour;
mod patience;
mod sandbox;
mod wire;

use std::time::Duration;

use gemini_backend::config;
use gemini_backend::gemini::{Client, Error, Event, Outcome, Request, Stream, Timeouts, Turn};
use gemini_backend::sandbox::gemini::{self, Options, Running};
use tokio_util::sync::CancellationToken;

const MODEL: &str = "gemini-3.8-flash";

async fn start() -> Running {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> Running {
    let any = "127.0.0.1:0".parse().expect("an address");
    gemini::start(any, options, CancellationToken::new()).await.expect("a free port")
}

/// Limits that no test reaches by accident, nor waits for.
fn patient() -> Timeouts {
    let long = Duration::from_secs(20);
    Timeouts { connect: long, first_byte: long, idle: long, whole: long }
}

fn settings(base_url: &str, key: Option<&str>) -> config::Gemini {
    config::Gemini {
        api_key: key.map(Into::into),
        base_url: Some(base_url.to_owned()),
        model: MODEL.to_owned(),
        fallback_models: Vec::new(),
        basic_models: Vec::new(),
        context_max_tokens: 32_000,
        context_summary: false,
        chatroom_titles: false,
        context_max_attachment_bytes: 20 * 1024 * 1024,
        max_output_tokens: 8_192,
        daily_token_budget: None,
    }
}

fn client_of(base_url: &str) -> Client {
    Client::with_timeouts(&settings(base_url, Some("AIzaSyTest")), patient()).expect("a client")
}

fn ask(text: &str) -> Request {
    Request { model: MODEL.to_owned(), contents: vec![Turn::user(text)], ..Request::default() }
}

/// Everything an answer was, as far as it came.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    pieces: usize,
    thoughts: String,
    end: Option<Result<Outcome, Error>>,
}

impl Heard {
    fn error(&self) -> &Error {
        self.end.as_ref().and_then(|end| end.as_ref().err()).expect("an error")
    }

    fn outcome(&self) -> &Outcome {
        self.end.as_ref().and_then(|end| end.as_ref().ok()).expect("an end")
    }
}

async fn hear(client: &Client, request: &Request) -> Heard {
    match client.stream(request, "reply.1").await {
        Ok(stream) => listen(stream).await,
        Err(error) => Heard { end: Some(Err(error)), ..Heard::default() },
    }
}

async fn listen(mut stream: Stream) -> Heard {
    let mut heard = Heard::default();
    while heard.end.is_none() {
        match stream.next().await {
            Ok(Event::Text(text)) => {
                heard.text += &text;
                heard.pieces += 1;
            }
            Ok(Event::Thought(text)) => heard.thoughts += &text,
            Ok(Event::End(outcome)) => heard.end = Some(Ok(outcome)),
            Err(error) => heard.end = Some(Err(error)),
        }
    }
    heard
}
