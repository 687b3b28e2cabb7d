-- A person's changes are numbered across all of their rooms, so that one number says what a reader of any of them has seen.
alter table queue_users add column rev bigint not null default 0;
update queue_users set rev = coalesce((select max(rev) from chatrooms where owner = user_id), 0);
-- The rev that changed what the room itself shows: name, model, instruction, archived.
alter table chatrooms add column shown_rev bigint not null default 0;
-- The rev that made the row, and the one that ended the reply.
alter table messages add column made_rev bigint not null default 0;
alter table messages add column ended_rev bigint;

-- What changed since a reader last looked.
create index messages_by_rev on messages (chatroom_id, rev);
