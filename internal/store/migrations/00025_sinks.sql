-- +goose Up

-- What is also kept outside of this deployment. Of a stream all events up to
-- forwarded_sequence are there, looked at when it was forwarded_at; an object that is
-- replaced is a new row, and not forwarded.
alter table log_streams add column forwarded_sequence bigint not null default 0;
alter table log_streams add column forwarded_at bigint not null default 0;
create index log_streams_ingested on log_streams (group_id, last_ingested_at);
create index log_streams_forward on log_streams (last_ingested_at) where forwarded_at < last_ingested_at;

alter table objects add column forwarded boolean not null default false;
create index objects_forward on objects (modified_at) where not forwarded;

-- When the files of a recording were in the store of recordings; null before.
alter table recordings add column stored_at bigint;
create index recordings_to_store on recordings (ended_at) where closed and stored_at is null;
