-- +goose Up

-- Buckets and objects of the object service. What objects hold is in blobs outside of
-- the database; segments lists them, as JSON, in the order of the object's bytes. Keys
-- are bytes so that every database has them in the same order. sealed_key encrypts the
-- blobs: it is sealed with the master key, or under kms_key_id where that is set.
create table buckets (
    id         bigint primary key,
    name       text   not null unique check (name <> ''),
    kms_key_id text   not null,
    created_at bigint not null
);

create table objects (
    bucket_id   bigint not null references buckets (id),
    key         bytea  not null,
    segments    text   not null,
    size        bigint not null check (size >= 0),
    etag        text   not null,
    headers     text   not null,
    kms_key_id  text   not null,
    sealed_key  bytea  not null,
    modified_at bigint not null,
    primary key (bucket_id, key)
);

create table object_uploads (
    id         text   primary key check (id <> ''),
    bucket_id  bigint not null references buckets (id),
    key        bytea  not null,
    headers    text   not null,
    kms_key_id text   not null,
    sealed_key bytea  not null,
    created_at bigint not null
);

create index object_uploads_bucket on object_uploads (bucket_id, key);

create table object_parts (
    upload_id  text    not null references object_uploads (id) on delete cascade,
    number     integer not null check (number between 1 and 10000),
    blob_id    bigint  not null,
    size       bigint  not null check (size >= 0),
    md5        bytea   not null,
    created_at bigint  not null,
    primary key (upload_id, number)
);

-- Blobs that may be removed from then on: those that nothing names any more, and those
-- that are being written and that nothing names yet.
create table unused_blobs (
    id bigint primary key,
    at bigint not null
);

create index unused_blobs_at on unused_blobs (at);
