-- +goose Up

-- The temporary credentials as whose holder the console acts, while its user has
-- switched to a role.
alter table console_sessions add column access_key_id text;
