-- A sign-in on one device.
create table sessions (
    id uuid primary key,
    user_id uuid not null,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- Moved on by every refresh, set to the end when it ends.
    expires_at timestamptz not null,
    ended_at timestamptz,
    -- Of the newest token pair, and of the newest one of which something was used.
    generation bigint not null,
    used_generation bigint not null,
    user_agent text,
    address text not null
);

create index sessions_by_user on sessions (user_id, id);
create index sessions_by_expiry on sessions (expires_at);

-- One-time codes. The code itself is nowhere: it is made from the nonce under the server's key.
create table codes (
    id uuid primary key,
    mobile text not null,
    -- login, signup, reset_password, change_mobile, confirm
    purpose text not null,
    nonce text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    -- Wrong ones that were tried for it.
    tries bigint not null,
    -- When it was used, or replaced by a newer one.
    spent_at timestamptz
);

create index codes_by_number on codes (mobile, purpose, created_at);
create index codes_by_expiry on codes (expires_at);

-- What counts against a number, in the database so that an emptied throttle forgets nothing:
-- a code sent to it, a wrong code tried for it, a wrong password tried for it.
create table number_marks (
    id uuid primary key,
    mobile text not null,
    -- sent, wrong_code, wrong_password
    what text not null,
    at timestamptz not null
);

create index number_marks_by_number on number_marks (mobile, what, at);
create index number_marks_by_age on number_marks (at);

-- Sign-ups whose number is not verified yet. They become a user, under the same id, when a code proves the number and
-- the verification proves to be the same person's.
create table signups (
    id uuid primary key,
    mobile text not null,
    username text,
    password_hash text,
    address text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create index signups_by_number on signups (mobile, created_at);
create index signups_by_expiry on signups (expires_at);
