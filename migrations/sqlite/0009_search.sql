-- What messages are found by: a message's terms under its row number, as the search makes them. Each term begins with its
-- owner's tag, so that a search reads what is its owner's and nothing else. The tokenizer leaves them as they are.
create virtual table message_terms using fts5 (terms, detail = none, columnsize = 0, tokenize = 'ascii');

-- What goes is taken out of the index at once instead of being marked as gone.
insert into message_terms (message_terms, rank) values ('secure-delete', 1);

create trigger messages_leave_the_search after delete on messages begin
    delete from message_terms where rowid = old.n;
end;

-- How far the messages that were there before were looked through; gone when that is over.
create table message_terms_progress (
    id bigint primary key,
    until uuid not null,
    since timestamptz
);

insert into message_terms_progress (id, until) values (1, zeroblob(16));
