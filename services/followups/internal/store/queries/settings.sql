-- name: GetSettings :one
SELECT * FROM settings WHERE workspace_id = @workspace_id;

-- name: ListSettings :many
SELECT * FROM settings WHERE workspace_id = ANY(@workspace_ids::uuid[]);

-- name: LockSettings :one
SELECT * FROM settings WHERE workspace_id = @workspace_id FOR UPDATE;

-- name: SaveSettings :one
INSERT INTO settings (workspace_id, work_start, work_end, work_days, paused_until, sender_name, company_name, target_result, questions, refusals, daily_cap, paused_channels, ghost_days, update_time)
VALUES (@workspace_id, @work_start, @work_end, @work_days, @paused_until, @sender_name, @company_name, @target_result, @questions, @refusals, @daily_cap, @paused_channels::text[], @ghost_days, @now)
ON CONFLICT (workspace_id) DO UPDATE
SET work_start = excluded.work_start, work_end = excluded.work_end, work_days = excluded.work_days,
    paused_until = excluded.paused_until, sender_name = excluded.sender_name, company_name = excluded.company_name,
    target_result = excluded.target_result, questions = excluded.questions, refusals = excluded.refusals, daily_cap = excluded.daily_cap, paused_channels = excluded.paused_channels, ghost_days = excluded.ghost_days,
    update_time = excluded.update_time
RETURNING *;
