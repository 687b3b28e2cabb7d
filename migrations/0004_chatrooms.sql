create table chatrooms (
    id uuid primary key,
    owner uuid not null,
    name text,
    model text,
    system_instruction text,
    archived boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_message_at timestamptz,
    -- Latest activity: what the list is ordered by.
    active_at timestamptz not null,
    -- The newest message of the current branch; null in an empty room.
    head uuid,
    next_seq bigint not null,
    -- Raised by every transaction that changes the room; the rows it changed carry it.
    rev bigint not null
);

create index chatrooms_by_activity on chatrooms (owner, archived, active_at desc, id desc);
