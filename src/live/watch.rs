//! What keeps live readers right when a bell is not rung (the process that should have died, or Redis is away): two queries
//! each second for all of them together.

use std::collections::HashMap;
use std::time::Duration;

use super::Live;
use super::bells::{Heard, Place};
use crate::fetch_all;
use crate::ids::{ChatroomId, UserId};
use crate::store::sql::{Fork, Ids};
use crate::store::{Result, Store};

const EVERY: Duration = Duration::from_secs(1);

/// Of a room its rev and whose it is, of a person the number of their newest transaction.
type Stamp = (i64, Option<UserId>);

macro_rules! in_list {
    ($select:literal) => {
        Fork {
            sqlite: concat!($select, " in (select unhex(value) from json_each($1))"),
            postgres: concat!($select, " = any ($1)"),
        }
    };
}

const ROOMS: Fork = in_list!("select id, rev, owner from chatrooms where id");
const PEOPLE: Fork = in_list!("select user_id, rev from queue_users where user_id");

impl Live {
    /// Rings for what changed without a bell, and ticks, until it is dropped.
    pub async fn watch(&self, store: &Store) {
        let mut known = HashMap::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let places = self.bells.places();
            if !places.is_empty() {
                match stamps(store, &places).await {
                    Ok(stamps) => {
                        for place in places {
                            // Whoever began to listen since the last look may have looked before a change.
                            if known.get(&place) != stamps.get(&place) || !known.contains_key(&place) {
                                self.bells.ring(place, Heard::Change);
                            }
                        }
                        known = stamps;
                    }
                    Err(cause) => tracing::warn!(%cause, "live readers could not be looked after"),
                }
            }
            self.forget_ended();
            self.ticks.send_replace(());
        }
    }
}

async fn stamps(store: &Store, places: &[Place]) -> Result<HashMap<Place, Stamp>> {
    let room = |place: &Place| if let Place::Room(room) = place { Some(room.0) } else { None };
    let person = |place: &Place| if let Place::RoomsOf(user) = place { Some(user.0) } else { None };
    let (rooms, people) =
        (Ids(places.iter().filter_map(room).collect()), Ids(places.iter().filter_map(person).collect()));
    let mut reader = store.read().await?;
    let mut stamps = HashMap::new();
    if !rooms.0.is_empty() {
        let rows = fetch_all!(&mut reader, (ChatroomId, i64, UserId), ROOMS, &rooms)?;
        stamps.extend(rows.into_iter().map(|(room, rev, owner)| (Place::Room(room), (rev, Some(owner)))));
    }
    if !people.0.is_empty() {
        let rows = fetch_all!(&mut reader, (UserId, i64), PEOPLE, &people)?;
        stamps.extend(rows.into_iter().map(|(user, rev)| (Place::RoomsOf(user), (rev, None))));
    }
    Ok(stamps)
}
