package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// KMSKeyVersion says when a version of a key's material was made.
type KMSKeyVersion struct {
	KeyID     string
	Version   int
	OnDemand  bool // made by a caller's wish; else with the key or by its schedule
	CreatedAt time.Time
}

// ErrKMSKeyState says that a key is in a state in which this cannot be done.
var ErrKMSKeyState = errors.New("key is not enabled")

func kmsMaterialPlace(id string, version int) string {
	return "kms_key_versions.sealed_material/" + id + "/" + strconv.Itoa(version)
}

func (s *Store) insertKMSMaterial(ctx context.Context, tx runner, v KMSKeyVersion, material Secret) error {
	_, err := tx.exec(ctx, `
		insert into kms_key_versions (key_id, version, sealed_material, on_demand, created_at) values ($1, $2, $3, $4, $5)`,
		v.KeyID, v.Version, s.seal.close(material, kmsMaterialPlace(v.KeyID, v.Version)), v.OnDemand, millis(v.CreatedAt))
	return err
}

// KMSKeyMaterial returns one version of a key's material.
func (s *Store) KMSKeyMaterial(ctx context.Context, id string, version int) (Secret, error) {
	var sealed []byte
	err := s.reader().row(ctx, `select sealed_material from kms_key_versions where key_id = $1 and version = $2`,
		[]any{id, version}, &sealed)
	var material Secret
	if err == nil {
		material, err = s.seal.open(sealed, kmsMaterialPlace(id, version))
	}
	if err != nil {
		return "", fmt.Errorf("material %d of key %s: %w", version, id, err)
	}
	return material, nil
}

// KMSKeyVersions returns the versions of a key's material, oldest first.
func (s *Store) KMSKeyVersions(ctx context.Context, id string) ([]KMSKeyVersion, error) {
	var versions []KMSKeyVersion
	err := s.reader().rows(ctx, `
		select key_id, version, on_demand, created_at from kms_key_versions where key_id = $1 order by version`, []any{id},
		func(scan func(...any) error) error {
			var v KMSKeyVersion
			err := scan(&v.KeyID, &v.Version, &v.OnDemand, asTime(&v.CreatedAt))
			versions = append(versions, v)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("versions of key %s: %w", id, err)
	}
	return versions, nil
}

// RotateKMSKey gives an enabled key new material, by a caller's wish. The key has at
// most limit such rotations ([LimitError]); in another state it is [ErrKMSKeyState].
func (s *Store) RotateKMSKey(ctx context.Context, id string, material Secret, at time.Time, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		version, err := nextKMSVersion(ctx, tx, id)
		if err != nil {
			return err
		}
		var rotations int
		err = tx.row(ctx, `select count(*) from kms_key_versions where key_id = $1 and on_demand`, []any{id}, &rotations)
		if err != nil {
			return err
		}
		if rotations >= limit {
			return &LimitError{Name: "OnDemandRotationsPerKey", Limit: limit}
		}
		return s.insertKMSMaterial(ctx, tx, KMSKeyVersion{KeyID: id, Version: version, OnDemand: true, CreatedAt: at}, material)
	})
	if err != nil {
		return fmt.Errorf("rotate key %s: %w", id, err)
	}
	return nil
}

// nextKMSVersion counts the current version of an enabled key up, and holds its row.
func nextKMSVersion(ctx context.Context, tx runner, id string) (int, error) {
	if err := lockKMSKey(ctx, tx, id); err != nil {
		return 0, err
	}
	var version int
	err := tx.row(ctx, `
		update kms_keys set current_version = current_version + 1 where id = $1 and state = $2 returning current_version`,
		[]any{id, string(KMSEnabled)}, &version)
	if errors.Is(err, ErrNotFound) {
		err = ErrKMSKeyState
	}
	return version, err
}

// SetKMSKeyRotation has a key rotated every so many days from next on; 0 days and the
// zero time end that.
func (s *Store) SetKMSKeyRotation(ctx context.Context, id string, days int, next time.Time) error {
	var stored any
	if days > 0 {
		stored = days
	}
	return s.updateKMSKey(ctx, `update kms_keys set rotation_days = $2, next_rotation_at = $3 where id = $1`, id, stored, millis(next))
}

// day is what a rotation period counts.
const day = 24 * time.Hour

// RotateDueKMSKeys gives new material to the enabled keys whose rotation is due and
// returns their ids. A key that missed several rotations, because it was disabled or the
// server was down, is rotated once. material makes the material of one key.
func (s *Store) RotateDueKMSKeys(ctx context.Context, now time.Time, material func() Secret) ([]string, error) {
	var due []string
	err := s.reader().rows(ctx, `select id from kms_keys where next_rotation_at <= $1 and state = $2 order by id`,
		[]any{millis(now), string(KMSEnabled)}, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			due = append(due, id)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("find keys whose rotation is due: %w", err)
	}
	var rotated []string
	for _, id := range due {
		done, err := s.rotateDueKMSKey(ctx, id, now, material())
		if err != nil {
			return rotated, fmt.Errorf("rotate key %s: %w", id, err)
		}
		if done {
			rotated = append(rotated, id)
		}
	}
	return rotated, nil
}

// rotateDueKMSKey rotates one key, unless another process has or the key has changed.
func (s *Store) rotateDueKMSKey(ctx context.Context, id string, now time.Time, material Secret) (rotated bool, err error) {
	err = s.inTx(ctx, func(tx runner) error {
		var version int
		err := tx.row(ctx, `
			update kms_keys set current_version = current_version + 1, next_rotation_at = $3 + cast(rotation_days as bigint) * $4
			where id = $1 and state = $2 and next_rotation_at <= $3 returning current_version`,
			[]any{id, string(KMSEnabled), millis(now), day.Milliseconds()}, &version)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		rotated = true
		return s.insertKMSMaterial(ctx, tx, KMSKeyVersion{KeyID: id, Version: version, CreatedAt: now}, material)
	})
	return rotated && err == nil, err
}
