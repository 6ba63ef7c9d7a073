-- +goose Up

-- Keys of the key service. A rotation period is there if the key is rotated by itself.
create table kms_keys (
    id                text    primary key check (length(id) = 36),
    description       text    not null,
    state             text    not null check (state in ('Enabled', 'Disabled', 'PendingDeletion')),
    policy            text    not null check (policy <> ''),
    current_version   integer not null check (current_version > 0),
    rotation_days     integer check (rotation_days > 0),
    next_rotation_at  bigint,
    created_at        bigint  not null,
    deletion_at       bigint,
    constraint kms_keys_deletion check ((deletion_at is not null) = (state = 'PendingDeletion')),
    constraint kms_keys_rotation check ((rotation_days is null) = (next_rotation_at is null))
);

create index kms_keys_deletion_at on kms_keys (deletion_at) where deletion_at is not null;
create index kms_keys_next_rotation on kms_keys (next_rotation_at) where next_rotation_at is not null;

-- The material of a key: the first version and one for each rotation. What an old
-- version encrypted stays readable, so versions go only with their key.
create table kms_key_versions (
    key_id          text    not null references kms_keys (id) on delete cascade,
    version         integer not null check (version > 0),
    sealed_material bytea   not null,
    on_demand       boolean not null,
    created_at      bigint  not null,
    primary key (key_id, version)
);

-- name is with its "alias/".
create table kms_aliases (
    name       text   primary key check (name like 'alias/_%'),
    key_id     text   not null references kms_keys (id) on delete cascade,
    created_at bigint not null,
    updated_at bigint not null
);

create index kms_aliases_key on kms_aliases (key_id, name);
