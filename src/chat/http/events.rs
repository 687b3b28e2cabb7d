//! Live events over HTTP.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::views::{ChatroomView, MessageView};
use crate::app::App;
use crate::auth::{self, SignedIn};
use crate::chat::{BadCursor, Cursor, Event, Fault, Follower, Follows, Message, Status};
use crate::clock::Moment;
use crate::http::sse::{last_event_id, respond};
use crate::http::{ApiError, Path, Query};
use crate::ids::{ChatroomId, MessageId};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// The id of the last event that was seen, for clients that cannot send the header `Last-Event-ID`; also
    /// `last_event_id` of a room or of what was accepted.
    last_event_id: Option<String>,
}

#[utoipa::path(
    get, path = "/chatroom/{id}/events", tag = "Live events",
    params(("id" = ChatroomId, Path), From, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses((status = 200, description = "What happens in the room, as it happens; from `Last-Event-ID`, or from now with \
        the text of what is being written. docs/LIVE.md tells of the events.", body = String, content_type = "text/event-stream",
        headers(("Cache-Control" = String), ("X-Accel-Buffering" = String)))),
    extensions(("x-problems" = json!(["chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn of_room(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cursor = cursor(&headers, &from)?;
    let follower = Follower::begin(&app, signed_in.user, Follows::Room(id), cursor).await?;
    Ok(respond(events(app, signed_in, follower)))
}

#[utoipa::path(
    get, path = "/events", tag = "Live events",
    params(From, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses((status = 200, description = "What begins and ends in any of the caller's rooms, without its text",
        body = String, content_type = "text/event-stream",
        headers(("Cache-Control" = String), ("X-Accel-Buffering" = String)))),
    security(("bearer" = [])),
)]
pub(super) async fn of_rooms(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cursor = cursor(&headers, &from)?;
    let follower = Follower::begin(&app, signed_in.user, Follows::Rooms, cursor).await?;
    Ok(respond(events(app, signed_in, follower)))
}

fn cursor(headers: &HeaderMap, from: &From) -> Result<Option<Cursor>, ApiError> {
    let id = last_event_id(headers, from.last_event_id.as_deref());
    id.map(|id| id.parse().map_err(|bad: BadCursor| ApiError::field("last_event_id", bad.to_string()))).transpose()
}

/// Why a stream ends though more could come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Closing {
    TokenExpired,
    SessionEnded,
    Shutdown,
    ChatroomDeleted,
}

struct Reader {
    stop: CancellationToken,
    follower: Follower,
    /// Goes on however often it is waited for beside something else.
    leave: Pin<Box<dyn Future<Output = Closing> + Send>>,
    has_text: bool,
    is_closed: bool,
}

/// The events of a follower until it has no more, or the reader may not or cannot be told on.
pub(super) fn events(
    app: Arc<App>,
    signed_in: SignedIn,
    follower: Follower,
) -> impl futures_util::Stream<Item = sse::Event> + Send {
    let (stop, has_text) = (app.stop.clone(), follower.tells_text());
    let reader = Reader { stop, follower, leave: Box::pin(may_not_stay(app, signed_in)), has_text, is_closed: false };
    stream::unfold(reader, async |mut reader| reader.next().await.map(|event| (event, reader)))
}

impl Reader {
    async fn next(&mut self) -> Option<sse::Event> {
        if self.is_closed {
            return None;
        }
        let told = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Closing::Shutdown),
            closing = &mut self.leave => Err(closing),
            told = self.follower.next() => Ok(told),
        };
        match told {
            Ok(None) => None,
            Ok(Some((event, cursor))) => Some(show(event, self.has_text).id(cursor.to_string())),
            Err(closing) => Some(self.close(closing)),
        }
    }

    fn close(&mut self, reason: Closing) -> sse::Event {
        self.is_closed = true;
        json("stream.closing", &serde_json::json!({"reason": reason}))
    }
}

/// Returns when the token has run out or the session has ended, which is looked at about once a second.
async fn may_not_stay(app: Arc<App>, signed_in: SignedIn) -> Closing {
    let mut ticks = app.live.ticks();
    loop {
        // The sender is as old as the app.
        let _ = ticks.changed().await;
        if app.clock.now() >= signed_in.expires_at {
            return Closing::TokenExpired;
        }
        match Box::pin(auth::is_alive(&app, &signed_in)).await {
            Ok(true) => {}
            Ok(false) => return Closing::SessionEnded,
            // Nobody is sent away because the database is.
            Err(cause) => tracing::debug!(%cause, "a session could not be looked at"),
        }
    }
}

#[derive(Serialize)]
struct Queued {
    chatroom_id: ChatroomId,
    message_id: MessageId,
    parent_id: Option<MessageId>,
    seq: i64,
    position: i64,
    eta_seconds: Option<u64>,
    attempt: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

impl std::convert::From<Message> for Queued {
    fn from(reply: Message) -> Self {
        // One that has come forward meanwhile is not shown as one that waits.
        let waits = reply.status == Status::Queued;
        Self {
            chatroom_id: reply.chatroom_id,
            message_id: reply.id,
            parent_id: reply.parent_id,
            seq: reply.seq,
            position: reply.position.unwrap_or(1),
            eta_seconds: reply.eta_seconds,
            attempt: if waits { reply.attempt } else { 0 },
            retry_at: reply.retry_at,
            error: reply.error.filter(|_| waits),
        }
    }
}

#[derive(Serialize)]
struct Begun {
    chatroom_id: ChatroomId,
    message_id: MessageId,
    attempt: i64,
}

#[derive(Serialize)]
struct Delta {
    message_id: MessageId,
    attempt: i64,
    text: String,
}

fn show(event: Event, has_text: bool) -> sse::Event {
    let begun = |room, reply, attempt| Begun { chatroom_id: room, message_id: reply, attempt };
    match event {
        Event::Created(message) => show_message("message.created", message, has_text),
        Event::Queued(reply) => json("reply.queued", &Queued::from(reply)),
        Event::Started { room, reply, attempt } => json("reply.started", &begun(room, reply, attempt)),
        Event::Restarted { room, reply, attempt } => json("reply.restarted", &begun(room, reply, attempt)),
        Event::Delta { reply, attempt, text } => json("reply.delta", &Delta { message_id: reply, attempt, text }),
        Event::Ended(reply) => {
            let name = match reply.status {
                Status::Failed => "reply.failed",
                Status::Cancelled => "reply.cancelled",
                _ => "reply.completed",
            };
            show_message(name, reply, has_text)
        }
        Event::Changed { room, seq } => {
            json("message.changed", &serde_json::json!({"chatroom_id": room, "from_seq": seq}))
        }
        Event::RoomUpdated(room) => {
            json("chatroom.updated", &serde_json::json!({"chatroom": ChatroomView::from(room)}))
        }
        Event::Gone => {
            // Of somebody who follows all of their rooms, it is they who are gone.
            let reason = if has_text { Closing::ChatroomDeleted } else { Closing::SessionEnded };
            json("stream.closing", &serde_json::json!({"reason": reason}))
        }
    }
}

fn show_message(name: &str, message: Message, has_text: bool) -> sse::Event {
    let mut shown = serde_json::json!({"message": MessageView::from(message)});
    if !has_text && let Some(message) = shown["message"].as_object_mut() {
        message.remove("content");
    }
    json(name, &shown)
}

fn json(name: &str, data: &impl Serialize) -> sse::Event {
    sse::Event::default().event(name).json_data(data).expect("events are plain data")
}
