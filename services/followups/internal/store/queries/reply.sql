-- name: InsertUnreadReply :exec
INSERT INTO unread_reply (workspace_id, event_id, lead_id, message, event_time, next_time, end_time)
VALUES (@workspace_id, @event_id, @lead_id, @message, @event_time, @next_time, @end_time);

-- name: ClaimUnreadReplies :many
-- Due ones, oldest first; another run passes over them until they are due again.
UPDATE unread_reply AS u SET next_time = @again::timestamptz
FROM (SELECT r.workspace_id, r.event_id FROM unread_reply AS r WHERE r.next_time <= @now ORDER BY r.next_time LIMIT @size FOR UPDATE SKIP LOCKED) AS due
WHERE u.workspace_id = due.workspace_id AND u.event_id = due.event_id
RETURNING u.*;

-- name: DeleteUnreadReply :execrows
DELETE FROM unread_reply WHERE workspace_id = @workspace_id AND event_id = @event_id;

-- name: NewestReply :one
-- The time of the newest reply of a lead that was told; the epoch for none.
SELECT coalesce(max(event_time), 'epoch')::timestamptz AS newest FROM lead_event
WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND type = 'replied';
