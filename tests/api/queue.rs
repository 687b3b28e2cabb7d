//! The queue alone: claims, leases, fences, lanes and fairness, straight on the database. The clock is a number here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gemini_backend::clock::Moment;
use gemini_backend::ids::{ChatroomId, JobId, NodeId, UserId};
use gemini_backend::jobs::{self, Claim, EndError, Waiting, Wanted};
use gemini_backend::store::{self, Store};
use gemini_backend::{execute, fetch_one, transaction};

use crate::harness::Database;

const START: Moment = Moment::from_millis(1_795_258_020_000);
const LEASE: Duration = Duration::from_secs(15);

struct Queue {
    store: Store,
    database: Database,
}

impl Queue {
    async fn open() -> Self {
        let database = Database::create().await;
        let store = store::connect(database.url(), 8).await.expect("the database opens");
        store::migrate(&store).await.expect("the schema is made");
        Self { store, database }
    }

    async fn user(&self, at_once: u32, pro: bool) -> UserId {
        let user = UserId::new(START);
        transaction!(self.store, |tx| {
            jobs::open_account(tx, user, at_once).await?;
            jobs::set_weight(tx, user, pro, at_once).await
        })
        .expect("a user");
        user
    }

    async fn add(&self, user: UserId, lane: ChatroomId, seq: i64, now: Moment) -> JobId {
        let id = JobId::new(now);
        transaction!(self.store, |tx| {
            let queue = jobs::lock(tx, user).await?.expect("the user has a row");
            jobs::enqueue(tx, &queue, Waiting { id, lane, seq, attempt: 0 }, now).await
        })
        .expect("a job");
        id
    }

    /// As many jobs, each in a room of its own.
    async fn add_many(&self, user: UserId, jobs: usize, now: Moment) {
        for _ in 0..jobs {
            self.add(user, ChatroomId::new(now), 1, now).await;
        }
    }

    async fn claim(&self, holder: NodeId, most: usize, now: Moment) -> Vec<Claim> {
        let wanted = Wanted { holder, now, lease_until: now.plus(LEASE), most, only_basic: false };
        jobs::claim_heads(&self.store, wanted).await.expect("a claim").0
    }

    async fn claim_lapsed(&self, holder: NodeId, now: Moment) -> Vec<Claim> {
        let wanted = Wanted { holder, now, lease_until: now.plus(LEASE), most: 50, only_basic: false };
        jobs::claim_lapsed(&self.store, wanted).await.expect("a claim")
    }

    async fn finish(&self, holder: NodeId, claim: &Claim, now: Moment) -> Result<(), EndError> {
        let (owner, _) = claim.lane.expect("a reply's job has an owner");
        transaction!(self.store, |tx| {
            let queue = jobs::lock(tx, owner).await?.expect("the user has a row");
            jobs::finish(tx, &queue, holder, claim, now).await
        })
    }

    async fn in_flight(&self, user: UserId) -> (i64, Option<Moment>) {
        let mut reader = self.store.read().await.expect("a connection");
        fetch_one!(
            &mut reader,
            (i64, Option<Moment>),
            "select in_flight, next_due from queue_users where user_id = $1",
            user
        )
        .expect("the user's row")
    }

    /// Nothing is left and nothing is counted that is not there.
    async fn must_be_empty(self) {
        let mut reader = self.store.read().await.expect("a connection");
        let (counted, due, waiting) = fetch_one!(
            &mut reader,
            (i64, i64, i64),
            "select (select count(*) from queue_users where in_flight <> 0),
                    (select count(*) from queue_users where next_due is not null),
                    (select count(*) from jobs where state in ('queued', 'running'))"
        )
        .expect("the counts");
        assert_eq!((counted, due, waiting), (0, 0, 0), "in flight, due, waiting");
        drop(reader);
        self.store.close().await;
        assert_eq!(self.database.end(), 0);
    }
}

fn node() -> NodeId {
    NodeId::new(START)
}

fn owner(claim: &Claim) -> UserId {
    claim.lane.expect("a reply's job has an owner").0
}

#[tokio::test]
async fn a_lane_lets_one_job_through_at_a_time_and_in_order() {
    let queue = Queue::open().await;
    let (user, me, room) = (queue.user(5, false).await, node(), ChatroomId::new(START));
    let first = queue.add(user, room, 2, START).await;
    let second = queue.add(user, room, 4, START).await;
    let third = queue.add(user, room, 6, START).await;
    for expected in [first, second, third] {
        let claims = queue.claim(me, 10, START).await;
        assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [expected]);
        assert!(queue.claim(me, 10, START).await.is_empty(), "the lane is busy");
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    queue.must_be_empty().await;
}

#[tokio::test]
async fn nobody_has_more_in_flight_than_their_limit_however_many_claim_at_once() {
    let queue = Arc::new(Queue::open().await);
    let mut users = Vec::new();
    for _ in 0..6 {
        let user = queue.user(2, false).await;
        queue.add_many(user, 12, START).await;
        users.push(user);
    }
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let queue = Arc::clone(&queue);
        claimers.spawn(async move {
            let (me, mut held) = (node(), Vec::new());
            for _ in 0..5 {
                held.extend(queue.claim(me, 7, START).await);
            }
            (me, held)
        });
    }
    let held = claimers.join_all().await;
    let mut seen = HashSet::new();
    for claim in held.iter().flat_map(|(_, claims)| claims) {
        assert_eq!(claim.attempt, 1);
        assert!(seen.insert(claim.id), "a job was handed out twice");
    }
    for user in &users {
        let mine = held.iter().flat_map(|(_, claims)| claims).filter(|claim| owner(claim) == *user).count();
        assert_eq!((mine, queue.in_flight(*user).await.0), (2, 2));
    }
    let queue = Arc::into_inner(queue).expect("the claimers are done");
    for (me, claims) in &held {
        for claim in claims {
            queue.finish(*me, claim, START).await.expect("theirs");
        }
    }
    let me = node();
    loop {
        let claims = queue.claim(me, 50, START).await;
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            queue.finish(me, &claim, START).await.expect("mine");
        }
    }
    queue.must_be_empty().await;
}

#[tokio::test]
async fn with_one_slot_a_newcomer_is_next_or_next_but_one() {
    let queue = Queue::open().await;
    let (crowd, newcomer, me) = (queue.user(5, false).await, queue.user(5, false).await, node());
    queue.add_many(crowd, 500, START).await;
    for _ in 0..20 {
        let claims = queue.claim(me, 1, START).await;
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    queue.add_many(newcomer, 1, START).await;
    let mut order = Vec::new();
    for _ in 0..2 {
        let claims = queue.claim(me, 1, START).await;
        order.push(owner(&claims[0]));
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    assert!(order.contains(&newcomer));
    drain(&queue, me).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn a_newcomer_does_not_starve_who_worked_all_day() {
    let queue = Queue::open().await;
    let (stuck, veteran, newcomer, me) =
        (queue.user(1, false).await, queue.user(5, false).await, queue.user(5, false).await, node());
    // Someone who waits for a retry keeps the lowest virtual time of all.
    queue.add_many(stuck, 1, START).await;
    let claims = queue.claim(me, 1, START).await;
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, stuck).await?.expect("a row");
        jobs::retry(tx, &row, me, &claims[0], START.plus(LEASE), "wait: a while").await
    })
    .expect("mine");
    queue.add_many(veteran, 200, START).await;
    let mut tag = 0;
    for _ in 0..100 {
        let wanted = Wanted { holder: me, now: START, lease_until: START.plus(LEASE), most: 1, only_basic: false };
        let (claims, start) = jobs::claim_heads(&queue.store, wanted).await.expect("a claim");
        tag = tag.max(start);
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    jobs::raise_floor(&queue.store, tag).await.expect("the floor rises");
    queue.add_many(newcomer, 100, START).await;
    let mut served = 0;
    for _ in 0..20 {
        let claims = queue.claim(me, 1, START).await;
        served += usize::from(owner(&claims[0]) == veteran);
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    assert!((8..=12).contains(&served), "the veteran was served {served} times of 20");
    drain_at(&queue, me, START.plus(LEASE)).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn pro_is_served_four_times_as_often_as_basic() {
    let queue = Queue::open().await;
    let (pro, basic, me) = (queue.user(5, true).await, queue.user(5, false).await, node());
    queue.add_many(pro, 60, START).await;
    queue.add_many(basic, 60, START).await;
    let mut for_pro = 0;
    for _ in 0..50 {
        let claims = queue.claim(me, 1, START).await;
        for_pro += usize::from(owner(&claims[0]) == pro);
        queue.finish(me, &claims[0], START).await.expect("mine");
    }
    assert!((39..=41).contains(&for_pro), "{for_pro} of 50");
    drain(&queue, me).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn a_lapsed_lease_changes_hands_and_the_sleeper_is_refused() {
    let queue = Queue::open().await;
    let (user, sleeper, heir) = (queue.user(1, false).await, node(), node());
    queue.add_many(user, 2, START).await;
    let old = queue.claim(sleeper, 1, START).await.remove(0);
    assert!(queue.claim_lapsed(heir, START.plus(LEASE)).await.is_empty(), "the lease still holds");
    let later = START.plus(LEASE).plus(Duration::from_millis(1));
    assert!(queue.claim(heir, 5, later).await.is_empty(), "a lapsed job still counts for its user");
    let new = queue.claim_lapsed(heir, later).await.remove(0);
    assert_eq!((new.id, new.attempt, new.crashes, new.faults), (old.id, 2, 1, 0));
    assert_eq!(queue.in_flight(user).await.0, 1);
    assert!(matches!(queue.finish(sleeper, &old, later).await, Err(EndError::Lost)));
    let renewed = jobs::renew(&queue.store, sleeper, &[old.id], later.plus(LEASE)).await.expect("a renewal");
    assert!(renewed.is_empty(), "the sleeper learns that it lost the job");
    queue.finish(heir, &new, later).await.expect("the heir holds it");
    assert!(matches!(queue.finish(heir, &new, later).await, Err(EndError::Lost)), "a job ends once");
    drain_at(&queue, heir, later).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn a_renewed_lease_is_not_taken_over() {
    let queue = Queue::open().await;
    let (user, me) = (queue.user(1, false).await, node());
    queue.add_many(user, 1, START).await;
    let claim = queue.claim(me, 1, START).await.remove(0);
    let later = START.plus(LEASE).plus(Duration::from_secs(1));
    let renewed = jobs::renew(&queue.store, me, &[claim.id], later.plus(LEASE)).await.expect("a renewal");
    assert_eq!(renewed.get(&claim.id), Some(&1));
    assert!(queue.claim_lapsed(node(), later).await.is_empty());
    queue.finish(me, &claim, later).await.expect("mine");
    queue.must_be_empty().await;
}

#[tokio::test]
async fn faults_and_hand_backs_are_counted_apart_and_attempts_only_rise() {
    let queue = Queue::open().await;
    let (user, me) = (queue.user(1, false).await, node());
    queue.add_many(user, 1, START).await;
    let first = queue.claim(me, 1, START).await.remove(0);
    let due = START.plus(Duration::from_secs(2));
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, user).await?.expect("a row");
        jobs::retry(tx, &row, me, &first, due, "upstream_unavailable: away").await
    })
    .expect("mine");
    assert_eq!(queue.in_flight(user).await, (0, Some(due)));
    assert!(queue.claim(me, 1, START).await.is_empty(), "it waits");
    let second = queue.claim(me, 1, due).await.remove(0);
    assert_eq!((second.attempt, second.faults, second.crashes), (2, 1, 0));
    assert_eq!(second.first_claimed_at, START, "patience counts from the first claim");
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, user).await?.expect("a row");
        jobs::hand_back(tx, &row, me, &second, due).await
    })
    .expect("mine");
    let third = queue.claim(me, 1, due).await.remove(0);
    assert_eq!((third.attempt, third.faults, third.crashes), (3, 1, 0));
    queue.finish(me, &third, due).await.expect("mine");
    queue.must_be_empty().await;
}

#[tokio::test]
async fn a_waiting_retry_keeps_its_lane_closed() {
    let queue = Queue::open().await;
    let (user, me, room) = (queue.user(5, false).await, node(), ChatroomId::new(START));
    let first = queue.add(user, room, 2, START).await;
    let claim = queue.claim(me, 1, START).await.remove(0);
    let due = START.plus(Duration::from_secs(8));
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, user).await?.expect("a row");
        jobs::retry(tx, &row, me, &claim, due, "wait: a while").await
    })
    .expect("mine");
    queue.add(user, room, 4, START).await;
    assert!(queue.claim(me, 5, START).await.is_empty(), "the second must not overtake the first");
    assert_eq!(queue.claim(me, 5, due).await[0].id, first);
    jobs::void_leases(&queue.store).await.expect("as at a start");
    drain_at(&queue, me, due).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn whoever_waits_is_looked_for_when_due_and_hides_nobody_else() {
    let queue = Queue::open().await;
    let (patient, other, me) = (queue.user(5, false).await, queue.user(5, false).await, node());
    queue.add_many(patient, 1, START).await;
    let claim = queue.claim(me, 1, START).await.remove(0);
    let due = START.plus(Duration::from_secs(8));
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, patient).await?.expect("a row");
        jobs::retry(tx, &row, me, &claim, due, "wait: a while").await
    })
    .expect("mine");
    let heads = async || jobs::look(&queue.store).await.expect("a look").heads;
    assert_eq!(heads().await, Some(due));
    queue.add_many(other, 2, START).await;
    assert!(heads().await.is_some_and(|at| at <= START), "somebody need not wait");
    // Nor does a clock that was set back meanwhile hide who could be had before.
    for _ in 0..2 {
        let claims = queue.claim(me, 5, START.minus(Duration::from_hours(1))).await;
        assert_eq!(claims.iter().map(owner).collect::<Vec<_>>(), [other]);
    }
    assert_eq!(heads().await, Some(due));
    assert_eq!(jobs::void_leases(&queue.store).await.expect("as at a start"), 2);
    assert_eq!(drain_at(&queue, me, due).await, 3);
    queue.must_be_empty().await;
}

#[tokio::test]
async fn of_many_waits_that_end_at_once_none_is_left_behind() {
    let queue = Queue::open().await;
    let (many, due) = (230, START.plus(Duration::from_secs(8)));
    transaction!(queue.store, |tx| {
        for _ in 0..many {
            let (user, id, lane) = (UserId::new(START), JobId::new(START), ChatroomId::new(START));
            jobs::open_account(tx, user, 2).await?;
            let row = jobs::lock(tx, user).await?.expect("a row");
            jobs::enqueue(tx, &row, Waiting { id, lane, seq: 1, attempt: 0 }, START).await?;
        }
        execute!(tx, "update jobs set due_at = $1, note = 'wait: a while'", due)?;
        // As at a start: what the rows say is taken from the jobs.
        execute!(tx, "update queue_users set in_flight = 1").map(|_| ())
    })
    .expect("a crowd that waits");
    jobs::void_leases(&queue.store).await.expect("as at a start");
    let me = node();
    assert!(queue.claim(me, 50, START).await.is_empty());
    assert_eq!(drain_at(&queue, me, due).await, many);
    queue.must_be_empty().await;
}

#[tokio::test]
async fn void_leases_count_as_crashes_and_free_their_users() {
    let queue = Queue::open().await;
    let (user, me) = (queue.user(2, false).await, node());
    queue.add_many(user, 3, START).await;
    assert_eq!(queue.claim(me, 1, START).await.len() + queue.claim(me, 1, START).await.len(), 2);
    assert_eq!(jobs::void_leases(&queue.store).await.expect("as at a start"), 2);
    assert_eq!(queue.in_flight(user).await.0, 0);
    let again = queue.claim(me, 1, START).await.remove(0);
    assert_eq!((again.attempt, again.crashes), (2, 1));
    queue.finish(me, &again, START).await.expect("mine");
    drain(&queue, me).await;
    queue.must_be_empty().await;
}

#[tokio::test]
async fn dropping_a_lane_frees_its_places_once() {
    let queue = Queue::open().await;
    let (user, me, room) = (queue.user(1, false).await, node(), ChatroomId::new(START));
    queue.add(user, room, 2, START).await;
    queue.add(user, room, 4, START).await;
    let claim = queue.claim(me, 1, START).await.remove(0);
    transaction!(queue.store, |tx| {
        let row = jobs::lock(tx, user).await?.expect("a row");
        jobs::drop_lane(tx, &row, room).await
    })
    .expect("the lane goes");
    assert!(matches!(queue.finish(me, &claim, START).await, Err(EndError::Lost)));
    queue.must_be_empty().await;
}

/// Enqueuing, claiming, retrying and finishing all at once must neither lose a job nor leave one asleep.
#[tokio::test]
async fn a_storm_leaves_nothing_behind() {
    let queue = Arc::new(Queue::open().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let user = queue.user(2, false).await;
        let rooms: Vec<ChatroomId> = (0..3).map(|_| ChatroomId::new(START)).collect();
        for room in rooms {
            let queue = Arc::clone(&queue);
            tasks.spawn(async move {
                for seq in 1..=15 {
                    queue.add(user, room, seq, START).await;
                }
                0
            });
        }
    }
    let total = 4 * 3 * 15;
    for worker in 0..4_i64 {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            let (me, mut done, mut idle) = (node(), 0, 0);
            while idle < 200 {
                let claims = queue.claim(me, 3, START).await;
                idle = if claims.is_empty() { idle + 1 } else { 0 };
                tokio::task::yield_now().await;
                for claim in claims {
                    let retries = (claim.attempt + worker) % 4 == 0;
                    if retries {
                        let user = owner(&claim);
                        transaction!(queue.store, |tx| {
                            let row = jobs::lock(tx, user).await?.expect("a row");
                            jobs::retry(tx, &row, me, &claim, START, "again: now").await
                        })
                        .expect("mine");
                    } else {
                        queue.finish(me, &claim, START).await.expect("mine");
                        done += 1;
                    }
                }
            }
            done
        });
    }
    let done: i32 = tasks.join_all().await.into_iter().sum();
    let queue = Arc::into_inner(queue).expect("everybody is done");
    let left = drain(&queue, node()).await;
    assert_eq!(done + left, total);
    queue.must_be_empty().await;
}

#[tokio::test]
async fn finished_jobs_are_swept_in_batches() {
    let queue = Queue::open().await;
    let (user, me) = (queue.user(5, false).await, node());
    queue.add_many(user, 5, START).await;
    drain(&queue, me).await;
    let later = START.plus(Duration::from_hours(24));
    assert_eq!(jobs::sweep(&queue.store, START, 10).await.expect("a sweep"), 0, "not old enough");
    assert_eq!(jobs::sweep(&queue.store, later, 3).await.expect("a sweep"), 3);
    assert_eq!(jobs::sweep(&queue.store, later, 3).await.expect("a sweep"), 2);
    queue.must_be_empty().await;
}

#[tokio::test]
async fn an_unreadable_payload_is_claimed_and_told_apart() {
    let queue = Queue::open().await;
    let (user, me) = (queue.user(5, false).await, node());
    queue.add_many(user, 1, START).await;
    transaction!(queue.store, |tx| {
        execute!(tx, "update jobs set payload = '{\"kind\":\"from a newer version\"}'").map(|_| ())
    })
    .expect("a newer version's job");
    let claim = queue.claim(me, 1, START).await.remove(0);
    assert!(claim.job.is_none() && claim.lane.is_some());
    queue.finish(me, &claim, START).await.expect("mine");
    queue.must_be_empty().await;
}

async fn drain(queue: &Queue, me: NodeId) -> i32 {
    drain_at(queue, me, START).await
}

/// Finishes all that is due; how many there were.
async fn drain_at(queue: &Queue, me: NodeId, now: Moment) -> i32 {
    let mut done = 0;
    loop {
        let claims = queue.claim(me, 50, now).await;
        if claims.is_empty() {
            return done;
        }
        for claim in claims {
            queue.finish(me, &claim, now).await.expect("mine");
            done += 1;
        }
    }
}
