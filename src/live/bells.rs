//! Bells: whoever waits for something to change listens, whoever changed it rings. Nobody is told what changed; they look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ids::{ChatroomId, UserId};

/// One bell per open room and one per person with all of their rooms open; none where nobody listens.
#[derive(Debug, Default)]
pub(super) struct Bells(Arc<Mutex<HashMap<Place, Bell>>>);

/// What a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// There is more of a text that is being written.
    Text,
    /// The database says something new.
    Change,
}

/// Where something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Room(ChatroomId),
    /// All rooms of a person.
    RoomsOf(UserId),
}

#[derive(Debug)]
struct Bell {
    /// Counts the changes; it is also sent without being raised, when there is more text.
    changes: watch::Sender<u64>,
    listeners: usize,
}

/// Hears what is rung from its making on, until it is dropped.
#[derive(Debug)]
pub struct Listener {
    place: Place,
    bells: Arc<Mutex<HashMap<Place, Bell>>>,
    changes: watch::Receiver<u64>,
    heard: u64,
}

impl Bells {
    pub(super) fn listen(&self, place: Place) -> Listener {
        let mut bells = locked(&self.0);
        let bell = bells.entry(place).or_insert_with(|| Bell { changes: watch::channel(0).0, listeners: 0 });
        bell.listeners += 1;
        let changes = bell.changes.subscribe();
        let heard = *changes.borrow();
        Listener { place, bells: Arc::clone(&self.0), changes, heard }
    }

    pub(super) fn ring(&self, place: Place, what: Heard) {
        if let Some(bell) = locked(&self.0).get(&place) {
            bell.changes.send_modify(|changes| *changes += u64::from(what == Heard::Change));
        }
    }

    pub(super) fn is_heard(&self, place: Place) -> bool {
        locked(&self.0).contains_key(&place)
    }

    /// Where anybody listens.
    pub(super) fn places(&self) -> Vec<Place> {
        locked(&self.0).keys().copied().collect()
    }
}

impl Listener {
    /// Returns when the bell was rung since the last call: once, however often that was.
    pub async fn rung(&mut self) -> Heard {
        // The bell stays as long as anybody listens.
        let _ = self.changes.changed().await;
        let changes = *self.changes.borrow_and_update();
        if std::mem::replace(&mut self.heard, changes) == changes { Heard::Text } else { Heard::Change }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut bells = locked(&self.bells);
        if let Some(bell) = bells.get_mut(&self.place) {
            bell.listeners -= 1;
            if bell.listeners == 0 {
                bells.remove(&self.place);
            }
        }
    }
}

fn locked(bells: &Mutex<HashMap<Place, Bell>>) -> MutexGuard<'_, HashMap<Place, Bell>> {
    bells.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Moment;

    #[tokio::test]
    async fn a_bell_is_heard_by_all_who_listen_there_and_by_nobody_else() {
        let bells = Bells::default();
        let place = Place::Room(ChatroomId::new(Moment::from_millis(0)));
        let (mut first, mut second) = (bells.listen(place), bells.listen(place));
        let mut elsewhere = bells.listen(Place::RoomsOf(UserId::new(Moment::from_millis(0))));
        bells.ring(place, Heard::Change);
        bells.ring(place, Heard::Text);
        for listener in [&mut first, &mut second] {
            assert_eq!(listener.rung().now_or_never(), Some(Heard::Change));
            assert!(listener.rung().now_or_never().is_none(), "twice rung is heard once");
        }
        assert!(elsewhere.rung().now_or_never().is_none());
        drop(first);
        bells.ring(place, Heard::Text);
        assert_eq!(second.rung().now_or_never(), Some(Heard::Text));
        assert_eq!(bells.places().len(), 2);
        drop((second, elsewhere));
        assert!(locked(&bells.0).is_empty(), "nothing stays of who has gone");
    }
}
