-- +goose Up
-- Evidence finds the open sends to a lead by send_intent_claimed, which begins with the same columns: a lead has few sends on
-- a channel. The index of the open ones cost each send an entry, and another that its end left dead.
DROP INDEX send_intent_open;
-- A block is guarded where it is lifted. An acceptance changes the lead too, and need not ask.
DROP TRIGGER lead_block_guard ON lead;
CREATE TRIGGER lead_block_guard BEFORE UPDATE ON lead FOR EACH ROW WHEN (OLD.blocked AND NOT NEW.blocked) EXECUTE FUNCTION lead_block_guard();

-- +goose Down
DROP TRIGGER lead_block_guard ON lead;
CREATE TRIGGER lead_block_guard BEFORE UPDATE ON lead FOR EACH ROW EXECUTE FUNCTION lead_block_guard();
CREATE INDEX send_intent_open ON send_intent (workspace_id, lead_id, channel) WHERE state IN ('SENDING', 'UNKNOWN', 'RETRYABLE', 'PARKED');
