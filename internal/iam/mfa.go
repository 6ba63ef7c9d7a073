package iam

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	mfaIssuer  = "Sekisho" // what apps show beside the code
	mfaSeed    = 20        // bytes; as long as the MAC behind the codes (RFC 4226 §4)
	mfaPeriod  = 30        // seconds that a code is good for, the default of all apps
	qrCodeSide = 256       // pixels

	// How far the second of two codes may be behind and ahead of our clock, in periods.
	// Reading one code, waiting for the next and sending both takes a person a while.
	mfaBehind = 2
	mfaAhead  = 1
)

// CreateVirtualMFADeviceInput is the request of iam:CreateVirtualMFADevice.
type CreateVirtualMFADeviceInput struct {
	Path                 string `constraint:"len=1..512 pattern=IAMPath"`
	VirtualMFADeviceName string `constraint:"required len=1..226 pattern=IAMName"`
	Tags                 []Tag  `constraint:"len=0..50"`
}

// VirtualMFADevice is an app that shows one-time passwords. The seed, as base32 text and
// as the picture that apps read, is there only when the device is new.
type VirtualMFADevice struct {
	SerialNumber     string
	Base32StringSeed shownBytes `json:",omitempty"`
	QRCodePNG        shownBytes `json:",omitempty"`
	User             *User
	EnableDate       *ssm.Time
	Tags             []Tag `json:",omitempty"`
}

// VirtualMFADeviceOutput is the answer of iam:CreateVirtualMFADevice.
type VirtualMFADeviceOutput struct{ VirtualMFADevice VirtualMFADevice }

// CreateVirtualMFADevice makes a device that is nobody's yet and shows its seed, this
// once.
func (s *Server) CreateVirtualMFADevice(ctx context.Context, in *CreateVirtualMFADeviceInput) (*VirtualMFADeviceOutput, error) {
	serial := s.arn("mfa", in.Path, in.VirtualMFADeviceName)
	if err := s.authorize(ctx, "iam:CreateVirtualMFADevice", serial, requestTagKeys(in.Tags)); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	var seed [mfaSeed]byte
	rand.Read(seed[:])
	text := base32.StdEncoding.EncodeToString(seed[:])
	picture, err := qrCode(in.VirtualMFADeviceName+"@"+s.cfg.ARNs.Account, seed[:])
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.CreateMFADevice(ctx, store.MFADevice{
		Serial:    serial,
		Name:      in.VirtualMFADeviceName,
		Path:      orSlash(in.Path),
		Seed:      store.Secret(text),
		CreatedAt: s.cfg.Now(),
	})
	if err != nil {
		return nil, failed(err, "MFA device", serial)
	}
	if len(in.Tags) > 0 {
		if err := s.cfg.Store.TagIdentity(ctx, "mfa", serial, storedTags(in.Tags), maxTags); err != nil {
			return nil, failed(err, "MFA device", serial)
		}
	}
	return &VirtualMFADeviceOutput{VirtualMFADevice: VirtualMFADevice{
		SerialNumber: serial, Base32StringSeed: shownBytes(text), QRCodePNG: picture, Tags: in.Tags,
	}}, nil
}

// qrCode is a PNG picture of the URL that apps set a device up from. Its errors do not
// tell the seed.
func qrCode(account string, seed []byte) ([]byte, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: mfaIssuer, AccountName: account, Secret: seed, Period: mfaPeriod})
	if err != nil {
		return nil, fmt.Errorf("make the URL of an MFA device for %s", account)
	}
	picture, err := key.Image(qrCodeSide, qrCodeSide)
	if err != nil {
		return nil, fmt.Errorf("draw the QR code of an MFA device for %s", account)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encode the QR code of an MFA device: %w", err)
	}
	return b.Bytes(), nil
}

// consecutive finds the step of the second of two codes that follow one another.
func consecutive(seed store.Secret, first, second string, now time.Time) (int64, bool) {
	current := now.Unix() / mfaPeriod
	found, ok := int64(0), 0
	for step := current - mfaBehind; step <= current+mfaAhead; step++ {
		both := matches(seed, step-1, first) & matches(seed, step, second)
		if both == 1 {
			found, ok = step, 1
		}
	}
	return found, ok == 1
}

// matches is 1 if code is that of a step, in constant time.
func matches(seed store.Secret, step int64, code string) int {
	if step < 0 {
		return 0
	}
	want, err := hotp.GenerateCodeCustom(seed.Reveal(), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return 0
	}
	return subtle.ConstantTimeCompare([]byte(want), []byte(code))
}

// TwoCodesInput is the request of iam:EnableMFADevice and iam:ResyncMFADevice. The codes
// are no secrets any more once the answer is there: they are good for this only.
type TwoCodesInput struct {
	UserName            string       `constraint:"required len=1..128 pattern=IAMName"`
	SerialNumber        string       `constraint:"required len=9..256 pattern=IAMSerialNumber"`
	AuthenticationCode1 store.Secret `constraint:"required len=6..6 pattern=IAMAuthenticationCode"`
	AuthenticationCode2 store.Secret `constraint:"required len=6..6 pattern=IAMAuthenticationCode"`
}

var errAuthCode = fault(codeInvalidAuthCode, "Authentication code for device is not valid.")

// EnableMFADevice gives a device to a user, whose holder shows two codes that follow one
// another.
func (s *Server) EnableMFADevice(ctx context.Context, in *TwoCodesInput) (*ssm.Empty, error) {
	u, err := s.user(ctx, "iam:EnableMFADevice", in.UserName)
	if err != nil {
		return nil, err
	}
	device, err := s.cfg.Store.MFADevice(ctx, in.SerialNumber)
	if err != nil {
		return nil, failed(err, "MFA device", in.SerialNumber)
	}
	if device.UserName != "" {
		return nil, fault(codeEntityAlreadyExists, "MFA Device is already in use.")
	}
	now := s.cfg.Now()
	step, ok := consecutive(device.Seed, in.AuthenticationCode1.Reveal(), in.AuthenticationCode2.Reveal(), now)
	if !ok {
		return nil, errAuthCode
	}
	err = s.cfg.Store.EnableMFADevice(ctx, in.SerialNumber, u.Name, now, step)
	return &ssm.Empty{}, failed(err, "MFA device", in.SerialNumber)
}

// ResyncMFADevice checks two codes of a user's device. There is nothing to adjust: a
// device whose clock is wrong is to be set right.
func (s *Server) ResyncMFADevice(ctx context.Context, in *TwoCodesInput) (*ssm.Empty, error) {
	u, err := s.user(ctx, "iam:ResyncMFADevice", in.UserName)
	if err != nil {
		return nil, err
	}
	device, err := s.cfg.Store.MFADevice(ctx, in.SerialNumber)
	if err == nil && device.UserName != u.Name {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, failed(err, "MFA device", in.SerialNumber)
	}
	step, ok := consecutive(device.Seed, in.AuthenticationCode1.Reveal(), in.AuthenticationCode2.Reveal(), s.cfg.Now())
	if !ok {
		return nil, errAuthCode
	}
	fresh, err := s.cfg.Store.UseMFAStep(ctx, in.SerialNumber, step)
	if err == nil && !fresh {
		err = errAuthCode
	}
	return &ssm.Empty{}, failed(err, "MFA device", in.SerialNumber)
}

// UserDeviceInput names a device of a user, or of the caller.
type UserDeviceInput struct {
	UserName     string `constraint:"len=1..128 pattern=IAMName"`
	SerialNumber string `constraint:"required len=9..256 pattern=IAMSerialNumber"`
}

// DeactivateMFADevice takes a device from its user.
func (s *Server) DeactivateMFADevice(ctx context.Context, in *UserDeviceInput) (*ssm.Empty, error) {
	u, err := s.userOrCaller(ctx, "iam:DeactivateMFADevice", in.UserName)
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeactivateMFADevice(ctx, in.SerialNumber, u.Name), "MFA device", in.SerialNumber)
}

// DeviceInput names a device.
type DeviceInput struct {
	SerialNumber string `constraint:"required len=9..256 pattern=IAMSerialNumber"`
}

// DeleteVirtualMFADevice removes a device that is nobody's.
func (s *Server) DeleteVirtualMFADevice(ctx context.Context, in *DeviceInput) (*ssm.Empty, error) {
	resource := in.SerialNumber
	if !strings.HasPrefix(resource, s.arn("mfa", "", "")) {
		resource = everything
	}
	tags, err := s.cfg.Store.IdentityTags(ctx, "mfa", in.SerialNumber)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	if err := s.authorize(ctx, "iam:DeleteVirtualMFADevice", resource, resourceTagKeys(tags)); err != nil {
		return nil, err
	}
	err = s.cfg.Store.DeleteMFADevice(ctx, in.SerialNumber)
	if isInUse(err) {
		return nil, fault(codeDeleteConflict, "MFA VirtualDevice in use. Must deactivate first.")
	}
	return &ssm.Empty{}, failed(err, "MFA device", in.SerialNumber)
}

// MFADevice is a device of a user.
type MFADevice struct {
	UserName     string
	SerialNumber string
	EnableDate   time.Time
}

// ListMFADevicesOutput is the answer of iam:ListMFADevices.
type ListMFADevicesOutput struct {
	MFADevices  []MFADevice
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// ListMFADevices lists the devices of a user.
func (s *Server) ListMFADevices(ctx context.Context, in *OptionalUserListInput) (*ListMFADevicesOutput, error) {
	const action = "iam:ListMFADevices"
	u, err := s.userOrCaller(ctx, action, in.UserName)
	if err != nil {
		return nil, err
	}
	page, err := s.page(action, u.Name, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Store.UserMFADevices(ctx, u.Name)
	if err != nil {
		return nil, failed(err, "user", u.Name)
	}
	slices.SortFunc(all, func(a, b store.MFADevice) int { return strings.Compare(a.Serial, b.Serial) })
	list, next := pageOf(all, func(d store.MFADevice) string { return d.Serial }, page)
	out := &ListMFADevicesOutput{MFADevices: make([]MFADevice, 0, len(list)), IsTruncated: next != ""}
	for _, d := range list {
		out.MFADevices = append(out.MFADevices, MFADevice{UserName: u.Name, SerialNumber: d.Serial, EnableDate: d.EnabledAt})
	}
	out.Marker, err = s.marker(action, u.Name, next)
	return out, err
}

// ListVirtualMFADevicesInput is the request of iam:ListVirtualMFADevices.
type ListVirtualMFADevicesInput struct {
	AssignmentStatus string `constraint:"enum=IAMAssignment"`
	Marker           string `constraint:"len=1.."`
	MaxItems         *int   `constraint:"range=1..1000"`
}

// ListVirtualMFADevicesOutput is the answer of iam:ListVirtualMFADevices.
type ListVirtualMFADevicesOutput struct {
	VirtualMFADevices []VirtualMFADevice
	IsTruncated       bool
	Marker            string `json:",omitempty"`
}

// ListVirtualMFADevices lists devices, without their seeds.
func (s *Server) ListVirtualMFADevices(ctx context.Context, in *ListVirtualMFADevicesInput) (*ListVirtualMFADevicesOutput, error) {
	const action = "iam:ListVirtualMFADevices"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.AssignmentStatus, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	var assigned *bool
	if in.AssignmentStatus == "Assigned" || in.AssignmentStatus == "Unassigned" {
		is := in.AssignmentStatus == "Assigned"
		assigned = &is
	}
	devices, next, err := s.cfg.Store.MFADevices(ctx, assigned, page)
	if err != nil {
		return nil, failed(err, "MFA device", "")
	}
	out := &ListVirtualMFADevicesOutput{VirtualMFADevices: make([]VirtualMFADevice, 0, len(devices)), IsTruncated: next != ""}
	for _, d := range devices {
		shown := VirtualMFADevice{SerialNumber: d.Serial, EnableDate: ssm.At(d.EnabledAt)}
		if d.UserName != "" {
			u, err := s.cfg.Store.UserByName(ctx, d.UserName)
			if err != nil {
				return nil, err
			}
			user := s.listedUser(u)
			shown.User = &user
		}
		out.VirtualMFADevices = append(out.VirtualMFADevices, shown)
	}
	out.Marker, err = s.marker(action, in.AssignmentStatus, next)
	return out, err
}
