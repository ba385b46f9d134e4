-- name: Lead :one
SELECT * FROM lead WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockLead :one
SELECT * FROM lead WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: InsertLead :execrows
INSERT INTO lead (workspace_id, id, ghl_contact_id, first_name, last_name, email, phone, time_zone, time_zone_source, state, country, company_name,
    blocked, create_time, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(ghl_contact_id), sqlc.arg(first_name), sqlc.arg(last_name), sqlc.arg(email), sqlc.arg(phone), sqlc.arg(time_zone), sqlc.arg(time_zone_source), sqlc.arg(state), sqlc.arg(country), sqlc.arg(company_name), sqlc.arg(blocked),
    sqlc.arg(now), sqlc.arg(now))
ON CONFLICT DO NOTHING;

-- name: FillLead :exec
UPDATE lead SET ghl_contact_id = sqlc.arg(ghl_contact_id), first_name = sqlc.arg(first_name), last_name = sqlc.arg(last_name), email = sqlc.arg(email),
    phone = sqlc.arg(phone), time_zone = sqlc.arg(time_zone), time_zone_source = sqlc.arg(time_zone_source),
    state = sqlc.arg(state), country = sqlc.arg(country), company_name = sqlc.arg(company_name), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: BatchLeads :many
SELECT * FROM lead WHERE workspace_id = sqlc.arg(workspace_id) AND id = ANY (sqlc.arg(ids)::uuid[]);

-- name: ListLeads :many
SELECT * FROM lead WHERE workspace_id = sqlc.arg(workspace_id) AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(page);

-- name: LeadChannels :many
-- With what became of telling the provider, for an opt-out that is in force.
SELECT c.*, coalesce(o.push, '')::text AS push, o.confirm_time FROM lead_channel c
LEFT JOIN opt_out o ON o.workspace_id = c.workspace_id AND o.lead_id = c.lead_id AND o.channel = c.channel AND o.state = 'ACTIVE'
WHERE c.workspace_id = sqlc.arg(workspace_id) AND c.lead_id = ANY (sqlc.arg(lead_ids)::uuid[]) ORDER BY c.lead_id, c.channel;

-- name: LeadChannel :one
SELECT status FROM lead_channel WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel);

-- name: SetLeadChannel :execrows
INSERT INTO lead_channel AS c (workspace_id, lead_id, channel, status, source, update_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(status), sqlc.arg(source), sqlc.arg(now))
ON CONFLICT (workspace_id, lead_id, channel) DO UPDATE SET status = excluded.status, source = excluded.source,
    update_time = excluded.update_time
WHERE c.status <> 'OPTED_OUT' AND c.status <> excluded.status;

-- name: TouchInbound :exec
UPDATE lead SET last_inbound_time = greatest(last_inbound_time, sqlc.arg(at)::timestamptz), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: TouchOutbound :exec
UPDATE lead SET last_outbound_time = greatest(last_outbound_time, sqlc.arg(at)::timestamptz), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: BlockLead :exec
UPDATE lead SET blocked = true, update_time = sqlc.arg(now) WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);
