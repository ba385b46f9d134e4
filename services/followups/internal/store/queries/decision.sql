-- name: RecordDecisions :exec
INSERT INTO decision (workspace_id, enrollment_id, sequence_version, position, part, move, reason, outcome, run_id, until_time,
    message, checks, first_time, last_time)
SELECT unnest(@workspace_ids::uuid[]), unnest(@enrollment_ids::uuid[]), unnest(@versions::integer[]), unnest(@positions::integer[]),
    unnest(@parts::integer[]), unnest(@moves::text[]), unnest(@reasons::text[]), unnest(@outcomes::text[]), sqlc.narg(run_id)::uuid,
    nullif(unnest(@until_times::timestamptz[]), '0001-01-01 00:00:00+00'::timestamptz), unnest(@messages::text[]), unnest(@checks::text[])::jsonb,
    @now::timestamptz, @now::timestamptz
ON CONFLICT (workspace_id, enrollment_id, sequence_version, position, part, move, reason) DO UPDATE
SET outcome = CASE WHEN excluded.outcome = 'waiting' THEN decision.outcome ELSE excluded.outcome END, run_id = excluded.run_id, until_time = excluded.until_time, message = excluded.message,
    checks = excluded.checks, times = decision.times + 1, last_time = excluded.last_time;

-- name: ListDecisions :many
SELECT * FROM decision WHERE workspace_id = @workspace_id AND enrollment_id = @enrollment_id
ORDER BY last_time, first_time, part;

-- name: DeleteOldDecisions :execrows
DELETE FROM decision WHERE (workspace_id, enrollment_id, sequence_version, position, part, move, reason) IN (
    SELECT d.workspace_id, d.enrollment_id, d.sequence_version, d.position, d.part, d.move, d.reason FROM decision AS d
    WHERE d.last_time < @before::timestamptz ORDER BY d.last_time LIMIT @page_size);
