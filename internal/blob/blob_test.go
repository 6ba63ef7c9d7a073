package blob

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/sigv4"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(s string) (int64, func() (io.ReadCloser, error)) {
	return int64(len(s)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	b, err := Open("file://"+filepath.ToSlash(dir)+"/store", Access{})
	must(t, err)
	for key, content := range map[string]string{"a/1": "one", "a/2": "two", "ab/1": "three"} {
		size, open := text(content)
		must(t, b.Put(t.Context(), key, size, open))
	}
	size, open := text("again")
	must(t, b.Put(t.Context(), "a/1", size, open))
	from, err := b.Get(t.Context(), "a/1")
	must(t, err)
	got, err := io.ReadAll(from)
	must(t, errors.Join(err, from.Close()))
	if string(got) != "again" {
		t.Errorf("read %q", got)
	}
	if err := b.Put(t.Context(), "a/3", size+1, open); err == nil {
		t.Error("half of a file was taken")
	}
	for _, key := range []string{"../x", "/x", "", "."} {
		if err := b.Put(t.Context(), key, size, open); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
	list := func(prefix string) []string {
		t.Helper()
		keys, err := b.List(t.Context(), prefix)
		must(t, err)
		return keys
	}
	if diff := cmp.Diff([]string{"a/1", "a/2"}, list("a/")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a/1", "a/2", "ab/1"}, list("a")); diff != "" {
		t.Error(diff)
	}
	for _, key := range []string{"a/1", "a/2", "a/2"} {
		must(t, b.Remove(t.Context(), key))
	}
	if got := list("a/"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	if _, err := b.Get(t.Context(), "a/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
}

func TestBadAddressesAreRefused(t *testing.T) {
	for _, address := range []string{"", "/x", "file:x", "file://host/x", "gs://b", "s3://", "s3://b", "s3://b?region=r&endpoint=http://h",
		"s3://b?region=r&endpoint=https://h/path", "%"} {
		if b, err := Open(address, Access{}); err == nil {
			t.Errorf("%q: %+v", address, b)
		}
	}
	for _, address := range []string{"", "http://h?region=r", "https://h", "https://h/x?region=r", "https://u:p@h?region=r"} {
		if _, err := OpenS3(address, Access{}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte("# of the archive\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s3cret=\nregion = x\n[other]\naws_access_key_id = AKIA2\n"), 0o600))
	got, err := Access{File: file}.Credentials()
	must(t, err)
	if want := (sigv4.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "s3cret="}); got != want {
		t.Errorf("%+v", got)
	}
	must(t, os.WriteFile(file, []byte("aws_access_key_id = AKIA1\n"), 0o600))
	if _, err := (Access{File: file}).Credentials(); err == nil || strings.Contains(err.Error(), "AKIA1") {
		t.Errorf("half of a key: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA3")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_SESSION_TOKEN", "y")
	if got, err := (Access{}).Credentials(); err != nil || got.SessionToken != "y" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add("[a]\naws_access_key_id=1\r\naws_secret_access_key = 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseCredentials(text)
		for _, part := range []string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken} {
			if strings.ContainsAny(part, "\n") || !bytes.Contains([]byte(text), []byte(part)) {
				t.Errorf("%q", part)
			}
		}
	})
}
