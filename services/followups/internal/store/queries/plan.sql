-- name: InsertPlan :exec
INSERT INTO step_plan (workspace_id, request_id, enrollment_id, version, position, part, subject, body, html, create_time)
VALUES (@workspace_id, @request_id, @enrollment_id, @version, @position, @part, @subject, @body, @html, @now)
ON CONFLICT DO NOTHING;

-- name: GetPlan :one
SELECT * FROM step_plan WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: ListPlans :many
SELECT * FROM step_plan WHERE workspace_id = ANY(@workspace_ids::uuid[]) AND request_id = ANY(@request_ids::uuid[]);

-- name: SettlePlan :exec
UPDATE step_plan SET settled = @settled::text, settled_message = @message
WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: EmptyPlan :exec
UPDATE step_plan SET subject = '', body = '', html = ''
WHERE workspace_id = @workspace_id AND request_id = @request_id;
