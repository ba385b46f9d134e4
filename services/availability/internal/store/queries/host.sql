-- name: FindHost :one
SELECT * FROM provider_host WHERE host = @host;

-- name: Hosts :many
-- Those that are left alone, with whether somebody finds out just now.
SELECT host, open_until, coalesce(probe_until > clock_timestamp(), false)::boolean AS probing
FROM provider_host WHERE open_until IS NOT NULL ORDER BY host;

-- name: TakeProbe :execrows
UPDATE provider_host SET probe_until = clock_timestamp() + make_interval(secs => sqlc.arg('seconds'))
WHERE host = @host AND open_until <= @now::timestamptz AND (probe_until IS NULL OR probe_until <= clock_timestamp());

-- name: LeaveProbe :exec
UPDATE provider_host SET probe_until = NULL WHERE host = @host;

-- name: AddHost :exec
INSERT INTO provider_host (host, update_time) VALUES (@host, @now) ON CONFLICT DO NOTHING;

-- name: LockHost :one
SELECT * FROM provider_host WHERE host = @host FOR UPDATE;

-- name: ShareHost :one
-- Whether the host is left alone, and it stays so until the transaction ends.
SELECT coalesce(open_until IS NOT NULL, false)::boolean AS resting FROM provider_host WHERE host = @host FOR SHARE;

-- name: UpdateHost :exec
UPDATE provider_host SET failures = @failures, since = sqlc.narg('since'), window_time = sqlc.narg('window_time'),
    window_calls = @window_calls, window_failed = @window_failed, open_until = sqlc.narg('open_until'), last_error = @last_error,
    update_time = @now, probe_until = NULL
WHERE host = @host;

-- name: DeleteHost :exec
DELETE FROM provider_host WHERE host = @host;

-- name: ForgetHosts :exec
-- Hosts that nobody has asked for long: their calendars are gone.
DELETE FROM provider_host WHERE update_time < @before;

-- name: DeferWaiting :many
-- Due rows of a host that is left alone wait for it. What was read before is kept.
WITH due AS (
    SELECT d.workspace_id, d.source_kind, d.reported AS before FROM availability d
    WHERE d.source_kind IN ('default', 'direct_book') AND d.due_time <= @now AND d.host = @host AND d.state IN ('ok', 'empty', 'unreachable')
        AND (d.lease_until IS NULL OR d.lease_until <= clock_timestamp())
    ORDER BY d.due_time, d.workspace_id LIMIT @batch FOR UPDATE SKIP LOCKED)
UPDATE availability a SET state = @state, reason = @reason, reported = @reported, waiting = true, due_time = @due_time,
    last_error = CASE WHEN a.last_error = '' THEN @last_error ELSE a.last_error END
FROM due WHERE a.workspace_id = due.workspace_id AND a.source_kind = due.source_kind
RETURNING a.workspace_id, a.source_kind, due.before;

-- name: NudgeOne :execrows
-- One of those that wait is due now: its look finds out whether the host answers again.
UPDATE availability SET due_time = 'epoch' WHERE (workspace_id, source_kind) = (
    SELECT w.workspace_id, w.source_kind FROM availability w
    WHERE w.host = @host AND w.waiting AND (w.lease_until IS NULL OR w.lease_until <= clock_timestamp())
    ORDER BY w.due_time LIMIT 1 FOR UPDATE SKIP LOCKED);

-- name: HastenWaiting :execrows
-- The host answers again: all that wait for it are due.
UPDATE availability SET due_time = @now, failures = 0, waiting = false WHERE host = @host AND waiting AND due_time > @now;
