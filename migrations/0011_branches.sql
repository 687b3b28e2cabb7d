-- What was left when somebody edited or asked again, by what it hangs on: its parent, or the room. The current branch, which
-- is nearly everything, is not in it, so that sending writes no page more.
create index messages_left on messages (coalesce(parent_id, chatroom_id), seq) where not current;
-- Replies that are being written and wanted no more: whoever renews leases looks here.
create index messages_to_cancel on messages (id) where cancel_requested_at is not null and status = 'queued';
