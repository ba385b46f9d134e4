-- name: InsertTask :exec
INSERT INTO task (workspace_id, id, lead_id, enrollment_id, version, position, part, channel, state, reason, message, subject, body, create_time)
VALUES (@workspace_id, @id, @lead_id, @enrollment_id, @version, @position, @part, @channel, @state, @reason, @message, @subject, @body, @now)
ON CONFLICT ON CONSTRAINT task_once DO NOTHING;

-- name: ListTasks :many
SELECT * FROM task
WHERE workspace_id = @workspace_id AND id > @after_id
  AND (sqlc.narg(lead_id)::uuid IS NULL OR lead_id = sqlc.narg(lead_id)::uuid)
  AND (sqlc.narg(state)::text IS NULL OR state = sqlc.narg(state)::text)
ORDER BY id LIMIT @page_size;

-- name: CancelPendingTasks :exec
UPDATE task SET state = 'cancelled' WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state = 'pending';

-- name: InsertLeadEvent :execrows
INSERT INTO lead_event (workspace_id, event_id, lead_id, type, event_time, handle_time)
VALUES (@workspace_id, @event_id, @lead_id, @type, @event_time, @now)
ON CONFLICT DO NOTHING;
