-- +goose Up

-- Who is signed in at the console by way of an OpenID Connect provider: the holder of the
-- temporary credentials access_key_id. role_key_id are those of a role that the person has
-- switched to from there.
create table console_federated (
    token_hash    bytea  primary key check (length(token_hash) = 32),
    user_id       text   not null,
    access_key_id text   not null,
    role_key_id   text,
    created_at    bigint not null,
    seen_at       bigint not null
);

create index console_federated_user on console_federated (user_id);
