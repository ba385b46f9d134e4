-- name: InsertRun :execrows
INSERT INTO run (id, request_id, start_time) VALUES (@id, @request_id, @start_time) ON CONFLICT DO NOTHING;

-- name: GetRunByRequest :one
SELECT * FROM run WHERE request_id = @request_id;

-- name: GetRun :one
SELECT * FROM run WHERE id = @id;

-- name: ListRuns :many
SELECT * FROM run WHERE id < @before_id ORDER BY id DESC LIMIT @page_size;

-- name: AddRunItems :exec
WITH added AS (
    INSERT INTO run_item (workspace_id, run_id, id, enrollment_id, lead_id, position, outcome, reason, message, create_time)
    SELECT unnest(@workspace_ids::uuid[]), @run_id, unnest(@ids::uuid[]), unnest(@enrollment_ids::uuid[]), unnest(@lead_ids::uuid[]),
        unnest(@positions::integer[]), unnest(@outcomes::text[]), unnest(@reasons::text[]), unnest(@messages::text[]), @now::timestamptz
    RETURNING outcome
), counted AS (
    SELECT count(*) FILTER (WHERE outcome NOT IN ('resumed', 'waiting')) AS processed,
        count(*) FILTER (WHERE outcome IN ('resumed', 'waiting')) AS checked,
        count(*) FILTER (WHERE outcome = 'resumed') AS resumed,
        count(*) FILTER (WHERE outcome = 'waiting') AS waiting,
        count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE outcome = 'failed') AS failed,
        count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
        count(*) FILTER (WHERE outcome = 'deferred') AS deferred,
        count(*) FILTER (WHERE outcome = 'unknown') AS unknown
    FROM added
)
UPDATE run SET processed = run.processed + counted.processed, succeeded = run.succeeded + counted.succeeded,
    failed = run.failed + counted.failed, skipped = run.skipped + counted.skipped,
    deferred = run.deferred + counted.deferred, unknown = run.unknown + counted.unknown,
    checked = run.checked + counted.checked, resumed = run.resumed + counted.resumed, waiting = run.waiting + counted.waiting
FROM counted WHERE run.id = @run_id;

-- name: FinishRun :exec
UPDATE run SET finished = @finished, end_time = @end_time::timestamptz,
    silence_enabled = EXISTS (SELECT 1 FROM sequence AS s WHERE s.active AND s.delete_time IS NULL AND s.trigger = 'no_response')
WHERE run.id = @id AND run.end_time IS NULL;

-- name: CountRunReasons :many
SELECT outcome, reason, count(*) AS items FROM run_item WHERE run_id = @run_id GROUP BY outcome, reason ORDER BY outcome, reason;

-- name: CountRunWorkspaces :many
SELECT workspace_id, outcome, count(*) AS items FROM run_item WHERE run_id = @run_id
GROUP BY workspace_id, outcome ORDER BY workspace_id, outcome;

-- name: ListRunFailures :many
SELECT enrollment_id, reason FROM run_item WHERE run_id = @run_id AND outcome = 'failed' ORDER BY id LIMIT 100;

-- name: AddRunSilences :exec
INSERT INTO run_silence (run_id, workspace_id, outcome, watches)
SELECT sqlc.arg(run_id)::uuid, v.workspace_id, v.outcome, count(*)::integer
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@outcomes::text[]) AS outcome) AS v GROUP BY v.workspace_id, v.outcome
ORDER BY v.workspace_id, v.outcome
ON CONFLICT (run_id, workspace_id, outcome) DO UPDATE SET watches = run_silence.watches + excluded.watches;

-- name: CountRunSilences :many
SELECT outcome, sum(watches)::integer AS watches FROM run_silence WHERE run_id = @run_id GROUP BY outcome ORDER BY outcome;

-- name: CountRunSilenceWorkspaces :one
SELECT count(DISTINCT workspace_id)::integer FROM run_silence WHERE run_id = @run_id;
