-- Files that people sent, by the name of their object: its id. A row is there before its object is, and goes before it.
create table attachments (
    id uuid primary key,
    owner uuid not null,
    chatroom_id uuid not null,
    name text not null,
    media_type text not null,
    bytes bigint not null,
    -- What it costs to show it to the model, at most.
    tokens bigint not null,
    -- Null while its object is being written.
    stored_at timestamptz,
    -- Null until a message carries it.
    used_at timestamptz,
    created_at timestamptz not null
);

create index attachments_by_chatroom on attachments (chatroom_id, id);
create index attachments_unused on attachments (owner, created_at) where used_at is null;
create index attachments_unused_by_age on attachments (created_at) where used_at is null;

-- Which messages carry them, in which order: a message and what it was edited into may carry the same.
create table message_attachments (
    message_id uuid not null,
    place bigint not null,
    attachment_id uuid not null,
    primary key (message_id, place)
);

create index message_attachments_by_attachment on message_attachments (attachment_id);

-- How many files a message carries: those without any need no second look.
alter table messages add column files bigint not null default 0;

-- Objects whose rows are gone, until they are gone too. Nothing in here leads to a person.
create table objects_to_delete (
    id uuid primary key,
    due_at timestamptz not null,
    tries bigint not null
);

create index objects_to_delete_by_due on objects_to_delete (due_at, id);
