-- +goose Up

-- record is the whole event, in JSON; the other columns are what events are looked up
-- by. Events of releases before this one have no record.
alter table audit_events add column event_source text not null default '';
alter table audit_events add column event_name text not null default '';
alter table audit_events add column username text not null default '';
alter table audit_events add column access_key_id text not null default '';
alter table audit_events add column read_only boolean not null default false;
alter table audit_events add column record text not null default '';

-- What is there already was written for these services and for these kinds of callers.
update audit_events set event_source = 'ssm.amazonaws.com', event_name = substr(action, 5) where action like 'ssm:%';
update audit_events set event_source = 'sts.amazonaws.com', event_name = substr(action, 5) where action like 'sts:%';
update audit_events set event_source = 'ec2messages.amazonaws.com', event_name = substr(action, 13) where action like 'ec2messages:%';
update audit_events set read_only = true
    where event_name like 'Describe%' or event_name like 'Get%' or event_name like 'List%';
update audit_events set username = substr(principal, 32)
    where principal like 'arn:aws:iam::____________:user/%' and principal not like '%:user/%/%';

create index audit_events_source on audit_events (event_source, at, id);
create index audit_events_name on audit_events (event_name, at, id);
create index audit_events_username on audit_events (username, at, id);
create index audit_events_access_key on audit_events (access_key_id, at, id);
create index audit_events_read_only on audit_events (read_only, at, id);

-- One row for each name and each type of the resources of an event. at is that of the
-- event, so that one index finds and orders.
create table audit_resources (
    attribute text   not null check (attribute in ('name', 'type')),
    value     text   not null,
    at        bigint not null,
    event_id  text   not null references audit_events (id) on delete cascade,
    primary key (attribute, value, at, event_id)
);

create index audit_resources_event on audit_resources (event_id);
