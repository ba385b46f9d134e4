-- name: InsertLink :one
-- The first link of a workspace becomes its default; concurrent firsts are told apart by the index.
INSERT INTO calendar_link (workspace_id, id, request_id, display_name, provider, external_id, public_url, is_default,
    create_time, update_time)
VALUES (@workspace_id, @id, sqlc.narg('request_id'), @display_name, @provider, @external_id, @public_url,
    NOT EXISTS (SELECT FROM calendar_link l WHERE l.workspace_id = @workspace_id), @now, @now)
RETURNING *;

-- name: LinkByRequest :one
SELECT * FROM calendar_link WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: Link :one
SELECT * FROM calendar_link WHERE workspace_id = @workspace_id AND id = @id;

-- name: DefaultLink :one
SELECT * FROM calendar_link WHERE workspace_id = @workspace_id AND is_default;

-- name: Links :many
SELECT * FROM calendar_link WHERE workspace_id = @workspace_id AND id > @after ORDER BY id LIMIT @page;

-- name: UpdateLink :one
UPDATE calendar_link SET display_name = coalesce(sqlc.narg('display_name'), display_name),
    external_id = coalesce(sqlc.narg('external_id'), external_id),
    public_url = coalesce(sqlc.narg('public_url'), public_url), update_time = @now
WHERE workspace_id = @workspace_id AND id = @id
RETURNING *;

-- name: DeleteLink :one
DELETE FROM calendar_link WHERE workspace_id = @workspace_id AND id = @id RETURNING *;

-- name: ClearDefault :exec
UPDATE calendar_link SET is_default = false, update_time = @now
WHERE workspace_id = @workspace_id AND is_default AND id <> @id;

-- name: MakeDefault :one
UPDATE calendar_link SET is_default = true, update_time = CASE WHEN is_default THEN update_time ELSE @now END
WHERE workspace_id = @workspace_id AND id = @id
RETURNING *;
