-- Whether the first of a user's queued heads can be had: nobody told it to wait, or a claim saw that its wait is over; null
-- where no head is queued. Whoever has to wait lies in an index of their own, so that a claim writes none that is ordered
-- by time: that was a page of SQLite's for nearly every user claimed.
alter table queue_users add column ripe boolean default true;
update queue_users set ripe = false where next_due is not null;

drop index queue_users_by_due;
drop index queue_users_claimable;
drop index queue_users_claimable_basic;
drop index queue_users_waiting;
create index queue_users_claimable on queue_users (vtime) where in_flight < at_once and next_due is not null and ripe;
create index queue_users_claimable_basic on queue_users (vtime)
    where in_flight < at_once and next_due is not null and ripe and weight = 1;
create index queue_users_unripe on queue_users (next_due) where in_flight < at_once and next_due is not null and not ripe;
-- Who has work waiting and is not claimable: together with the claimable ones, all whom a newcomer lines up with.
create index queue_users_held on queue_users (vtime) where next_due is not null and (in_flight >= at_once or not ripe);
