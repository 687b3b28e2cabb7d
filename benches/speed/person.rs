//! People who use the server: signed in by a code like anybody, each with a room.

use std::net::SocketAddr;

use anyhow::Context;
use gemini_backend::ids::{ChatroomId, UserId};
use serde_json::{Value, json};

use crate::http::{Connection, Request};

/// What everybody writes.
pub(crate) const TEXT: &str = "Hello! Tell me something about the sea.";

/// Somebody signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
    pub(crate) room: ChatroomId,
}

impl Person {
    /// `number` tells people apart.
    pub(crate) async fn sign_in(address: SocketAddr, number: u32) -> anyhow::Result<Self> {
        let mobile = format!("+9198{number:08}");
        let mut connection = Connection::open(address).await?;
        let sent =
            connection.send(&Request::post("/auth/send-otp", None, &json!({ "mobile": mobile }))).await?.json()?;
        let proof = json!({ "mobile": mobile, "otp": sent["otp"] });
        let pair = connection.send(&Request::post("/auth/verify-otp", None, &proof)).await?.json()?;
        let token = pair["access_token"].as_str().context("no access token")?.to_owned();
        let room = new_room(&mut connection, &token).await?;
        Ok(Self { id: UserId(id(&pair["user"])?), token, room })
    }

    pub(crate) async fn crowd(address: SocketAddr, many: u32) -> anyhow::Result<Vec<Self>> {
        let mut people = Vec::new();
        for number in 0..many {
            people.push(Self::sign_in(address, number).await?);
        }
        Ok(people)
    }

    pub(crate) fn message(&self) -> Request {
        self.message_in(self.room)
    }

    pub(crate) fn message_in(&self, room: ChatroomId) -> Request {
        Request::post(&format!("/chatroom/{}/message", room.0), Some(&self.token), &json!({ "content": TEXT }))
    }
}

pub(crate) async fn new_room(connection: &mut Connection, token: &str) -> anyhow::Result<ChatroomId> {
    let room = connection.send(&Request::post("/chatroom", Some(token), &json!({ "name": "A room" }))).await?.json()?;
    Ok(ChatroomId(id(&room)?))
}

/// The `id` of what an answer shows.
pub(crate) fn id(shown: &Value) -> anyhow::Result<uuid::Uuid> {
    Ok(shown["id"].as_str().context("no id")?.parse()?)
}
