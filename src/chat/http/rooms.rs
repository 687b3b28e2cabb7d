//! Chatrooms over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Deserializer};

use super::views::{ChatroomView, OpenRoomView};
use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, NewRoom, RoomChange, RoomList, Thinking};
use crate::clock::Moment;
use crate::http::replay::{REPLAYED, Request};
use crate::http::{ApiError, IdempotencyKey, Json, List, Page, Path, Query};
use crate::ids::ChatroomId;

/// Messages shown with a room.
const SHOWN: usize = 50;
const LONGEST_NAME: usize = 200;
const LONGEST_MODEL: usize = 100;
const LONGEST_INSTRUCTION: usize = 8_000;

/// What a new chatroom is given; nothing at all is fine.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PostChatroom {
    /// At most 200 characters.
    #[schema(max_length = 200, example = "Travel")]
    name: Option<String>,
    /// The same as `name`.
    #[schema(deprecated, max_length = 200)]
    title: Option<String>,
    /// One of `GET /models`; without it the deployment's.
    #[schema(max_length = 100)]
    model: Option<String>,
    /// What the model is told before the conversation, at most 8,000 characters.
    #[schema(max_length = 8000)]
    system_instruction: Option<String>,
    /// How much the model thinks before it answers; without it as the model likes, and its thoughts are not shown.
    thinking: Option<Thinking>,
}

/// What changes of a chatroom: a field left away stays, null takes it away.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PatchChatroom {
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 200, example = "Travel")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, deprecated, max_length = 200)]
    title: Option<Option<String>>,
    /// One of `GET /models`; null: the deployment's.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 100)]
    model: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 8000)]
    system_instruction: Option<Option<String>>,
    /// Null: as the model likes.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Thinking>)]
    thinking: Option<Option<Thinking>>,
    archived: Option<bool>,
}

/// Tells null from nothing.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Archived rooms instead of the others.
    #[serde(default)]
    archived: bool,
}

#[utoipa::path(
    get, path = "/chatroom", tag = "Chatrooms", params(Page, Filter),
    responses(
        (status = 200, description = "The caller's rooms, latest activity first", body = List<ChatroomView>,
            headers(("ETag" = String), ("X-Cache" = String, description = "hit or miss"), ("Cache-Control" = String))),
        (status = 304, description = "Nothing changed since the `ETag` in `If-None-Match`"),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    page: Page,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = page.after::<(i64, ChatroomId)>()?.map(place).transpose()?;
    let wanted = RoomList {
        owner: signed_in.user,
        rooms_rev: signed_in.rooms_rev,
        archived: filter.archived,
        after,
        most: page.rows(),
    };
    let tag = etag(&wanted);
    let kept = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if matches(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let render = |rooms| {
        let list =
            List::of(rooms, &page, |room: &chat::Chatroom| (room.active_at.millis(), room.id), ChatroomView::from);
        serde_json::to_vec(&list).expect("a list of rooms is plain data")
    };
    let (bytes, hit) = chat::list_rooms(&app, wanted, render).await?;
    let value = HeaderValue::from_static;
    let cache = [(HeaderName::from_static("x-cache"), value(if hit { "hit" } else { "miss" }))];
    let json = [(header::CONTENT_TYPE, value("application/json"))];
    Ok((kept, cache, json, bytes).into_response())
}

/// A cursor is only text to us: what no moment of ours can be was not made here.
fn place((at, id): (i64, ChatroomId)) -> Result<(Moment, ChatroomId), ApiError> {
    match Moment::from_millis(at) {
        at if (Moment::from_millis(0)..=Moment::LAST).contains(&at) => Ok((at, id)),
        _ => Err(ApiError::field("cursor", "is not a cursor of this list")),
    }
}

/// Made from the revision and from what was asked for; it needs no look at the list. Weak, because the same list may go
/// out compressed or not.
fn etag(wanted: &RoomList) -> HeaderValue {
    let RoomList { rooms_rev, archived, after, most, .. } = wanted;
    let after = after.map(|(at, id)| format!("{}.{}", at.millis(), id.0.simple())).unwrap_or_default();
    let owner = wanted.owner.0.simple();
    HeaderValue::try_from(format!("W/\"{owner}.{rooms_rev}.{}.{most}.{after}\"", u8::from(*archived)))
        .expect("digits and letters make a header")
}

/// `If-None-Match` is a list, or `*`; a weak tag counts as its strong one.
fn matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || opaque(one.as_bytes()) == opaque(tag.as_bytes())
    })
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[utoipa::path(
    post, path = "/chatroom", tag = "Chatrooms", params(IdempotencyKey), request_body(content = Option<PostChatroom>),
    responses((status = 201, description = "The new room", body = ChatroomView,
        headers(("Location" = String), ("Idempotency-Replayed" = String)))),
    extensions(("x-problems" = json!(["idempotency_mismatch", "chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn open(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    key: Option<IdempotencyKey>,
    body: Option<Json<PostChatroom>>,
) -> Result<Response, ApiError> {
    let new = body.map(|Json(body)| body).unwrap_or_default().into_new_room()?;
    let request = key.map(|key| {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        let (name, model, instruction) = (part(&new.name), part(&new.model), part(&new.system_instruction));
        let said = ["open_room", &name, &model, &instruction];
        // Keys of before are known again.
        let thinking = new.thinking.map(Thinking::as_str);
        Request::new(key.as_str().to_owned(), &said.into_iter().chain(thinking).collect::<Vec<_>>())
    });
    let (room, is_replay) = chat::open_room(&app, signed_in.user, signed_in.plan, &new, request.as_ref()).await?;
    let location = [(header::LOCATION, format!("{}/chatroom/{}", app.settings.server.base_path(), room.id))];
    let body = Json(ChatroomView::from(room));
    let replayed = is_replay.then_some(REPLAYED);
    Ok((StatusCode::CREATED, location, AppendHeaders(replayed), body).into_response())
}

#[utoipa::path(
    get, path = "/chatroom/{id}", tag = "Chatrooms", params(("id" = ChatroomId, Path)),
    responses((status = 200, description = "The room with its newest messages", body = OpenRoomView)),
    extensions(("x-problems" = json!(["chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
) -> Result<Json<OpenRoomView>, ApiError> {
    let most = i64::try_from(SHOWN).unwrap_or(i64::MAX) + 1;
    let (room, newest) = chat::room_with_messages(&app, signed_in.user, id, most).await?;
    Ok(Json(OpenRoomView::new(room, newest, SHOWN)))
}

#[utoipa::path(
    patch, path = "/chatroom/{id}", tag = "Chatrooms", params(("id" = ChatroomId, Path)), request_body = PatchChatroom,
    responses((status = 200, description = "The room as it is now", body = ChatroomView)),
    extensions(("x-problems" = json!(["chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    Json(body): Json<PatchChatroom>,
) -> Result<Json<ChatroomView>, ApiError> {
    let change = RoomChange {
        name: body.name.or(body.title).map(name).transpose()?,
        model: body.model.map(model).transpose()?,
        system_instruction: body.system_instruction.map(instruction).transpose()?,
        thinking: body.thinking,
        archived: body.archived,
    };
    Ok(Json(chat::change_room(&app, signed_in.user, signed_in.plan, id, &change).await?.into()))
}

#[utoipa::path(
    delete, path = "/chatroom/{id}", tag = "Chatrooms", params(("id" = ChatroomId, Path)),
    responses((status = 204, description = "The room and its messages are gone")),
    extensions(("x-problems" = json!(["chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
) -> Result<StatusCode, ApiError> {
    chat::delete_room(&app, signed_in.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl PostChatroom {
    fn into_new_room(self) -> Result<NewRoom, ApiError> {
        Ok(NewRoom {
            name: name(self.name.or(self.title))?,
            model: model(self.model)?,
            system_instruction: instruction(self.system_instruction)?,
            thinking: self.thinking,
        })
    }
}

/// A blank name is no name.
fn name(name: Option<String>) -> Result<Option<String>, ApiError> {
    at_most("name", LONGEST_NAME, name.map(|name| name.trim().to_owned()))
}

fn instruction(instruction: Option<String>) -> Result<Option<String>, ApiError> {
    at_most("system_instruction", LONGEST_INSTRUCTION, instruction)
}

/// The characters that names of models are made of; the name becomes part of a path.
fn model(model: Option<String>) -> Result<Option<String>, ApiError> {
    let model = at_most("model", LONGEST_MODEL, model)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    match model {
        Some(model) if !model.chars().all(plain) || model.contains("..") => {
            Err(ApiError::field("model", "is not the name of a model"))
        }
        model => Ok(model),
    }
}

fn at_most(field: &str, most: usize, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.chars().count() > most => {
            Err(ApiError::field(field, format!("must be at most {most} characters")))
        }
        text => Ok(text.filter(|text| !text.trim().is_empty())),
    }
}
