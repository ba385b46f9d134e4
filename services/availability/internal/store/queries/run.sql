-- name: TakeRun :one
-- Opens a receipt. One of the same request id that was killed is gone on with; of one that ended, or goes on, nothing is given.
INSERT INTO refresh_run (id, request_id, mode, start_time, lease_until)
VALUES (@id, sqlc.narg('request_id'), @mode, @now, clock_timestamp() + make_interval(secs => sqlc.arg('seconds')))
ON CONFLICT (request_id) DO UPDATE SET lease_until = excluded.lease_until
WHERE refresh_run.end_time IS NULL AND refresh_run.lease_until <= clock_timestamp()
RETURNING *;

-- name: RunByRequest :one
SELECT * FROM refresh_run WHERE request_id = @request_id;

-- name: LeaveRun :exec
UPDATE refresh_run SET lease_until = clock_timestamp() WHERE id = @id AND end_time IS NULL;

-- name: FinishRun :one
UPDATE refresh_run SET checked = @checked, refreshed = @refreshed, no_default = @no_default, unsupported = @unsupported,
    backoff = @backoff, errors = @errors, attempted = @attempted, direct_book = @direct_book, details = @details, total_caches = @total_caches,
    due_caches = @due_caches, erroring_caches = @erroring_caches, oldest_as_of = sqlc.narg('oldest_as_of'),
    oldest_workspace = sqlc.narg('oldest_workspace'), finished = @finished, end_time = @now
WHERE id = @id RETURNING *;

-- name: ForgetRuns :exec
DELETE FROM refresh_run WHERE id IN (SELECT r.id FROM refresh_run r WHERE r.start_time < @before ORDER BY r.start_time LIMIT 100);

-- name: Runs :many
SELECT * FROM refresh_run WHERE id < @before ORDER BY id DESC LIMIT @page;

-- name: DueAgencies :many
-- Those with work, the one that waits longest first, and how much.
SELECT agency, min(due_time)::timestamptz AS oldest, count(*) AS due FROM availability
WHERE source_kind = @source_kind AND due_time <= @now GROUP BY agency ORDER BY oldest, agency;

-- name: AllAgencies :many
SELECT agency, min(due_time)::timestamptz AS oldest, count(*) AS due FROM availability
WHERE source_kind = @source_kind AND (due_time <= @now OR (state IN ('ok', 'empty') AND as_of < @now)) GROUP BY agency ORDER BY oldest, agency;

-- name: LeaseNextAny :one
-- As LeaseNextDue, and also those that were read well before now, whether they are due or not.
UPDATE availability a SET lease_token = @token, lease_until = clock_timestamp() + make_interval(secs => sqlc.arg('seconds'))
WHERE a.source_kind = @source_kind AND a.workspace_id = (
    SELECT d.workspace_id FROM availability d
    WHERE d.source_kind = @source_kind AND d.agency = @agency AND (d.due_time <= @now OR (d.state IN ('ok', 'empty') AND d.as_of < @now))
        AND (d.due_time, d.workspace_id) > (@after_due::timestamptz, @after_id::uuid)
        AND (d.lease_until IS NULL OR d.lease_until <= clock_timestamp())
    ORDER BY d.due_time, d.workspace_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING a.*;

-- name: LearnWorkspaces :exec
-- Makes rows for workspaces that have none, due at once, and notes whose they are.
WITH told AS (
    SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@agencies::text[]) AS agency),
direct AS (
    UPDATE availability d SET agency = told.agency FROM told
    WHERE d.workspace_id = told.workspace_id AND d.source_kind = 'direct_book' AND d.agency <> told.agency)
INSERT INTO availability (workspace_id, agency) SELECT workspace_id, agency FROM told
ON CONFLICT (workspace_id, source_kind) DO UPDATE SET agency = excluded.agency WHERE availability.agency <> excluded.agency;

-- name: CountByState :many
SELECT state, count(*) AS known FROM availability WHERE source_kind = 'default' GROUP BY state;

-- name: CountDue :one
SELECT count(*) FROM availability WHERE source_kind IN ('default', 'direct_book') AND due_time <= @now;

-- name: CountErroring :one
SELECT count(*) FROM availability WHERE source_kind = @source_kind AND state = 'unreachable';

-- name: ByIndexOnly :exec
-- Row-level security hides from the planner how many rows there are: it would read all of them to find
-- the few that are due, and sort all of a state to find its oldest.
-- Until the transaction ends it goes by the order of the index. What is turned off counts as costly, and what is costly would be
-- compiled first, which takes longer than these statements do.
SELECT set_config('jit', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true);

-- name: Oldest :one
SELECT workspace_id, as_of FROM availability WHERE source_kind = 'default' AND state = @state AND as_of IS NOT NULL ORDER BY as_of, workspace_id LIMIT 1;
