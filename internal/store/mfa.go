package store

import (
	"context"
	"fmt"
	"time"
)

// mfaDevicesPerUser is a quota of IAM.
const mfaDevicesPerUser = 8

// MFADevice is a virtual device that makes one-time codes.
type MFADevice struct {
	Serial    string // ARN; unique without regard to case
	Name      string
	Path      string // begins and ends with "/"; empty means "/"
	Seed      Secret // base32
	CreatedAt time.Time

	// Of an enabled device, one that belongs to a user. They are not read by
	// CreateMFADevice.
	UserName  string
	EnabledAt time.Time
	LastStep  int64 // time step of the last code that was accepted
}

func mfaPlace(serial string) string { return "mfa_devices.seed/" + serial }

// CreateMFADevice adds a device that is not enabled. A taken serial number is
// [ErrExists].
func (s *Store) CreateMFADevice(ctx context.Context, d MFADevice) error {
	return s.writeIdentity(ctx, "create mfa device "+d.Serial, func(tx runner) error {
		_, err := tx.exec(ctx, `insert into mfa_devices (serial, name, path, sealed_seed, created_at) values ($1, $2, $3, $4, $5)`,
			d.Serial, d.Name, pathOrRoot(d.Path), s.seal.close(d.Seed, mfaPlace(d.Serial)), millis(d.CreatedAt))
		return err
	})
}

const mfaQuery = `select d.serial, d.name, d.path, d.sealed_seed, d.created_at, u.name, d.enabled_at, d.last_step
	from mfa_devices d left join users u on u.id = d.user_id`

func (s *Store) scanMFADevice(d *MFADevice, scan func(...any) error) error {
	var sealed []byte
	err := scan(&d.Serial, &d.Name, &d.Path, &sealed, asTime(&d.CreatedAt), asText(&d.UserName), asTime(&d.EnabledAt), &d.LastStep)
	if err != nil {
		return err
	}
	d.Seed, err = s.seal.open(sealed, mfaPlace(d.Serial))
	return err
}

// MFADevice returns the device with that serial number, or [ErrNotFound].
func (s *Store) MFADevice(ctx context.Context, serial string) (MFADevice, error) {
	var d MFADevice
	err := s.reader().rowOf(ctx, mfaQuery+` where d.serial = $1`, []any{serial},
		func(scan func(...any) error) error { return s.scanMFADevice(&d, scan) })
	if err != nil {
		return MFADevice{}, fmt.Errorf("mfa device %s: %w", serial, err)
	}
	return d, nil
}

// MFADevices returns a page of devices in the order of their serial numbers, and the
// cursor of the next page ("" after the last): those that belong to a user or not, or
// all of them for nil.
func (s *Store) MFADevices(ctx context.Context, assigned *bool, p Page) ([]MFADevice, string, error) {
	var w where
	if assigned != nil {
		w.add("(d.user_id is not null) = ?", *assigned)
	}
	w.afterName("d.serial", p)
	list, next, err := page(ctx, s.reader(), mfaQuery+w.String()+byName("d.serial"), &w, p,
		s.scanMFADevice, func(d MFADevice) string { return d.Serial })
	if err != nil {
		return nil, "", fmt.Errorf("list mfa devices: %w", err)
	}
	return list, next, nil
}

// UserMFADevices returns the devices of a user in the order of their serial numbers. An
// unknown user is [ErrNotFound].
func (s *Store) UserMFADevices(ctx context.Context, userName string) ([]MFADevice, error) {
	r := s.reader()
	id, err := idOf(ctx, r, "users", userName)
	var list []MFADevice
	if err == nil {
		var w where
		w.add("d.user_id = ?", id)
		list, _, err = page(ctx, r, mfaQuery+w.String()+byName("d.serial"), &w, Page{Limit: maxPage},
			s.scanMFADevice, func(d MFADevice) string { return d.Serial })
	}
	if err != nil {
		return nil, fmt.Errorf("mfa devices of user %s: %w", userName, err)
	}
	return list, nil
}

// EnableMFADevice gives a device to a user. step is the time step of the later of the
// codes that proved it. A device that belongs to a user already is [ErrExists]; too
// many devices of one user are a [LimitError].
func (s *Store) EnableMFADevice(ctx context.Context, serial, userName string, at time.Time, step int64) error {
	return s.writeIdentity(ctx, "enable mfa device "+serial, func(tx runner) error {
		id, err := idOf(ctx, tx, "users", userName)
		if err != nil {
			return err
		}
		present, err := count(ctx, tx, `select count(*) from mfa_devices where serial = $1`, serial)
		if err = one(int64(present), err); err != nil {
			return err
		}
		others, err := count(ctx, tx, `select count(*) from mfa_devices where user_id = $1`, id)
		if err != nil {
			return err
		}
		if others >= mfaDevicesPerUser {
			return &LimitError{Name: "MFADevicesPerUser", Limit: mfaDevicesPerUser}
		}
		n, err := tx.exec(ctx, `
			update mfa_devices set user_id = $2, enabled_at = $3, last_step = case when last_step < $4 then $4 else last_step end
			where serial = $1 and user_id is null`,
			serial, id, at.UnixMilli(), step)
		if err == nil && n == 0 {
			err = ErrExists
		}
		return err
	})
}

// DeactivateMFADevice takes a device from a user. One that is not this user's is
// [ErrNotFound].
func (s *Store) DeactivateMFADevice(ctx context.Context, serial, userName string) error {
	return s.writeIdentity(ctx, "deactivate mfa device "+serial, func(tx runner) error {
		return one(tx.exec(ctx, `
			update mfa_devices set user_id = null, enabled_at = null
			where serial = $1 and user_id = (select id from users where name = $2)`, serial, userName))
	})
}

// DeleteMFADevice removes a device. One that belongs to a user is an [InUseError].
func (s *Store) DeleteMFADevice(ctx context.Context, serial string) error {
	return s.writeIdentity(ctx, "delete mfa device "+serial, func(tx runner) error {
		err := unreferenced(ctx, tx, serial, reference{"users", `mfa_devices where serial = $1 and user_id is not null`})
		if err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagMFA, serial); err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from mfa_devices where serial = $1`, serial))
	})
}

// UseMFAStep accepts a code of a user's device by its time step and says whether it
// may: only a step later than the last one is, so that no code is good twice, also for
// two who show it at once.
func (s *Store) UseMFAStep(ctx context.Context, serial string, step int64) (ok bool, err error) {
	n, err := s.writer().exec(ctx, `
		update mfa_devices set last_step = $2 where serial = $1 and last_step < $2 and user_id is not null`, serial, step)
	if err != nil {
		return false, fmt.Errorf("use code of mfa device %s: %w", serial, err)
	}
	return n == 1, nil
}
