-- +goose Up

-- Service settings that were changed from their defaults.
create table service_settings (
    setting_id  text   primary key check (setting_id <> ''),
    value       text   not null,
    modified_at bigint not null,
    modified_by text   not null check (modified_by <> '')
);

-- A deployment that has nodes goes on opening sessions on them.
insert into service_settings (setting_id, value, modified_at, modified_by)
select '/ssm/managed-instance/activation-tier', 'advanced', min(registered_at), 'System' from nodes having count(*) > 0;
