package store

import (
	"context"
	"fmt"
	"time"
)

// accessKeysPerUser is a quota of IAM: two let a key be replaced without a gap.
const accessKeysPerUser = 2

// AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID        string // "AKIA..."
	UserID    string
	Secret    Secret
	Active    bool
	CreatedAt time.Time

	// The last use that was recorded; LastUsedAt is zero for a key never used. They
	// are not read by CreateAccessKey.
	LastUsedAt      time.Time
	LastUsedService string // "ssm"
	LastUsedRegion  string

	// Facts of the user, so that a request is authenticated with one query. They
	// are not read by CreateAccessKey.
	UserName string
	UserPath string
}

func accessKeyPlace(id string) string { return "access_keys.secret/" + id }

// CreateAccessKey adds a key to the user UserID, whose absence is [ErrNotFound]. A third
// key of a user is a [LimitError].
func (s *Store) CreateAccessKey(ctx context.Context, k AccessKey) error {
	return s.writeIdentity(ctx, "create access key "+k.ID, func(tx runner) error {
		others, err := count(ctx, tx, `select count(*) from access_keys where user_id = $1 and id <> $2`, k.UserID, k.ID)
		if err != nil {
			return err
		}
		if others >= accessKeysPerUser {
			return &LimitError{Name: "AccessKeysPerUser", Limit: accessKeysPerUser}
		}
		_, err = tx.exec(ctx, `
			insert into access_keys (id, user_id, sealed_secret, active, created_at) values ($1, $2, $3, $4, $5)`,
			k.ID, k.UserID, s.seal.close(k.Secret, accessKeyPlace(k.ID)), k.Active, millis(k.CreatedAt))
		return err
	})
}

const accessKeyQuery = `
	select k.id, k.user_id, k.sealed_secret, k.active, k.created_at, k.last_used_at, k.last_used_service, k.last_used_region,
		u.name, u.path
	from access_keys k join users u on u.id = k.user_id`

func scanAccessKey(k *AccessKey, sealed *[]byte, scan func(...any) error) error {
	return scan(&k.ID, &k.UserID, sealed, &k.Active, asTime(&k.CreatedAt), asTime(&k.LastUsedAt), &k.LastUsedService, &k.LastUsedRegion,
		&k.UserName, &k.UserPath)
}

// AccessKey returns the key with that id, also an inactive one, or [ErrNotFound].
func (s *Store) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	var k AccessKey
	var sealed []byte
	err := s.reader().rowOf(ctx, accessKeyQuery+` where k.id = $1`, []any{id},
		func(scan func(...any) error) error { return scanAccessKey(&k, &sealed, scan) })
	if err == nil {
		k.Secret, err = s.seal.open(sealed, accessKeyPlace(k.ID))
	}
	if err != nil {
		return AccessKey{}, fmt.Errorf("access key %s: %w", id, err)
	}
	return k, nil
}

// AccessKeys returns the keys of a user in the order of their ids, without their
// secrets. An unknown user is [ErrNotFound].
func (s *Store) AccessKeys(ctx context.Context, userName string) ([]AccessKey, error) {
	r := s.reader()
	id, err := idOf(ctx, r, "users", userName)
	var keys []AccessKey
	if err == nil {
		err = r.rows(ctx, accessKeyQuery+` where k.user_id = $1 order by k.id`, []any{id}, func(scan func(...any) error) error {
			var k AccessKey
			var sealed []byte
			if err := scanAccessKey(&k, &sealed, scan); err != nil {
				return err
			}
			keys = append(keys, k)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("access keys of user %s: %w", userName, err)
	}
	return keys, nil
}

// SetAccessKeyActive switches a key on or off.
func (s *Store) SetAccessKeyActive(ctx context.Context, id string, active bool) error {
	return s.writeIdentity(ctx, "set access key "+id+" active", func(tx runner) error {
		return one(tx.exec(ctx, `update access_keys set active = $2 where id = $1`, id, active))
	})
}

// DeleteAccessKey removes a key.
func (s *Store) DeleteAccessKey(ctx context.Context, id string) error {
	return s.writeIdentity(ctx, "delete access key "+id, func(tx runner) error {
		return one(tx.exec(ctx, `delete from access_keys where id = $1`, id))
	})
}

// TouchAccessKey records a use of a key.
func (s *Store) TouchAccessKey(ctx context.Context, id string, at time.Time, service, region string) error {
	err := one(s.writer().exec(ctx, `
		update access_keys set last_used_at = $2, last_used_service = $3, last_used_region = $4 where id = $1`,
		id, at.UnixMilli(), service, region))
	if err != nil {
		return fmt.Errorf("touch access key %s: %w", id, err)
	}
	return nil
}
