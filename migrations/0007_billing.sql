-- What Stripe and the house know of each other. A row per person who has a customer there or a plan from an operator.
create table billing_accounts (
    user_id uuid primary key,
    -- Stripe's id; null until there is one, and again when it is gone there.
    customer text,
    -- How many customers were made for this person: part of the idempotency key of the next.
    customers_made bigint not null,
    -- An operator's word for Pro, whatever is paid.
    granted boolean not null,
    -- Raised before each look at Stripe, and the look that was written last: an old answer writes over no newer one.
    fetch_seq bigint not null,
    applied_seq bigint not null
);

create unique index billing_accounts_by_customer on billing_accounts (customer);

insert into billing_accounts (user_id, customers_made, granted, fetch_seq, applied_seq)
    select id, 0, true, 0, 0 from users where plan = 'pro';

-- Subscriptions as they were fetched last.
create table subscriptions (
    id text primary key,
    user_id uuid not null,
    customer text not null,
    -- Stripe's word.
    status text not null,
    price text,
    -- What a period costs, in the currency's smallest unit.
    amount bigint,
    currency text,
    current_period_start timestamptz,
    current_period_end timestamptz,
    -- It ends by itself.
    cancels boolean not null,
    -- Since when its payment is overdue.
    overdue_since timestamptz,
    created_at timestamptz not null,
    latest_invoice text,
    -- It was made by a checkout of ours.
    is_ours boolean not null
);

create index subscriptions_by_user on subscriptions (user_id);

-- Attempts at a checkout; the id makes its call to Stripe the same call however often it is made.
create table checkouts (
    id uuid primary key,
    user_id uuid not null,
    -- making, open, complete, expired
    status text not null,
    customer text,
    price text not null,
    success_url text not null,
    cancel_url text not null,
    -- Stripe's id and page, once it is open.
    session text,
    url text,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create unique index checkouts_by_session on checkouts (session);
create unique index checkouts_alive on checkouts (user_id) where status in ('making', 'open');
create index checkouts_by_age on checkouts (created_at);

-- Events of Stripe's: each once, by its id. What they carried is not kept, only what they are about.
create table stripe_events (
    id text primary key,
    kind text not null,
    created_at timestamptz not null,
    received_at timestamptz not null,
    livemode boolean not null,
    api_version text,
    object text,
    customer text,
    charge text,
    -- The newest look at its customer that had begun when it came: one that began later has seen what it tells.
    look bigint,
    -- webhook, sync
    source text not null,
    -- waiting, applied, ignored, other_mode, unknown_customer
    outcome text not null
);

create index stripe_events_by_age on stripe_events (received_at, id);
create index stripe_events_by_customer on stripe_events (customer) where customer is not null;

-- Payments of which something was given back or disputed.
create table charges_taken_back (
    charge text primary key,
    user_id uuid not null,
    amount bigint not null,
    refunded bigint not null,
    currency text not null,
    disputed boolean not null
);

create index charges_taken_back_by_user on charges_taken_back (user_id);

-- Every change, and what caused it.
create table billing_history (
    user_id uuid not null,
    -- The person's order, taken under their lock.
    seq bigint not null,
    at timestamptz not null,
    what text not null,
    -- event, sync, checkout, cancel, resume, end, operator, time; and which.
    cause text not null,
    cause_id text,
    subscription text,
    status text,
    plan text not null,
    current_period_end timestamptz,
    cancels boolean,
    amount bigint,
    currency text,
    primary key (user_id, seq)
);

-- How far Stripe's events were read.
create table billing_sync (
    id bigint primary key,
    read_until timestamptz,
    ran_at timestamptz
);

insert into billing_sync (id) values (1);
