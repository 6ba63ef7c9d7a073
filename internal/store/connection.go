package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// ConnectNode records that a gateway holds the node's control channel until the given
// time, and what the channel's open message told. The newest connection wins: another
// gateway's is forgotten. For a node that does not exist or is deregistered it is
// [ErrNotFound].
func (s *Store) ConnectNode(ctx context.Context, id, gateway, agentVersion, platformType string, until, at time.Time) error {
	n, err := s.writer().exec(ctx, `
		update nodes set connected_gateway = $2, connected_until = $3, last_ping_at = $4, lost_at = null,
			agent_version = coalesce(nullif($5, ''), agent_version),
			platform_type = coalesce(nullif($6, ''), platform_type)
		where id = $1 and deregistered_at is null`,
		id, gateway, until.UnixMilli(), at.UnixMilli(), agentVersion, platformType)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("connect node %s: %w", id, err)
	}
	return nil
}

// extendBatch bounds the parameters of one statement; SQLite allows 32,766 and
// PostgreSQL 65,535.
const extendBatch = 1000

// ExtendNodeConnections moves the end of a gateway's leases on the given nodes, and
// returns the ids, sorted, of those that it still holds. The others have connected
// elsewhere, or are deregistered.
func (s *Store) ExtendNodeConnections(ctx context.Context, gateway string, ids []string, until time.Time) ([]string, error) {
	var held []string
	for batch := range slices.Chunk(ids, extendBatch) {
		var w where
		end := w.param(until.UnixMilli())
		w.add("connected_gateway = ?", gateway)
		w.add("connected_until is not null")
		w.in("id", batch)
		err := s.writer().rows(ctx, `update nodes set connected_until = `+end+w.String()+` returning id`, w.args,
			func(scan func(...any) error) error {
				var id string
				if err := scan(&id); err != nil {
					return err
				}
				held = append(held, id)
				return nil
			})
		if err != nil {
			return nil, fmt.Errorf("extend node connections of gateway %s: %w", gateway, err)
		}
	}
	slices.Sort(held)
	return held, nil
}

// DisconnectNode records that a gateway lost the node's control channel at the given
// time, and says whether that gateway still held it. The connection of another
// gateway stays.
func (s *Store) DisconnectNode(ctx context.Context, id, gateway string, at time.Time) (bool, error) {
	n, err := s.writer().exec(ctx, `
		update nodes set connected_gateway = '', connected_until = null, last_ping_at = $3, lost_at = $3
		where id = $1 and connected_gateway = $2 and connected_until is not null`,
		id, gateway, at.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("disconnect node %s: %w", id, err)
	}
	return n > 0, nil
}
