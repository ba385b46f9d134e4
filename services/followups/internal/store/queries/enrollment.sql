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
SELECT e.* FROM enrollment AS e
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@ids::uuid[]) AS id, unnest(@tokens::uuid[]) AS token) AS v
    ON e.workspace_id = v.workspace_id AND e.id = v.id AND e.lease_token = v.token
ORDER BY e.workspace_id, e.id FOR UPDATE OF e;

-- name: SaveEnrollments :exec
UPDATE enrollment AS e
SET state = v.state, reason = v.reason, position = v.position, base_time = v.base_time,
    due_time = nullif(v.due_time, '0001-01-01 00:00:00+00'::timestamptz), next_time = nullif(v.next_time, '0001-01-01 00:00:00+00'::timestamptz),
    replied_since = v.replied_since, end_time = nullif(v.end_time, '0001-01-01 00:00:00+00'::timestamptz),
    attempts = v.attempts, held_back = v.held_back, part = v.part, approved = v.approved, wake_on = v.wake_on,
    hold_until = nullif(v.hold_until, '0001-01-01 00:00:00+00'::timestamptz), update_time = @now::timestamptz,
    lease_token = CASE WHEN @release::boolean THEN NULL ELSE e.lease_token END,
    lease_until = CASE WHEN @release::boolean THEN NULL ELSE e.lease_until END
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@ids::uuid[]) AS id, unnest(@states::text[]) AS state,
    unnest(@reasons::text[]) AS reason, unnest(@positions::integer[]) AS position, unnest(@base_times::timestamptz[]) AS base_time,
    unnest(@due_times::timestamptz[]) AS due_time, unnest(@next_times::timestamptz[]) AS next_time,
    unnest(@replied_sinces::timestamptz[]) AS replied_since, unnest(@end_times::timestamptz[]) AS end_time,
    unnest(@attempts::integer[]) AS attempts, unnest(@held_backs::integer[]) AS held_back, unnest(@parts::integer[]) AS part, unnest(@approved::boolean[]) AS approved,
    unnest(@wake_ons::text[]) AS wake_on, unnest(@hold_untils::timestamptz[]) AS hold_until) AS v
WHERE e.workspace_id = v.workspace_id AND e.id = v.id;

-- name: ReleaseLeases :exec
UPDATE enrollment AS e SET lease_token = NULL, lease_until = NULL
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@ids::uuid[]) AS id, unnest(@tokens::uuid[]) AS token) AS v
WHERE e.workspace_id = v.workspace_id AND e.id = v.id AND e.lease_token = v.token;

-- name: ListEnrollments :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND id > @after_id ORDER BY id LIMIT @page_size;

-- name: ListLeadEnrollments :many
SELECT * FROM enrollment
WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND id > @after_id ORDER BY id LIMIT @page_size;

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
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@ids::uuid[]) AS id) AS v
WHERE e.workspace_id = v.workspace_id AND e.id = v.id
RETURNING e.*;
