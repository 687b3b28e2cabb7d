-- As SQLite's table of the same name, where the row number is what a full-text index refers to.
create table messages (
    n bigint generated always as identity,
    id uuid not null,
    chatroom_id uuid not null,
    -- The room's order, taken under its owner's lock.
    seq bigint not null,
    parent_id uuid,
    -- Whether it lies on the room's current branch.
    current boolean not null,
    -- user, model
    role text not null,
    content text not null,
    -- sent; queued (its job tells whether it is being written), complete, failed, cancelled
    status text not null,
    created_at timestamptz not null,
    completed_at timestamptz,
    finish_reason text,
    model text,
    prompt_tokens bigint,
    completion_tokens bigint,
    thought_tokens bigint,
    total_tokens bigint,
    error_code text,
    error_message text,
    error_retryable boolean,
    -- Of a reply that ended: the attempt whose text this is.
    attempt bigint not null,
    -- Of a reply: the day its prompt was taken from, and when it was given back.
    charged_day text,
    refunded_at timestamptz,
    cancel_requested_at timestamptz,
    -- The room's rev when this row last changed.
    rev bigint not null
);

create unique index messages_by_id on messages (id);
create unique index messages_by_chatroom on messages (chatroom_id, seq);
