//! What people do with chatrooms, and how they stand afterwards.

use gemini_backend::auth::Plan;
use gemini_backend::billing;
use gemini_backend::chat::{self, NewRoom, Sender, Text};
use gemini_backend::ids::MessageId;
use gemini_backend::transaction;
use serde_json::{Value, json};

use super::answer::Answer;
use super::app::until;
use super::person::Person;

impl Person<'_> {
    /// Sends a message that is taken in; the answer to that.
    pub(crate) async fn ask(&self, room: &str, text: &str) -> Value {
        self.say(room, text).await.expect(202).json()
    }

    /// Sends a message that is taken in; the reply's id.
    pub(crate) async fn asks(&self, room: &str, text: &str) -> String {
        let accepted = self.ask(room, text).await;
        accepted["reply"]["id"].as_str().expect("an id").to_owned()
    }

    /// Cancels a reply; it as it stands then.
    pub(crate) async fn cancels(&self, room: &str, id: &str) -> Value {
        self.call("POST", &format!("/chatroom/{room}/messages/{id}/cancel")).send().await.expect(200).json()
    }

    /// Asks for another reply.
    pub(crate) async fn regenerate(&self, room: &str, id: &str) -> Answer {
        self.call("POST", &format!("/chatroom/{room}/messages/{id}/regenerate")).send().await
    }

    /// Says something else instead.
    pub(crate) async fn edit(&self, room: &str, id: &str, text: &str) -> Answer {
        self.patch(&format!("/chatroom/{room}/messages/{id}"), json!({"content": text})).await
    }

    /// A message as it stands now.
    pub(crate) async fn message(&self, room: &str, id: &str) -> Value {
        self.get(&format!("/chatroom/{room}/messages/{id}")).await.expect(200).json()
    }

    /// Sends a message and waits until there is nothing to do; the reply.
    pub(crate) async fn hears(&self, room: &str, text: &str) -> Value {
        let reply = self.asks(room, text).await;
        self.app.settle().await;
        self.message(room, &reply).await
    }

    /// Looks at a message until it is as wanted.
    pub(crate) async fn watches(&self, room: &str, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until("the message is as wanted", async || Some(self.message(room, id).await).filter(&wanted)).await
    }

    /// Every message of a room, oldest first.
    pub(crate) async fn messages(&self, room: &str) -> Vec<Value> {
        let list = self.get(&format!("/chatroom/{room}/messages?order=asc&limit=200")).await.expect(200).json();
        list["data"].as_array().expect("a list").clone()
    }

    /// So many rooms.
    pub(crate) async fn new_rooms(&self, count: usize) -> Vec<String> {
        let mut rooms = Vec::with_capacity(count);
        for _ in 0..count {
            rooms.push(self.new_room().await);
        }
        rooms
    }

    /// Says one thing in each of so many new rooms, straight in the house: for tests of what comes of a thousand messages
    /// and not of how they came in.
    pub(crate) async fn fill_rooms(&self, rooms: usize, text: impl Fn(usize) -> String) {
        let (app, sender) = (&self.app.app, Sender { user: self.user, daily_limit: None });
        for number in 0..rooms {
            let room = chat::open_room(app, self.user, Plan::Basic, &NewRoom::default(), None).await;
            let (room, _) = room.expect("a room");
            let text = Text::try_from(text(number)).expect("a text");
            chat::send(app, sender, room.id, &text, None).await.expect("it is taken in");
        }
    }

    /// What an operator does with `users set-plan`.
    pub(crate) async fn set_plan(&self, plan: Plan) {
        let held = billing::grant_plan(&self.app.app, self.user, plan).await.expect("a new plan");
        assert_eq!(held, Some(plan));
    }

    /// Prompts of today that are spent.
    pub(crate) async fn prompts_used(&self) -> i64 {
        let app = &self.app.app;
        let mut reader = app.store.read().await.expect("a connection");
        billing::prompts(&mut reader, self.user, None, app.clock.now()).await.expect("the prompts").used
    }
}

/// What the model saw for a reply.
pub(crate) async fn receipt(person: &Person<'_>, reply: &Value) -> Value {
    let (room, id) = (reply["chatroom_id"].as_str().expect("an id"), reply["id"].as_str().expect("an id"));
    person.get(&format!("/chatroom/{room}/messages/{id}/context")).await.expect(200).json()
}

/// The id of a reply, for calls into the house.
pub(crate) fn reply_id(reply: &Value) -> MessageId {
    reply["id"].as_str().expect("an id").parse().expect("an id")
}

/// Whether a prompt was charged for a reply.
pub(crate) fn charged(reply: &Value) -> Option<bool> {
    reply["prompt"]["charged"].as_bool()
}

/// `status` and `error.code` of a reply.
pub(crate) fn fate(reply: &Value) -> (&str, &str) {
    (reply["status"].as_str().expect("a status"), reply["error"]["code"].as_str().unwrap_or_default())
}

/// A new room's body.
pub(crate) fn named(name: &str) -> Value {
    json!({"name": name})
}
