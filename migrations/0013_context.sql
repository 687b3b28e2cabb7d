-- Of a reply that ended: what the model was shown for it, JSON; what it thought before it answered; and the model it stood in
-- for, when that could not be asked.
alter table messages add column receipt text;
alter table messages add column thoughts text;
alter table messages add column fallback_for text;
-- How much the model thinks before it answers: minimal, low, medium, high; null: as the model likes.
alter table chatrooms add column thinking text;
-- Whether a name was asked for; once is enough.
alter table chatrooms add column titled boolean not null default false;

-- What was said up to a reply and no longer fits, in the model's words.
create table summaries (
    message_id uuid primary key,
    chatroom_id uuid not null,
    content text not null,
    model text not null,
    created_at timestamptz not null
);

create index summaries_by_chatroom on summaries (chatroom_id);

-- The house's own jobs by what they hold up when they take long: codes, billing, background. Each is claimed up to a share of
-- its own, so that a slow Stripe delays no code and a thousand names to find delay neither.
alter table jobs add column pool text;
update jobs set pool = case kind when 'send_code' then 'codes' when 'erase_user' then 'background' else 'billing' end
where owner is null;
drop index jobs_of_the_house;
create index jobs_of_the_house on jobs (pool, due_at, id) where state = 'queued' and owner is null;
