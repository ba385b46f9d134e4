-- name: LockTriggered :many
SELECT * FROM sequence
WHERE workspace_id = @workspace_id AND active AND delete_time IS NULL AND trigger = ANY(@triggers::text[])
ORDER BY id FOR SHARE;

-- name: PastEnrollments :one
SELECT count(*) AS enrollments, coalesce(max(end_time), 'epoch')::timestamptz AS last_end,
    coalesce(bool_or(state IN ('active', 'paused', 'awaiting_outcome')), false)::boolean AS running
FROM enrollment WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND sequence_id = @sequence_id;

-- name: PastOfLeads :many
-- Those of the leads that were enrolled before, whatever in.
SELECT e.workspace_id, e.lead_id, coalesce(max(e.end_time), 'epoch')::timestamptz AS last_end,
    bool_or(e.state IN ('active', 'paused', 'awaiting_outcome'))::boolean AS running
FROM (SELECT DISTINCT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@lead_ids::uuid[]) AS lead_id) AS v
JOIN enrollment e ON e.workspace_id = v.workspace_id AND e.lead_id = v.lead_id
GROUP BY e.workspace_id, e.lead_id;

-- name: CountLeadEvents :one
SELECT count(*) FROM lead_event WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND type = @type;

-- name: WatchSilence :exec
INSERT INTO silence_watch (workspace_id, lead_id, sequence_id, since, due_time)
VALUES (@workspace_id, @lead_id, @sequence_id, @since, @due_time)
ON CONFLICT (workspace_id, lead_id, sequence_id) DO UPDATE SET since = excluded.since, due_time = excluded.due_time
WHERE silence_watch.since < excluded.since;

-- name: ForgetSilence :exec
DELETE FROM silence_watch AS w USING sequence AS s
WHERE w.workspace_id = @workspace_id AND w.lead_id = @lead_id AND w.since <= @until
  AND s.workspace_id = w.workspace_id AND s.id = w.sequence_id AND s.trigger = ANY(@triggers::text[]);

-- name: LockDueSilences :many
SELECT * FROM silence_watch WHERE due_time <= @now ORDER BY due_time LIMIT @size FOR UPDATE SKIP LOCKED;

-- name: DeleteSilences :exec
DELETE FROM silence_watch WHERE (workspace_id, lead_id, sequence_id) IN (
    SELECT unnest(@workspace_ids::uuid[]), unnest(@lead_ids::uuid[]), unnest(@sequence_ids::uuid[]));

-- name: PostponeSilence :exec
UPDATE silence_watch SET due_time = @due_time WHERE workspace_id = @workspace_id AND lead_id = @lead_id AND sequence_id = @sequence_id;
