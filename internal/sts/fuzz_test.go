package sts

import (
	"encoding/json"
	"strings"
	"testing"

	"sekisho/internal/store"
)

// FuzzToken reads tokens of anybody. Nothing may panic, and no token is taken whose
// algorithm is not one of those that are accepted, nor any that only its sender vouches
// for.
func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2EifQ.")
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.AA")
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.e30.AA")
	f.Add("..")
	f.Add(`{"payload":"e30","signatures":[]}`)
	keys := keySet(key("rsa", rsaKey().Public()), key("ec", ecKey().Public())).Keys
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseToken(text)
		if err != nil {
			return
		}
		if algorithm := token.signed.Signatures[0].Header.Algorithm; !strings.HasPrefix(algorithm, "RS") && !strings.HasPrefix(algorithm, "ES") {
			t.Errorf("algorithm %q", algorithm)
		}
		if _, ok := verifySignature(token.signed, keys); ok {
			t.Error("a signature of nobody is right")
		}
	})
}

// FuzzClaims reads the claims of a token whose signature is right. Nothing may panic, and
// what is accepted is for a client of the provider and has a subject that can be kept.
func FuzzClaims(f *testing.F) {
	p := store.OIDCProvider{URL: "https://a", ClientIDs: []string{"c"}}
	for _, text := range []string{
		`{"iss":"https://a","sub":"s","aud":"c","iat":1769846950,"exp":1769847950,"amr":["pwd"]}`,
		`{"iss":"https://a","sub":"s","aud":["c","d"],"iat":1e9,"exp":1.9e9,"nbf":0,"amr":"x"}`,
		`{"ISS":"https://a","sub":["s"],"aud":{},"iat":-1,"exp":1e300}`,
		`null`, `[]`, `{`, "\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, err := checkClaims(payload, p, start)
		if err != nil {
			return
		}
		if id.subject == "" || !storable(id.subject) || len(id.subject) > maxSubject || !containsFold(id.audience, "c") {
			t.Errorf("accepted: %+v", id)
		}
	})
}

// FuzzKeySet reads key sets of an issuer. Nothing may panic, the number of keys is
// bounded and each of them is public.
func FuzzKeySet(f *testing.F) {
	f.Add(made1(json.Marshal(keySet(key("rsa", rsaKey().Public()), key("ec", ecKey().Public())))))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"RSA","n":"AA","e":"AQAB"},null,1]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeySet(body)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > maxKeys {
			t.Errorf("%d keys", len(keys))
		}
		for i := range keys {
			if !keys[i].IsPublic() {
				t.Error("a private key")
			}
		}
	})
}
