package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Registration is the time that a node was registered.
type Registration struct {
	NodeID, Name, ActivationID, IamRole string
	RegisteredAt                        time.Time
	DeregisteredAt                      time.Time // zero while it is registered
	Tags                                []ssm.Tag // those that it had last
}

// Registrations returns those of a period, which does not include its end, in the order
// of the nodes' ids, deregistered nodes among them.
func (s *Store) Registrations(ctx context.Context, since, until time.Time) ([]Registration, error) {
	var list []Registration
	index := make(map[string]int)
	r := s.reader()
	err := r.rows(ctx, `select id, name, activation_id, iam_role, registered_at, deregistered_at, last_tags from nodes
		where registered_at < $1 and (deregistered_at is null or deregistered_at > $2) order by id`,
		[]any{until.UnixMilli(), since.UnixMilli()}, func(scan func(...any) error) error {
			var x Registration
			var tags string
			err := scan(&x.NodeID, &x.Name, &x.ActivationID, &x.IamRole, asTime(&x.RegisteredAt), asTime(&x.DeregisteredAt), &tags)
			if err == nil && tags != "" {
				err = json.Unmarshal([]byte(tags), &x.Tags)
			}
			index[x.NodeID] = len(list)
			list = append(list, x)
			return err
		})
	if err == nil { // of all nodes: the ids of many would be too many parameters
		err = r.rows(ctx, `select resource_id, key, value from tags where resource_type = $1 order by resource_id, key`,
			[]any{tagNode}, func(scan func(...any) error) error {
				var id string
				var t ssm.Tag
				err := scan(&id, &t.Key, &t.Value)
				if i, ok := index[id]; ok && err == nil && list[i].DeregisteredAt.IsZero() {
					list[i].Tags = append(list[i].Tags, t)
				}
				return err
			})
	}
	if err != nil {
		return nil, fmt.Errorf("list registrations: %w", err)
	}
	return list, nil
}
