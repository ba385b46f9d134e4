-- name: TakeWalk :one
-- The walk that an earlier run left of a conversation: it is this one's from now on.
UPDATE history_walk SET id = sqlc.arg(id) WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel)
RETURNING *;

-- name: WalkParts :many
SELECT place, revision, listed FROM history_walk_part
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) ORDER BY part;

-- name: StartWalk :exec
-- Nothing when another run has begun one.
INSERT INTO history_walk (workspace_id, lead_id, channel, id, contact, conversations, begin_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(id), sqlc.arg(contact), sqlc.arg(conversations), sqlc.arg(begin_time))
ON CONFLICT DO NOTHING;

-- name: AddWalkPart :execrows
-- Nothing when the walk is another run's by now, or was ended.
INSERT INTO history_walk_part (workspace_id, lead_id, channel, part, place, revision, listed)
SELECT w.workspace_id, w.lead_id, w.channel, sqlc.arg(part), sqlc.arg(place), sqlc.arg(revision), sqlc.arg(listed)
FROM history_walk w WHERE w.workspace_id = sqlc.arg(workspace_id) AND w.lead_id = sqlc.arg(lead_id) AND w.channel = sqlc.arg(channel) AND w.id = sqlc.arg(id)
FOR NO KEY UPDATE;

-- name: EndWalk :exec
DELETE FROM history_walk WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);

-- name: PurgeWalks :exec
DELETE FROM history_walk WHERE (workspace_id, lead_id, channel) IN (
    SELECT w.workspace_id, w.lead_id, w.channel FROM history_walk w WHERE w.begin_time < sqlc.arg(before)::timestamptz
    ORDER BY w.begin_time LIMIT sqlc.arg(page) FOR UPDATE SKIP LOCKED);
