-- The queue. A row per user with the state that claims are ordered by: start-time fair queueing over vtime.
-- Whoever changes a user's jobs locks this row first.
create table queue_users (
    user_id uuid primary key,
    -- 4 for Pro, 1 for Basic.
    weight bigint not null,
    -- How many replies may be written at once.
    at_once bigint not null,
    vtime bigint not null,
    -- Claimed and not ended, lapsed leases included.
    in_flight bigint not null,
    -- The earliest due time among the queued heads of this user's lanes; null when there is none.
    next_due timestamptz
);

create index queue_users_claimable on queue_users (vtime) where in_flight < at_once and next_due is not null;
create index queue_users_claimable_basic on queue_users (vtime) where in_flight < at_once and next_due is not null and weight = 1;
create index queue_users_by_due on queue_users (next_due) where in_flight < at_once and next_due is not null;
create index queue_users_waiting on queue_users (vtime) where next_due is not null;

-- The highest start tag that was claimed, written about once a second: whoever becomes active starts no lower.
create table queue_floor (
    id bigint primary key,
    vtime bigint not null
);

insert into queue_floor (id, vtime) values (1, 0);

create table jobs (
    id uuid primary key,
    kind text not null,
    -- What the job needs to know, JSON; a reply's job carries the reply's id and needs nothing else.
    payload text not null,
    -- Whom the job counts for, null for the house's own; lane and place in it, one job of a lane at a time.
    owner uuid,
    lane uuid,
    lane_seq bigint not null,
    head boolean not null,
    -- queued, running, done, parked
    state text not null,
    due_at timestamptz not null,
    -- The fence: raised by every claim, never lowered.
    attempt bigint not null,
    faults bigint not null,
    crashes bigint not null,
    holder uuid,
    lease_until timestamptz,
    created_at timestamptz not null,
    first_claimed_at timestamptz,
    finished_at timestamptz,
    -- Why it waits or was parked; a code and words, never a person's text.
    note text
);

-- Every claim changes a state, and writes each index whose condition names it.
create index jobs_heads on jobs (owner, due_at, id) where head;
create index jobs_by_lane on jobs (lane, lane_seq) where finished_at is null;
create index jobs_lapsed on jobs (lease_until) where state = 'running';
create index jobs_of_the_house on jobs (due_at, id) where state = 'queued' and owner is null;
create index jobs_by_age on jobs (created_at) where finished_at is null;
create index jobs_finished on jobs (finished_at) where state in ('done', 'parked');
