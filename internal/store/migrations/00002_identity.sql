-- +goose Up

-- One row: how often identities were written. Every transaction that writes them
-- begins by counting here, so that they run one after the other and a reader that
-- keeps what it derived from identities knows when it is stale.
create table identity_revision (
    id       integer primary key check (id = 1),
    revision bigint  not null
);

insert into identity_revision (id, revision) values (1, 1);

-- boundary is the ARN of a policy, empty for none.
alter table users add column boundary text not null default '';
alter table users add column password_created_at bigint;
alter table users add column password_used_at bigint;
alter table users add column password_reset_required boolean not null default false;

update users set password_created_at = created_at where password_hash is not null;

create index users_boundary on users (boundary) where boundary <> '';

alter table access_keys add column last_used_at bigint;
alter table access_keys add column last_used_service text not null default '';
alter table access_keys add column last_used_region text not null default '';

create table user_groups (
    id         text   primary key check (id <> ''),
    name       text   not null check (length(name) between 1 and 128),
    path       text   not null check (path like '/%'),
    created_at bigint not null
);

create unique index user_groups_name on user_groups (lower(name));

create table group_members (
    group_id text not null references user_groups (id),
    user_id  text not null references users (id),
    primary key (group_id, user_id)
);

create index group_members_user on group_members (user_id);

create table roles (
    id             text   primary key check (id <> ''),
    name           text   not null check (length(name) between 1 and 64),
    path           text   not null check (path like '/%'),
    description    text   not null,
    trust_policy   text   not null check (trust_policy <> ''),
    max_session_ms bigint not null check (max_session_ms > 0),
    boundary       text   not null default '',
    created_at     bigint not null,
    last_used_at   bigint
);

create unique index roles_name on roles (lower(name));
create index roles_boundary on roles (boundary) where boundary <> '';

-- The policies of the account. Those of the service are files of the program.
create table policies (
    arn             text    primary key check (arn <> ''),
    id              text    not null unique,
    name            text    not null check (length(name) between 1 and 128),
    path            text    not null check (path like '/%'),
    description     text    not null,
    default_version integer not null,
    last_version    integer not null,
    created_at      bigint  not null,
    updated_at      bigint  not null,
    constraint policies_version check (default_version between 1 and last_version)
);

create unique index policies_name on policies (lower(name));

create table policy_versions (
    policy_arn text    not null references policies (arn) on delete cascade,
    version    integer not null check (version > 0),
    document   text    not null check (document <> ''),
    created_at bigint  not null,
    primary key (policy_arn, version)
);

-- entity_type says which table entity_id refers to. policy_arn is no reference: it
-- may be a policy of the service.
create table policy_attachments (
    entity_type text not null check (entity_type in ('user', 'group', 'role')),
    entity_id   text not null,
    policy_arn  text not null check (policy_arn <> ''),
    primary key (entity_type, entity_id, policy_arn)
);

create index policy_attachments_policy on policy_attachments (policy_arn);

-- size is what the policy counts against the quota of its entity.
create table inline_policies (
    entity_type text    not null check (entity_type in ('user', 'group', 'role')),
    entity_id   text    not null,
    name        text    not null check (length(name) between 1 and 128),
    document    text    not null check (document <> ''),
    size        integer not null check (size >= 0),
    primary key (entity_type, entity_id, name)
);

-- last_step is the time step of the last code that was accepted: no code is good twice.
create table mfa_devices (
    serial      text   primary key check (serial <> ''),
    name        text   not null,
    path        text   not null check (path like '/%'),
    sealed_seed bytea  not null,
    user_id     text   references users (id),
    created_at  bigint not null,
    enabled_at  bigint,
    last_step   bigint not null default 0,
    constraint mfa_devices_enabled check ((user_id is null) = (enabled_at is null))
);

create unique index mfa_devices_serial on mfa_devices (lower(serial));
create index mfa_devices_user on mfa_devices (user_id);

create table instance_profiles (
    id         text   primary key check (id <> ''),
    name       text   not null check (length(name) between 1 and 128),
    path       text   not null check (path like '/%'),
    created_at bigint not null
);

create unique index instance_profiles_name on instance_profiles (lower(name));

-- One role in a profile (IAM user guide, "Instance profiles").
create table instance_profile_roles (
    profile_id text primary key references instance_profiles (id) on delete cascade,
    role_id    text not null references roles (id)
);

create index instance_profile_roles_role on instance_profile_roles (role_id);

create table oidc_providers (
    arn         text   primary key check (arn <> ''),
    url         text   not null unique check (url <> ''),
    client_ids  text   not null,
    thumbprints text   not null,
    created_at  bigint not null
);

-- A credential goes with the user or role that it speaks for. Empty texts and null are
-- what a credential without that property has.
alter table temporary_credentials add column kind text not null default 'role' check (kind in ('role', 'node', 'session'));
alter table temporary_credentials add column user_id text references users (id) on delete cascade;
alter table temporary_credentials add column role_id text references roles (id) on delete cascade;
alter table temporary_credentials add column session_policies text not null default '[]';
alter table temporary_credentials add column session_policy_arns text not null default '[]';
alter table temporary_credentials add column session_tags text not null default '[]';
alter table temporary_credentials add column transitive_tag_keys text not null default '[]';
alter table temporary_credentials add column source_identity text not null default '';
alter table temporary_credentials add column mfa_at bigint;
alter table temporary_credentials add column chained boolean not null default false;
alter table temporary_credentials add column provider text not null default '';

create index temporary_credentials_user on temporary_credentials (user_id);
create index temporary_credentials_role on temporary_credentials (role_id);

update temporary_credentials set kind = 'node' where node_id is not null;

-- Until now an activation named any role, and the role was nothing but its name. Each
-- becomes a role that nodes may assume and that permits what an agent needs. Names that
-- differ in case or path only are one role. rtrim takes away what follows the last
-- slash: the characters that are not a slash.
--
-- Role ids only have to be unique: the number is written in the alphabet of ids.
insert into roles (id, name, path, description, trust_policy, max_session_ms, created_at)
select
    'AROAMIGRATEDROLE' ||
        substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', cast(number / 1048576 % 32 + 1 as integer), 1) ||
        substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', cast(number / 32768 % 32 + 1 as integer), 1) ||
        substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', cast(number / 1024 % 32 + 1 as integer), 1) ||
        substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', cast(number / 32 % 32 + 1 as integer), 1) ||
        substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', cast(number % 32 + 1 as integer), 1),
    substr(full_name, length(rtrim(full_name, replace(full_name, '/', ''))) + 1),
    '/' || ltrim(rtrim(full_name, replace(full_name, '/', '')), '/'),
    'Role of managed nodes, made when roles became part of this deployment.',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
    3600000,
    created_at
from (
    select min(iam_role) as full_name, min(created_at) as created_at, row_number() over (order by min(iam_role)) as number
    from (
        select iam_role, created_at from activations
        union all
        select iam_role, registered_at from nodes where deregistered_at is null
    ) as named
    where length(iam_role) between 1 and 64 and iam_role not like '%/'
    group by lower(substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1))
) as distinct_roles;

-- Names are matched exactly from here on, so who wrote one in another case is corrected.
update activations set iam_role = (
    select r.name from roles r where lower(r.name) = lower(substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1))
) where substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1) not in (select name from roles)
    and lower(substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1)) in (select lower(name) from roles);

update nodes set iam_role = (
    select r.name from roles r where lower(r.name) = lower(substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1))
) where substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1) not in (select name from roles)
    and lower(substr(iam_role, length(rtrim(iam_role, replace(iam_role, '/', ''))) + 1)) in (select lower(name) from roles);

update temporary_credentials set role_id = (select r.id from roles r where lower(r.name) = lower(role_name));

insert into policy_attachments (entity_type, entity_id, policy_arn)
select 'role', id, 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore' from roles;

-- Who was an administrator by a flag is one by a policy.
insert into policy_attachments (entity_type, entity_id, policy_arn)
select 'user', id, 'arn:aws:iam::aws:policy/AdministratorAccess' from users where administrator;
