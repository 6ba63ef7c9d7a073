-- +goose Up

-- The unique ids that the ARNs in a trust policy stood for when it was saved, as a JSON
-- object. A role of an earlier time has none: its policy names by ARN alone until it is
-- saved again.
alter table roles add column trust_ids text not null default '{}';
