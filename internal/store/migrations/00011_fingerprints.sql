-- +goose Up

-- A machine that registers is looked up among the nodes.
create index nodes_fingerprint on nodes (fingerprint);
