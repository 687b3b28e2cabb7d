//! What the server does to the database for a message, statement by statement and nothing around it.
//!
//! The texts are those of the rooms they come from: `tests/layers.rs` fails for one that the sources do not have any more.

use gemini_backend::clock::Moment;
use gemini_backend::ids::{ChatroomId, MessageId, UserId};
use gemini_backend::store::sql::Fork;
use gemini_backend::store::{Error, Store, Tx};
use gemini_backend::{execute, fetch_one, transaction};

use crate::person::TEXT;

type Queue = (UserId, i64, i64, Option<Moment>, i64, Option<i64>, Option<i64>, i64);
type Place = (Option<MessageId>, i64, Option<String>, Option<String>);

/// The one place where something is put.
#[derive(Clone, Copy)]
struct Spot {
    user: UserId,
    room: ChatroomId,
    seq: i64,
    rev: i64,
    now: Moment,
}

/// One accepted message of `user`.
pub(crate) async fn accept(store: &Store, user: UserId, room: ChatroomId, now: Moment) -> Result<(), Error> {
    let terms = terms(user);
    transaction!(store, |tx| {
        let (_, vtime, _, _, rev, claimable, later, floor) = fetch_one!(
            tx,
            Queue,
            "update queue_users as q set rev = rev + 1 where user_id = $1
             returning user_id, vtime, in_flight, next_due, rev,
                       (select min(vtime) from queue_users where in_flight < at_once and next_due is not null and ripe)
                           as least_claimable,
                       (select min(vtime) from queue_users where next_due is not null and (in_flight >= at_once or not ripe))
                           as least_held,
                       (select vtime from queue_floor) as floor",
            user
        )?;
        let (head, seq, _, _) = fetch_one!(
            tx,
            Place,
            "select head, next_seq, model, system_instruction from chatrooms where id = $1 and owner = $2",
            room,
            user
        )?;
        let spot = Spot { user, room, seq, rev, now };
        spend(tx, user, now).await?;
        let reply = insert_pair(tx, spot, head, &terms).await?;
        if enqueue(tx, spot, reply).await? {
            let vtime = vtime.max(claimable.into_iter().chain(later).min().unwrap_or(0)).max(floor);
            execute!(
                tx,
                "update queue_users set vtime = $2, next_due = $3, ripe = true where user_id = $1",
                user,
                vtime,
                now
            )?;
        } else {
            let sql = "select count(*) from jobs where lane = $1 and finished_at is null and lane_seq <= $2";
            fetch_one!(tx, (i64,), sql, room, seq + 1)?;
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

const INDEX: Fork = Fork {
    sqlite: "insert or replace into message_terms (rowid, terms) select n, $2 from messages where id = $1",
    postgres: "insert into message_terms (id, n, chatroom_id, terms)
               select id, n, chatroom_id, array_to_tsvector(string_to_array($2, ' ')) from messages where id = $1
               for key share
               on conflict (id) do update set terms = excluded.terms",
};

/// As many and as long as the search's for the same text, and as far apart for different people.
fn terms(user: UserId) -> String {
    let id = user.0.simple().to_string();
    let words = ["about", "hello", "me", "sea", "something", "tell", "the"];
    words.map(|word| format!("{}{word}", &id[id.len() - 6..])).join(" ")
}

/// The message, its reply, the room that ends with it, and what the message is found by.
async fn insert_pair(tx: &mut Tx, spot: Spot, head: Option<MessageId>, terms: &str) -> Result<MessageId, Error> {
    let Spot { room, seq, rev, now, .. } = spot;
    let (message, reply) = (MessageId::new(now), MessageId::new(now));
    execute!(
        tx,
        "insert into messages (id, chatroom_id, seq, parent_id, current, role, content, status, created_at, attempt, charged_day,
                               made_rev, rev, files)
         values ($1, $2, $3, $4, true, 'user', $5, 'sent', $6, 0, null, $9, $9, $10),
                ($7, $2, $3 + 1, $1, true, 'model', '', 'queued', $6, 0, $8, $9, $9, 0)",
        message,
        room,
        seq,
        head,
        TEXT,
        now,
        reply,
        now.day(),
        rev,
        0_i64
    )?;
    execute!(
        tx,
        "update chatrooms set head = $2, next_seq = $3, rev = $4, last_message_at = $5, active_at = $5 where id = $1",
        room,
        reply,
        seq + 2,
        rev,
        now
    )?;
    execute!(tx, INDEX, message, terms)?;
    Ok(reply)
}

/// Whether it is the first of its lane.
async fn enqueue(tx: &mut Tx, spot: Spot, reply: MessageId) -> Result<bool, Error> {
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
        spot.user,
        spot.room,
        spot.seq + 1,
        spot.now,
        0_i64
    )?;
    Ok(is_head)
}
