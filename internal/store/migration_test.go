package store_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

const (
	administratorAccess = "arn:aws:iam::aws:policy/AdministratorAccess"
	managedInstanceCore = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
)

// Release 1 knew roles as names in activations and nodes, and administrators by a flag.
func TestFirstReleaseGetsRolesAndPolicies(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		db := storetest.Raw(t, dsn)
		dialect := "postgres"
		if strings.HasPrefix(dsn, "sqlite:") {
			dialect = "sqlite"
		}
		restore(t, db, "testdata/release-1", dialect)
		exec := func(query string, args ...any) {
			t.Helper()
			if _, err := db.Exec(query, args...); err != nil {
				t.Fatal(err)
			}
		}
		exec(`insert into users (id, name, path, administrator, created_at) values ('AIDA2', 'root-like', '/', true, 1)`)
		// Beside "Nodes", which the frozen activation and node name.
		const (
			activation = `insert into activations (id, code_hash, description, default_instance_name, iam_role, registration_limit,
				expires_at, created_at, created_by) values ($1, $2, '', '', $3, 1, 9, $4, '')`
			node = `insert into nodes (id, name, activation_id, iam_role, public_key, public_key_type, fingerprint, registered_at,
				deregistered_at) values ($1, '', '', $2, $3, '', '', $4, $5)`
		)
		exec(activation, "a1", make([]byte, 32), "service-role/deep/Web", 1000)
		exec(activation, "a2", make([]byte, 32), "service-role/Nodes", 2000)
		exec(activation, "a3", make([]byte, 32), "", 1)
		exec(node, "mi-1", "web", []byte{1}, 3000, nil)
		exec(node, "mi-2", "only-a-node", []byte{1}, 4000, nil)
		exec(node, "mi-3", "gone", []byte{1}, 5000, 6000)
		exec(`insert into temporary_credentials (access_key_id, sealed_secret, token_hash, role_name, session_name, node_id, issued_at,
			expires_at) values ('ASIAOLD', $1, $2, 'only-a-node', 'mi-2', 'mi-2', 1, 2)`, []byte{1}, make([]byte, 32))

		s := storetest.OpenDSN(t, dsn)
		checkContents(t, s)
		roles := migratedRoles(t, s)
		paths := map[string]string{}
		for name, r := range roles {
			paths[name] = r.Path
		}
		if diff := cmp.Diff(map[string]string{"Nodes": "/", "Web": "/service-role/deep/", "only-a-node": "/"}, paths); diff != "" {
			t.Errorf("roles and their paths (-want +got):\n%s", diff)
		}
		if got, want := roles["Web"].CreatedAt, time.UnixMilli(1000).UTC(); got != want {
			t.Errorf("role was created at %v, want %v: when it was first named", got, want)
		}
		// It wrote the name in another case, which was the same role until now.
		if n, err := s.Node(t.Context(), "mi-1"); err != nil || n.IamRole != "Web" {
			t.Errorf("node has role %q, %v; want Web", n.IamRole, err)
		}
		checkAttached(t, s, store.Entity{Type: store.EntityUser, Name: "root-like"}, administratorAccess)
		checkAttached(t, s, store.Entity{Type: store.EntityUser, Name: "alice"})
		if u, err := s.UserByName(t.Context(), "alice"); err != nil || u.PasswordCreatedAt != u.CreatedAt {
			t.Errorf("alice has no login profile: %+v, %v", u, err)
		}
		// The credentials that nodes hold then are of these roles: they go with them.
		var kind, roleID string
		err := db.QueryRow(`select kind, role_id from temporary_credentials where access_key_id = 'ASIAOLD'`).Scan(&kind, &roleID)
		if err != nil || kind != store.CredentialNode || roleID != roles["only-a-node"].ID {
			t.Errorf("credential of kind %q and role %q, %v; want the role %s", kind, roleID, err, roles["only-a-node"].ID)
		}
	})
}

// migratedRoles returns the roles by their names, having looked at what they have in
// common.
func migratedRoles(t *testing.T, s *store.Store) map[string]store.Role {
	t.Helper()
	list, _, err := s.Roles(t.Context(), "", store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	roles, ids := map[string]store.Role{}, map[string]bool{}
	for _, r := range list {
		roles[r.Name], ids[r.ID] = r, true
		if !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(r.ID) {
			t.Errorf("role %s has id %q", r.Name, r.ID)
		}
		if r.TrustPolicy != trust || r.MaxSession != time.Hour {
			t.Errorf("role %s trusts %s for %v", r.Name, r.TrustPolicy, r.MaxSession)
		}
		checkAttached(t, s, store.Entity{Type: store.EntityRole, Name: r.Name}, managedInstanceCore)
	}
	if len(ids) != len(list) {
		t.Errorf("%d roles have %d ids", len(list), len(ids))
	}
	return roles
}

// checkAttached says whether exactly these policies are attached to an entity.
func checkAttached(t *testing.T, s *store.Store, e store.Entity, want ...string) {
	t.Helper()
	got, _, err := s.AttachedPolicies(t.Context(), e, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies of %s (-want +got):\n%s", e, diff)
	}
}
