-- name: InsertWorkspace :execrows
INSERT INTO workspace (id, request_id, display_name, time_zone, sending_disabled, unknown_policy, agency, contact_policy,
    opt_out_confirmation, create_contacts, create_time, update_time)
VALUES (sqlc.arg(id), sqlc.arg(request_id), sqlc.arg(display_name), sqlc.arg(time_zone), sqlc.arg(sending_disabled), sqlc.arg(unknown_policy), sqlc.arg(agency), sqlc.arg(contact_policy), sqlc.arg(opt_out_confirmation), sqlc.arg(create_contacts), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (request_id) DO NOTHING;

-- name: WorkspaceByRequest :one
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id AND c.provider = 'ghl' WHERE w.request_id = sqlc.arg(request_id)::uuid;

-- name: OneWorkspace :one
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id AND c.provider = 'ghl' WHERE w.id = sqlc.arg(id);

-- name: ListWorkspaces :many
SELECT w.*, coalesce(c.location, '')::text AS location FROM workspace w
LEFT JOIN connection c ON c.workspace_id = w.id AND c.provider = 'ghl' WHERE w.id > sqlc.arg(after)
    AND w.update_time >= sqlc.arg(since) ORDER BY w.id LIMIT sqlc.arg(page);

-- name: UpdateWorkspace :execrows
UPDATE workspace SET display_name = coalesce(sqlc.narg(display_name), display_name),
    time_zone = coalesce(sqlc.narg(time_zone), time_zone),
    sending_disabled = coalesce(sqlc.narg(sending_disabled), sending_disabled),
    unknown_policy = coalesce(sqlc.narg(unknown_policy), unknown_policy),
    agency = coalesce(sqlc.narg(agency), agency),
    create_contacts = coalesce(sqlc.narg(create_contacts), create_contacts),
    contact_policy = coalesce(sqlc.narg(contact_policy), contact_policy),
    opt_out_confirmation = coalesce(sqlc.narg(opt_out_confirmation), opt_out_confirmation), update_time = sqlc.arg(now)
WHERE id = sqlc.arg(id);


-- name: LockWorkspace :one
SELECT id FROM workspace WHERE id = sqlc.arg(id) FOR NO KEY UPDATE;
