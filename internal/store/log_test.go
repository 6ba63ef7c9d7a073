package store_test

import (
	"testing"

	"sekisho/internal/store/storetest"
)

func TestLogs(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.RunLogs(t, db) })
	}
}

func TestObjects(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.RunObjects(t, db) })
	}
}
