-- name: ListBatchSteps :many
SELECT st.* FROM sequence_step AS st
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@sequence_ids::uuid[]) AS sequence_id,
    unnest(@versions::integer[]) AS version, unnest(@positions::integer[]) AS position) AS v
    ON st.workspace_id = v.workspace_id AND st.sequence_id = v.sequence_id AND st.version = v.version AND st.position = v.position;

-- name: ListSequenceStates :many
SELECT id, active, refusals, continue_on_reply FROM sequence
WHERE workspace_id = ANY(@workspace_ids::uuid[]) AND id = ANY(@ids::uuid[]) AND delete_time IS NULL;

-- name: ListConnectedLeads :many
SELECT DISTINCT t.workspace_id, t.lead_id FROM task AS t
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@lead_ids::uuid[]) AS lead_id) AS v
    ON t.workspace_id = v.workspace_id AND t.lead_id = v.lead_id
WHERE t.channel = 'linkedin' AND t.state = 'completed';
