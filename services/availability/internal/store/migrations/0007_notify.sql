-- +goose Up
-- Whoever keeps rows in memory hears of every change, whoever makes it.
-- +goose StatementBegin
CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('relance_availability', OLD.workspace_id::text);
    ELSE
        PERFORM pg_notify('relance_availability', NEW.workspace_id::text);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- Taking a lease changes nothing that is read, and nothing else is changed by it.
CREATE TRIGGER availability_change AFTER UPDATE ON availability FOR EACH ROW
    WHEN (NEW.lease_token IS NULL OR NEW.lease_token IS NOT DISTINCT FROM OLD.lease_token)
    EXECUTE FUNCTION notify_change();
CREATE TRIGGER availability_gone AFTER DELETE ON availability FOR EACH ROW EXECUTE FUNCTION notify_change();
CREATE TRIGGER calendar_link_change AFTER INSERT OR UPDATE OR DELETE ON calendar_link FOR EACH ROW EXECUTE FUNCTION notify_change();

-- +goose Down
DROP TRIGGER calendar_link_change ON calendar_link;
DROP TRIGGER availability_gone ON availability;
DROP TRIGGER availability_change ON availability;
DROP FUNCTION notify_change;
