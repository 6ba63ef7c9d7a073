package iam_test

import (
	"context"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"sekisho/internal/store/storetest"
)

// plausible is what the members of inputs hold while one of them is odd.
var plausible = map[string]string{
	"UserName": "carol", "GroupName": "crew", "RoleName": "ops", "PolicyName": "own", "InstanceProfileName": "profile",
	"PolicyArn": "arn:aws:iam::123456789012:policy/own", "PolicySourceArn": "arn:aws:iam::123456789012:user/carol",
	"PermissionsBoundary": "arn:aws:iam::123456789012:policy/own", "AssumeRolePolicyDocument": oddTrust, "PolicyDocument": oddPolicy,
	"PolicyInputList": oddPolicy, "SerialNumber": "arn:aws:iam::123456789012:mfa/carol", "VirtualMFADeviceName": "carol",
	"AuthenticationCode1": "123456", "AuthenticationCode2": "123456", "AccessKeyId": "AKIACCCCCCCCCCCCCCCC", "Status": "Active",
	"Password": "a long password", "OldPassword": "a long password", "NewPassword": "a longer password", "VersionId": "v1",
	"Url": "https://issuer.test/a", "OpenIDConnectProviderArn": "arn:aws:iam::123456789012:oidc-provider/issuer.test/a",
	"ClientID": "client", "ClientIDList": "client", "ThumbprintList": "0123456789012345678901234567890123456789",
	"ActionNames": "ssm:StartSession", "ResourceArns": "arn:aws:ssm:local-1:123456789012:managed-instance/mi-0", "ContextKeyName": "aws:username",
	"ContextKeyValues": "x", "ContextKeyType": "string", "Key": "team", "Value": "red", "TagKeys": "team", "Description": "words",
}

const (
	oddTrust  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	oddPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:*","Resource":"*"}}`
)

// texts are the parameters of an input that hold text, by their names in a form.
func texts(t reflect.Type, prefix string, list []string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return append(list, prefix)
	case reflect.Slice:
		return texts(t.Elem(), prefix+".member.1", list)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" {
				name = t.Field(i).Name
			}
			list = texts(t.Field(i).Type, strings.TrimPrefix(prefix+"."+name, "."), list)
		}
	}
	return list
}

// No text, in no parameter of no operation, is more than a refused input: not what
// PostgreSQL cannot hold, nor what is a pattern, a path or far too long.
func TestOddTextIsNoInternalError(t *testing.T) {
	odd := []string{"\x00", "a\x00b", "\xff\xfe", "*", "?*", "${aws:username}", "../../x", "/", "a/b", "arn:aws:iam::123456789012:user/*",
		"arn:aws:iam::123456789012:policy/../own", "\u202eabc", "K", "'; drop table users; --", "v99999999999999999999", "%00", strings.Repeat("x", 3000), "<&>\r\n"}
	for _, d := range storetest.Databases() {
		t.Run(d.Name, func(t *testing.T) {
			w := newWorldOn(t, d.New(t))
			for _, f := range []string{
				form("CreatePolicy", "PolicyName", "own", "PolicyDocument", oddPolicy),
				form("CreateGroup", "GroupName", "crew"), form("CreateRole", "RoleName", "ops", "AssumeRolePolicyDocument", oddTrust),
				form("CreateInstanceProfile", "InstanceProfileName", "profile"), form("CreateVirtualMFADevice", "VirtualMFADeviceName", "carol"),
				form("CreateOpenIDConnectProvider", "Url", "https://issuer.test/a"),
			} {
				if a := w.call("admin", f); a.status != 200 {
					t.Fatalf("%s: %s", f, a)
				}
			}
			w.addUser("carol")
			methods, calls := reflect.TypeOf(w.server), 0
			for i := range methods.NumMethod() {
				m := methods.Method(i)
				if m.Type.NumIn() != 3 || m.Type.In(1) != reflect.TypeFor[context.Context]() || m.Type.NumOut() != 2 || strings.HasPrefix(m.Name, "Delete") {
					continue
				}
				names := texts(m.Type.In(2), "", nil)
				for _, name := range names {
					for _, text := range odd {
						values := url.Values{"Action": {m.Name}}
						for _, other := range names {
							if v := plausible[last(other)]; v != "" {
								values.Set(other, v)
							}
						}
						values.Set(name, text)
						if a := w.call("admin", values.Encode()); a.status >= 500 {
							t.Errorf("%s %s=%q: %s", m.Name, name, text, a)
						}
						calls++
					}
				}
			}
			if calls < 2000 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// last is the name of a parameter, without what it is in and its number.
func last(name string) string {
	name = strings.TrimSuffix(name, ".member.1")
	return name[strings.LastIndexByte(name, '.')+1:]
}
