package client

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestLanguageOfTheLocale(t *testing.T) {
	for _, c := range []struct {
		all, messages, lang string
		want                Language
	}{
		{"", "", "", English},
		{"", "", "ja_JP.UTF-8", Japanese},
		{"", "", "ja", Japanese},
		{"", "ja_JP", "en_US.UTF-8", Japanese},
		{"C", "ja_JP", "ja_JP", English},
		{"ja_JP.eucJP", "C", "C", Japanese},
		{"", "", "jam_JM", English},
		{"", "", "de_DE", English},
	} {
		env := map[string]string{"LC_ALL": c.all, "LC_MESSAGES": c.messages, "LANG": c.lang}
		if got := LanguageOf(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%v: got %v, want %v", env, got, c.want)
		}
	}
}

func TestEveryEndIsExplainedInEveryLanguage(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("%w: unreachable", ErrNotConnected), fmt.Errorf("%w: unreachable", ErrGaveUp), ErrAbandoned,
		fmt.Errorf("%w: EOF", ErrHangUp), &RefusedError{Err: errors.New("denied")}, &UnsupportedError{What: "magic"},
		&EncryptionError{Err: errors.New("disabled")},
		errors.New("anything else"),
	} {
		for language := range languages {
			if text := Explain(Language(language), err); text == "" || strings.Contains(text, "%!") {
				t.Errorf("%v in language %d: %q", err, language, text)
			}
		}
	}
	for language, texts := range languages {
		v := reflect.ValueOf(texts)
		for i := range v.NumField() {
			if v.Field(i).String() == "" {
				t.Errorf("language %d has no text %s", language, v.Type().Field(i).Name)
			}
		}
	}
}

func TestTokenStaysOutOfLogsAndMessages(t *testing.T) {
	s := Session{ID: "id", Token: "hush", StreamURL: "wss://x/"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("session", "session", s)
	fmt.Fprintf(&b, "%v %s %+v", s, s, s)
	if strings.Contains(b.String(), "hush") {
		t.Errorf("token is in %q", b.String())
	}
}
