-- name: InsertTasks :exec
INSERT INTO task (workspace_id, id, lead_id, enrollment_id, version, position, part, channel, state, reason, message, subject, body, create_time)
SELECT unnest(@workspace_ids::uuid[]), unnest(@ids::uuid[]), unnest(@lead_ids::uuid[]), unnest(@enrollment_ids::uuid[]),
    unnest(@versions::integer[]), unnest(@positions::integer[]), unnest(@parts::integer[]), unnest(@channels::text[]),
    unnest(@states::text[]), unnest(@reasons::text[]), unnest(@messages::text[]), unnest(@subjects::text[]), unnest(@bodies::text[]),
    @now::timestamptz
ON CONFLICT ON CONSTRAINT task_once DO UPDATE SET state = excluded.state, reason = excluded.reason, message = excluded.message
WHERE excluded.state IN ('completed', 'skipped') AND task.state IN ('pending', 'completed');

-- name: PutLeadTask :exec
INSERT INTO task (workspace_id, id, lead_id, part, channel, state, reason, kind, about, title, due_time, note, create_time)
VALUES (@workspace_id, @id, @lead_id, @part, sqlc.narg(channel)::text, 'pending', @reason, @kind, @about, @title, @due_time, @note, @now)
ON CONFLICT (workspace_id, lead_id, kind, about) WHERE kind <> 'step' AND state = 'pending'
DO UPDATE SET title = excluded.title, due_time = excluded.due_time, note = excluded.note, channel = excluded.channel;

-- name: LockTask :one
SELECT * FROM task WHERE workspace_id = @workspace_id AND id = @id FOR UPDATE;

-- name: FinishTask :one
UPDATE task SET state = @state, reason = CASE WHEN @reason::text = '' THEN reason ELSE @reason::text END,
    note = CASE WHEN @note::text = '' THEN note ELSE @note::text END, finish_time = @now::timestamptz
WHERE workspace_id = @workspace_id AND id = @id RETURNING *;

-- name: AssignTask :one
UPDATE task SET assignee = @assignee WHERE workspace_id = @workspace_id AND id = @id AND state = 'pending' RETURNING *;

-- name: CancelTasks :exec
UPDATE task SET state = 'cancelled', finish_time = @now::timestamptz
WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state = 'pending' AND kind = @kind AND part >= @least_part;

-- name: CountTasks :one
SELECT count(*) FROM task WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND kind = @kind AND state <> 'cancelled';

-- name: ListTasks :many
SELECT * FROM task
WHERE workspace_id = @workspace_id AND id > @after_id
  AND (sqlc.narg(lead_id)::uuid IS NULL OR lead_id = sqlc.narg(lead_id)::uuid)
  AND (sqlc.narg(state)::text IS NULL OR state = sqlc.narg(state)::text)
ORDER BY id LIMIT @page_size;

-- name: CancelPendingTasks :exec
UPDATE task SET state = 'cancelled' WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state = 'pending';

-- name: InsertLeadEvent :execrows
INSERT INTO lead_event (workspace_id, event_id, lead_id, type, event_time, handle_time, wakes)
VALUES (@workspace_id, @event_id, @lead_id, @type, @event_time, @now, @wakes)
ON CONFLICT DO NOTHING;

-- name: ListMissedWakes :many
-- Enrollments whose hold begins now although what it waits for came since their step was taken up.
SELECT v.enrollment_id::uuid FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@lead_ids::uuid[]) AS lead_id,
    unnest(@enrollment_ids::uuid[]) AS enrollment_id, unnest(@wake_ons::text[]) AS wake_on, unnest(@sinces::timestamptz[]) AS since) AS v
WHERE EXISTS (SELECT FROM lead_event AS e WHERE e.workspace_id = v.workspace_id AND e.lead_id = v.lead_id
    AND e.type IN ('dnd_changed', 'updated') AND e.wakes <> '' AND starts_with(v.wake_on, e.wakes) AND e.handle_time >= v.since);

-- name: CancelTasksOfEnrollments :exec
UPDATE task AS t SET state = 'cancelled', finish_time = @now::timestamptz
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@enrollment_ids::uuid[]) AS enrollment_id) AS v
WHERE t.workspace_id = v.workspace_id AND t.enrollment_id = v.enrollment_id AND t.state = 'pending';
