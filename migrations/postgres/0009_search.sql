-- What messages are found by: a message's terms, as the search makes them. Each term begins with its owner's tag, so that a
-- search reads what is its owner's and nothing else.
create table message_terms (
    id uuid primary key references messages (id) on delete cascade,
    n bigint not null,
    chatroom_id uuid not null,
    terms tsvector not null
);

-- Whoever fills the list of what is not sorted in yet sorts it in: a short one, so that nobody waits long for that.
create index message_terms_by_term on message_terms using gin (terms) with (gin_pending_list_limit = 128);

-- How far the messages that were there before were looked through; gone when that is over.
create table message_terms_progress (
    id bigint primary key,
    until uuid not null,
    since timestamptz
);

insert into message_terms_progress (id, until) values (1, '00000000-0000-0000-0000-000000000000');
