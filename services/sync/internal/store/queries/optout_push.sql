-- name: DuePushes :many
-- Pushes whose time has come, oldest first.
SELECT workspace_id, id FROM opt_out WHERE push_next_time <= sqlc.arg(now)::timestamptz ORDER BY push_next_time LIMIT sqlc.arg(most);

-- name: ClaimPush :one
-- One worker at a time: who comes while the lease lasts finds nothing due.
UPDATE opt_out o SET push_next_time = sqlc.arg(lease)::timestamptz, push_attempt = o.push_attempt + 1
FROM lead l
WHERE o.workspace_id = sqlc.arg(workspace_id) AND o.id = sqlc.arg(id) AND o.push IN ('PENDING', 'WITHDRAWING')
    AND o.push_next_time <= sqlc.arg(now)::timestamptz
    -- The provider would refuse the one message that confirms the opt-out.
    AND NOT EXISTS (SELECT FROM send_intent i WHERE i.workspace_id = o.workspace_id AND i.lead_id = o.lead_id
        AND i.purpose = 'opt_out_confirmation' AND i.state IN ('PLANNED', 'SENDING', 'RETRYABLE') AND i.expire_time > sqlc.arg(now)::timestamptz)
    AND l.workspace_id = o.workspace_id AND l.id = o.lead_id
RETURNING o.lead_id, o.channel, o.push, o.push_attempt, o.push_refusals, coalesce(l.ghl_contact_id, '')::text AS contact;

-- name: SettlePush :execrows
-- What an attempt came to. A lift that came meanwhile changed push, and this attempt then counts for nothing.
UPDATE opt_out SET push = sqlc.arg(push), push_error = sqlc.arg(error), push_refusals = sqlc.arg(refusals), push_next_time = sqlc.narg(next),
    push_time = coalesce(sqlc.narg(pushed), push_time), confirm_time = coalesce(sqlc.narg(confirmed), confirm_time)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND push = sqlc.arg(was) AND push_attempt = sqlc.arg(attempt);

-- name: RependPushes :many
-- The lead has another contact at the provider: its opt-outs are told there, from the start. An attempt that is under way at the one
-- before counts for nothing.
UPDATE opt_out SET push = 'PENDING', push_error = '', push_refusals = 0, push_next_time = sqlc.arg(now)::timestamptz,
    push_attempt = CASE WHEN push_attempt > 0 THEN push_attempt + 1 ELSE 0 END
WHERE workspace_id = sqlc.arg(workspace_id) AND lead_id = sqlc.arg(lead_id) AND state = 'ACTIVE'
RETURNING id;

-- name: StartWithdraw :exec
-- The opt-out is lifted. What was never tried leaves nothing at the provider; an attempt under way is waited for.
UPDATE opt_out SET push = CASE WHEN push_attempt = 0 THEN 'NOT_NEEDED' ELSE 'WITHDRAWING' END, push_error = '', push_refusals = 0,
    push_next_time = CASE WHEN push_attempt > 0 THEN least(greatest(push_next_time, sqlc.arg(now)::timestamptz), sqlc.arg(lease)::timestamptz) END
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id);

-- name: RetryPush :execrows
-- What was given up begins anew: telling, or taking back where the opt-out was lifted.
UPDATE opt_out SET push = CASE WHEN state = 'ACTIVE' THEN 'PENDING' ELSE 'WITHDRAWING' END, push_error = '', push_refusals = 0,
    push_next_time = sqlc.arg(now)::timestamptz
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND push = 'FAILED';

-- name: SetInboundDND :execrows
UPDATE lead SET inbound_dnd_time = sqlc.narg(since), inbound_dnd_source = sqlc.arg(source), update_time = sqlc.arg(now)
WHERE workspace_id = sqlc.arg(workspace_id) AND id = sqlc.arg(id) AND (inbound_dnd_time IS NULL) <> (sqlc.narg(since)::timestamptz IS NULL);
