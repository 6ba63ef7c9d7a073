-- +goose Up

-- Log groups, streams and events of the logs service. A group or a stream that was
-- deleted keeps its row, under a name that nobody can ask for, until its events are
-- removed, which may take a while. sealed_key is the data key of a group that is
-- encrypted under a key of the key service. Names are bytes so that every database has
-- them in the same order.
create table log_groups (
    id             bigint  primary key,
    name           bytea   not null unique,
    kms_key_id     text    not null,
    sealed_key     bytea,
    class          text    not null,
    retention_days integer check (retention_days > 0),
    created_at     bigint  not null,
    deleted_at     bigint,
    constraint log_groups_key check ((kms_key_id = '') = (sealed_key is null))
);

create table log_streams (
    id               bigint  primary key,
    group_id         bigint  not null references log_groups (id),
    name             bytea   not null,
    first_event_at   bigint,
    last_event_at    bigint,
    last_ingested_at bigint,
    stored_bytes     bigint  not null check (stored_bytes >= 0),
    created_at       bigint  not null,
    deleted_at       bigint,
    unique (group_id, name)
);

create index log_streams_last_event on log_streams (group_id, last_event_at);
create index log_streams_deleted on log_streams (deleted_at) where deleted_at is not null;

-- Events stand in the order of their times; sequence tells those of one time apart, in
-- the order in which they came.
create table log_events (
    stream_id   bigint not null references log_streams (id),
    at          bigint not null,
    sequence    bigint not null,
    group_id    bigint not null,
    ingested_at bigint not null,
    message     bytea  not null,
    primary key (stream_id, at, sequence)
);

create index log_events_group on log_events (group_id, at, sequence);
