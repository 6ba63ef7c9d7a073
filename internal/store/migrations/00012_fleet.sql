-- +goose Up

-- When a node's control channel was lost, until it is open again. What it says afterwards
-- shows that it lives; what it said before does not.
alter table nodes add column lost_at bigint;

-- The activation tier from a moment on: what node-hours are counted by.
create table activation_tiers (
    since bigint primary key,
    tier  text   not null check (tier <> '')
);

insert into activation_tiers (since, tier)
select modified_at, value from service_settings where setting_id = '/ssm/managed-instance/activation-tier';

-- Tags that a node had when it left, as JSON: its hours are charged by them.
alter table nodes add column last_tags text not null default '';
