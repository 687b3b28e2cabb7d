//! What a client gets for a prompt that was taken in: at once the promise, or the reply when it has ended, or its events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::events;
use super::views::AcceptedView;
use crate::app::App;
use crate::auth::SignedIn;
use crate::billing::{self, Prompts};
use crate::chat::{Accepted, Event, Follower, Message};
use crate::http::replay::REPLAYED;
use crate::http::{Json, prefer, sse};
use crate::ids::MessageId;

/// What the client would rather have than the promise. An extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Promise,
    /// The reply, if it ends within this time from the request on.
    Reply(Duration, Instant),
    Events,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if sse::is_wanted(&parts.headers) {
            return Ok(Self::Events);
        }
        Ok(prefer::wait(&parts.headers).map_or(Self::Promise, |time| Self::Reply(time, Instant::now())))
    }
}

impl utoipa::IntoParams for Wanted {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = |name, about| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
            header.required(Required::False).description(Some(about)).schema(Some(text)).build()
        };
        vec![
            header("Prefer", "`wait=30`: answer when the reply has ended, but in 30 seconds (50 at most)"),
            header("Accept", "`text/event-stream`: answer with the reply's live events"),
        ]
    }
}

/// Answers as the client wants it. The reply is written whether the client stays or not, and whatever fails from here on:
/// who is not told of what was accepted would send it again.
pub(super) async fn answer(app: Arc<App>, signed_in: SignedIn, mut accepted: Accepted, wanted: Wanted) -> Response {
    let (room, reply) = (accepted.reply.chatroom_id, accepted.reply.id);
    let location = format!("{}/chatroom/{room}/messages/{reply}", app.settings.server.base_path());
    let headers = ([(header::LOCATION, location)], AppendHeaders(accepted.is_replay.then_some(REPLAYED)));
    if wanted == Wanted::Events {
        let follower = follow(&app, signed_in, &accepted);
        return (headers, sse::respond(events::events(app, signed_in, follower))).into_response();
    }
    let mut status = StatusCode::ACCEPTED;
    let mut preference = None;
    if let Wanted::Reply(time, since) = wanted {
        preference = HeaderValue::try_from(format!("wait={}", time.as_secs())).ok();
        if let Some((reply, prompts)) = wait(&app, signed_in, &accepted, time.saturating_sub(since.elapsed())).await {
            (accepted.reply, accepted.prompts) = (reply, prompts);
            status = StatusCode::OK;
        }
    }
    let applied = preference.map(|value| (HeaderName::from_static("preference-applied"), value));
    (status, headers, AppendHeaders(applied), Json(AcceptedView::from(accepted))).into_response()
}

fn follow(app: &Arc<App>, signed_in: SignedIn, accepted: &Accepted) -> Follower {
    let Accepted { message, reply, .. } = accepted;
    Follower::of_promise(app, signed_in.user, reply.chatroom_id, message.id, reply)
}

/// The reply and the prompts as they are then; None when it does not end in time, or cannot be told.
async fn wait(app: &Arc<App>, signed_in: SignedIn, accepted: &Accepted, time: Duration) -> Option<(Message, Prompts)> {
    let mut reply = accepted.reply.clone();
    if !reply.status.is_end() {
        let mut follower = follow(app, signed_in, accepted);
        let ended = app.stop.run_until_cancelled(end(&mut follower, reply.id));
        reply = tokio::time::timeout(time, ended).await.ok()??.filter(|reply| reply.status.is_end())?;
    }
    let limit = billing::daily_limit(&app.settings.quota, signed_in.plan);
    let mut reader = app.store.read().await.ok()?;
    let prompts = billing::prompts(&mut reader, signed_in.user, limit, app.clock.now()).await.ok()?;
    Some((reply, prompts))
}

async fn end(follower: &mut Follower, wanted: MessageId) -> Option<Message> {
    loop {
        match follower.next().await? {
            (Event::Ended(reply), _) if reply.id == wanted => return Some(reply),
            _ => {}
        }
    }
}
