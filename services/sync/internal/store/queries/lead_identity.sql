-- name: MatchLeads :many
-- Each key by its unique index, then each lead by its id: one condition over all keys reads every lead of the workspace while the
-- tables are new. FOR NO KEY UPDATE keeps the leads as they are until the end; a locked row is asked again for what it was found
-- by, so that one that lost its key while we waited is nobody's match.
WITH holder AS MATERIALIZED (
    SELECT c.id, false AS addressed FROM lead c WHERE c.workspace_id = sqlc.arg(workspace_id) AND c.ghl_contact_id = sqlc.narg(ghl_contact_id)::text
    UNION ALL SELECT p.id, false FROM lead p WHERE p.workspace_id = sqlc.arg(workspace_id) AND p.phone = sqlc.narg(phone)::text
    UNION ALL SELECT m.lead_id, true FROM unnest(sqlc.arg(addresses)::text[]) AS a(email) CROSS JOIN LATERAL (
        SELECT o.lead_id FROM lead_address o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.email = a.email OFFSET 0) m
)
SELECT sqlc.embed(lead), ARRAY(SELECT e.email FROM lead_address e WHERE e.workspace_id = lead.workspace_id AND e.lead_id = lead.id)::text[] AS emails
FROM (SELECT id, bool_or(addressed) AS addressed FROM holder GROUP BY id ORDER BY id) h CROSS JOIN LATERAL (
    SELECT k.* FROM lead k WHERE k.workspace_id = sqlc.arg(workspace_id) AND k.id = h.id
        AND (h.addressed OR k.ghl_contact_id = sqlc.narg(ghl_contact_id)::text OR k.phone = sqlc.narg(phone)::text)
    FOR NO KEY UPDATE) lead
ORDER BY h.id;

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
