package iam_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sekisho/internal/auth"
	"sekisho/internal/iam"
	"sekisho/internal/store"
)

// codes are the codes that a device shows at two times, as parameters.
func codes(t *testing.T, seed string, first, second time.Time) []string {
	t.Helper()
	one, err := totp.GenerateCode(seed, first)
	must(t, err)
	two, err := totp.GenerateCode(seed, second)
	must(t, err)
	return []string{"AuthenticationCode1", one, "AuthenticationCode2", two}
}

func TestMFADeviceLivesAndDies(t *testing.T) {
	const period = 30 * time.Second
	w := newWorld(t)
	serial := "arn:aws:iam::123456789012:mfa/phone"
	made := w.call("admin", form("CreateVirtualMFADevice", "VirtualMFADeviceName", "phone"))
	must(t, okay(made))
	if made.get("SerialNumber") != serial {
		t.Errorf("serial number %s, want %s", made.get("SerialNumber"), serial)
	}
	encoded := made.get("Base32StringSeed")
	text, err := base64.StdEncoding.DecodeString(encoded)
	must(t, err)
	seed := string(text)
	if !regexp.MustCompile(`^[A-Z2-7]{32}$`).MatchString(seed) {
		t.Fatalf("the seed has another form (%d characters)", len(seed))
	}
	picture, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(made.get("QRCodePNG"), "&#43;", "+"))
	must(t, err)
	image, err := png.Decode(bytes.NewReader(picture))
	must(t, err)
	if size := image.Bounds().Size(); size.X < 100 || size.X != size.Y {
		t.Errorf("the picture is %v", size)
	}

	enable := func(user string, first, second time.Time) string {
		return form("EnableMFADevice", append([]string{"UserName", user, "SerialNumber", serial}, codes(t, seed, first, second)...)...)
	}
	resync := func(first, second time.Time) string {
		return form("ResyncMFADevice", append([]string{"UserName", "nobody", "SerialNumber", serial}, codes(t, seed, first, second)...)...)
	}
	wrong := "403 InvalidAuthenticationCode: Authentication code for device is not valid."
	absent := "404 NoSuchEntity: VirtualMFADevice with serial number " + serial + " does not exist."
	w.tell([]step{
		{"admin", form("CreateVirtualMFADevice", "VirtualMFADeviceName", "phone"), "409 EntityAlreadyExists: MFADevice entity at the same path and name already exists."},
		{"admin", form("ListVirtualMFADevices"), "200 <VirtualMFADevices><member><SerialNumber>" + serial + "</SerialNumber></member></VirtualMFADevices><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListVirtualMFADevices", "AssignmentStatus", "Assigned"), "200 <VirtualMFADevices/><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListMFADevices", "UserName", "nobody"), "200 <MFADevices/><IsTruncated>false</IsTruncated>"},
		// The codes must follow one another and be of now.
		{"admin", enable("nobody", start, start), wrong},
		{"admin", enable("nobody", start, start.Add(-period)), wrong},
		{"admin", enable("nobody", start.Add(-2*period), start), wrong},
		{"admin", enable("nobody", start.Add(-4*period), start.Add(-3*period)), wrong},
		{"admin", enable("nobody", start.Add(2*period), start.Add(3*period)), wrong},
		{"admin", enable("ghost", start.Add(-period), start), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", enable("nobody", start.Add(-period), start), "200"},
		{"admin", enable("nobody", start.Add(-period), start), "409 EntityAlreadyExists: MFA Device is already in use."},
		{"admin", enable("admin", start.Add(-period), start), "409 EntityAlreadyExists: MFA Device is already in use."},
		{"admin", form("ListMFADevices", "UserName", "nobody"), "200 <MFADevices><member><UserName>nobody</UserName><SerialNumber>" + serial +
			"</SerialNumber><EnableDate>2026-01-31T08:09:10Z</EnableDate></member></MFADevices><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListVirtualMFADevices", "AssignmentStatus", "Assigned"), "200 <VirtualMFADevices><member><SerialNumber>" + serial + "</SerialNumber><User>" +
			userXML("/", "nobody", "") + "</User><EnableDate>2026-01-31T08:09:10Z</EnableDate></member></VirtualMFADevices><IsTruncated>false</IsTruncated>"},
		// No code is good twice.
		{"admin", resync(start.Add(-period), start), wrong},
		{"admin", resync(start, start.Add(period)), "200"},
		{"admin", resync(start, start.Add(period)), wrong},
		{"admin", form("DeleteVirtualMFADevice", "SerialNumber", serial), "409 DeleteConflict: MFA VirtualDevice in use. Must deactivate first."},
		{"admin", form("DeactivateMFADevice", "UserName", "admin", "SerialNumber", serial), absent},
		{"admin", form("DeleteAccessKey", "UserName", "nobody", "AccessKeyId", w.secret["nobody"].id), "200"},
		{"admin", form("DeleteUser", "UserName", "nobody"), "409 DeleteConflict: Cannot delete entity, must delete MFA device first."},
		{"admin", form("DeactivateMFADevice", "UserName", "nobody", "SerialNumber", serial), "200"},
		{"admin", form("DeactivateMFADevice", "UserName", "nobody", "SerialNumber", serial), absent},
		{"admin", form("DeleteVirtualMFADevice", "SerialNumber", serial), "200"},
		{"admin", form("DeleteVirtualMFADevice", "SerialNumber", serial), absent},
	})
	for _, secret := range []string{seed, encoded} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("the seed is in the log")
		}
	}
}

// The usual policy of users who look after their own devices, on the names it has.
func TestUsersManageTheirOwnDevices(t *testing.T) {
	w := newWorld(t)
	w.allow("nobody", "own", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateVirtualMFADevice","iam:DeleteVirtualMFADevice"],"Resource":"arn:aws:iam::*:mfa/${aws:username}"},
		{"Effect":"Allow","Action":["iam:EnableMFADevice","iam:DeactivateMFADevice","iam:ListMFADevices"],"Resource":"arn:aws:iam::*:user/${aws:username}"}]}`)
	made := w.call("nobody", form("CreateVirtualMFADevice", "VirtualMFADeviceName", "nobody"))
	must(t, okay(made))
	seed, err := base64.StdEncoding.DecodeString(made.get("Base32StringSeed"))
	must(t, err)
	serial := made.get("SerialNumber")
	two := codes(t, string(seed), start.Add(-30*time.Second), start)
	w.tell([]step{
		{"nobody", form("CreateVirtualMFADevice", "VirtualMFADeviceName", "admin"), denied("nobody", "iam:CreateVirtualMFADevice", "arn:aws:iam::123456789012:mfa/admin")},
		{"nobody", form("EnableMFADevice", append([]string{"UserName", "admin", "SerialNumber", serial}, two...)...),
			denied("nobody", "iam:EnableMFADevice", "arn:aws:iam::123456789012:user/admin")},
		{"nobody", form("EnableMFADevice", append([]string{"UserName", "nobody", "SerialNumber", serial}, two...)...), "200"},
		{"nobody", form("DeactivateMFADevice", "SerialNumber", serial), "200"},
		{"nobody", form("ListMFADevices"), "200 <MFADevices/><IsTruncated>false</IsTruncated>"},
		{"nobody", form("DeleteVirtualMFADevice", "SerialNumber", "GAHT12345678"), denied("nobody", "iam:DeleteVirtualMFADevice", "*")},
		{"nobody", form("DeleteVirtualMFADevice", "SerialNumber", serial), "200"},
	})
}

// Whoever keeps answers, such as an audit trail, keeps no secrets with them.
func TestAnswersKeptHaveNoSecrets(t *testing.T) {
	w := newWorld(t)
	u, err := w.store.UserByName(t.Context(), "admin")
	must(t, err)
	ctx := auth.WithPrincipal(t.Context(), w.auth.UserPrincipal(u))
	key, err := w.server.CreateAccessKey(ctx, &iam.OptionalUserInput{UserName: "nobody"})
	must(t, err)
	device, err := w.server.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: "phone"})
	must(t, err)
	seed := device.VirtualMFADevice.Base32StringSeed
	password := &iam.CreateLoginProfileInput{UserName: "nobody", Password: store.Secret("Hunter2-Hunter2")}
	kept, err := json.Marshal([]any{key, device, password})
	must(t, err)
	for _, secret := range []string{
		string(key.AccessKey.SecretAccessKey), string(seed), base64.StdEncoding.EncodeToString(seed),
		base64.StdEncoding.EncodeToString(device.VirtualMFADevice.QRCodePNG), "Hunter2",
	} {
		if strings.Contains(string(kept), secret) {
			t.Errorf("kept: %s", kept)
		}
	}
}
