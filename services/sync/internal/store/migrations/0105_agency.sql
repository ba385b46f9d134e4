-- +goose Up
-- An agency's install of the marketplace app. Its token opens no location by itself: the locations' tokens are minted with it.
-- It belongs to no workspace, so no workspace sees it.
CREATE TABLE agency (
    app text NOT NULL,
    company text NOT NULL,
    token_enc bytea NOT NULL,
    refresh_enc bytea NOT NULL,
    access_expire_time timestamptz NOT NULL,
    -- Rises with every change of the credentials.
    token_version bigint NOT NULL DEFAULT 1,
    refresh_lease_until timestamptz,
    refresh_started_version bigint NOT NULL DEFAULT 0,
    refresh_time timestamptz,
    state text NOT NULL DEFAULT 'CONNECTED' CHECK (state IN ('CONNECTED', 'RECONNECT_NEEDED', 'LOCATION_INACTIVE')),
    state_time timestamptz NOT NULL,
    PRIMARY KEY (app, company)
);
ALTER TABLE agency ENABLE ROW LEVEL SECURITY;
ALTER TABLE agency FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON agency USING (current_setting('relance.scope', true) = 'system');

-- AGENCY: the token is minted with that of an agency, and has no refresh token of its own.
ALTER TABLE connection DROP CONSTRAINT connection_auth_check;
ALTER TABLE connection ADD CONSTRAINT connection_auth_check CHECK (auth IN ('TOKEN', 'OAUTH', 'AGENCY'));
ALTER TABLE connection ADD COLUMN company text NOT NULL DEFAULT '',
    ADD CONSTRAINT connection_company CHECK ((auth = 'AGENCY') = (company <> ''));

-- +goose Down
DELETE FROM connection WHERE auth = 'AGENCY';
ALTER TABLE connection DROP COLUMN company;
ALTER TABLE connection DROP CONSTRAINT connection_auth_check;
ALTER TABLE connection ADD CONSTRAINT connection_auth_check CHECK (auth IN ('TOKEN', 'OAUTH'));
DROP TABLE agency;
