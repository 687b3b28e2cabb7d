//! A reader of live events, and what one pieces together over any number of connections.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::answer::Call;
use super::person::Person;

/// Longer than a bell that is never rung takes.
const PATIENCE: Duration = Duration::from_secs(25);

/// One open stream.
#[derive(Debug)]
pub(crate) struct Listening {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Person<'_> {
    /// Opens a stream of events, from a last event on or from now.
    pub(crate) async fn listen(&self, path: &str, from: Option<&str>) -> Listening {
        let call = self.call("GET", path);
        let call = if let Some(id) = from { call.header("last-event-id", id) } else { call };
        call.listen().await
    }
}

impl Listening {
    pub(super) fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { response, buffer: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next event; None at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event, or the end")
    }

    async fn read(&mut self) -> Option<Told> {
        loop {
            while let Some(at) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<_> = self.buffer.drain(..at + 2).collect();
                if let Some(told) = parse(std::str::from_utf8(&block).expect("UTF-8")) {
                    return Some(told);
                }
            }
            self.buffer.extend_from_slice(&self.response.chunk().await.expect("the stream is whole")?);
        }
    }

    /// Reads on until an event of this name, which is the last of what it gives.
    pub(crate) async fn until(&mut self, name: &str) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(told) = self.next().await {
            let is_it = told.name == name;
            all.push(told);
            if is_it {
                return all;
            }
        }
        panic!("the stream ended before {name}: {all:#?}");
    }
}

/// None for a comment or the time to come back.
fn parse(block: &str) -> Option<Told> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Told {
        name: field("event")?.to_owned(),
        id: field("id").unwrap_or_default().to_owned(),
        data: serde_json::from_str(field("data")?).expect("data is JSON"),
    })
}

impl Call {
    /// Sends a request that is answered with events.
    pub(crate) async fn listen(self) -> Listening {
        Listening::new(self.open().await)
    }
}

/// What a client knows from events alone.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) last_id: Option<String>,
    pub(crate) texts: HashMap<String, (i64, String)>,
    pub(crate) ended: HashMap<String, Value>,
    pub(crate) created: HashSet<String>,
    pub(crate) names: Vec<String>,
}

impl Seen {
    pub(crate) fn take_all(&mut self, all: &[Told]) {
        for told in all {
            self.take(told);
        }
    }

    /// # Panics
    /// When an event does not fit to those before it: something comes twice, a letter of another attempt, an end whose
    /// text is not the one that was told.
    pub(crate) fn take(&mut self, told: &Told) {
        let Told { name, id, data } = told;
        let reply = data["message_id"].as_str().unwrap_or_default().to_owned();
        let attempt = data["attempt"].as_i64().unwrap_or_default();
        match name.as_str() {
            "message.created" => {
                assert!(self.created.insert(id_of(data)), "made twice: {told:?}");
            }
            "reply.started" => {
                let before = self.texts.insert(reply, (attempt, String::new()));
                assert!(before.is_none(), "begun twice: {told:?}");
            }
            "reply.restarted" => {
                let before = self.texts.insert(reply, (attempt, String::new()));
                assert!(before.is_some_and(|(earlier, _)| earlier <= attempt), "what was not begun: {told:?}");
            }
            "reply.delta" => {
                let (begun, text) = self.texts.get_mut(&reply).unwrap_or_else(|| panic!("before it began: {told:?}"));
                assert_eq!(*begun, attempt, "{told:?}");
                text.push_str(data["text"].as_str().expect("a text"));
            }
            "reply.completed" | "reply.failed" | "reply.cancelled" => {
                let message = &data["message"];
                let text = self.texts.get(&id_of(data)).map(|(_, text)| text.as_str()).unwrap_or_default();
                assert_eq!(text, message["content"], "the text that was told is the one that stands: {told:?}");
                assert!(self.ended.insert(id_of(data), message.clone()).is_none(), "ended twice: {told:?}");
            }
            _ => {}
        }
        self.names.push(name.clone());
        if !id.is_empty() {
            self.last_id = Some(id.clone());
        }
    }
}

fn id_of(data: &Value) -> String {
    data["message"]["id"].as_str().expect("a message with its id").to_owned()
}
