-- +goose Up
-- A workspace has one connection per provider, by a token made by hand or by OAuth, and a breaker that all replicas share.
ALTER TABLE connection
    ADD COLUMN provider text NOT NULL DEFAULT 'ghl' CHECK (provider IN ('ghl', 'emailbison', 'smartlead', 'instantly')),
    -- Host of a provider that has many (EmailBison); empty for the provider's own.
    ADD COLUMN base_url text NOT NULL DEFAULT '',
    ADD COLUMN auth text NOT NULL DEFAULT 'TOKEN' CHECK (auth IN ('TOKEN', 'OAUTH')),
    -- OAuth client id whose limit the calls count against; empty for a token made by hand.
    ADD COLUMN app text NOT NULL DEFAULT '',
    ADD COLUMN refresh_enc bytea,
    ADD COLUMN access_expire_time timestamptz,
    -- Rises with every change of the credentials.
    ADD COLUMN token_version bigint NOT NULL DEFAULT 1,
    -- Single flight of the refresh, by the database's clock.
    ADD COLUMN refresh_lease_until timestamptz,
    ADD COLUMN refresh_started_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN refresh_time timestamptz,
    -- When an unusable connection was last tried.
    ADD COLUMN check_time timestamptz,
    ADD COLUMN breaker_score integer NOT NULL DEFAULT 0,
    ADD COLUMN breaker_opens integer NOT NULL DEFAULT 0,
    ADD COLUMN breaker_until timestamptz,
    ADD COLUMN breaker_probe_until timestamptz;
ALTER TABLE connection DROP CONSTRAINT connection_pkey, ADD PRIMARY KEY (workspace_id, provider);
-- A GHL location belongs to one workspace; an email account may serve several.
ALTER TABLE connection DROP CONSTRAINT connection_location_key;
CREATE UNIQUE INDEX connection_location_key ON connection (location) WHERE provider = 'ghl';
ALTER TABLE connection DROP CONSTRAINT connection_state_check;
ALTER TABLE connection ADD CONSTRAINT connection_state_check
    CHECK (state IN ('CONNECTED', 'AUTH_REVOKED', 'LOCATION_INACTIVE', 'RECONNECT_NEEDED'));
CREATE INDEX connection_unusable ON connection (check_time) WHERE state IN ('AUTH_REVOKED', 'LOCATION_INACTIVE');

-- +goose Down
DELETE FROM connection WHERE provider <> 'ghl' OR state = 'RECONNECT_NEEDED';
DROP INDEX connection_unusable, connection_location_key;
ALTER TABLE connection DROP CONSTRAINT connection_pkey, ADD PRIMARY KEY (workspace_id);
ALTER TABLE connection ADD CONSTRAINT connection_location_key UNIQUE (location);
ALTER TABLE connection DROP CONSTRAINT connection_state_check;
ALTER TABLE connection ADD CONSTRAINT connection_state_check CHECK (state IN ('CONNECTED', 'AUTH_REVOKED', 'LOCATION_INACTIVE'));
ALTER TABLE connection DROP COLUMN provider, DROP COLUMN base_url, DROP COLUMN auth, DROP COLUMN app, DROP COLUMN refresh_enc,
    DROP COLUMN access_expire_time, DROP COLUMN token_version, DROP COLUMN refresh_lease_until,
    DROP COLUMN refresh_started_version, DROP COLUMN refresh_time, DROP COLUMN check_time, DROP COLUMN breaker_score,
    DROP COLUMN breaker_opens, DROP COLUMN breaker_until, DROP COLUMN breaker_probe_until;
