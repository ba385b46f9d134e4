-- name: InsertEnrollment :execrows
INSERT INTO enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, reason, position, base_time,
    due_time, next_time, start_time, replied_since, request_id, create_time, update_time)
VALUES (@workspace_id, @id, @lead_id, @sequence_id, @sequence_version, @state, '', @position, @base_time,
    @due_time, @next_time, @start_time, @replied_since, @request_id, @now, @now)
ON CONFLICT DO NOTHING;

-- name: GetEnrollment :one
SELECT * FROM enrollment WHERE workspace_id = @workspace_id AND id = @id;

-- name: GetEnrollmentByRequest :one
SELECT * FROM enrollment WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: GetRunningEnrollment :one
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND sequence_id = @sequence_id
  AND state IN ('active', 'paused', 'awaiting_outcome');

-- name: LockEnrollment :one
SELECT * FROM enrollment WHERE workspace_id = @workspace_id AND id = @id FOR UPDATE;

-- name: LockLeadEnrollments :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND state IN ('active', 'paused', 'awaiting_outcome')
ORDER BY id FOR UPDATE;

-- name: LockLeased :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND id = ANY(@ids::uuid[]) AND lease_token = @lease_token::uuid
ORDER BY id FOR UPDATE;

-- name: SaveEnrollment :exec
UPDATE enrollment
SET state = @state, reason = @reason, position = @position, base_time = @base_time, due_time = @due_time,
    next_time = @next_time, replied_since = @replied_since, end_time = @end_time, attempts = @attempts, part = @part,
    approved = @approved, wake_on = @wake_on, hold_until = @hold_until,
    update_time = @now
WHERE workspace_id = @workspace_id AND id = @id;

-- name: ReleaseLease :exec
UPDATE enrollment SET lease_token = NULL, lease_until = NULL
WHERE workspace_id = @workspace_id AND id = ANY(@ids::uuid[]) AND lease_token = @lease_token::uuid;

-- name: ListEnrollments :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND id > @after_id
  AND (sqlc.narg(lead_id)::uuid IS NULL OR lead_id = sqlc.narg(lead_id)::uuid)
ORDER BY id LIMIT @page_size;

-- name: WakeDeferred :exec
UPDATE enrollment SET next_time = coalesce(due_time, @now::timestamptz), reason = ''
WHERE workspace_id = @workspace_id AND state = 'active' AND reason = ANY(@reasons::text[]);

-- name: RecheckPaused :exec
UPDATE enrollment SET next_time = @now::timestamptz
WHERE workspace_id = @workspace_id AND state = 'paused' AND split_part(reason, ': ', 1) = ANY(@reasons::text[]);

-- name: ResumePausedSequence :exec
UPDATE enrollment SET state = 'active', reason = '', next_time = coalesce(due_time, @now::timestamptz), update_time = @now::timestamptz
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND state = 'paused' AND reason = @reason;

-- name: LeaseDue :many
UPDATE enrollment AS e
SET lease_token = @lease_token::uuid,
    lease_until = clock_timestamp() + make_interval(secs => @lease_seconds::float8)
WHERE e.workspace_id = ANY(@workspace_ids::uuid[]) AND e.id = ANY(@ids::uuid[])
RETURNING e.*;
