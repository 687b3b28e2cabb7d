//! Every statement of the queue.

use super::{Claim, Job, Locked, Look, Pool, Waiting, Wanted};
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, NodeId, UserId};
use crate::store::sql::{Fork, Ids};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one, fetch_optional};

#[derive(sqlx::FromRow)]
struct Row {
    id: JobId,
    payload: String,
    owner: Option<UserId>,
    lane: Option<ChatroomId>,
    pool: Option<Pool>,
    attempt: i64,
    faults: i64,
    crashes: i64,
    first_claimed_at: Moment,
}

impl From<Row> for Claim {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            job: serde_json::from_str(&row.payload).ok(),
            pool: row.pool,
            lane: row.owner.zip(row.lane),
            attempt: row.attempt,
            faults: row.faults,
            crashes: row.crashes,
            first_claimed_at: row.first_claimed_at,
        }
    }
}

/// What a job of the house is kept as.
#[derive(Debug)]
pub struct Kept {
    pub id: JobId,
    pub kind: &'static str,
    pub payload: String,
    pub due: Moment,
    pub pool: Option<Pool>,
}

impl Kept {
    #[must_use]
    pub fn of(id: JobId, job: &Job, due: Moment) -> Self {
        Self { id, kind: job.kind(), payload: payload(job), due, pool: job.pool() }
    }
}

fn payload(job: &Job) -> String {
    serde_json::to_string(job).expect("a job is plain data")
}

pub(super) async fn insert_user(tx: &mut Tx, user: UserId, weight: i64, at_once: i64) -> Result<()> {
    execute!(
        tx,
        "insert into queue_users (user_id, weight, at_once, vtime, in_flight) values ($1, $2, $3, 0, 0)
         on conflict (user_id) do nothing",
        user,
        weight,
        at_once
    )?;
    Ok(())
}

pub(super) async fn delete_user(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(
        tx,
        "delete from jobs where finished_at is null and lane in (select lane from jobs where owner = $1 and head)",
        user
    )?;
    // What has ended, and what the house was still to do about them: nobody is left to do it for.
    execute!(tx, "delete from jobs where owner = $1", user)?;
    execute!(
        tx,
        "delete from jobs where kind in ('judge_plan', 'end_subscription', 'erase_user', 'name_room', 'summarise') and payload like $1",
        format!("%\"{user}\"%")
    )?;
    execute!(tx, "delete from queue_users where user_id = $1", user)?;
    Ok(())
}

pub(super) async fn delete_house(tx: &mut Tx, id: JobId) -> Result<()> {
    execute!(tx, "delete from jobs where id = $1 and owner is null", id)?;
    Ok(())
}

pub(super) async fn set_weight(tx: &mut Tx, user: UserId, weight: i64, at_once: i64) -> Result<()> {
    execute!(tx, "update queue_users set weight = $2, at_once = $3 where user_id = $1", user, weight, at_once)?;
    Ok(())
}

pub(super) async fn set_at_once(tx: &mut Tx, weight: i64, at_once: i64) -> Result<()> {
    execute!(tx, "update queue_users set at_once = $2 where weight = $1 and at_once <> $2", weight, at_once)?;
    Ok(())
}

pub(super) async fn lock(tx: &mut Tx, user: UserId) -> Result<Option<Locked>> {
    fetch_optional!(
        tx,
        Locked,
        "update queue_users as q set rev = rev + 1 where user_id = $1
         returning user_id, vtime, in_flight, next_due, rev,
                   (select min(vtime) from queue_users where in_flight < at_once and next_due is not null and ripe)
                       as least_claimable,
                   (select min(vtime) from queue_users where next_due is not null and (in_flight >= at_once or not ripe))
                       as least_held,
                   (select vtime from queue_floor) as floor",
        user
    )
}

pub(super) async fn set_user(tx: &mut Tx, user: UserId, vtime: i64, next_due: Moment) -> Result<()> {
    execute!(
        tx,
        "update queue_users set vtime = $2, next_due = $3, ripe = true where user_id = $1",
        user,
        vtime,
        next_due
    )?;
    Ok(())
}

/// True when the lane was empty, so that the job may be claimed. A job that ended before is taken up again.
pub(super) async fn insert_in_lane(
    tx: &mut Tx,
    owner: UserId,
    waiting: Waiting,
    job: &Job,
    now: Moment,
) -> Result<bool> {
    let (is_head,) = fetch_one!(
        tx,
        (bool,),
        "insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes, created_at)
         values ($1, $2, $3, $4, $5, $6, not exists (select 1 from jobs where lane = $5 and finished_at is null),
                 'queued', $7, $8, 0, 0, $7)
         on conflict (id) do update set state = 'queued', head = excluded.head, due_at = excluded.due_at, faults = 0,
                 crashes = 0, created_at = excluded.created_at, first_claimed_at = null, finished_at = null, note = null
         returning head",
        waiting.id,
        job.kind(),
        payload(job),
        owner,
        waiting.lane,
        waiting.seq,
        now,
        waiting.attempt
    )?;
    Ok(is_head)
}

/// How many of a lane have not ended, up to this place in it.
pub(super) async fn place_in_lane(tx: &mut Tx, lane: ChatroomId, seq: i64) -> Result<i64> {
    let sql = "select count(*) from jobs where lane = $1 and finished_at is null and lane_seq <= $2";
    Ok(fetch_one!(tx, (i64,), sql, lane, seq)?.0)
}

/// What is due later has not waited yet: it counts as made then.
pub(super) async fn insert_house(tx: &mut Tx, id: JobId, job: &Job, due: Moment) -> Result<()> {
    execute!(
        tx,
        "insert into jobs (id, kind, payload, lane_seq, head, state, due_at, attempt, faults, crashes, created_at, pool)
         values ($1, $2, $3, 0, true, 'queued', $4, 0, 0, 0, $4, $5)",
        id,
        job.kind(),
        payload(job),
        due,
        job.pool()
    )?;
    Ok(())
}

/// Puts a job of the house into the queue, from a row of id, kind, payload, when it is due, and pool; one that runs is left
/// alone, one that ended is taken up again.
macro_rules! keep_house_sql {
    ($with:expr, $row:literal) => {
        concat!(
            $with,
            "insert into jobs (id, kind, payload, lane_seq, head, state, due_at, attempt, faults, crashes, created_at, pool)
             select n.id, n.kind, n.payload, 0, true, 'queued', n.due, 0, 0, 0, n.due, n.pool from (",
            $row,
            ") as n
             where true
             on conflict (id) do update set payload = excluded.payload, head = true, state = 'queued', due_at = excluded.due_at,
                     faults = 0, crashes = 0, created_at = excluded.created_at, first_claimed_at = null, finished_at = null,
                     note = null
                 where jobs.state in ('done', 'parked') or (jobs.state = 'queued' and jobs.due_at > excluded.due_at)"
        )
    };
}
pub(crate) use keep_house_sql;

const KEEP_HOUSE: Fork = Fork {
    // Without a `where`, SQLite would take `on conflict` for part of a join.
    sqlite: keep_house_sql!("", "select $1 as id, $2 as kind, $3 as payload, $4 as due, $5 as pool"),
    postgres: keep_house_sql!(
        "",
        "select cast($1 as uuid) as id, $2 as kind, $3 as payload, cast($4 as timestamptz) as due, $5 as pool"
    ),
};

pub(super) async fn keep_house(tx: &mut Tx, id: JobId, job: &Job, due: Moment) -> Result<()> {
    let Kept { id, kind, payload, due, pool } = Kept::of(id, job, due);
    execute!(tx, KEEP_HOUSE, id, kind, payload, due, pool)?;
    Ok(())
}

macro_rules! returning {
    () => {
        " returning id, payload, owner, lane, pool, attempt, faults, crashes, first_claimed_at"
    };
}

/// Only PostgreSQL has other claimers to step around. `any (array (...))` makes it look the ids up one by one
/// whatever it believes of the tables' sizes.
macro_rules! take {
    ($set:literal, $sqlite:literal, $postgres:literal) => {
        Fork {
            sqlite: concat!(
                "update jobs set state = 'running', attempt = attempt + 1, holder = $1, lease_until = $2",
                $set,
                " where id in (",
                $sqlite,
                ")",
                returning!()
            ),
            postgres: concat!(
                "update jobs set state = 'running', attempt = attempt + 1, holder = $1, lease_until = $2",
                $set,
                " where id = any (array (",
                $postgres,
                "))",
                returning!()
            ),
        }
    };
}

/// A lapsed job still counts in its user's `in_flight`: it changes hands and nothing else.
const TAKE_LAPSED: Fork = take!(
    ", crashes = crashes + 1, first_claimed_at = coalesce(first_claimed_at, $3)",
    "select id from jobs where state = 'running' and lease_until < $3 order by lease_until limit $4",
    "select id from jobs where state = 'running' and lease_until < $3 order by lease_until limit $4 for update skip locked"
);

pub(super) async fn take_lapsed(tx: &mut Tx, wanted: Wanted) -> Result<Vec<Claim>> {
    take(tx, TAKE_LAPSED, wanted).await
}

/// At most this many people whose wait is over become claimable with one claim; all at once could be everybody.
const MOST_RIPENED: i64 = 200;

/// SQLite is told which index to read: it would rather sort all who are due.
macro_rules! ripening {
    ($by:literal, $lock:literal) => {
        concat!(
            "select user_id from queue_users ",
            $by,
            "
             where in_flight < at_once and next_due is not null and not ripe and next_due <= $1
             order by next_due limit $2",
            $lock
        )
    };
}

const RIPEN: Fork = Fork {
    sqlite: concat!(
        "update queue_users set ripe = true where user_id in (",
        ripening!("indexed by queue_users_unripe", ""),
        ")"
    ),
    postgres: concat!(
        "update queue_users set ripe = true where user_id = any (array (",
        ripening!("", " for update skip locked"),
        "))"
    ),
};

/// Lets those be claimed whose first head was to wait until now.
pub(super) async fn ripen(tx: &mut Tx, now: Moment) -> Result<()> {
    execute!(tx, RIPEN, now, MOST_RIPENED)?;
    Ok(())
}

/// Who is ripe is not held against the clock again: it may have been set back since.
macro_rules! heads {
    ($filter:literal, $by:literal, $lock:literal) => {
        concat!(
            "select (select h.id from jobs h where h.owner = u.user_id and h.head and h.state = 'queued'
                     order by h.due_at, h.id limit 1)
             from (select user_id from queue_users ",
            $by,
            "
                   where in_flight < at_once and next_due is not null and ripe",
            $filter,
            "
                   order by vtime limit $4",
            $lock,
            ") u"
        )
    };
}

macro_rules! take_heads {
    ($filter:literal, $by:literal) => {
        Fork {
            sqlite: concat!(
                "update jobs set state = 'running', attempt = attempt + 1, holder = $1, lease_until = $2,
                        first_claimed_at = coalesce(first_claimed_at, $3) where id in (",
                heads!($filter, $by, ""), ")", returning!()
            ),
            // Checked again on the newest version of the row: between the snapshot and the lock on its user it may
            // have been taken.
            postgres: concat!(
                "update jobs set state = 'running', attempt = attempt + 1, holder = $1, lease_until = $2,
                        first_claimed_at = coalesce(first_claimed_at, $3) where state = 'queued' and id = any (array (",
                heads!($filter, "", " for update skip locked"), "))", returning!()
            ),
        }
    };
}

const TAKE_HEADS: Fork = take_heads!("", "indexed by queue_users_claimable");
const TAKE_BASIC_HEADS: Fork = take_heads!(" and weight = 1", "indexed by queue_users_claimable_basic");

pub(super) async fn take_heads(tx: &mut Tx, wanted: Wanted) -> Result<Vec<Claim>> {
    take(tx, if wanted.only_basic { TAKE_BASIC_HEADS } else { TAKE_HEADS }, wanted).await
}

const TAKE_HOUSE: Fork = take!(
    ", first_claimed_at = coalesce(first_claimed_at, $3)",
    "select id from jobs where state = 'queued' and owner is null and pool = $5 and due_at <= $3 order by due_at, id limit $4",
    "select id from jobs where state = 'queued' and owner is null and pool = $5 and due_at <= $3 order by due_at, id limit $4
     for update skip locked"
);

pub(super) async fn take_house(tx: &mut Tx, pool: Pool, wanted: Wanted) -> Result<Vec<Claim>> {
    let most = i64::try_from(wanted.most).unwrap_or(i64::MAX);
    let Wanted { holder, lease_until, now, .. } = wanted;
    let rows = fetch_all!(tx, Row, TAKE_HOUSE, holder, lease_until, now, most, pool)?;
    Ok(rows.into_iter().map(Claim::from).collect())
}

async fn take(tx: &mut Tx, statement: Fork, wanted: Wanted) -> Result<Vec<Claim>> {
    let most = i64::try_from(wanted.most).unwrap_or(i64::MAX);
    let rows = fetch_all!(tx, Row, statement, wanted.holder, wanted.lease_until, wanted.now, most)?;
    Ok(rows.into_iter().map(Claim::from).collect())
}

/// What a user's row tells of the queued heads: when the first is due, and whether it can be had at once. A job that was
/// told to wait has a note that says why; every other one was due when it came.
macro_rules! set_next {
    () => {
        "(next_due, ripe) = (select h.due_at, h.note is null from jobs h
                             where h.owner = queue_users.user_id and h.head and h.state = 'queued'
                             order by h.due_at, h.id limit 1)"
    };
}

macro_rules! count_taken {
    ($these:literal) => {
        concat!(
            "update queue_users set in_flight = in_flight + 1, vtime = vtime + 1000 / weight, ",
            set_next!(),
            " where user_id ",
            $these,
            " returning vtime - 1000 / weight"
        )
    };
}

/// Lists of ids are an array to one engine and JSON to the other. A claim costs 1000 over the user's weight.
/// It is a statement after the claim's own, so that it sees what was claimed.
const COUNT_TAKEN: Fork =
    Fork { sqlite: count_taken!("in (select unhex(value) from json_each($1))"), postgres: count_taken!("= any ($1)") };

/// Counts each claim for its user; the highest start tag among them.
pub(super) async fn count_taken(tx: &mut Tx, claims: &[Claim]) -> Result<i64> {
    if claims.is_empty() {
        return Ok(0);
    }
    let owners = Ids(claims.iter().filter_map(|claim| claim.lane.map(|(owner, _)| owner.0)).collect());
    let tags = fetch_all!(tx, (i64,), COUNT_TAKEN, &owners)?;
    Ok(tags.into_iter().map(|(tag,)| tag).max().unwrap_or(0))
}

/// False when this attempt no longer holds the job.
pub(super) async fn end(
    tx: &mut Tx,
    holder: NodeId,
    claim: &Claim,
    state: &str,
    note: &str,
    now: Moment,
) -> Result<bool> {
    let ended = execute!(
        tx,
        "update jobs set state = $4, head = false, holder = null, lease_until = null, finished_at = $5, note = nullif($6, '')
         where id = $1 and attempt = $2 and holder = $3 and state = 'running'",
        claim.id,
        claim.attempt,
        holder,
        state,
        now,
        note
    )?;
    Ok(ended == 1)
}

/// False when this attempt no longer holds the job.
pub(super) async fn put_back(
    tx: &mut Tx,
    holder: NodeId,
    claim: &Claim,
    due: Moment,
    faults: i64,
    note: &str,
) -> Result<bool> {
    let done = execute!(
        tx,
        "update jobs set state = 'queued', due_at = $4, faults = faults + $5, holder = null, lease_until = null,
                note = nullif($6, '')
         where id = $1 and attempt = $2 and holder = $3 and state = 'running'",
        claim.id,
        claim.attempt,
        holder,
        due,
        faults,
        note
    )?;
    Ok(done == 1)
}

/// False when this attempt no longer holds the job.
pub(super) async fn begin_anew(tx: &mut Tx, holder: NodeId, claim: &Claim, due: Moment) -> Result<bool> {
    let done = execute!(
        tx,
        "update jobs set state = 'queued', due_at = $4, faults = 0, crashes = 0, holder = null, lease_until = null,
                created_at = $4, first_claimed_at = null, note = null
         where id = $1 and attempt = $2 and holder = $3 and state = 'running'",
        claim.id,
        claim.attempt,
        holder,
        due
    )?;
    Ok(done == 1)
}

/// Whether this attempt holds the job, which stays so until the transaction ends.
pub(super) async fn is_held(tx: &mut Tx, holder: NodeId, claim: &Claim) -> Result<bool> {
    let sql = "update jobs set attempt = attempt where id = $1 and attempt = $2 and holder = $3 and state = 'running'";
    Ok(execute!(tx, sql, claim.id, claim.attempt, holder)? == 1)
}

/// State, attempts, whether it is its lane's head, and the lane.
pub(super) async fn state(tx: &mut Tx, job: JobId) -> Result<Option<(String, i64, bool, Option<ChatroomId>)>> {
    fetch_optional!(
        tx,
        (String, i64, bool, Option<ChatroomId>),
        "select state, attempt, head, lane from jobs where id = $1",
        job
    )
}

/// State, attempts, crashes.
pub(super) async fn tries(on: &mut impl On, job: JobId) -> Result<Option<(String, i64, i64)>> {
    fetch_optional!(on, (String, i64, i64), "select state, attempt, crashes from jobs where id = $1", job)
}

pub(super) async fn withdraw(tx: &mut Tx, job: JobId, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update jobs set state = 'done', head = false, finished_at = $2, note = null where id = $1 and state = 'queued'",
        job,
        now
    )?;
    Ok(())
}

pub(super) async fn promote(tx: &mut Tx, lane: ChatroomId) -> Result<()> {
    execute!(
        tx,
        "update jobs set head = true
         where id = (select id from jobs where lane = $1 and finished_at is null order by lane_seq limit 1)",
        lane
    )?;
    Ok(())
}

/// Gives up `ended` places of a user and looks when their next head is due.
pub(super) async fn release(tx: &mut Tx, user: UserId, ended: i64) -> Result<()> {
    execute!(
        tx,
        concat!("update queue_users set in_flight = in_flight - $2, ", set_next!(), " where user_id = $1"),
        user,
        ended
    )?;
    Ok(())
}

/// Removes what stands in a lane; how many of it were running.
pub(super) async fn delete_lane(tx: &mut Tx, lane: ChatroomId) -> Result<i64> {
    let states =
        fetch_all!(tx, (String,), "delete from jobs where lane = $1 and finished_at is null returning state", lane)?;
    let running = states.iter().filter(|(state,)| state == "running").count();
    Ok(i64::try_from(running).unwrap_or(i64::MAX))
}

const RENEW: Fork = Fork {
    sqlite: "update jobs set lease_until = $2 where holder = $1 and state = 'running'
                 and id in (select unhex(value) from json_each($3)) returning id, attempt",
    postgres: "update jobs set lease_until = $2 where holder = $1 and state = 'running'
                   and id = any ($3) returning id, attempt",
};

pub(super) async fn renew(tx: &mut Tx, holder: NodeId, until: Moment, held: &Ids) -> Result<Vec<(JobId, i64)>> {
    fetch_all!(tx, (JobId, i64), RENEW, holder, until, held)
}

pub(super) async fn raise_floor(tx: &mut Tx, tag: i64) -> Result<()> {
    execute!(tx, "update queue_floor set vtime = $1 where id = 1 and vtime < $1", tag)?;
    Ok(())
}

pub(super) async fn void_leases(tx: &mut Tx) -> Result<u64> {
    let voided = execute!(
        tx,
        "update jobs set state = 'queued', crashes = crashes + 1, holder = null, lease_until = null
         where state = 'running'"
    )?;
    execute!(
        tx,
        concat!("update queue_users set in_flight = 0, ", set_next!(), " where in_flight > 0 or next_due is not null")
    )?;
    Ok(voided)
}

/// What the house has to do later does not wait yet.
pub(super) async fn depth(on: &mut impl On, now: Moment) -> Result<(i64, Option<Moment>)> {
    fetch_one!(
        on,
        (i64, Option<Moment>),
        "select (select count(*) from jobs where finished_at is null) - (select count(*) from jobs where state = 'running')
                - (select count(*) from jobs where state = 'queued' and owner is null and due_at > $1),
                (select created_at from jobs where finished_at is null and state = 'queued' order by created_at limit 1)",
        now
    )
}

pub(super) async fn running(on: &mut impl On) -> Result<i64> {
    let (running,) = fetch_one!(on, (i64,), "select count(*) from jobs where state = 'running'")?;
    Ok(running)
}

/// The words are [`Pool`]'s.
macro_rules! first_due {
    ($pool:literal) => {
        concat!("(select min(due_at) from jobs where state = 'queued' and owner is null and pool = '", $pool, "')")
    };
}

pub(super) async fn look(on: &mut impl On) -> Result<Look> {
    let (ripe, unripe, lapse, codes, billing, background) = fetch_one!(
        on,
        (bool, Option<Moment>, Option<Moment>, Option<Moment>, Option<Moment>, Option<Moment>),
        concat!(
            "select exists (select 1 from queue_users where in_flight < at_once and next_due is not null and ripe),
                    (select min(next_due) from queue_users where in_flight < at_once and next_due is not null and not ripe),
                    (select min(lease_until) from jobs where state = 'running'),",
            first_due!("codes"),
            ",",
            first_due!("billing"),
            ",",
            first_due!("background")
        )
    )?;
    let house = [(Pool::Codes, codes), (Pool::Billing, billing), (Pool::Background, background)];
    Ok(Look { heads: if ripe { Some(Moment::FIRST) } else { unripe }, house, lapse })
}

pub(super) async fn delete_finished(tx: &mut Tx, before: Moment, most: i64) -> Result<u64> {
    execute!(
        tx,
        // Asked again of the newest version of the row: an operator may just have put it back into the queue.
        "delete from jobs where state in ('done', 'parked') and id in
             (select id from jobs where state in ('done', 'parked') and finished_at < $1 order by finished_at limit $2)",
        before,
        most
    )
}
