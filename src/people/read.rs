//! Reading how sessions stand. Requests that come at the same time share one select, which costs the database and us
//! little more than one of them alone.
//!
//! A select begins after everybody asked whom it answers, so nobody is told what was true before their own last write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::Standing;
use crate::fetch_all;
use crate::ids::SessionId;
use crate::store::sql::{Fork, Ids};
use crate::store::{Error, On, Result, Store};

/// Selects under way at once: one that hangs in a broken connection does not hold up everybody.
const AT_ONCE: usize = 2;

macro_rules! standings {
    ($these:literal) => {
        concat!(
            "select s.id as session, s.user_id as \"user\", u.role, u.plan, u.suspended_at is not null as is_suspended,
                    u.rooms_rev, s.expires_at, s.last_seen_at, s.generation, s.used_generation
             from sessions s join users u on u.id = s.user_id
             where s.id ",
            $these,
            " and s.ended_at is null"
        )
    };
}

const STANDINGS: Fork =
    Fork { sqlite: standings!("in (select unhex(value) from json_each($1))"), postgres: standings!("= any ($1)") };

/// A session that has not ended, with what a request needs to know about its user.
pub async fn standing(on: &mut impl On, session: SessionId) -> Result<Option<Standing>> {
    Ok(fetch_all!(on, Standing, STANDINGS, &Ids(vec![session.0]))?.pop())
}

type Told = Result<Option<Standing>>;

/// Who waits to be told, and how many selects are under way.
#[derive(Debug, Default)]
struct Asked {
    waiting: Vec<(SessionId, oneshot::Sender<Told>)>,
    selects: usize,
}

#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<Asked>);

impl Readings {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn read(self: &Arc<Self>, store: &Store, tasks: &TaskTracker, session: SessionId) -> Told {
        let (tell, told) = oneshot::channel();
        if self.ask(session, tell) {
            tasks.spawn(select(Turn(Arc::clone(self)), store.clone()));
        }
        // Nobody answers only if the select broke.
        told.await.unwrap_or(Err(Error::Unavailable(sqlx::Error::WorkerCrashed)))
    }

    /// Whether the caller has to begin another select.
    fn ask(&self, session: SessionId, tell: oneshot::Sender<Told>) -> bool {
        let mut asked = self.asked();
        asked.waiting.push((session, tell));
        let is_another = asked.selects < AT_ONCE;
        asked.selects += usize::from(is_another);
        is_another
    }
}

/// The right to one of the selects, given back when nobody waits or when it breaks.
struct Turn(Arc<Readings>);

impl Turn {
    /// None when nobody waits; the turn is over then, in the same moment.
    fn next(&self) -> Option<Vec<(SessionId, oneshot::Sender<Told>)>> {
        let mut asked = self.0.asked();
        if asked.waiting.is_empty() {
            asked.selects -= 1;
            return None;
        }
        Some(std::mem::take(&mut asked.waiting))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut asked = self.0.asked();
            asked.selects -= 1;
            // Nobody might come to answer them: they are told that nothing came of it.
            asked.waiting.clear();
        }
    }
}

async fn select(turn: Turn, store: Store) {
    while let Some(waiting) = turn.next() {
        let sessions = Ids(waiting.iter().map(|(session, _)| session.0).collect());
        let found = found(&store, &sessions).await;
        let found: Result<HashMap<_, _>> =
            found.map(|found| found.into_iter().map(|standing| (standing.session, standing)).collect());
        for (session, tell) in waiting {
            let told = match &found {
                Ok(found) => Ok(found.get(&session).copied()),
                Err(cause) => Err(cause.again()),
            };
            // Who has gone away meanwhile need not be told.
            let _ = tell.send(told);
        }
    }
}

async fn found(store: &Store, sessions: &Ids) -> Result<Vec<Standing>> {
    fetch_all!(&mut store.read().await?, Standing, STANDINGS, sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_when_nobody_waits_and_when_it_breaks() {
        let readings = Arc::new(Readings::default());
        let session = || SessionId(uuid::Uuid::nil());
        let ask = || readings.ask(session(), oneshot::channel().0);
        assert_eq!([ask(), ask(), ask(), ask()], [true, true, false, false]);
        let turns = [Turn(readings.clone()), Turn(readings.clone())];
        assert_eq!(turns[0].next().map(|waiting| waiting.len()), Some(4));
        assert!(turns[1].next().is_none());
        assert!(ask(), "the second turn is free");
        assert_eq!(turns[0].next().map(|waiting| waiting.len()), Some(1));
        let (tell, mut told) = oneshot::channel();
        readings.ask(session(), tell);
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = Turn(readings.clone());
            panic!("on purpose");
        }));
        assert!(broken.is_err() && matches!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(turns[0].next().is_none());
        assert_eq!(readings.asked().selects, 0);
    }
}
