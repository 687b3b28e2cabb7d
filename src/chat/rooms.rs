//! Chatrooms: open, change, remove. Each raises its owner's `rooms_rev`, which the cached list hangs on.

use super::{Chatroom, Thinking, clear, models, sql};
use crate::app::App;
use crate::auth::Plan;
use crate::billing;
use crate::http::replay::{self, Before, Request};
use crate::ids::{ChatroomId, UserId};
use crate::jobs;
use crate::people::Change;
use crate::store;

/// What a new room may be given.
#[derive(Clone, Debug, Default)]
pub struct NewRoom {
    pub name: Option<String>,
    pub model: Option<String>,
    pub system_instruction: Option<String>,
    pub thinking: Option<Thinking>,
}

/// What changes; None leaves it, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct RoomChange {
    pub name: Option<Option<String>>,
    pub model: Option<Option<String>>,
    pub system_instruction: Option<Option<String>>,
    pub thinking: Option<Option<Thinking>>,
    pub archived: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    #[error("no such chatroom")]
    NoSuchRoom,
    #[error("this key was used for another request")]
    IdempotencyMismatch,
    #[error("there is no such model, or the plan does not give it")]
    UnknownModel,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Opens a room; true beside it when an earlier request with the same key had opened it.
pub async fn open_room(
    app: &App,
    owner: UserId,
    plan: Plan,
    new: &NewRoom,
    request: Option<&Request>,
) -> Result<(Chatroom, bool), RoomError> {
    let is_known = models::is_known(app, plan, new.model.as_deref()).await;
    let now = app.clock.now();
    let mut room = Chatroom {
        id: ChatroomId::new(now),
        name: new.name.clone(),
        model: new.model.clone(),
        system_instruction: new.system_instruction.clone(),
        thinking: new.thinking,
        archived: false,
        created_at: now,
        updated_at: now,
        last_message_at: None,
        active_at: now,
        rev: 0,
        shown_rev: 0,
    };
    let people = app.people.change(owner);
    let opened = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(RoomError::NoSuchRoom)?;
        if let Some(request) = request {
            match replay::look_up(tx, owner, request).await? {
                Before::Same(made) => {
                    let made = sql::room(tx, owner, ChatroomId(made)).await?.ok_or(RoomError::NoSuchRoom)?;
                    return Ok((made, None));
                }
                Before::Other => return Err(RoomError::IdempotencyMismatch),
                Before::Never => replay::keep(tx, owner, request, room.id.0, now).await?,
            }
        }
        if !is_known {
            return Err(RoomError::UnknownModel);
        }
        room.rev = queue.rev;
        sql::insert_room(tx, owner, &room).await?;
        let rooms_rev = sql::raise_rooms_rev(tx, owner).await?;
        Ok::<_, RoomError>((room.clone(), Some(rooms_rev)))
    });
    let (room, rev) = conclude(people, opened)?;
    app.live.ring(owner, room.id);
    Ok((room, rev.is_none()))
}

/// One room of the caller's.
pub async fn room(app: &App, owner: UserId, room: ChatroomId) -> Result<Chatroom, RoomError> {
    sql::room(&mut app.store.read().await?, owner, room).await?.ok_or(RoomError::NoSuchRoom)
}

/// Changes a room; the room as it is now. A model that it has already may stay, though it be gone.
pub async fn change_room(
    app: &App,
    owner: UserId,
    plan: Plan,
    room: ChatroomId,
    change: &RoomChange,
) -> Result<Chatroom, RoomError> {
    let is_known = models::is_known(app, plan, change.model.as_ref().and_then(Option::as_deref)).await;
    let now = app.clock.now();
    let people = app.people.change(owner);
    let changed = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(RoomError::NoSuchRoom)?;
        let mut room = sql::room(tx, owner, room).await?.ok_or(RoomError::NoSuchRoom)?;
        let RoomChange { name, model, system_instruction, thinking, archived } = change.clone();
        if !is_known && model.as_ref() != Some(&room.model) {
            return Err(RoomError::UnknownModel);
        }
        room.name = name.unwrap_or(room.name);
        room.model = model.unwrap_or(room.model);
        room.system_instruction = system_instruction.unwrap_or(room.system_instruction);
        room.thinking = thinking.unwrap_or(room.thinking);
        room.archived = archived.unwrap_or(room.archived);
        room.updated_at = now;
        room.rev = queue.rev;
        sql::update_room(tx, &room, now).await?;
        let rooms_rev = sql::raise_rooms_rev(tx, owner).await?;
        Ok::<_, RoomError>((room, Some(rooms_rev)))
    });
    let (room, _) = conclude(people, changed)?;
    app.live.ring(owner, room.id);
    Ok(room)
}

/// Deletes a room with all that was said in it. It is gone for its owner at once and for good; its messages follow in
/// small transactions.
///
/// Replies that had not begun give their prompt back; one that was being written and had text stays charged, or
/// deleting rooms would make prompts free.
pub async fn delete_room(app: &App, owner: UserId, room: ChatroomId) -> Result<(), RoomError> {
    let people = app.people.change(owner);
    let deleted = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(RoomError::NoSuchRoom)?;
        sql::lock_room(tx, owner, room).await?.ok_or(RoomError::NoSuchRoom)?;
        let unfinished = sql::unfinished(tx, room).await?;
        for (reply, day) in &unfinished {
            let has_text = app.live.read(*reply).is_some_and(|writing| !writing.text.is_empty());
            if let Some(day) = day.as_ref().filter(|_| !has_text) {
                billing::give_back(tx, owner, day).await?;
            }
        }
        sql::disown_room(tx, room).await?;
        sql::delete_summaries(tx, room).await?;
        jobs::drop_lane(tx, &queue, room).await?;
        let rooms_rev = sql::raise_rooms_rev(tx, owner).await?;
        Ok::<_, RoomError>((unfinished, Some(rooms_rev)))
    });
    for (reply, _) in conclude(people, deleted)?.0 {
        app.live.stop(reply);
    }
    app.live.ring(owner, room);
    // What was being written there has made room for another reply of its owner's.
    app.live.ring_for_jobs();
    clear::clear_room(app, room).await?;
    Ok(())
}

/// Tells what is remembered of the person how a transaction ended; a `rooms_rev` says that it changed their rooms.
fn conclude<T>(
    people: Change<'_>,
    outcome: Result<(T, Option<i64>), RoomError>,
) -> Result<(T, Option<i64>), RoomError> {
    match &outcome {
        Ok((_, Some(rev))) => people.rooms(*rev),
        // Whether it was committed is not known.
        Err(RoomError::Store(_)) => drop(people),
        Ok((_, None)) | Err(_) => people.nothing(),
    }
    outcome
}
