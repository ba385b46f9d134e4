-- name: InsertLink :one
-- The first link of a workspace becomes its default; concurrent firsts are told apart by the index.
INSERT INTO calendar_link (workspace_id, id, request_id, display_name, provider, external_id, public_url, source_enc,
    token_enc, hours, is_default, create_time, update_time)
VALUES (@workspace_id, @id, sqlc.narg('request_id'), @display_name, @provider, @external_id, @public_url, @source_enc,
    @token_enc, sqlc.narg('hours'), NOT EXISTS (SELECT FROM calendar_link l WHERE l.workspace_id = @workspace_id), @now, @now)
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
-- What was remembered of the old calendar says nothing of a new one.
UPDATE calendar_link SET display_name = @display_name, external_id = @external_id, public_url = @public_url,
    source_enc = @source_enc, token_enc = @token_enc, hours = sqlc.narg('hours'),
    resolved = CASE WHEN @forget::boolean THEN '' ELSE resolved END, update_time = @now
WHERE workspace_id = @workspace_id AND id = @id
RETURNING *;

-- name: Remember :exec
UPDATE calendar_link SET resolved = @resolved WHERE workspace_id = @workspace_id AND id = @id AND resolved <> @resolved;

-- name: DeleteLink :one
DELETE FROM calendar_link WHERE workspace_id = @workspace_id AND id = @id RETURNING *;

-- name: ClearDefault :exec
UPDATE calendar_link SET is_default = false, update_time = @now
WHERE workspace_id = @workspace_id AND is_default AND id <> @id;

-- name: MakeDefault :one
UPDATE calendar_link SET is_default = true, update_time = CASE WHEN is_default THEN update_time ELSE @now END
WHERE workspace_id = @workspace_id AND id = @id
RETURNING *;

-- name: DirectBookLink :one
SELECT * FROM calendar_link WHERE workspace_id = @workspace_id AND is_direct_book;

-- name: ClearDirectBook :exec
UPDATE calendar_link SET is_direct_book = false, update_time = @now
WHERE workspace_id = @workspace_id AND is_direct_book AND id <> @id;

-- name: MakeDirectBook :one
UPDATE calendar_link SET is_direct_book = true, update_time = CASE WHEN is_direct_book THEN update_time ELSE @now END
WHERE workspace_id = @workspace_id AND id = @id
RETURNING *;
