-- +goose Up

-- Who is signed in at the console. A row is found by the hash of what the browser's
-- cookie holds. password_print is a hash of the user's password hash at sign-in: another
-- password, or none, ends the session.
create table console_sessions (
    token_hash     bytea  primary key check (length(token_hash) = 32),
    user_id        text   not null references users (id) on delete cascade,
    password_print bytea  not null,
    created_at     bigint not null,
    seen_at        bigint not null,
    mfa_at         bigint
);

create index console_sessions_user on console_sessions (user_id);
