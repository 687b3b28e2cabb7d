//! What a client gets for a prompt that was taken in: at once the promise, or the reply when it has ended, or its events.

use std::sync::Arc;
use std::time::Duration;

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
use crate::billing;
use crate::chat::{Accepted, Cursor, Event, Follower, Follows};
use crate::http::replay::REPLAYED;
use crate::http::{ApiError, Json, prefer, sse};

/// What the client would rather have than the promise. An extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Promise,
    /// The reply, if it ends within this time.
    Reply(Duration),
    Events,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if sse::is_wanted(&parts.headers) {
            return Ok(Self::Events);
        }
        Ok(prefer::wait(&parts.headers).map_or(Self::Promise, Self::Reply))
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

/// Answers as the client wants it. The reply is written whether the client stays or not.
pub(super) async fn answer(
    app: Arc<App>,
    signed_in: SignedIn,
    mut accepted: Accepted,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let (room, reply) = (accepted.reply.chatroom_id, accepted.reply.id);
    let location = format!("{}/chatroom/{room}/messages/{reply}", app.settings.server.base_path());
    let headers = ([(header::LOCATION, location)], AppendHeaders(accepted.is_replay.then_some(REPLAYED)));
    if wanted == Wanted::Events {
        let follower = follow(&app, signed_in, &accepted).await?;
        return Ok((headers, sse::respond(events::events(app, signed_in, follower))).into_response());
    }
    let mut status = StatusCode::ACCEPTED;
    if let Wanted::Reply(time) = wanted {
        if !accepted.reply.status.is_end() {
            let mut follower = follow(&app, signed_in, &accepted).await?;
            let stop = app.stop.clone();
            let ended = tokio::time::timeout(time, stop.run_until_cancelled(end(&mut follower))).await;
            if let Ok(Some(Some(ended))) = ended {
                accepted.reply = ended;
            }
        }
        if accepted.reply.status.is_end() {
            status = StatusCode::OK;
            let limit = billing::daily_limit(&app.settings.quota, signed_in.plan);
            let mut reader = app.store.read().await?;
            accepted.prompts = billing::prompts(&mut reader, signed_in.user, limit, app.clock.now()).await?;
        }
    }
    let preference = match wanted {
        Wanted::Reply(time) => HeaderValue::try_from(format!("wait={}", time.as_secs())).ok(),
        _ => None,
    };
    let applied = preference.map(|value| (HeaderName::from_static("preference-applied"), value));
    Ok((status, headers, AppendHeaders(applied), Json(AcceptedView::from(accepted))).into_response())
}

async fn follow(app: &Arc<App>, signed_in: SignedIn, accepted: &Accepted) -> Result<Follower, ApiError> {
    let Accepted { message, reply, .. } = accepted;
    let what = Follows::Reply { room: reply.chatroom_id, question: message.id, reply: reply.id };
    // From the transaction on that promised it.
    let cursor = Cursor { part: Some(0), ..Cursor::after(reply.revs.made) };
    Ok(Follower::begin(app, signed_in.user, what, Some(cursor)).await?)
}

async fn end(follower: &mut Follower) -> Option<crate::chat::Message> {
    loop {
        if let (Event::Ended(reply), _) = follower.next().await? {
            return Some(reply);
        }
    }
}
