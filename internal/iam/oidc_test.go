package iam_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	issuerARN  = "arn:aws:iam::123456789012:oidc-provider/id.example.com/tenant"
	thumbprint = "0123456789abcdef0123456789abcdef01234567"
)

func TestOpenIDConnectProviders(t *testing.T) {
	w := newWorld(t)
	create := form("CreateOpenIDConnectProvider", "Url", "https://id.example.com/tenant", "ClientIDList.member.1", "one",
		"ClientIDList.member.2", "one", "ThumbprintList.member.1", strings.ToUpper(thumbprint))
	name := []string{"OpenIDConnectProviderArn", issuerARN}
	get := form("GetOpenIDConnectProvider", name...)
	shown := func(clients, thumbprints string) string {
		return "200 <Url>id.example.com/tenant</Url>" + clients + thumbprints + "<CreateDate>2026-01-31T08:09:10Z</CreateDate>"
	}
	prints := "<ThumbprintList><member>" + thumbprint + "</member></ThumbprintList>"
	missing := "404 NoSuchEntity: OpenIDConnect Provider not found for arn " + issuerARN
	with := func(more ...string) []string { return append(append([]string{}, name...), more...) }
	w.tell([]step{
		{"admin", form("ListOpenIDConnectProviders"), "200 <OpenIDConnectProviderList/>"},
		{"admin", get, missing},
		{"admin", form("AddClientIDToOpenIDConnectProvider", with("ClientID", "two")...), missing},
		{"admin", create, "200 <OpenIDConnectProviderArn>" + issuerARN + "</OpenIDConnectProviderArn>"},
		{"admin", create, "409 EntityAlreadyExists: Provider with url https://id.example.com/tenant already exists."},
		{"admin", get, shown("<ClientIDList><member>one</member></ClientIDList>", prints)},
		{"admin", form("ListOpenIDConnectProviders"), "200 <OpenIDConnectProviderList><member><Arn>" + issuerARN + "</Arn></member></OpenIDConnectProviderList>"},
		{"admin", form("AddClientIDToOpenIDConnectProvider", with("ClientID", "two")...), "200"},
		{"admin", form("AddClientIDToOpenIDConnectProvider", with("ClientID", "two")...), "200"},
		{"admin", form("RemoveClientIDFromOpenIDConnectProvider", with("ClientID", "one")...), "200"},
		{"admin", form("RemoveClientIDFromOpenIDConnectProvider", with("ClientID", "one")...), "200"},
		{"admin", form("UpdateOpenIDConnectProviderThumbprint", with("ThumbprintList", "")...), "200"},
		{"admin", get, shown("<ClientIDList><member>two</member></ClientIDList>", "<ThumbprintList/>")},
		{"admin", form("UpdateOpenIDConnectProviderThumbprint", with("ThumbprintList.member.1", "x")...), "400 InvalidInput: A thumbprint has 40 hexadecimal digits."},
		{"admin", form("DeleteOpenIDConnectProvider", name...), "200"},
		{"admin", form("DeleteOpenIDConnectProvider", name...), "200"},
		{"admin", get, missing},
	})
}

// A refusal is the same whether or not there is the provider.
func TestOpenIDConnectOperationsAreDenied(t *testing.T) {
	w := newWorld(t)
	name := []string{"OpenIDConnectProviderArn", issuerARN}
	for range 2 {
		for action, parameters := range map[string][]string{
			"CreateOpenIDConnectProvider":             {"Url", "https://id.example.com/tenant"},
			"GetOpenIDConnectProvider":                name,
			"DeleteOpenIDConnectProvider":             name,
			"AddClientIDToOpenIDConnectProvider":      {name[0], name[1], "ClientID", "x"},
			"RemoveClientIDFromOpenIDConnectProvider": {name[0], name[1], "ClientID", "x"},
			"UpdateOpenIDConnectProviderThumbprint":   {name[0], name[1], "ThumbprintList.member.1", thumbprint},
		} {
			w.tell([]step{{"nobody", form(action, parameters...), denied("nobody", "iam:"+action, issuerARN)}})
		}
		w.tell([]step{{"nobody", form("ListOpenIDConnectProviders"), denied("nobody", "iam:ListOpenIDConnectProviders", "*")}})
		w.call("admin", form("CreateOpenIDConnectProvider", "Url", "https://id.example.com/tenant"))
	}
}

func TestIssuersThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, url := range []string{
		"http://id.example.com", "https://", "https:///x", "id.example.com", "https://id.example.com?x=1", "https://id.example.com#x",
		"https://user@id.example.com", "https://id.example.com/../x", "https://id.example.com/a b", "https://id.example.com/*",
		"https://ID.example.com", "https://id.example.com/${aws:username}", "https://id.example.com/%2e", "https://ｉd.example.com",
	} {
		w.tell([]step{{"admin", form("CreateOpenIDConnectProvider", "Url", url), "400 InvalidInput: Invalid Open ID Connect Provider URL"}})
	}
	for _, url := range []string{"https://127.0.0.1:8443", "https://id.example.com/", "https://id.example.com/a/b-c"} {
		if got := w.call("admin", form("CreateOpenIDConnectProvider", "Url", url)); got.status != 200 {
			t.Errorf("%s: %s", url, got)
		}
	}
	for _, arn := range []string{"arn:aws:iam::210987654321:oidc-provider/x", "arn:aws:iam::123456789012:oidc-provider/", "arn:aws:iam::123456789012:user/x"} {
		w.tell([]step{{"admin", form("GetOpenIDConnectProvider", "OpenIDConnectProviderArn", arn), "400 ValidationError: ARN " + arn + " is not valid."}})
	}
	tagged := form("CreateOpenIDConnectProvider", "Url", "https://t.example.com", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v")
	w.tell([]step{{"admin", tagged, "400 InvalidInput: This server keeps no tags of OpenID Connect providers."}})
	many := []string{"Url", "https://m.example.com"}
	for i := range 101 {
		many = append(many, fmt.Sprintf("ClientIDList.member.%d", i+1), fmt.Sprint(i))
	}
	if got := w.call("admin", form("CreateOpenIDConnectProvider", many...)); got.status != 400 {
		t.Errorf("101 clients: %s", got)
	}
}
