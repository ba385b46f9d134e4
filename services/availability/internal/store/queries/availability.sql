-- name: AddWorkspaces :exec
INSERT INTO availability (workspace_id) SELECT w FROM unnest(@workspace_ids::uuid[]) AS w
ON CONFLICT DO NOTHING;

-- name: Known :one
SELECT count(*) > 0 AS known FROM availability WHERE workspace_id = @workspace_id AND source_kind = 'default';

-- name: Availability :one
SELECT * FROM availability WHERE workspace_id = @workspace_id AND source_kind = @source_kind;

-- name: LockAvailability :one
SELECT sqlc.embed(availability), coalesce(lease_until > clock_timestamp(), false)::boolean AS leased
FROM availability WHERE workspace_id = @workspace_id AND source_kind = @source_kind FOR UPDATE;

-- name: Lease :exec
UPDATE availability SET lease_token = @token, lease_until = clock_timestamp() + make_interval(secs => sqlc.arg('seconds'))
WHERE workspace_id = @workspace_id AND source_kind = @source_kind;

-- name: LeaseNextDue :one
-- The one of the agency, of the kind, that is due longest, after the cursor, that nobody reads now.
UPDATE availability a SET lease_token = @token, lease_until = clock_timestamp() + make_interval(secs => sqlc.arg('seconds'))
WHERE a.source_kind = @source_kind AND a.workspace_id = (
    SELECT d.workspace_id FROM availability d
    WHERE d.source_kind = @source_kind AND d.agency = @agency AND d.due_time <= @now AND (d.due_time, d.workspace_id) > (@after_due::timestamptz, @after_id::uuid)
        AND (d.lease_until IS NULL OR d.lease_until <= clock_timestamp())
    ORDER BY d.due_time, d.workspace_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING a.*;

-- name: LockUnconfigured :many
-- Due rows that seem to have no default link. Whether they have none is asked again by SettleUnconfigured: the links that
-- this statement sees may be older than the rows that it locks. A row of another calendar is only there while that is set.
SELECT workspace_id, reported FROM availability a
WHERE a.source_kind = 'default' AND a.due_time <= @now AND (a.lease_until IS NULL OR a.lease_until <= clock_timestamp())
    AND NOT EXISTS (SELECT FROM calendar_link l WHERE l.workspace_id = a.workspace_id AND l.is_default)
ORDER BY a.due_time, a.workspace_id LIMIT @batch FOR UPDATE OF a SKIP LOCKED;

-- name: SettleUnconfigured :many
-- The rows are locked, and links change only under that lock.
UPDATE availability a SET state = @state, reason = @reason, last_error = '', reported = @reported, slots = '{}',
    source = '', as_of = NULL, failures = 0, due_time = @due_time, host = '', waiting = false, lease_token = NULL, lease_until = NULL
WHERE a.source_kind = 'default' AND a.workspace_id = ANY(@workspace_ids::uuid[])
    AND NOT EXISTS (SELECT FROM calendar_link l WHERE l.workspace_id = a.workspace_id AND l.is_default)
RETURNING a.workspace_id;

-- name: Release :exec
UPDATE availability SET lease_token = NULL, lease_until = NULL
WHERE workspace_id = @workspace_id AND source_kind = @source_kind AND lease_token = @token;

-- name: Finish :execrows
UPDATE availability SET state = @state, reason = @reason, last_error = @last_error, reported = @reported, slots = @slots,
    source = @source, as_of = sqlc.narg('as_of'), failures = @failures, due_time = @due_time, host = @host, waiting = @waiting,
    lease_token = NULL, lease_until = NULL
WHERE workspace_id = @workspace_id AND source_kind = @source_kind AND lease_token = @token AND config_version = @config_version;

-- name: Reset :exec
-- The configuration of a calendar, or of both, changed: what was read says nothing any more, and it is read again at once.
UPDATE availability SET config_version = config_version + 1, state = 'new', reason = '', last_error = '', slots = '{}',
    source = '', as_of = NULL, failures = 0, due_time = 'epoch', host = '', waiting = false
WHERE workspace_id = @workspace_id AND (sqlc.narg('source_kind')::text IS NULL OR source_kind = sqlc.narg('source_kind'));

-- name: UpdateSettings :one
UPDATE availability SET meeting_minutes = coalesce(sqlc.narg('meeting_minutes'), meeting_minutes),
    look_ahead_seconds = coalesce(sqlc.narg('look_ahead_seconds'), look_ahead_seconds),
    offer_strategy = coalesce(sqlc.narg('offer_strategy'), offer_strategy), locale = coalesce(sqlc.narg('locale'), locale),
    low_threshold = coalesce(sqlc.narg('low_threshold'), low_threshold), settings_time = @now
WHERE workspace_id = @workspace_id AND source_kind = 'default'
RETURNING *;

-- name: BackingOff :one
SELECT count(*) FROM availability WHERE state = 'unreachable' AND due_time > @now;

-- name: Hasten :exec
-- Ends a back-off: the next look is now. A calendar that is well is not asked for it.
UPDATE availability SET due_time = 'epoch', failures = 0
WHERE workspace_id = @workspace_id AND source_kind = @source_kind AND state NOT IN ('ok', 'empty');

-- name: AddDirectBook :execrows
-- The row of the calendar for direct bookings, of the workspace's agency, due at once.
INSERT INTO availability (workspace_id, source_kind, agency)
SELECT a.workspace_id, 'direct_book', a.agency FROM availability a WHERE a.workspace_id = @workspace_id AND a.source_kind = 'default'
ON CONFLICT DO NOTHING;

-- name: DropDirectBook :exec
DELETE FROM availability WHERE workspace_id = @workspace_id AND source_kind = 'direct_book';
