-- People. Only verified numbers become users, so a number stands here once.
create table users (
    id uuid primary key,
    mobile text not null,
    username text,
    password_hash text,
    role text not null,
    plan text not null,
    created_at timestamptz not null,
    suspended_at timestamptz,
    -- Raised by every transaction that changes what the user's room list shows.
    rooms_rev bigint not null
);

create unique index users_by_mobile on users (mobile);

-- Tokens that Gemini counted, a row per user and UTC day.
create table token_days (
    user_id uuid not null,
    day text not null,
    replies bigint not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    thought_tokens bigint not null,
    total_tokens bigint not null,
    primary key (user_id, day)
);

create index token_days_by_day on token_days (day);

-- Prompts spent, a row per user and UTC day.
create table prompt_days (
    user_id uuid not null,
    day text not null,
    used bigint not null,
    primary key (user_id, day)
);

create index prompt_days_by_day on prompt_days (day);

-- What was answered to a request with an Idempotency-Key. No reference to what it made: that may be gone.
create table idempotency_keys (
    user_id uuid not null,
    key text not null,
    request_hash text not null,
    resource uuid not null,
    created_at timestamptz not null,
    primary key (user_id, key)
);

create index idempotency_keys_by_age on idempotency_keys (created_at);
