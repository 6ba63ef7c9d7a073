-- +goose Up

-- Since 00002 administrators are those with the policy AdministratorAccess.
alter table users drop column administrator;
