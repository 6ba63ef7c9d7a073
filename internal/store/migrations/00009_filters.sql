-- +goose Up

-- Lists are filtered by tags: what has one is found from the tag.
create index tags_resource on tags (resource_type, key, value, resource_id);
drop index tags_key;

-- The search for a keyword looks at display names, which few documents have.
create index document_versions_display_name on document_versions (document, version) where display_name <> '';
