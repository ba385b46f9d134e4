-- name: MatchLeads :many
-- By index on every key. FOR NO KEY UPDATE keeps them as they are until the end.
SELECT sqlc.embed(l), ARRAY(SELECT e.email FROM lead_address e WHERE e.workspace_id = l.workspace_id AND e.lead_id = l.id)::text[] AS emails
FROM lead l WHERE l.workspace_id = sqlc.arg(workspace_id) AND (l.ghl_contact_id = sqlc.narg(ghl_contact_id)::text OR l.phone = sqlc.narg(phone)::text
    OR l.id = ANY (ARRAY(SELECT m.lead_id FROM lead_address m WHERE m.workspace_id = sqlc.arg(workspace_id) AND m.email = ANY (sqlc.arg(addresses)::text[]))))
ORDER BY l.id FOR NO KEY UPDATE OF l;

-- name: InsertLeadEmails :exec
-- An address that somebody else took meanwhile is a lost race, and the transaction begins anew.
INSERT INTO lead_address (workspace_id, lead_id, email)
SELECT sqlc.arg(workspace_id), sqlc.arg(lead_id), a.email FROM unnest(sqlc.arg(addresses)::text[]) AS a(email);

-- name: InsertConflict :exec
INSERT INTO lead_conflict (workspace_id, id, lead_id, holder_id, key, value, create_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.arg(holder_id), sqlc.arg(key), sqlc.arg(value), sqlc.arg(now))
ON CONFLICT ON CONSTRAINT lead_conflict_once DO NOTHING;

-- name: Conflict :one
SELECT * FROM lead_conflict WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockConflict :one
SELECT * FROM lead_conflict WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: ListConflicts :many
SELECT * FROM lead_conflict WHERE workspace_id = sqlc.arg(workspace_id) AND (sqlc.arg(resolved)::boolean OR resolution = '')
    AND id < sqlc.arg(before) ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: ResolveConflict :exec
UPDATE lead_conflict SET resolution = sqlc.arg(resolution), resolver = sqlc.arg(resolver), reason = sqlc.arg(reason), resolve_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND resolution = '';

-- name: DropEmail :execrows
-- Of a lead's other addresses; its own goes with its row.
DELETE FROM lead_address e WHERE e.workspace_id = sqlc.arg(workspace_id) AND e.lead_id = sqlc.arg(lead_id) AND e.email = sqlc.arg(email)
    AND NOT EXISTS (SELECT FROM lead l WHERE l.workspace_id = e.workspace_id AND l.id = e.lead_id AND l.email = e.email);

-- name: ClearEmail :execrows
UPDATE lead SET email = NULL, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND email = sqlc.arg(email)::text;

-- name: ClearPhone :execrows
UPDATE lead SET phone = NULL, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND phone = sqlc.arg(phone)::text;

-- name: GiveEmail :exec
UPDATE lead SET email = sqlc.arg(email)::text, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: GivePhone :exec
UPDATE lead SET phone = sqlc.arg(phone)::text, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: AlternateEmails :many
SELECT e.email FROM lead_address e JOIN lead l ON l.workspace_id = e.workspace_id AND l.id = e.lead_id
WHERE e.workspace_id = sqlc.arg(workspace_id) AND e.lead_id = sqlc.arg(lead_id) AND e.email IS DISTINCT FROM l.email ORDER BY e.email;
