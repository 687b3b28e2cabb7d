//! The worker: claims jobs, and for each calls the function that does it.
//!
//! One loop claims, renews and looks; each job runs in a task of its own. What this process holds is known by
//! `Held`; what the database no longer grants is stopped at once.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::account;
use crate::app::App;
use crate::auth;
use crate::billing;
use crate::chat::{self, Stopped};
use crate::clock::Moment;
use crate::ids::JobId;
use crate::jobs::{self, Claim, EndError, Job, MOST_CRASHES, Pool, Renewed, Wanted};
use crate::store;

/// How often the queue is looked at when no bell rings: while there is work, and while there is none (so that a
/// database that scales to zero can sleep).
const BUSY: Duration = Duration::from_secs(1);
pub const IDLE: Duration = Duration::from_secs(30);
/// Where other processes ring bells that cannot be heard here: on PostgreSQL, and for a worker alone.
pub const UNHEARD: Duration = Duration::from_secs(1);
/// When all that is due is locked.
const LOCKED: Duration = Duration::from_millis(20);
/// After the database was away.
const AWAY: Duration = Duration::from_millis(500);
/// The most that one transaction claims.
const BATCH: usize = 50;
/// Each pool of the house's own jobs takes one place in this many at most: what hangs must not hold up everything else.
const POOL_SHARE: usize = 8;
/// One claim in this many goes to Basic first, however many Pro users wait.
const BASIC_SHARE: usize = 5;

/// What this process is working on.
#[derive(Debug)]
struct Held {
    jobs: Mutex<HashMap<JobId, InHand>>,
    /// A place became free.
    freed: Notify,
    /// When the leases end, as last renewed.
    until: watch::Sender<Moment>,
    /// The process ends: give back what is not finished.
    hand_back: CancellationToken,
}

/// A job that is being done, for one attempt.
#[derive(Debug)]
struct InHand {
    attempt: i64,
    /// None: a reply.
    pool: Option<Pool>,
    /// Cancelled when it is ours no longer.
    lost: CancellationToken,
}

impl Held {
    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, InHand>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops those of `held` that the database no longer grants.
    fn stop_lost(&self, held: &[JobId], renewed: &Renewed) {
        let jobs = self.jobs();
        for id in held {
            if let Some(job) = jobs.get(id)
                && renewed.get(id) != Some(&job.attempt)
            {
                job.lost.cancel();
            }
        }
    }
}

/// Works until the app stops, looking at the queue every `idle` when no bell rings; then drains: what is being written
/// may end within the settings' time, the rest goes back to the queue.
pub async fn run(app: Arc<App>, idle: Duration) {
    let held = Arc::new(Held {
        jobs: Mutex::default(),
        freed: Notify::new(),
        until: watch::channel(app.clock.now()).0,
        hand_back: CancellationToken::new(),
    });
    let watchdog = app.tasks.spawn(watch_leases(Arc::clone(&app), Arc::clone(&held)));
    let mut shift = Shift {
        idle,
        app: &app,
        held: &held,
        renewed_at: app.clock.now(),
        renewed: Instant::now(),
        owed: 0,
        tag: 0,
        floor: 0,
        floored: None,
    };
    while !app.stop.is_cancelled() {
        let next = match shift.round(true).await {
            Ok(next) => next,
            Err(cause) => {
                tracing::warn!(%cause, "the worker waits for the database");
                app.clock.now().plus(AWAY)
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = app.live.job_bell() => {}
            () = held.freed.notified() => {}
            () = app.clock.sleep_until(next) => {}
        }
    }
    drain(&mut shift).await;
    watchdog.abort();
}

/// Lets what runs come to its end, renewing as before, and hands back what is left.
async fn drain(shift: &mut Shift<'_>) {
    let (app, held) = (shift.app, shift.held);
    let deadline = tokio::time::sleep(app.settings.worker.drain);
    tokio::pin!(deadline);
    while !held.jobs().is_empty() {
        if let Err(cause) = shift.round(false).await {
            tracing::warn!(%cause, "leases could not be renewed");
        }
        tokio::select! {
            () = held.freed.notified() => {}
            () = tokio::time::sleep(BUSY) => {}
            () = &mut deadline, if !held.hand_back.is_cancelled() => held.hand_back.cancel(),
        }
    }
}

/// A worker that cannot renew stops before its leases end, so that nobody else can have begun.
async fn watch_leases(app: Arc<App>, held: Arc<Held>) {
    let margin = app.settings.worker.lease / 5;
    let mut until = held.until.subscribe();
    loop {
        let end = until.borrow_and_update().minus(margin);
        tokio::select! {
            changed = until.changed() => if changed.is_err() { return },
            () = app.clock.sleep_until(end) => {
                for job in held.jobs().values() {
                    job.lost.cancel();
                }
                if until.changed().await.is_err() { return }
            }
        }
    }
}

/// The worker's loop from one look to the next.
struct Shift<'a> {
    /// Between two looks while there is nothing to do.
    idle: Duration,
    app: &'a Arc<App>,
    held: &'a Arc<Held>,
    renewed_at: Moment,
    renewed: Instant,
    /// Claims since Basic's last turn.
    owed: usize,
    /// The highest start tag claimed, and as far as it is persisted.
    tag: i64,
    floor: i64,
    floored: Option<Instant>,
}

impl Shift<'_> {
    /// Renews when it is time, claims when there is something and room for it; when to look again.
    async fn round(&mut self, claiming: bool) -> store::Result<Moment> {
        let now = self.app.clock.now();
        let renew_every = self.app.settings.worker.lease / 3;
        // By both clocks: the one that leases are written in may be set back, or forward.
        let (set_back, passed) = (now < self.renewed_at, now.since(self.renewed_at).max(self.renewed.elapsed()));
        if set_back || passed >= renew_every {
            self.renew().await?;
        }
        if self.tag > self.floor && self.floored.is_none_or(|at| at.elapsed() >= BUSY) {
            jobs::raise_floor(&self.app.store, self.tag).await?;
            self.floor = self.tag;
            self.floored = Some(Instant::now());
        }
        let busy = !self.held.jobs().is_empty();
        // Counted from the beginning of this look: what falls due while it lasts is not slept over.
        let latest = now.plus(if busy { BUSY.min(renew_every) } else { self.idle });
        if !claiming || self.app.stop.is_cancelled() || !self.app.clock.is_sure() {
            return Ok(latest.min(now.plus(BUSY)));
        }
        let room = self.app.settings.worker.concurrency.saturating_sub(self.held.jobs().len()).min(BATCH);
        if room == 0 {
            return Ok(latest);
        }
        let mut look = jobs::look(&self.app.store).await?;
        for (pool, due) in &mut look.house {
            if self.room_for(*pool) == 0 {
                *due = None;
            }
        }
        let now = self.app.clock.now();
        if look.next().is_some_and(|due| due <= now) {
            if !self.claim(look, now, room).await? {
                // Their rows are locked, by requests of theirs or by another claim: over in a moment.
                tokio::time::sleep(LOCKED).await;
            }
            return Ok(now);
        }
        Ok(look.next().map_or(latest, |due| due.min(latest)))
    }

    async fn renew(&mut self) -> store::Result<()> {
        let held: Vec<JobId> = self.held.jobs().keys().copied().collect();
        let now = self.app.clock.now();
        let until = now.plus(self.app.settings.worker.lease);
        let renewed = if held.is_empty() {
            Renewed::new()
        } else {
            jobs::renew(&self.app.store, self.app.node, &held, until).await?
        };
        self.held.stop_lost(&held, &renewed);
        self.renewed_at = now;
        self.renewed = Instant::now();
        self.held.until.send_replace(until);
        if renewed.is_empty() { Ok(()) } else { chat::heed_cancels(self.app).await }
    }

    /// True when something was claimed: there may be more. What is claimed begins at once: were a later claim to fail,
    /// it must not lie idle under our lease.
    async fn claim(&mut self, look: jobs::Look, now: Moment, room: usize) -> store::Result<bool> {
        if self.held.jobs().is_empty() {
            self.renew().await?;
        }
        let store = &self.app.store;
        let lease_until = now.plus(self.app.settings.worker.lease);
        let wanted = Wanted { holder: self.app.node, now, lease_until, most: room, only_basic: false };
        let due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        let mut left = room;
        if due(look.lapse) {
            left -= self.begin(jobs::claim_lapsed(store, wanted).await?);
        }
        // In the order in which people wait for them.
        let (background, awaited): (Vec<_>, Vec<_>) =
            look.house.into_iter().filter(|(_, at)| due(*at)).partition(|(pool, _)| *pool == Pool::Background);
        for (pool, _) in awaited {
            left -= self.claim_house(pool, Wanted { most: left, ..wanted }).await?;
        }
        if due(look.heads) && left > 0 {
            left -= self.claim_heads(Wanted { most: left, ..wanted }).await?;
        }
        for (pool, _) in background {
            left -= self.claim_house(pool, Wanted { most: left, ..wanted }).await?;
        }
        Ok(left < room)
    }

    async fn claim_house(&self, pool: Pool, wanted: Wanted) -> store::Result<usize> {
        let most = wanted.most.min(self.room_for(pool));
        if most == 0 {
            return Ok(0);
        }
        Ok(self.begin(jobs::claim_house(&self.app.store, pool, Wanted { most, ..wanted }).await?))
    }

    fn room_for(&self, pool: Pool) -> usize {
        let most = (self.app.settings.worker.concurrency / POOL_SHARE).max(1);
        most.saturating_sub(self.held.jobs().values().filter(|job| job.pool == Some(pool)).count())
    }

    /// How many were claimed. Basic's share comes first.
    async fn claim_heads(&mut self, wanted: Wanted) -> store::Result<usize> {
        let for_basic = ((self.owed + wanted.most) / BASIC_SHARE).min(wanted.most);
        let mut claimed = 0;
        for (most, only_basic) in [(for_basic, true), (wanted.most, false)] {
            let most = most.saturating_sub(claimed);
            if most > 0 {
                let (claims, tag) = jobs::claim_heads(&self.app.store, Wanted { most, only_basic, ..wanted }).await?;
                claimed += self.begin(claims);
                self.tag = self.tag.max(tag);
            }
        }
        self.owed = (self.owed + claimed) % BASIC_SHARE;
        Ok(claimed)
    }

    /// Each in a task of its own; how many there are.
    fn begin(&self, claims: Vec<Claim>) -> usize {
        let count = claims.len();
        for claim in claims {
            self.begin_one(claim);
        }
        count
    }

    fn begin_one(&self, claim: Claim) {
        let lost = CancellationToken::new();
        let hand_back = self.held.hand_back.child_token();
        if self.app.stop.is_cancelled() {
            // Claimed while the process was told to end: another one writes it.
            hand_back.cancel();
        }
        let in_hand = InHand { attempt: claim.attempt, pool: claim.pool, lost: lost.clone() };
        self.held.jobs().insert(claim.id, in_hand);
        let (app, held) = (Arc::clone(self.app), Arc::clone(self.held));
        self.app.tasks.spawn(async move {
            let stop = Stopped { lost, hand_back };
            let (id, attempt) = (claim.id, claim.attempt);
            let place = Place { held: &held, id, attempt };
            let worked = match AssertUnwindSafe(work(&app, &claim, &stop)).catch_unwind().await {
                Ok(worked) => worked,
                Err(_) => give_up(&app, &claim, "it panicked").await,
            };
            match worked {
                Ok(()) => {}
                Err(EndError::Lost) => tracing::info!(job = %id, attempt, "a job is in other hands"),
                Err(EndError::Store(cause)) => {
                    tracing::error!(job = %id, attempt, %cause, "a job's end was not stored");
                }
            }
            drop(place);
        });
    }
}

/// A job's place among those held, given up whatever becomes of the job, a panic included.
struct Place<'a> {
    held: &'a Held,
    id: JobId,
    attempt: i64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut jobs = self.held.jobs();
        if jobs.get(&self.id).is_some_and(|job| job.attempt == self.attempt) {
            jobs.remove(&self.id);
        }
        drop(jobs);
        self.held.freed.notify_one();
    }
}

/// From a job to the function that does it.
async fn work(app: &App, claim: &Claim, stop: &Stopped) -> Result<(), EndError> {
    match &claim.job {
        Some(Job::Reply { id }) => chat::write_reply(app, claim, *id, stop).await,
        job if claim.lane.is_none() && claim.crashes > MOST_CRASHES && !job.as_ref().is_some_and(Job::is_owed) => {
            give_up(app, claim, "it ended its process again and again").await
        }
        Some(Job::SendCode { id }) => auth::deliver(app, claim, *id).await,
        Some(Job::EraseUser { user }) => account::work(app, claim, *user).await,
        Some(job) => tokio::select! {
            ended = ask_others(app, claim, job) => ended,
            // It asks others for as long as they like: whoever has the time goes on.
            () = stop.hand_back.cancelled() => {
                let now = app.clock.now();
                crate::transaction!(app.store, |tx| { jobs::wait_house(tx, app.node, claim, now).await })
            }
        },
        None => give_up(app, claim, "it cannot be read").await,
    }
}

/// What the house does at others' pace.
async fn ask_others(app: &App, claim: &Claim, job: &Job) -> Result<(), EndError> {
    match job {
        Job::NameRoom { user, room, reply } => chat::name_room(app, claim, (*user, *room), *reply).await,
        Job::Summarise { user, room, reply } => chat::summarise(app, claim, (*user, *room), *reply).await,
        job => billing::work(app, claim, job).await,
    }
}

/// The end of a job that nothing can be done with: a reply fails together with it, one of the house is parked.
async fn give_up(app: &App, claim: &Claim, why: &str) -> Result<(), EndError> {
    tracing::error!(job = %claim.id, why, "a job is given up");
    if claim.lane.is_some() {
        return chat::give_up(app, claim).await;
    }
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| { jobs::finish_house(tx, app.node, claim, why, now).await })
}
