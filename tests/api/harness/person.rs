//! Someone signed in.

use std::time::Duration;

use gemini_backend::ids::{SessionId, UserId};
use gemini_backend::keys::Claims;
use serde_json::{Value, json};

use super::answer::{Answer, Call};
use super::app::TestApp;

/// Someone signed in to a [`TestApp`], with a token that lasts a quarter of an hour of its clock.
#[derive(Clone, Debug)]
pub(crate) struct Person<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// A chatroom, by its id.
pub(crate) type Room = String;

impl<'a> Person<'a> {
    /// Someone whose session is in the database of `app`.
    pub(super) fn new(app: &'a TestApp, user: UserId, session: SessionId) -> Self {
        let claims = Claims::new(user, session, 1, app.clock.now(), Duration::from_mins(15));
        Self { app, id: user.to_string(), token: app.app.keys.access.sign(&claims), user, session }
    }

    /// The same person with a new token, by the clock of `app`: another process, or the same one later.
    pub(crate) fn at<'b>(&self, app: &'b TestApp) -> Person<'b> {
        Person::new(app, self.user, self.session)
    }

    /// A request of this person's.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        self.app.call(method, path).bearer(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path).json(&body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    pub(crate) async fn new_room(&self) -> Room {
        let room = self.post("/chatroom", json!({"name": "A room"})).await.expect(201).json();
        room["id"].as_str().expect("an id").to_owned()
    }

    /// Sends a message.
    pub(crate) async fn say(&self, room: &str, text: &str) -> Answer {
        self.post(&format!("/chatroom/{room}/message"), json!({"content": text})).await
    }
}
