//! What the server does to the database for a message, statement by statement and nothing around it.
//!
//! The texts are those of the rooms they come from; where those change, these have to follow.

use gemini_backend::clock::Moment;
use gemini_backend::ids::{ChatroomId, MessageId, UserId};
use gemini_backend::store::sql::Fork;
use gemini_backend::store::{Error, Store, Tx};
use gemini_backend::{execute, fetch_one, transaction};

use crate::person::TEXT;

macro_rules! lock {
    ($lock:literal) => {
        concat!(
            "select user_id, vtime, in_flight, next_due,
                    (select min(vtime) from queue_users where in_flight < at_once and next_due is not null and ripe)
                        as least_claimable,
                    (select min(vtime) from queue_users where next_due is not null and (in_flight >= at_once or not ripe))
                        as least_held,
                    (select vtime from queue_floor) as floor
             from queue_users q where user_id = $1",
            $lock
        )
    };
}

const LOCK: Fork = Fork { sqlite: lock!(""), postgres: lock!(" for update of q") };

type Queue = (UserId, i64, i64, Option<Moment>, Option<i64>, Option<i64>, i64);
type Place = (Option<MessageId>, i64, Option<String>, Option<String>);

/// One accepted message of `user`.
pub(crate) async fn accept(store: &Store, user: UserId, room: ChatroomId, now: Moment) -> Result<(), Error> {
    transaction!(store, |tx| {
        let (_, vtime, _, _, claimable, waiting, floor) = fetch_one!(tx, Queue, LOCK, user)?;
        let (head, seq, _, _) = fetch_one!(
            tx,
            Place,
            "select head, next_seq, model, system_instruction from chatrooms where id = $1 and owner = $2",
            room,
            user
        )?;
        spend(tx, user, now).await?;
        let reply = insert_pair(tx, room, head, seq, now).await?;
        fetch_one!(
            tx,
            (i64,),
            "update chatrooms set head = $2, next_seq = $3, rev = rev + 1, last_message_at = $4, active_at = $4
             where id = $1 returning rev",
            room,
            reply,
            seq + 2,
            now
        )?;
        if enqueue(tx, user, room, reply, seq + 1, now).await? {
            let least = claimable.into_iter().chain(waiting).min().unwrap_or(0);
            let vtime = vtime.max(least).max(floor);
            execute!(
                tx,
                "update queue_users set vtime = $2, next_due = $3, ripe = true where user_id = $1",
                user,
                vtime,
                now
            )?;
        }
        fetch_one!(tx, (i64,), "update users set rooms_rev = rooms_rev + 1 where id = $1 returning rooms_rev", user)?;
        Ok::<_, Error>(())
    })
}

async fn spend(tx: &mut Tx, user: UserId, now: Moment) -> Result<(), Error> {
    fetch_one!(
        tx,
        (i64,),
        "insert into prompt_days (user_id, day, used) select $1, $2, 1 where cast($3 as bigint) > 0
         on conflict (user_id, day) do update set used = prompt_days.used + 1 where prompt_days.used < $3
         returning used",
        user,
        now.day(),
        i64::MAX
    )?;
    Ok(())
}

async fn insert_pair(
    tx: &mut Tx,
    room: ChatroomId,
    head: Option<MessageId>,
    seq: i64,
    now: Moment,
) -> Result<MessageId, Error> {
    let (message, reply) = (MessageId::new(now), MessageId::new(now));
    execute!(
        tx,
        "insert into messages (id, chatroom_id, seq, parent_id, current, role, content, status, created_at, attempt, charged_day, rev)
         select $1, $2, $3, $4, true, 'user', $5, 'sent', $6, 0, null, rev + 1 from chatrooms where id = $2
         union all
         select $7, $2, $3 + 1, $1, true, 'model', '', 'queued', $6, 0, $8, rev + 1 from chatrooms where id = $2",
        message,
        room,
        seq,
        head,
        TEXT,
        now,
        reply,
        now.day()
    )?;
    Ok(reply)
}

async fn enqueue(
    tx: &mut Tx,
    user: UserId,
    room: ChatroomId,
    reply: MessageId,
    seq: i64,
    now: Moment,
) -> Result<bool, Error> {
    let (is_head,) = fetch_one!(
        tx,
        (bool,),
        "insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes, created_at)
         values ($1, $2, $3, $4, $5, $6, not exists (select 1 from jobs where lane = $5 and finished_at is null),
                 'queued', $7, $8, 0, 0, $7)
         on conflict (id) do update set state = 'queued', head = excluded.head, due_at = excluded.due_at, faults = 0,
                 crashes = 0, created_at = excluded.created_at, first_claimed_at = null, finished_at = null, note = null
         returning head",
        reply,
        "reply",
        format!("{{\"kind\":\"reply\",\"id\":\"{}\"}}", reply.0),
        user,
        room,
        seq,
        now,
        0_i64
    )?;
    Ok(is_head)
}
