-- +goose Up

-- The text of recordings, compressed, for the search. Transcripts that will not change any
-- more are gathered into blocks; block and place number them, and transcript_grams says in
-- which places of a block a gram (two or three characters) occurs. A block that is -1 is
-- none: such transcripts are read one by one.
create table transcripts (
    session_id text    primary key references recordings (session_id) on delete cascade,
    text       bytea   not null,
    marks      bytea   not null,
    size       bigint  not null check (size >= 0),
    finished   boolean not null,
    block      bigint  not null,
    place      bigint  not null
);

create index transcripts_block on transcripts (block, place);

create table transcript_grams (
    gram   bigint not null,
    block  bigint not null,
    places bytea  not null,
    primary key (gram, block)
);
