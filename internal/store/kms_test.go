package store_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

func TestKMSContract(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.RunKMS(t, db) })
	}
}

func newKMSKey(id string) store.KMSKey {
	return store.KMSKey{ID: id, Policy: "{}", CreatedAt: time.UnixMilli(1_767_323_045_678)}
}

const (
	kmsID    = "11111111-2222-4333-8444-555555555555"
	kmsOther = "66666666-2222-4333-8444-555555555555"
)

func TestKMSMaterialIsSealed(t *testing.T) {
	path := t.TempDir() + "/keys.db"
	s := storetest.OpenDSN(t, "sqlite:"+path)
	const first, second = "first-material-of-thirty-two-byte", "second-material-of-thirty-two-byt"
	for _, err := range []error{
		s.CreateKMSKey(t.Context(), newKMSKey(kmsID), first),
		s.RotateKMSKey(t.Context(), kmsID, second, time.Now(), 1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{first, second, base64.StdEncoding.EncodeToString([]byte(first))} {
			if bytes.Contains(text, []byte(secret[:16])) {
				t.Errorf("the file keys.db%s holds key material", suffix)
			}
		}
	}
}

// Whoever can write the database cannot make one key decrypt what another encrypted, nor
// bring back old material under a new number.
func TestKMSMaterialOpensOnlyInItsRow(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		for _, id := range []string{kmsID, kmsOther} {
			if err := s.CreateKMSKey(t.Context(), newKMSKey(id), store.Secret("material of "+id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.RotateKMSKey(t.Context(), kmsID, "material 2", time.Now(), 1); err != nil {
			t.Fatal(err)
		}
		db := storetest.Raw(t, dsn)
		const copyMaterial = `update kms_key_versions set sealed_material = (
			select v.sealed_material from kms_key_versions v where v.key_id = '%s' and v.version = 1)
			where key_id = '%s' and version = %d`
		for _, row := range []struct {
			id      string
			version int
		}{{kmsOther, 1}, {kmsID, 2}} {
			if _, err := db.Exec(fmt.Sprintf(copyMaterial, kmsID, row.id, row.version)); err != nil {
				t.Fatal(err)
			}
			material, err := s.KMSKeyMaterial(t.Context(), row.id, row.version)
			if err == nil || material != "" || strings.Contains(err.Error(), "material of") {
				t.Errorf("exchanged material of %s/%d: %q, %v", row.id, row.version, material.Reveal(), err)
			}
		}
		if material, err := s.KMSKeyMaterial(t.Context(), kmsID, 1); err != nil || material.Reveal() != "material of "+kmsID {
			t.Errorf("material in its own row: %q, %v", material.Reveal(), err)
		}
	})
}
