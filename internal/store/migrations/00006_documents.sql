-- +goose Up

-- Documents of the account. Numbers of versions that are deleted are not given again:
-- last_version is the highest that ever was.
create table documents (
    name            text    primary key check (name <> ''),
    document_type   text    not null check (document_type <> ''),
    default_version integer not null check (default_version > 0),
    last_version    integer not null check (last_version >= default_version),
    created_at      bigint  not null
);

create index documents_type on documents (document_type, name);

-- The text is the last column, so that lists need not read it. parameters and
-- platform_types are JSON arrays.
create table document_versions (
    document       text    not null references documents (name) on delete cascade,
    version        integer not null check (version > 0),
    version_name   text    check (version_name <> ''),
    display_name   text    not null,
    target_type    text    not null,
    hash           text    not null check (length(hash) = 64),
    format         text    not null check (format in ('JSON', 'YAML', 'TEXT')),
    schema_version text    not null,
    platform_types text    not null,
    created_at     bigint  not null,
    description    text    not null,
    notice         text    not null,
    parameters     text    not null,
    content        text    not null check (content <> ''),
    primary key (document, version),
    constraint document_versions_name unique (document, version_name)
);

-- account_id is 'all' for a document that is public.
create table document_shares (
    document       text not null references documents (name) on delete cascade,
    account_id     text not null check (account_id = 'all' or length(account_id) = 12),
    shared_version text not null check (shared_version <> ''),
    primary key (document, account_id)
);
