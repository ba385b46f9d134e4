-- name: InsertPlans :exec
INSERT INTO step_plan (workspace_id, request_id, enrollment_id, version, position, part, subject, body, html, expire_time, create_time)
SELECT unnest(@workspace_ids::uuid[]), unnest(@request_ids::uuid[]), unnest(@enrollment_ids::uuid[]), unnest(@versions::integer[]),
    unnest(@positions::integer[]), unnest(@parts::integer[]), unnest(@subjects::text[]), unnest(@bodies::text[]), unnest(@htmls::text[]),
    nullif(unnest(@expire_times::timestamptz[]), '0001-01-01 00:00:00+00'::timestamptz), @now::timestamptz
ON CONFLICT DO NOTHING;

-- name: GetPlan :one
SELECT * FROM step_plan WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: ListPlans :many
SELECT p.* FROM step_plan AS p
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@request_ids::uuid[]) AS request_id) AS v
    ON p.workspace_id = v.workspace_id AND p.request_id = v.request_id;

-- name: SettlePlan :exec
UPDATE step_plan SET settled = @settled::text, settled_message = @message
WHERE workspace_id = @workspace_id AND request_id = @request_id;

-- name: EmptyPlans :exec
UPDATE step_plan AS p SET subject = '', body = '', html = ''
FROM (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@request_ids::uuid[]) AS request_id) AS v
WHERE p.workspace_id = v.workspace_id AND p.request_id = v.request_id;
