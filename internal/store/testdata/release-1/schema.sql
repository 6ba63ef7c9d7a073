-- Times are Unix milliseconds. Columns named *_hash hold SHA-256; columns named
-- sealed_* hold secrets sealed under the master key.

-- One row that says whether the master key is the one this database was made with.
create table master_key (
    id     integer primary key check (id = 1),
    canary bytea not null
);

-- One row: the account and the region that this deployment is.
create table deployment (
    id         integer primary key check (id = 1),
    account_id text   not null check (length(account_id) = 12),
    region     text   not null check (region <> ''),
    created_at bigint not null
);

create table users (
    id            text    primary key,
    name          text    not null check (length(name) between 1 and 64),
    path          text    not null check (path like '/%'),
    administrator boolean not null,
    password_hash text    check (password_hash <> ''),
    created_at    bigint  not null
);

-- Names that differ only in case are one name (IAM user guide, "IAM names").
create unique index users_name on users (lower(name));

create table access_keys (
    id            text    primary key check (id <> ''),
    user_id       text    not null references users (id) on delete cascade,
    sealed_secret bytea   not null,
    active        boolean not null,
    created_at    bigint  not null
);

create index access_keys_user on access_keys (user_id);

create table activations (
    id                    text    primary key check (id <> ''),
    code_hash             bytea   not null check (length(code_hash) = 32),
    description           text    not null,
    default_instance_name text    not null,
    iam_role              text    not null,
    registration_limit    integer not null check (registration_limit between 1 and 1000),
    registrations_count   integer not null default 0,
    expires_at            bigint  not null,
    created_at            bigint  not null,
    created_by            text    not null,
    constraint activations_limit check (registrations_count between 0 and registration_limit)
);

-- activation_id is no reference: a node outlives its activation and still names it.
create table nodes (
    id                text   primary key check (id <> ''),
    name              text   not null,
    activation_id     text   not null,
    iam_role          text   not null,
    public_key        bytea  not null,
    public_key_type   text   not null,
    fingerprint       text   not null,
    registered_at     bigint not null,
    agent_name        text   not null default '',
    agent_version     text   not null default '',
    platform_type     text   not null default '',
    platform_name     text   not null default '',
    platform_version  text   not null default '',
    computer_name     text   not null default '',
    ip_address        text   not null default '',
    last_ping_at      bigint,
    connected_gateway text   not null default '',
    connected_until   bigint,
    deregistered_at   bigint,
    constraint nodes_connection check ((connected_gateway = '') = (connected_until is null)),
    constraint nodes_gone check (deregistered_at is null or connected_until is null)
);

create index nodes_activation on nodes (activation_id);

-- session_name is the node's id for the credentials of a node.
create table temporary_credentials (
    access_key_id text   primary key check (access_key_id <> ''),
    sealed_secret bytea  not null,
    token_hash    bytea  not null check (length(token_hash) = 32),
    role_name     text   not null,
    session_name  text   not null,
    node_id       text   references nodes (id) on delete cascade,
    issued_at     bigint not null,
    expires_at    bigint not null,
    constraint temporary_credentials_life check (issued_at < expires_at)
);

create index temporary_credentials_expiry on temporary_credentials (expires_at);
create index temporary_credentials_node on temporary_credentials (node_id);

-- resource_type is a word of the service: Activation, ManagedInstance.
create table tags (
    resource_type text not null,
    resource_id   text not null,
    key           text not null check (length(key) between 1 and 128),
    value         text not null check (length(value) <= 256),
    primary key (resource_type, resource_id, key)
);

create index tags_key on tags (resource_type, key, value);

create table sessions (
    id                      text   primary key check (length(id) between 1 and 96),
    node_id                 text   not null references nodes (id),
    owner_arn               text   not null check (owner_arn <> ''),
    owner_user_id           text   not null,
    document_name           text   not null,
    reason                  text   not null,
    details                 text   not null,
    status                  text   not null check (status in
        ('Connecting', 'Connected', 'Disconnected', 'Terminating', 'Terminated', 'Failed')),
    access_type             text   not null,
    started_at              bigint not null,
    ended_at                bigint,
    idle_timeout_ms         bigint not null check (idle_timeout_ms >= 0),
    max_duration_ms         bigint not null check (max_duration_ms >= 0),
    task                    bytea,
    client_token_hash       bytea  check (length(client_token_hash) = 32),
    client_token_expires_at bigint,
    constraint sessions_end check ((ended_at is not null) = (status in ('Terminated', 'Failed'))),
    constraint sessions_token check ((client_token_hash is null) = (client_token_expires_at is null)),
    constraint sessions_token_end check (ended_at is null or client_token_hash is null)
);

create index sessions_started on sessions (started_at, id);
create index sessions_owner on sessions (owner_arn, started_at, id);
create index sessions_node on sessions (node_id, started_at, id);
create index sessions_live on sessions (node_id) where ended_at is null;
create index sessions_ended on sessions (ended_at) where ended_at is not null;

create table audit_events (
    id         text   primary key,
    at         bigint not null,
    principal  text   not null,
    action     text   not null check (action <> ''),
    resources  text   not null,
    source_ip  text   not null,
    user_agent text   not null,
    request_id text   not null,
    error_code text   not null
);

create index audit_events_at on audit_events (at, id);
