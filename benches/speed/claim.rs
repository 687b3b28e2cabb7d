//! A claim of 50 jobs while 100,000 wait and 10,000 are being written.

use std::time::{Duration, Instant};

use gemini_backend::clock::{Clock, Moment};
use gemini_backend::ids::NodeId;
use gemini_backend::jobs::{self, Wanted};
use gemini_backend::store::sql::Fork;
use gemini_backend::store::{self, Store};
use gemini_backend::{execute, transaction};

use crate::Scale;
use crate::engine::Engine;
use crate::load::median;
use crate::report::{Report, Target};

const AT_ONCE: usize = 50;

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let fresh = engine.fresh().await?;
    let store = store::connect(&fresh.url, 4).await?;
    store::migrate(&store).await?;
    let clock = Clock::system();
    fill(&store, i64::from(scale.of(20_000)), clock.now()).await?;
    let mut times = Vec::new();
    for _ in 0..scale.of(60).min(60) {
        let now = clock.now();
        let wanted = Wanted {
            holder: NodeId::new(now),
            now,
            lease_until: now.plus(Duration::from_mins(10)),
            most: AT_ONCE,
            only_basic: false,
        };
        let began = Instant::now();
        let (claims, _) = jobs::claim_heads(&store, wanted).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(claims.len() == AT_ONCE, "{} jobs claimed instead of {AT_ONCE}", claims.len());
    }
    let how = format!("{} queued, {} in flight at the beginning", scale.of(100_000), scale.of(10_000));
    report.add(
        &format!("claim of {AT_ONCE} jobs, {}", engine.name()),
        median(times.into_iter()),
        "ms",
        Target::AtMost(3.0),
        how,
    );
    store.close().await;
    Ok(())
}

/// People with five jobs waiting in two rooms; half of them also have one that is being written, in a third.
///
/// As it comes about: ids begin with the time, everybody's jobs lie among everybody else's, and who is next by virtual
/// time has nothing to do with who signed up first. 7919 and 104729 are primes that scatter.
async fn fill(store: &Store, people: i64, now: Moment) -> anyhow::Result<()> {
    transaction!(store, |tx| {
        execute!(tx, PEOPLE, people, now)?;
        execute!(tx, WAITING, people, now)?;
        execute!(tx, WRITTEN, people, now, now.plus(Duration::from_hours(1)))?;
        execute!(tx, "update queue_users set in_flight = 1 where vtime % 2 = 0")?;
        Ok::<_, store::Error>(())
    })?;
    // What PostgreSQL would have done by itself a minute later.
    transaction!(store, |tx| { execute!(tx, "analyze").map(|_| ()) })?;
    Ok(())
}

const PEOPLE: Fork = Fork {
    sqlite: "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < $1)
             insert into queue_users (user_id, weight, at_once, vtime, in_flight, next_due)
             select unhex(printf('%012x', 1700000000000 + n) || hex(randomblob(10))), case when n % 5 = 0 then 4 else 1 end, 2,
                    (n * 7919) % $1, 0, $2
             from numbers",
    postgres: "insert into queue_users (user_id, weight, at_once, vtime, in_flight, next_due)
               select cast(lpad(to_hex(1700000000000 + n), 12, '0') || substr(md5(cast(random() as text)), 1, 20) as uuid),
                      case when n % 5 = 0 then 4 else 1 end, 2, (n * 7919) % $1, 0, $2
               from generate_series(1, $1) n",
};

/// A room's id is its owner's with another last byte.
const WAITING: Fork = Fork {
    sqlite: "with numbers (n) as (values (1), (2), (3), (4), (5))
             insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes, created_at)
             select unhex(printf('%012x', 1710000000000 + at) || hex(randomblob(10))), 'reply',
                    '{\"kind\":\"reply\",\"id\":\"01a1fe1e-9f15-7a36-9351-f32848e1e286\"}', user_id,
                    unhex(substr(hex(user_id), 1, 30) || printf('%02x', n % 2)), n, n <= 2, 'queued', $2, 0, 0, 0, $2
             from (select user_id, n, n * $1 + (vtime * 104729) % $1 as at from queue_users, numbers order by at)",
    postgres: "insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes, created_at)
               select cast(lpad(to_hex(1710000000000 + at), 12, '0') || substr(md5(cast(random() as text)), 1, 20) as uuid), 'reply',
                      '{\"kind\":\"reply\",\"id\":\"01a1fe1e-9f15-7a36-9351-f32848e1e286\"}', user_id,
                      cast(left(cast(user_id as text), 34) || lpad(cast(n % 2 as text), 2, '0') as uuid), n, n <= 2, 'queued',
                      $2, 0, 0, 0, $2
               from (select user_id, n, n * $1 + (vtime * 104729) % $1 as at from queue_users, generate_series(1, 5) n
                     order by at) w",
};

const WRITTEN: Fork = Fork {
    sqlite: "insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes,
                               holder, lease_until, created_at, first_claimed_at)
             select unhex(printf('%012x', 1705000000000 + at) || hex(randomblob(10))), 'reply',
                    '{\"kind\":\"reply\",\"id\":\"01a1fe1e-9f15-7a36-9351-f32848e1e286\"}', user_id,
                    unhex(substr(hex(user_id), 1, 30) || '09'), 1, true, 'running', $2, 1, 0, 0, randomblob(16), $3, $2, $2
             from (select user_id, (vtime * 104729) % $1 as at from queue_users where vtime % 2 = 0 order by at)",
    postgres: "insert into jobs (id, kind, payload, owner, lane, lane_seq, head, state, due_at, attempt, faults, crashes,
                                 holder, lease_until, created_at, first_claimed_at)
               select cast(lpad(to_hex(1705000000000 + at), 12, '0') || substr(md5(cast(random() as text)), 1, 20) as uuid), 'reply',
                      '{\"kind\":\"reply\",\"id\":\"01a1fe1e-9f15-7a36-9351-f32848e1e286\"}', user_id,
                      cast(left(cast(user_id as text), 34) || '09' as uuid), 1, true, 'running', $2, 1, 0, 0,
                      gen_random_uuid(), $3, $2, $2
               from (select user_id, (vtime * 104729) % $1 as at from queue_users where vtime % 2 = 0 order by at) w",
};
