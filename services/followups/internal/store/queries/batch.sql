-- name: ListBatchSteps :many
SELECT e.id AS enrollment_id, sqlc.embed(st)
FROM enrollment AS e
JOIN sequence_step AS st ON st.workspace_id = e.workspace_id AND st.sequence_id = e.sequence_id
    AND st.version = e.sequence_version AND st.position IN (e.position, e.position + 1)
WHERE e.workspace_id = ANY(@workspace_ids::uuid[]) AND e.id = ANY(@ids::uuid[]);

-- name: ListSequenceStates :many
SELECT id, active, refusals FROM sequence
WHERE workspace_id = ANY(@workspace_ids::uuid[]) AND id = ANY(@ids::uuid[]) AND delete_time IS NULL;

-- name: ListConnectedLeads :many
SELECT DISTINCT workspace_id, lead_id FROM task
WHERE workspace_id = ANY(@workspace_ids::uuid[]) AND lead_id = ANY(@lead_ids::uuid[])
  AND channel = 'linkedin' AND state = 'completed';
