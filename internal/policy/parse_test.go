package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const okRest = `"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"`

func TestMalformedPolicyIsRefused(t *testing.T) {
	stmt := func(s string) string { return managed(`{` + s + `}`) }
	cond := func(c string) string { return stmt(okRest + `,"Condition":` + c) }
	res := func(r string) string { return stmt(`"Effect":"Allow","Action":"s3:x","Resource":` + r) }
	act := func(a string) string { return stmt(`"Effect":"Allow","Action":` + a + `,"Resource":"*"`) }
	const iamPath = `IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.`
	for _, c := range []struct {
		name, text string
		kind       Kind
		want       string
	}{
		{"not JSON", `hello`, Managed, textSyntax},
		{"empty", ``, Managed, textSyntax},
		{"trailing", managed(`{`+okRest+`}`) + `x`, Managed, textSyntax},
		{"a list", `[]`, Managed, textSyntax},
		{"unknown element", `{"Version":"2012-10-17","Statement":{` + okRest + `},"Extra":1}`, Managed, textSyntax},
		{"case of an element", `{"version":"2012-10-17","Statement":{` + okRest + `}}`, Managed, textSyntax},
		{"unknown statement element", stmt(okRest + `,"Extra":"x"`), Managed, textSyntax},
		{"repeated element", stmt(okRest + `,"Effect":"Allow"`), Managed, textSyntax},
		{"repeated operator", cond(`{"Bool":{"a":"true"},"Bool":{"b":"true"}}`), Managed, textSyntax},
		{"repeated key", cond(`{"Bool":{"a":"true","a":"true"}}`), Managed, textSyntax},
		{"other version", `{"Version":"2013-10-17","Statement":{` + okRest + `}}`, Managed, textSyntax},
		{"version as number", `{"Version":2012,"Statement":{` + okRest + `}}`, Managed, textSyntax},
		{"no version", `{"Statement":{` + okRest + `}}`, Managed, "Policy document must be version 2012-10-17 or greater."},
		{"old version", `{"Version":"2008-10-17","Statement":{` + okRest + `}}`, Managed, "Policy document must be version 2012-10-17 or greater."},
		{"id is a list", `{"Version":"2012-10-17","Id":["x"],"Statement":{` + okRest + `}}`, Managed, textSyntax},
		{"no statement", `{"Version":"2012-10-17"}`, Managed, textSyntax},
		{"empty statement list", managed(``), Managed, textSyntax},
		{"statement is a string", managed(`"x"`), Managed, textSyntax},
		{"statement is null", `{"Version":"2012-10-17","Statement":null}`, Managed, textSyntax},
		{"no effect", stmt(`"Action":"a:b","Resource":"*"`), Managed, textSyntax},
		{"bad effect", stmt(`"Effect":"Permit","Action":"a:b","Resource":"*"`), Managed, textSyntax},
		{"effect in another case", stmt(`"Effect":"allow","Action":"a:b","Resource":"*"`), Managed, textLegacy},
		{"version before effect's case", `{"Statement":{"Effect":"denY"}}`, Managed, "Policy document must be version 2012-10-17 or greater."},
		{"no action", stmt(`"Effect":"Allow","Resource":"*"`), Managed, "Policy statement must contain actions."},
		{"no action in the first of two", managed(`{"Effect":"Deny"},{` + okRest + `}`), Managed, "Policy statement must contain actions."},
		{"empty action list", act(`[]`), Managed, "Policy statement must contain actions."},
		{"both actions", stmt(okRest + `,"NotAction":[]`), Managed, textSyntax},
		{"both resources", stmt(okRest + `,"NotResource":"*"`), Managed, textSyntax},
		{"action is an object", act(`{}`), Managed, textSyntax},
		{"action is nested", act(`[["a:b"]]`), Managed, textSyntax},
		{"no resource", stmt(`"Effect":"Allow","Action":"a:b"`), Managed, "Policy statement must contain resources."},
		{"empty resource list", res(`[]`), Managed, "Policy statement must contain resources."},
		{"action without vendor", act(`"invalid"`), Managed, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"empty action", act(`""`), Managed, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"two colons", act(`"s3:List:Bucket"`), Managed, "Actions/Condition can contain only one colon."},
		{"bad vendor", act(`"a a:List"`), Managed, "Vendor a a is not valid"},
		{"blank vendor", act(`":List"`), Managed, "Vendor  is not valid"},
		{"vendor with wildcard", act(`"s*:List"`), Managed, "Vendor s* is not valid"},
		{"repeated sid", managed(`{"Sid":"x",` + okRest + `},{"Sid":"x","Effect":"Allow"}`), Managed, "Statement IDs (SID) in a single policy must be unique."},
		{"sid is a list", stmt(`"Sid":[],` + okRest), Managed, textSyntax},
		{"sid with a space", stmt(`"Sid":"a b",` + okRest), Managed, "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{"no ARN", res(`"invalid resource"`), Managed, `Resource invalid resource must be in ARN format or "*".`},
		{"empty resource", res(`""`), Managed, `Resource  must be in ARN format or "*".`},
		{"resource before action", stmt(`"Effect":"Allow","Action":"x","Resource":"y"`), Managed, `Resource y must be in ARN format or "*".`},
		{"partition", res(`"arn:b:c:d:e:f:g"`), Managed, `Partition "b" is not valid for resource "arn:b:c:d:e:f:g".`},
		{"partition, short", res(`"a:bsdf"`), Managed, `Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".`},
		{"partition forgotten", res(`"aws:s3:::b"`), Managed, `Partition "s3" is not valid for resource "arn:s3:::b:*".`},
		{"partition with wildcard", res(`"arn:*:s3:::b"`), Managed, `Partition "*" is not valid for resource "arn:*:s3:::b".`},
		{"service missing", res(`"arn:aws"`), Managed, "Resource vendor must be fully qualified and cannot contain regexes."},
		{"service with wildcard", res(`"arn:aws:s*:::b"`), Managed, "Resource vendor must be fully qualified and cannot contain regexes."},
		{"region in IAM", res(`"arn:aws:iam:us-east-1::user/x"`), Managed, "IAM resource arn:aws:iam:us-east-1::user/x cannot contain region information."},
		{"region in S3", res(`"arn:aws:s3:us-east-1::b"`), Managed, "Resource arn:aws:s3:us-east-1::b can not contain region information."},
		{"IAM path", res(`"arn:aws:iam:::x"`), Managed, iamPath},
		{"too few segments", res(`"arn:aws:s3::b"`), Managed, textLegacy},
		{"empty service", res(`"arn:aws::b"`), Managed, textLegacy},
		{"variable without end", res(`"arn:aws:s3:::${aws:username"`), Managed, textLegacy},
		{"variable without name", res(`"arn:aws:s3:::${}"`), Managed, textLegacy},
		{"default without quotes", res(`"arn:aws:s3:::${aws:username, x}"`), Managed, textLegacy},
		{"condition is a list", cond(`[]`), Managed, textSyntax},
		{"operator with a string", cond(`{"DateGreaterThan":"b"}`), Managed, textSyntax},
		{"value is an object", cond(`{"StringEquals":{"a":{}}}`), Managed, textSyntax},
		{"value is null", cond(`{"StringEquals":{"a":null}}`), Managed, textSyntax},
		{"unknown operator", cond(`{"StringEqual":{"a":"b"}}`), Managed, textSyntax},
		{"case of an operator", cond(`{"stringequals":{"a":"b"}}`), Managed, textSyntax},
		{"two colons in an operator", cond(`{"ForAnyValue::StringEquals":{"a":"b"}}`), Managed, textSyntax},
		{"NullIfExists", cond(`{"NullIfExists":{"a":"true"}}`), Managed, textSyntax},
		{"bad date", cond(`{"DateLessThan":{"a":"2016-13-01"}}`), Managed, textLegacy},
		{"date too large", cond(`{"DateLessThan":{"a":"9223372036854775808"}}`), Managed, textLegacy},
		{"date with a bad hour", cond(`{"DateLessThan":{"a":"2016-12-13t2:00:00Z"}}`), Managed, textLegacy},
		{"date with a long fraction", cond(`{"DateLessThan":{"a":"2016-12-13t02:00:00.1999999999Z"}}`), Managed, textLegacy},
		{"bad date before missing action", stmt(`"Effect":"Allow","Condition":{"DateLessThan":{"a":"x"}}`), Managed, textLegacy},
		{"bad number", cond(`{"NumericEquals":{"a":"ten"}}`), Managed, textLegacy},
		{"bad bool", cond(`{"Bool":{"a":"yes"}}`), Managed, textLegacy},
		{"bad null", cond(`{"Null":{"a":"1"}}`), Managed, textLegacy},
		{"bad address", cond(`{"IpAddress":{"a":"10.0.0.0/33"}}`), Managed, textLegacy},
		{"variable in an address", cond(`{"IpAddress":{"a":"${aws:SourceIp}"}}`), Managed, textLegacy},
		{"bad base64", cond(`{"BinaryEquals":{"a":"QQ="}}`), Managed, textLegacy},
		{"principal in an identity policy", stmt(okRest + `,"Principal":"*"`), Inline, "Policy document should not specify a principal."},
		{"session policy like identity", managed(`{"Effect":"Allow","Action":"a:b"}`), Session, "Policy statement must contain resources."},
		{"trust: not JSON", `{`, Trust, textTrustSyntax},
		{"trust: resource", managed(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`), Trust, "Has prohibited field Resource"},
		{"trust: no principal", managed(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), Trust, "Missing required field Principal"},
		{"trust: other action", managed(`{"Effect":"Allow","Principal":"*","Action":"s3:Get"}`), Trust, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust: every action of STS", managed(`{"Effect":"Allow","Principal":"*","Action":"sts:*"}`), Trust, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust: NotAction", managed(`{"Effect":"Allow","Principal":"*","NotAction":"sts:AssumeRole"}`), Trust, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust: group", managed(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:group/g"},"Action":"sts:AssumeRole"}`), Trust, `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"`},
		{"trust: wildcard user", managed(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},"Action":"sts:AssumeRole"}`), Trust, `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"`},
		{"trust: kind", managed(`{"Effect":"Allow","Principal":{"User":"x"},"Action":"sts:AssumeRole"}`), Trust, textTrustSyntax},
		{"trust: nobody", managed(`{"Effect":"Allow","Principal":{"AWS":[]},"Action":"sts:AssumeRole"}`), Trust, textTrustSyntax},
		{"control character", stmt("\"Sid\":\"a\tb\"," + okRest), Managed, textSyntax},
		{"not UTF-8", stmt("\"Sid\":\"\xff\"," + okRest), Managed, textSyntax},
		{"half a surrogate pair", stmt(`"Sid":"\ud800",` + okRest), Managed, textSyntax},
		{"leading zero", cond(`{"NumericEquals":{"a":01}}`), Managed, textSyntax},
	} {
		p, err := Parse([]byte(c.text), c.kind)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: parsed %s as %v, error %v", c.name, c.text, p, err)
			continue
		}
		if syntax.Text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, syntax.Text, c.want)
		}
		if p != nil {
			t.Errorf("%s: a policy beside an error", c.name)
		}
		if syntax.TooLarge {
			t.Errorf("%s: called too large", c.name)
		}
	}
}

func TestSyntaxErrorSaysWhere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\": \"Allow\",\n    \"Action\": [\"ssm:x\", \"oops\"], \"Resource\": \"*\"}]}",
			"line 4, column 25, Statement[0].Action"},
		{"{\"Version\":\"2012-10-17\",\n \"Statement\":{\"Sid\":\"\",\"Effect\":\"Deny\",\"Action\":\"a:b\",\"Resource\":\"*\",\"Condition\":{\"Strin\":{\"x\":\"é\"}}}}",
			"line 2, column 83, Statement.Condition.Strin: there is no such operator"},
		{"{\"Id\":\"é\" x}", "line 1, column 11: a comma or '}' is expected"},
	} {
		_, err := Parse([]byte(c.text), Managed)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Fatalf("%s: error %v", c.text, err)
		}
		if got := syntax.Where(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if !strings.HasPrefix(err.Error(), syntax.Text) {
			t.Errorf("the error %q does not begin with IAM's text", err)
		}
	}
}

func TestPolicyThatIAMTakesIsParsed(t *testing.T) {
	for _, c := range []struct {
		text string
		kind Kind
	}{
		{managed(`{` + okRest + `}`), Managed},
		{`{"Version":"2012-10-17","Statement":{` + okRest + `}}`, Managed},
		{`{"Statement":{` + okRest + `}}`, Inline},
		{`{"Version":"2008-10-17","Id":"","Statement":{` + okRest + `}}`, Session},
		{managed(`{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::b","*"]}`), Managed},
		{managed(`{"Effect":"Allow","NotAction":"iam: some thing ","NotResource":"arn:aws:iam:::user/x"}`), Managed},
		{managed(`{"Effect":"Allow","Action":"service-prefix:action-name","Resource":"arn:aws:fdsasf"}`), Managed},
		{managed(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:iam::*:*"}`), Managed},
		{managed(`{` + okRest + `,"Condition":{}}`), Managed},
		{managed(`{` + okRest + `,"Condition":{"a":{}}}`), Managed},
		{managed(`{` + okRest + `,"Condition":{"DateGreaterThan":{}}}`), Managed},
		{managed(`{` + okRest + `,"Condition":{"DateGreaterThan":{"a":[]}}}`), Managed},
		{managed(`{` + okRest + `,"Condition":{"DateGreaterThan":{"a":"2016-12"},"DateLessThan":{"a":["1700000000",1700000000]}}}`), Managed},
		{managed(`{` + okRest + `,"Condition":{"ForAnyValue:StringEqualsIfExists":{"a":"b"},"NumericLessThan":{"b":[1,-2.5e3,"7"]},"Bool":{"c":true}}}`), Managed},
		{managed(`{"Sid":"",` + okRest + `},{"Sid":"",` + okRest + `}`), Managed},
		{managed(`{"Sid":"a b","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`), Resource},
		{managed(`{"Effect":"Allow","Principal":{"Service":["ssm.amazonaws.com"],"AWS":["*","arn:aws:iam::111122223333:root","AROAOPSOPSOPSOPSOPS22"],"Federated":"accounts.example.com","CanonicalUser":"x"},"Action":["sts:AssumeRole*","sts:TagSession"]}`), Trust},
		{managed(`{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:sts::111122223333:assumed-role/Ops/carol"},"Action":"sts:AssumeRole"}`), Trust},
		{"\r\n\t " + managed(`{"Sid":"\u0041\/\ud83d\ude00","Principal":"*",`+okRest+`}`), Resource},
	} {
		p, err := Parse([]byte(c.text), c.kind)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		again, err := Parse([]byte(p.String()), c.kind)
		if err != nil {
			t.Errorf("printed as %s: %v", p, err)
		} else if again.String() != p.String() {
			t.Errorf("printed as %s, then as %s", p, again)
		}
	}
}

func TestPrintIsNormal(t *testing.T) {
	p := mustParse(t, ` {"Statement": {"Resource": ["*"], "Condition": {"x": {}, "StringEquals": {"a": [true, 1.50, "<&>\"\n"], "b": []}}, "NotAction": ["a:B", "c:d"],
		"Effect": "Deny", "Sid": "S"}, "Id": "i", "Version": "2012-10-17"} `, Managed)
	want := `{"Version":"2012-10-17","Id":"i","Statement":[{"Sid":"S","Effect":"Deny","NotAction":["a:B","c:d"],"Resource":"*",` +
		`"Condition":{"StringEquals":{"a":["true","1.50","<&>\"\u000a"],"b":[]}}}]}`
	if got := p.String(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	trust := mustParse(t, managed(`{"Action":"sts:AssumeRole","Principal":{"AWS":["111122223333","*"],"Service":"x"},"Effect":"Allow"}`), Trust)
	want = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["111122223333","*"],"Service":"x"},"Action":"sts:AssumeRole"}]}`
	if got, err := trust.MarshalJSON(); err != nil || string(got) != want {
		t.Errorf("\n got %s %v\nwant %s", got, err, want)
	}
	if refs := trust.Principals(); len(refs) != 3 || refs[2] != (PrincipalRef{"Service", "x"}) {
		t.Errorf("principals %v", refs)
	}
}

func TestSizeCountsNoWhiteSpace(t *testing.T) {
	for text, want := range map[string]int{
		"":                            0,
		" { \"a b\" :\n\t[ 1 , 2 ] }": len(`{"a b":[1,2]}`),
		`{"a":" \" \\" }`:             len(`{"a":" \" \\"}`),
		`{"é":"日本"}`:                  10,
		`"open \`:                     7,
	} {
		if got := Size([]byte(text)); got != want {
			t.Errorf("%q has size %d, want %d", text, got, want)
		}
	}
	if p := mustParse(t, " "+managed(`{`+okRest+`} `), Managed); p.Size() != len(managed(`{`+okRest+`}`)) {
		t.Errorf("size %d", p.Size())
	}
}

func TestHostileSizesAreRefused(t *testing.T) {
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	for name, text := range map[string]string{
		"bytes":      managed(`{`+okRest+`}`) + strings.Repeat(" ", 32<<10),
		"depth":      strings.Repeat("[", 10_000),
		"objects":    strings.Repeat(`{"a":`, 5_000),
		"statements": managed(many(501, `{`+`"Effect":"Deny","Action":"*","Resource":"*"`+`}`)),
		"values":     managed(`{"Effect":"Deny","Resource":"*","Action":[` + many(4097, `"*"`) + `]}`),
	} {
		_, err := Parse([]byte(text), Managed)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !syntax.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := []byte(managed(many(3, `{`+okRest+`}`)))
	limits := DefaultLimits(Managed)
	limits.Statements = 2
	if _, err := ParseLimited(text, Managed, limits); err == nil {
		t.Error("three statements taken where two are the limit")
	}
	limits.Statements, limits.Bytes = 3, len(text)
	if _, err := ParseLimited(text, Managed, limits); err != nil {
		t.Errorf("a policy at its limits: %v", err)
	}
}

func TestKindsHaveNames(t *testing.T) {
	for k := Kind(0); k <= Resource+1; k++ {
		if s := fmt.Sprint(k); !strings.Contains(s, "policy") {
			t.Errorf("%d is called %q", int(k), s)
		}
	}
}
