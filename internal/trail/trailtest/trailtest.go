// Package trailtest holds operations to the promise that nothing secret of their inputs
// and answers gets into the audit trail. Whoever wires a server runs it over all of its
// operations.
package trailtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/trail"
)

// secretName is what this test takes for a secret. It is written apart from the list of
// package trail, and wider.
var secretName = regexp.MustCompile(`(?i)(password|secret|plaintext|ciphertext|private.?key|seed|qrcode|authenticationcode|activationcode|token|assertion)`)

// plainName are names of the above that are none: cursors, keys for repeating a call,
// what is in the answer to say who somebody is, and facts about secrets.
var plainName = regexp.MustCompile(`(?i)^(nexttoken|clienttoken|clientrequesttoken|subjectfromwebidentitytoken|(next|upload)?sequencetoken|next(forward|backward)token|globalendpointtokenversion|tokenexpirationdate|passwordlastused|passwordresetrequired)$`)

// canary fills values with text that can be found again.
type canary struct {
	secrets, plain []string
}

func (c *canary) text(secret bool) string {
	if secret {
		s := fmt.Sprintf("SECRETcanary%04dx", len(c.secrets))
		c.secrets = append(c.secrets, s)
		return s
	}
	s := fmt.Sprintf("plain%04dx", len(c.plain))
	c.plain = append(c.plain, s)
	return s
}

// fill puts something into every member of v, which is part of a member called name.
func (c *canary) fill(v reflect.Value, name string, tag reflect.StructTag, depth int) {
	secret := secretName.MatchString(name) && !plainName.MatchString(name) || tag.Get("audit") == "secret" ||
		v.Type() == reflect.TypeFor[store.Secret]() || v.Type().Implements(reflect.TypeFor[slog.LogValuer]())
	switch t := v.Type(); {
	case depth > 6:
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.UnixMilli(1_767_323_045_678)))
	case t == reflect.TypeFor[ssm.Time]():
		v.Set(reflect.ValueOf(ssm.Time{Time: time.UnixMilli(1_767_323_045_678)}))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		c.fill(v.Elem(), name, tag, depth)
	case v.Kind() == reflect.Interface && t.NumMethod() == 0:
		v.Set(reflect.ValueOf(map[string]any{"Password": c.text(true), "Other": c.text(secret)}))
	case t == reflect.TypeFor[json.RawMessage]():
		v.SetBytes(fmt.Appendf(nil, `{"Password":%q,"Other":%q}`, c.text(true), c.text(secret)))
	case v.Kind() == reflect.String:
		v.SetString(c.text(secret))
	case v.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		// Text of a length that base64 gives back without padding, so that it is found.
		text := c.text(secret)
		v.SetBytes([]byte(text))
		if !secret {
			c.plain = slices.DeleteFunc(c.plain, func(s string) bool { return s == text }) // shown as base64
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(t, 2, 2))
		for i := range 2 {
			c.fill(v.Index(i), name, tag, depth+1)
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(t))
		element := reflect.New(t.Elem()).Elem()
		c.fill(element, name, tag, depth+1)
		v.SetMapIndex(reflect.ValueOf("key").Convert(t.Key()), element)
		if !secret {
			element = reflect.New(t.Elem()).Elem()
			c.fill(element, "password", tag, depth+1)
			v.SetMapIndex(reflect.ValueOf("Password").Convert(t.Key()), element)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := t.Field(i); f.IsExported() {
				member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if member == "-" {
					continue
				}
				if member == "" {
					member = f.Name
				}
				c.fill(v.Field(i), member, f.Tag, depth+1)
			}
		}
	case v.CanInt():
		v.SetInt(7)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	}
}

// Check calls no operation: it makes an input and an answer of each one's types, full of
// secrets that can be recognized, and looks for them in the event.
func Check(t *testing.T, r *trail.Recorder, operations []awsapi.Operation) {
	t.Helper()
	for _, op := range operations {
		t.Run(op.Service+":"+op.Name, func(t *testing.T) {
			inType, outType := op.Types()
			in, out := reflect.New(inType), reflect.New(outType)
			var inputs, outputs canary
			inputs.fill(in.Elem(), "", "", 0)
			outputs.plain = make([]string, 1000) // so that the two have different texts
			outputs.secrets = make([]string, 1000)
			outputs.fill(out.Elem(), "", "", 0)
			ctx := awsapi.WithRequest(t.Context(), awsapi.RequestInfo{SourceIP: "192.0.2.1"})
			e := r.Event(ctx, op.Service+":"+op.Name, in.Interface(), out.Interface())
			all := fmt.Sprintf("%+v", e)
			for _, secret := range append(inputs.secrets, outputs.secrets[1000:]...) {
				// A list of bytes is shown, if at all, in base64, which keeps runs of three.
				if strings.Contains(all, secret) || strings.Contains(all, base64Of(secret)) {
					t.Errorf("%q is in the event: %s", secret, all)
				}
			}
			for _, plain := range inputs.plain {
				if !strings.Contains(e.Record, plain) && len(e.Record) < 60<<10 {
					t.Errorf("a member of the input that is no secret is not in the event: %s", e.Record)
				}
			}
			var event trail.Event
			if err := json.Unmarshal([]byte(e.Record), &event); err != nil || len(e.Record) > 64<<10 {
				t.Errorf("event of %d bytes: %v", len(e.Record), err)
			}
		})
	}
}

// base64Of is the text in base64, but for its end, which depends on what follows.
func base64Of(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(s[:len(s)/3*3]))
}
