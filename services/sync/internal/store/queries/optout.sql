-- name: InsertOptOut :execrows
-- One opt-out of a lead and channel is in force at a time; the first is the one that counts.
INSERT INTO opt_out (workspace_id, id, lead_id, channel, address, source, rule, message_id, state, review, push, push_error, push_next_time, opt_out_time, create_time)
VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(lead_id), sqlc.arg(channel), sqlc.arg(address), sqlc.arg(source), sqlc.arg(rule),
    sqlc.narg(message_id)::uuid, 'ACTIVE', sqlc.arg(review), sqlc.arg(push), sqlc.arg(push_error), sqlc.narg(push_next_time), sqlc.arg(opt_out_time), sqlc.arg(now))
ON CONFLICT (workspace_id, lead_id, channel) WHERE state = 'ACTIVE' DO NOTHING;

-- name: ActiveOptOut :one
SELECT * FROM opt_out WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) AND state = 'ACTIVE';

-- name: Revocations :many
-- Opt-outs of the lead, and of the number and the address that it has now, whoever made them.
SELECT o.lead_id, o.channel, o.opt_out_time FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.lead_id = sqlc.arg(lead_id)
UNION ALL
SELECT o.lead_id, o.channel, o.opt_out_time FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.channel = 'sms'
    AND o.address <> '' AND o.address = sqlc.arg(phone)::text AND o.lead_id <> sqlc.arg(lead_id)
UNION ALL
SELECT o.lead_id, o.channel, o.opt_out_time FROM opt_out o WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.state = 'ACTIVE' AND o.channel = 'email'
    AND o.address <> '' AND o.address = sqlc.arg(email)::text AND o.lead_id <> sqlc.arg(lead_id);

-- name: ConfirmUnclear :execrows
-- Clear words after unclear ones need no review any more.
UPDATE opt_out SET review = 'NONE' WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel)
    AND state = 'ACTIVE' AND review = 'PENDING';

-- name: OptOut :one
SELECT * FROM opt_out WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: LockOptOut :one
SELECT * FROM opt_out WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) FOR NO KEY UPDATE;

-- name: ListOptOuts :many
SELECT * FROM opt_out WHERE workspace_id = sqlc.arg(workspace_id) AND (NOT sqlc.arg(pending)::boolean OR review = 'PENDING')
    AND id < sqlc.arg(before) ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: ReviewOptOut :execrows
UPDATE opt_out SET review = sqlc.arg(review), state = sqlc.arg(state), reviewer = sqlc.arg(reviewer),
    review_note = sqlc.arg(note), review_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = 'ACTIVE';

-- name: LiftOptOut :execrows
-- A review that was waited for is settled by it.
UPDATE opt_out SET state = 'LIFTED', lifted_by = sqlc.arg(lifted_by), lift_reason = sqlc.arg(reason), lift_time = sqlc.arg(now),
    lift_message_id = sqlc.narg(message_id), review = CASE review WHEN 'PENDING' THEN 'NONE' ELSE review END
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND state = 'ACTIVE';

-- name: SetConfirmation :exec
UPDATE opt_out SET confirmation_id = sqlc.arg(confirmation)::uuid
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND confirmation_id IS NULL;

-- name: UnblockLead :execrows
UPDATE lead SET blocked = false, unblocked_by = sqlc.arg(unblocked_by), unblock_reason = sqlc.arg(reason), unblock_time = sqlc.arg(now),
    update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND blocked;

-- name: ReopenChannel :execrows
-- The trigger lets this through only where a person's reversal or lift of the same moment is on record.
UPDATE lead_channel SET status = 'OPEN', source = sqlc.arg(source), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND channel = sqlc.arg(channel) AND status = 'OPTED_OUT';
