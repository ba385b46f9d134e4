-- name: InsertSequence :exec
INSERT INTO sequence (workspace_id, id, display_name, active, trigger, version, request_id, create_time, update_time)
VALUES (@workspace_id, @id, @display_name, @active, @trigger, 1, @request_id, @now, @now);

-- name: UpdateSequence :exec
UPDATE sequence
SET display_name = @display_name, active = @active, trigger = @trigger, version = @version, update_time = @now
WHERE workspace_id = @workspace_id AND id = @id;

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

-- name: ListTriggeredSequences :many
SELECT * FROM sequence
WHERE workspace_id = @workspace_id AND active AND delete_time IS NULL AND trigger = @trigger
ORDER BY id FOR SHARE;

-- name: InsertStep :exec
INSERT INTO sequence_step (workspace_id, sequence_id, version, position, channel, delay_days, delay_minutes, subject_template, body_template)
VALUES (@workspace_id, @sequence_id, @version, @position, @channel, @delay_days, @delay_minutes, @subject_template, @body_template);

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
