package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Node is a managed node.
type Node struct {
	ID            string // "mi-" and 17 hexadecimal digits
	Name          string
	ActivationID  string // also when the activation is deleted
	IamRole       string
	PublicKey     []byte // PKIX DER
	PublicKeyType string // "Rsa"
	Fingerprint   string // as the node gave it when it registered
	RegisteredAt  time.Time

	AgentName       string
	AgentVersion    string
	PlatformType    string // "Linux", "Windows" or "MacOS"
	PlatformName    string
	PlatformVersion string
	ComputerName    string
	IPAddress       string
	LastPingAt      time.Time // last heard of: UpdateInstanceInformation or control channel

	// ConnectedGateway is the gateway that holds the node's control channel, and
	// ConnectedUntil the end of its lease: after it the gateway counts as lost and
	// the node as not connected. Both are zero for a node that is not connected.
	ConnectedGateway string
	ConnectedUntil   time.Time

	// LostAt is when the control channel was lost, zero while there is one and before the
	// first.
	LostAt time.Time

	DeregisteredAt time.Time // zero for a registered node
	Tags           []ssm.Tag // in the order of their keys when read
}

// Connected says whether a gateway holds the node's control channel at now.
func (n Node) Connected(now time.Time) bool { return now.Before(n.ConnectedUntil) }

// heardFor is how long a node without a control channel that was heard of counts as
// online: two heartbeats of a stock agent (agent-control-plane.md §3.1).
const heardFor = 10 * time.Minute

// Online says whether a node is there at now: its control channel is open, or it was
// heard of lately, and after the channel was lost.
func (n Node) Online(now time.Time) bool {
	return n.Connected(now) || !n.LastPingAt.Before(now.Add(-heardFor)) && n.LastPingAt.After(n.LostAt) && n.LastPingAt.After(n.ConnectedUntil)
}

// online is [Node.Online] in SQL, and its opposite.
func (w *where) online(now time.Time, want bool) {
	at := now.UnixMilli()
	condition := `(coalesce(connected_until, 0) > ? or (coalesce(last_ping_at, -1) >= ? and
		last_ping_at > coalesce(lost_at, 0) and last_ping_at > coalesce(connected_until, 0)))`
	if !want {
		condition = "not " + condition
	}
	w.add(condition, at, at-heardFor.Milliseconds())
}

// NodeInformation is what a node tells about itself. Empty fields are not told.
type NodeInformation struct {
	AgentName       string
	AgentVersion    string
	PlatformType    string
	PlatformName    string
	PlatformVersion string
	ComputerName    string
	IPAddress       string
}

// NodeFilter narrows a list of nodes. All fields that are set must match; one field
// matches with any of its values.
type NodeFilter struct {
	IDs           []string
	AgentVersions []string
	PlatformTypes []string
	ActivationIDs []string
	IamRoles      []string
	TagKeys       []string
	Tags          map[string][]string // key to values; no values means that the key is enough

	OnlineAt time.Time // those that are online at this time ([Node.Online])
	LostAt   time.Time // those that are not

	// Fingerprints are those of the machines.
	Fingerprints []string
	// Deregistered includes deregistered nodes; OnlyDeregistered leaves the others out.
	Deregistered, OnlyDeregistered bool
}

func insertNode(ctx context.Context, tx runner, n *Node) error {
	n.RegisteredAt = time.UnixMilli(n.RegisteredAt.UnixMilli()).UTC()
	_, err := tx.exec(ctx, `
		insert into nodes (id, name, activation_id, iam_role, public_key, public_key_type, fingerprint, registered_at,
			agent_name, agent_version, platform_type, platform_name, platform_version, computer_name, ip_address)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		n.ID, n.Name, n.ActivationID, n.IamRole, n.PublicKey, n.PublicKeyType, n.Fingerprint, millis(n.RegisteredAt),
		n.AgentName, n.AgentVersion, n.PlatformType, n.PlatformName, n.PlatformVersion, n.ComputerName, n.IPAddress)
	if err != nil {
		return err
	}
	return putTags(ctx, tx, tagNode, n.ID, n.Tags)
}

const nodeColumns = `id, name, activation_id, iam_role, public_key, public_key_type, fingerprint, registered_at,
	agent_name, agent_version, platform_type, platform_name, platform_version, computer_name, ip_address,
	last_ping_at, connected_gateway, connected_until, lost_at, deregistered_at`

func scanNode(n *Node, scan func(...any) error) error {
	return scan(&n.ID, &n.Name, &n.ActivationID, &n.IamRole, &n.PublicKey, &n.PublicKeyType, &n.Fingerprint,
		asTime(&n.RegisteredAt), &n.AgentName, &n.AgentVersion, &n.PlatformType, &n.PlatformName, &n.PlatformVersion,
		&n.ComputerName, &n.IPAddress, asTime(&n.LastPingAt), &n.ConnectedGateway, asTime(&n.ConnectedUntil),
		asTime(&n.LostAt), asTime(&n.DeregisteredAt))
}

// Node returns the node with that id, also a deregistered one, or [ErrNotFound].
func (s *Store) Node(ctx context.Context, id string) (Node, error) {
	list, _, err := s.nodes(ctx, NodeFilter{IDs: []string{id}, Deregistered: true}, Page{Limit: 1})
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Node{}, fmt.Errorf("node %s: %w", id, err)
	}
	return list[0], nil
}

// Nodes returns a page of nodes in the order of their ids, and the cursor of the
// next page ("" after the last).
func (s *Store) Nodes(ctx context.Context, f NodeFilter, p Page) ([]Node, string, error) {
	list, next, err := s.nodes(ctx, f, p)
	if err != nil {
		return nil, "", fmt.Errorf("list nodes: %w", err)
	}
	return list, next, nil
}

func (s *Store) nodes(ctx context.Context, f NodeFilter, p Page) ([]Node, string, error) {
	var w where
	w.in("id", f.IDs)
	w.in("agent_version", f.AgentVersions)
	w.in("platform_type", f.PlatformTypes)
	w.in("activation_id", f.ActivationIDs)
	w.in("iam_role", f.IamRoles)
	w.in("fingerprint", f.Fingerprints)
	if len(f.TagKeys) > 0 {
		w.tagged(tagNode, "nodes.id", "key in ("+w.params(f.TagKeys)+")")
	}
	for key, values := range f.Tags {
		condition := "key = " + w.param(key)
		if len(values) > 0 {
			condition += " and value in (" + w.params(values) + ")"
		}
		w.tagged(tagNode, "nodes.id", condition)
	}
	if !f.OnlineAt.IsZero() {
		w.online(f.OnlineAt, true)
	}
	if !f.LostAt.IsZero() {
		w.online(f.LostAt, false)
	}
	switch {
	case f.OnlyDeregistered:
		w.add("deregistered_at is not null")
	case !f.Deregistered:
		w.add("deregistered_at is null")
	}
	w.afterID("id", p)
	r := s.reader()
	list, next, err := page(ctx, r, `select `+nodeColumns+` from nodes`+w.String()+` order by id`,
		&w, p, scanNode, func(n Node) string { return n.ID })
	if err != nil {
		return nil, "", err
	}
	ids := make([]string, len(list))
	for i, n := range list {
		ids[i] = n.ID
	}
	tags, err := tagsOf(ctx, r, tagNode, ids)
	for i := range list {
		list[i].Tags = tags[list[i].ID]
	}
	return list, next, err
}

// UpdateNodeInformation records what a node tells about itself and that it was heard
// of at the given time. Empty fields keep what is stored. For a node that does not
// exist or is deregistered it is [ErrNotFound].
func (s *Store) UpdateNodeInformation(ctx context.Context, id string, i NodeInformation, at time.Time) error {
	n, err := s.writer().exec(ctx, `
		update nodes set
			agent_name       = coalesce(nullif($2, ''), agent_name),
			agent_version    = coalesce(nullif($3, ''), agent_version),
			platform_type    = coalesce(nullif($4, ''), platform_type),
			platform_name    = coalesce(nullif($5, ''), platform_name),
			platform_version = coalesce(nullif($6, ''), platform_version),
			computer_name    = coalesce(nullif($7, ''), computer_name),
			ip_address       = coalesce(nullif($8, ''), ip_address),
			last_ping_at     = $9
		where id = $1 and deregistered_at is null`,
		id, i.AgentName, i.AgentVersion, i.PlatformType, i.PlatformName, i.PlatformVersion, i.ComputerName, i.IPAddress,
		at.UnixMilli())
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("update information of node %s: %w", id, err)
	}
	return nil
}

// holdNode keeps a registered node from being deregistered until the transaction ends,
// so that what the transaction makes for the node is seen by its deregistration. For
// any other node it is [ErrNotFound]. The update changes nothing: it is how both
// databases are told to lock a row.
func holdNode(ctx context.Context, tx runner, id string) error {
	n, err := tx.exec(ctx, `update nodes set name = name where id = $1 and deregistered_at is null`, id)
	if err == nil && n == 0 {
		err = fmt.Errorf("node %s: %w", id, ErrNotFound)
	}
	return err
}

// DeregisterNode ends a node's registration: its temporary credentials and tags go,
// its id is never given again. Sessions that live then are the caller's to end; none
// begins afterwards. A node that does not exist, or is deregistered
// already, is [ErrNotFound].
func (s *Store) DeregisterNode(ctx context.Context, id string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		tags, err := tagsOf(ctx, tx, tagNode, []string{id})
		if err != nil {
			return err
		}
		last, err := json.Marshal(tags[id])
		if err != nil {
			return err
		}
		n, err := tx.exec(ctx, `
			update nodes set deregistered_at = $2, connected_gateway = '', connected_until = null, lost_at = null, last_tags = $3
			where id = $1 and deregistered_at is null`, id, at.UnixMilli(), string(last))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `delete from temporary_credentials where node_id = $1`, id); err != nil {
			return err
		}
		return deleteTags(ctx, tx, tagNode, id)
	})
	if err != nil {
		return fmt.Errorf("deregister node %s: %w", id, err)
	}
	return nil
}
