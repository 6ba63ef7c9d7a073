package control

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// Machines that join at the same moment get as many places as the activation has, never
// one more, and none after its time, on every database.
func TestManyNodesJoinByOneActivation(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			st := storetest.OpenDSN(t, db.New(t))
			w := newWorld(t, func(c *Config) { c.Store = st })
			const places, machines = 20, 32
			now := time.Now()
			must(t, st.CreateActivation(t.Context(), store.Activation{
				ID: "01234567-89ab-cdef-0123-456789abcdef", CodeHash: secretHash("01234567890123456789"), IamRole: "NodeRole", DefaultInstanceName: "many",
				RegistrationLimit: places, CreatedAt: now, ExpirationDate: now.Add(time.Hour), CreatedBy: "x", Tags: []ssm.Tag{{Key: "team", Value: "red"}},
			}))
			register := func(i int) (*ssm.RegisterManagedInstanceOutput, error) {
				return w.server.RegisterManagedInstance(t.Context(), &ssm.RegisterManagedInstanceInput{
					ActivationID: "01234567-89ab-cdef-0123-456789abcdef", ActivationCode: "01234567890123456789",
					Fingerprint: fmt.Sprint("machine ", i), PublicKey: publicKey(t), PublicKeyType: "Rsa",
				})
			}
			var mu sync.Mutex
			ids := map[string]bool{}
			refused := 0
			var joining sync.WaitGroup
			for i := range machines {
				joining.Go(func() {
					out, err := register(i)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						ids[out.InstanceID] = true
					case ssm.IsCode(err, ssm.CodeRegistrationLimitExceeded):
						refused++
					default:
						t.Error(err)
					}
				})
			}
			joining.Wait()
			if len(ids) != places || refused != machines-places {
				t.Errorf("%d joined and %d were refused, want %d and %d", len(ids), refused, places, machines-places)
			}
			nodes, _, err := st.Nodes(t.Context(), store.NodeFilter{Tags: map[string][]string{"team": {"red"}}}, store.Page{Limit: 50})
			must(t, err)
			for _, n := range nodes {
				if !ids[n.ID] || n.Name != "many" || n.IamRole != "NodeRole" {
					t.Errorf("node %+v", n)
				}
			}
			if len(nodes) != places {
				t.Errorf("%d nodes, want %d", len(nodes), places)
			}
			w.ahead.Store(int64(2 * time.Hour))
			if _, err := register(99); !ssm.IsCode(err, ssm.CodeActivationExpired) {
				t.Errorf("after its time: %v", err)
			}
		})
	}
}

// A machine that is a node already may join again; the operator is told.
func TestKnownMachineJoinsAgain(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	first := w.node()
	if strings.Contains(log.String(), "already") {
		t.Errorf("the first one is known: %s", &log)
	}
	second := w.node()
	if got := log.String(); first == second || !strings.Contains(got, "a machine registered that is a node already") ||
		!strings.Contains(got, "node_id="+second) || !strings.Contains(got, first) || !strings.Contains(got, "deregister the older node") {
		t.Errorf("the operator reads %s", got)
	}
	if _, err := w.store.Node(t.Context(), first); errors.Is(err, store.ErrNotFound) {
		t.Error("the older node is gone")
	}
}
