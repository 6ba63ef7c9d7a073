-- +goose Up

-- What the starter of a session was at its start, in JSON: null for sessions of an
-- earlier release.
alter table sessions add column starter bytea;
