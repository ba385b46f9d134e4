-- +goose Up
-- Calendars of other providers than GHL, and where their slots are read.
ALTER TABLE calendar_link DROP CONSTRAINT calendar_link_provider_check;
ALTER TABLE calendar_link
    ADD CONSTRAINT calendar_link_provider_check CHECK (provider IN ('ghl', 'calendly', 'hubspot', 'icalendar')),
    -- The address of a feed is a secret, as is a token: both are sealed.
    ADD COLUMN source_enc bytea,
    ADD COLUMN token_enc bytea,
    ADD COLUMN hours jsonb,
    -- What the provider wants to remember of the link between looks; opaque.
    ADD COLUMN resolved text NOT NULL DEFAULT '';
ALTER TABLE availability ADD COLUMN source text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE availability DROP COLUMN source;
ALTER TABLE calendar_link DROP COLUMN source_enc, DROP COLUMN token_enc, DROP COLUMN hours, DROP COLUMN resolved;
ALTER TABLE calendar_link DROP CONSTRAINT calendar_link_provider_check;
ALTER TABLE calendar_link ADD CONSTRAINT calendar_link_provider_check CHECK (provider IN ('ghl'));
