-- name: InsertSequence :exec
INSERT INTO sequence (workspace_id, id, display_name, description, active, trigger, trigger_minutes, trigger_tag, trigger_channel,
    re_enroll, re_enroll_after_days, refusals, continue_on_reply, version, request_id, create_time, update_time)
VALUES (@workspace_id, @id, @display_name, @description, @active, @trigger, @trigger_minutes, @trigger_tag, @trigger_channel,
    @re_enroll, @re_enroll_after_days, @refusals, @continue_on_reply, 1, @request_id, @now, @now);

-- name: UpdateSequence :exec
UPDATE sequence
SET display_name = @display_name, description = @description, active = @active, trigger = @trigger,
    trigger_minutes = @trigger_minutes, trigger_tag = @trigger_tag, trigger_channel = @trigger_channel,
    re_enroll = @re_enroll, re_enroll_after_days = @re_enroll_after_days, refusals = @refusals, continue_on_reply = @continue_on_reply, version = @version,
    update_time = @now
WHERE workspace_id = @workspace_id AND id = @id;

-- name: InsertVersion :exec
INSERT INTO sequence_version (workspace_id, sequence_id, version, create_time) VALUES (@workspace_id, @sequence_id, @version, @now);

-- name: SealVersion :exec
UPDATE sequence_version SET sealed = true
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND version = @version;

-- name: DeleteSequence :exec
UPDATE sequence SET delete_time = @now::timestamptz, active = false WHERE workspace_id = @workspace_id AND id = @id;

-- name: LockSequence :one
SELECT * FROM sequence WHERE workspace_id = @workspace_id AND id = @id AND delete_time IS NULL FOR UPDATE;

-- name: ShareSequence :one
SELECT * FROM sequence WHERE workspace_id = @workspace_id AND id = @id AND delete_time IS NULL FOR SHARE;

-- name: GetSequence :one
SELECT * FROM sequence WHERE workspace_id = @workspace_id AND id = @id AND delete_time IS NULL;

-- name: GetSequenceByRequest :one
SELECT * FROM sequence WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: ListSequences :many
SELECT * FROM sequence
WHERE workspace_id = @workspace_id AND delete_time IS NULL AND id > @after_id
ORDER BY id LIMIT @page_size;

-- name: InsertStep :exec
INSERT INTO sequence_step (workspace_id, sequence_id, version, position, step_id, channel, delay_days, delay_minutes, anchor,
    condition, expression, requires_approval, send_within_minutes, subject_template, body_template, refusals)
VALUES (@workspace_id, @sequence_id, @version, @position, @step_id, @channel, @delay_days, @delay_minutes, @anchor,
    @condition, @expression, @requires_approval, @send_within_minutes, @subject_template, @body_template, @refusals);

-- name: ListSteps :many
SELECT * FROM sequence_step
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND version = @version
ORDER BY position;

-- name: GetStep :many
SELECT * FROM sequence_step
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND version = @version AND position = @position;

-- name: CountRunning :one
SELECT count(*) FROM enrollment
WHERE workspace_id = @workspace_id AND sequence_id = @sequence_id AND state IN ('active', 'paused', 'awaiting_outcome');

-- name: LockMigrating :many
SELECT e.id, e.sequence_version, e.position, e.state, e.reason,
    (e.lease_until IS NOT NULL AND e.lease_until >= clock_timestamp())::boolean AS leased,
    EXISTS (SELECT FROM step_plan AS p WHERE p.workspace_id = e.workspace_id AND p.enrollment_id = e.id
        AND p.version = e.sequence_version AND p.position = e.position AND p.part = e.part) AS planned
FROM enrollment AS e
WHERE e.workspace_id = @workspace_id AND e.sequence_id = @sequence_id AND e.sequence_version <> @version
  AND e.state IN ('active', 'paused', 'awaiting_outcome')
ORDER BY e.id FOR UPDATE OF e;

-- name: MoveEnrollments :exec
UPDATE enrollment
SET sequence_version = @version, position = @position, lease_token = NULL, lease_until = NULL, update_time = @now::timestamptz,
    part = CASE WHEN @same_time::boolean THEN part ELSE 0 END,
    attempts = CASE WHEN @same_time::boolean THEN attempts ELSE 0 END,
    held_back = CASE WHEN @same_time::boolean THEN held_back ELSE 0 END,
    due_time = CASE WHEN @same_time::boolean THEN due_time END,
    next_time = CASE WHEN @same_time::boolean THEN next_time ELSE @now::timestamptz END,
    wake_on = CASE WHEN @same_time::boolean THEN wake_on ELSE '' END,
    hold_until = CASE WHEN @same_time::boolean THEN hold_until END,
    approved = CASE WHEN @same_time::boolean THEN approved ELSE false END,
    reason = CASE WHEN @same_time::boolean OR state <> 'active' THEN reason ELSE '' END
WHERE workspace_id = @workspace_id AND id = ANY(@ids::uuid[]);

-- name: CompleteMigrated :exec
UPDATE enrollment
SET state = 'completed', reason = @reason, lease_token = NULL, lease_until = NULL, end_time = @now::timestamptz, next_time = NULL, due_time = NULL, wake_on = '',
    update_time = @now::timestamptz
WHERE workspace_id = @workspace_id AND id = ANY(@ids::uuid[]);
