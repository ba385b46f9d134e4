-- name: ListBatchSteps :many
SELECT st.* FROM sequence_step AS st
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@sequence_ids::uuid[]) AS sequence_id,
    unnest(@versions::integer[]) AS version, unnest(@positions::integer[]) AS position) AS v
    ON st.workspace_id = v.workspace_id AND st.sequence_id = v.sequence_id AND st.version = v.version AND st.position = v.position;

-- name: ListMeetings :many
-- When each lead's last appointment that stands is; one whose time is not known is taken to be ahead.
SELECT b.workspace_id, b.lead_id, max(coalesce(b.booking_time, '9999-12-31'::timestamptz))::timestamptz AS meeting_time FROM booking AS b
JOIN (SELECT DISTINCT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@lead_ids::uuid[]) AS lead_id) AS v
    ON b.workspace_id = v.workspace_id AND b.lead_id = v.lead_id
WHERE b.state = 'booked' GROUP BY b.workspace_id, b.lead_id;

-- name: ListSequenceStates :many
SELECT id, active, refusals, continue_on_reply, trigger FROM sequence
WHERE workspace_id = ANY(@workspace_ids::uuid[]) AND id = ANY(@ids::uuid[]) AND delete_time IS NULL;

-- name: ListConnectedLeads :many
SELECT DISTINCT t.workspace_id, t.lead_id FROM task AS t
JOIN (SELECT unnest(@workspace_ids::uuid[]) AS workspace_id, unnest(@lead_ids::uuid[]) AS lead_id) AS v
    ON t.workspace_id = v.workspace_id AND t.lead_id = v.lead_id
WHERE t.channel = 'linkedin' AND t.state = 'completed';
