package store_test

import (
	"testing"

	"sekisho/internal/store/storetest"
)

func TestContract(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.Run(t, db) })
	}
}
