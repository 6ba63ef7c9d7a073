-- +goose Up

-- Recordings, made at the gateway. The files are in the directory; a row is what lists and
-- permissions need of them, and outlives the session's. owner_user_id is empty where a
-- recording was found without its session.
create table recordings (
    session_id        text    primary key check (session_id <> ''),
    node_id           text    not null,
    owner_arn         text    not null,
    owner_user_id     text    not null,
    document_name     text    not null,
    session_type      text    not null,
    kms_key_id        text    not null,
    directory         text    not null,
    started_at        bigint  not null,
    ended_at          bigint,
    bytes             bigint  not null check (bytes >= 0),
    closed            boolean not null,
    legal_hold        boolean not null,
    legal_hold_reason text    not null
);

create index recordings_started on recordings (started_at, session_id);
create index recordings_owner on recordings (owner_arn, started_at, session_id);
create index recordings_node on recordings (node_id, started_at, session_id);
create index recordings_open on recordings (session_id) where not closed;
