package policy

import "testing"

// TestConditionOperators asks one condition at a time: {operator: {x:key: values}} in an Allow, with the key's
// values in the request (nil: the key is absent).
func TestConditionOperators(t *testing.T) {
	type req = []string
	absent := req(nil)
	for _, c := range []struct {
		op, values string
		request    req
		want       bool
	}{
		{"StringEquals", `"a"`, req{"a"}, true},
		{"StringEquals", `"a"`, req{"A"}, false},
		{"StringEquals", `"a*"`, req{"ab"}, false},
		{"StringEquals", `"a*"`, req{"a*"}, true},
		{"StringEquals", `["a","b"]`, req{"b"}, true},
		{"StringEquals", `[]`, req{"b"}, false},
		{"StringEquals", `""`, req{""}, true},
		{"StringEquals", `"a"`, absent, false},
		{"StringEquals", `"a"`, req{}, false},
		{"StringEquals", `["x","b"]`, req{"a", "b"}, true},
		{"StringEquals", `1.50`, req{"1.5"}, false},
		{"StringEquals", `1.50`, req{"1.50"}, true},
		{"StringEquals", `true`, req{"true"}, true},
		{"StringEqualsIfExists", `"a"`, absent, true},
		{"StringEqualsIfExists", `"a"`, req{"b"}, false},
		{"StringNotEquals", `"a"`, req{"b"}, true},
		{"StringNotEquals", `["a","b"]`, req{"b"}, false},
		{"StringNotEquals", `["a","b"]`, req{"c"}, true},
		{"StringNotEquals", `[]`, req{"c"}, true},
		{"StringNotEquals", `"a"`, absent, true},
		{"StringNotEquals", `"a"`, req{"a", "b"}, true},
		{"StringNotEqualsIfExists", `"a"`, absent, true},
		{"StringNotEqualsIfExists", `"a"`, req{"a"}, false},
		{"StringEqualsIgnoreCase", `"straSSE"`, req{"STRAsse"}, true},
		{"StringEqualsIgnoreCase", `"k"`, req{"\u212a"}, true}, // the Kelvin sign folds to k
		{"StringEqualsIgnoreCase", `"ß"`, req{"ss"}, false},    // simple folding keeps lengths
		{"StringEqualsIgnoreCase", `"ab"`, req{"a"}, false},
		{"StringNotEqualsIgnoreCase", `"AB"`, req{"ab"}, false},
		{"StringNotEqualsIgnoreCase", `"AB"`, absent, true},
		{"StringLike", `"a*c?"`, req{"abbcd"}, true},
		{"StringLike", `"a*c?"`, req{"abbc"}, false},
		{"StringLike", `"A*"`, req{"ab"}, false},
		{"StringLike", `"*"`, req{""}, true},
		{"StringLike", `"?"`, req{"é"}, true},
		{"StringLike", `"??"`, req{"é"}, false},
		{"StringLike", `"*"`, absent, false},
		{"StringLike", `"a/*:b"`, req{"a/x/y:z:b"}, true},
		{"StringNotLike", `["a*","b*"]`, req{"bc"}, false},
		{"StringNotLike", `["a*","b*"]`, req{"cc"}, true},
		{"StringNotLike", `"*"`, absent, true},

		{"NumericEquals", `"10"`, req{"10.0"}, true},
		{"NumericEquals", `10`, req{"1e1"}, true},
		{"NumericEquals", `0`, req{"-0.00"}, true},
		{"NumericEquals", `"9007199254740993"`, req{"9007199254740992"}, false},
		{"NumericEquals", `"0.1"`, req{"0.10000000000000000001"}, false},
		{"NumericEquals", `1`, req{"one"}, false},
		{"NumericEquals", `1`, req{""}, false},
		{"NumericEquals", `1`, absent, false},
		{"NumericNotEquals", `1`, req{"2"}, true},
		{"NumericNotEquals", `[1,2]`, req{"2.0"}, false},
		{"NumericNotEquals", `1`, req{"one"}, true},
		{"NumericNotEquals", `1`, absent, true},
		{"NumericLessThan", `10`, req{"9.999"}, true},
		{"NumericLessThan", `10`, req{"10"}, false},
		{"NumericLessThan", `[5,10]`, req{"7"}, true},
		{"NumericLessThan", `"-1"`, req{"-2"}, true},
		{"NumericLessThan", `"-1"`, req{"0"}, false},
		{"NumericLessThan", `"1e-3"`, req{"0.0009"}, true},
		{"NumericLessThanEquals", `10`, req{"10"}, true},
		{"NumericLessThanEquals", `10`, req{"10.0000001"}, false},
		{"NumericLessThanEqualsIfExists", `10`, absent, true},
		{"NumericGreaterThan", `10`, req{"100"}, true},
		{"NumericGreaterThan", `10`, req{"10"}, false},
		{"NumericGreaterThan", `"-0.5"`, req{"-0.05"}, true},
		{"NumericGreaterThanEquals", `"0"`, req{"-1"}, false},
		{"NumericGreaterThanEquals", `3600`, req{"3600"}, true},
		{"NumericGreaterThan", `1`, req{"1e100000"}, true},
		{"NumericGreaterThan", `1`, req{"1e100001"}, false}, // beyond what is read as a number

		{"DateEquals", `"2026-01-31T00:00:00Z"`, req{"2026-01-31"}, true},
		{"DateEquals", `"2026-01-31T00:00:00Z"`, req{"2026-01-31T09:00:00+09:00"}, true},
		{"DateEquals", `"2026-01-31T00:00:00Z"`, req{"2026-01-30T19:30:00-0430"}, true},
		{"DateEquals", `"2026-01-31T00:00:00Z"`, req{"2026-01-31T00:00:00.000000001Z"}, false},
		{"DateEquals", `"1970-01-01T00:00:10Z"`, req{"10"}, true},
		{"DateEquals", `1769817600`, req{"2026-01-31t00:00z"}, true},
		{"DateEquals", `"2026-02-01"`, req{"2026-02"}, true},
		{"DateEquals", `"2026-02-28"`, req{"2026-02-30"}, false},
		{"DateEquals", `"2026-02-28"`, absent, false},
		{"DateNotEquals", `"2026-02-28"`, req{"2026-02-28"}, false},
		{"DateNotEquals", `"2026-02-28"`, req{"no date"}, true},
		{"DateNotEquals", `"2026-02-28"`, absent, true},
		{"DateLessThan", `"2026-02-28T12:00:00Z"`, req{"2026-02-28T11:59:59.9Z"}, true},
		{"DateLessThan", `"2026-02-28T12:00:00Z"`, req{"2026-02-28T12:00:00Z"}, false},
		{"DateLessThanEquals", `"2026-02-28T12:00:00Z"`, req{"2026-02-28T12:00:00Z"}, true},
		{"DateGreaterThan", `"2026-02-28"`, req{"2026-02-28T00:00:01Z"}, true},
		{"DateGreaterThan", `"2026-02-28"`, req{"2026-02-28"}, false},
		{"DateGreaterThanEquals", `"2026-02-28"`, req{"2026-02-28"}, true},
		{"DateGreaterThanIfExists", `"2026-02-28"`, absent, true},
		{"DateLessThan", `"2026-02-28"`, req{"1969-12-31T23:59:59Z"}, true},
		{"DateLessThan", `"9223372036854775807"`, req{"9223372036854775806"}, true},
		{"DateLessThan", `"2026-02-28"`, req{"-1"}, false},

		{"Bool", `"true"`, req{"TRUE"}, true},
		{"Bool", `true`, req{"true"}, true},
		{"Bool", `"False"`, req{"false"}, true},
		{"Bool", `"false"`, req{"no"}, false},
		{"Bool", `"true"`, req{"1"}, false},
		{"Bool", `["true","false"]`, req{"true"}, true},
		{"Bool", `"false"`, absent, false},
		{"BoolIfExists", `"false"`, absent, true},
		{"BoolIfExists", `"false"`, req{"true"}, false},

		{"BinaryEquals", `"QmluYXJ5"`, req{"QmluYXJ5"}, true},
		{"BinaryEquals", `"QmluYXJ5"`, req{"qmluyxj5"}, false},
		{"BinaryEquals", `"QQ=="`, req{"QR=="}, false}, // the same byte with stray bits: not canonical
		{"BinaryEquals", `"QQ=="`, req{"QQ"}, false},
		{"BinaryEquals", `""`, req{""}, true},
		{"BinaryEquals", `"QQ=="`, absent, false},
		{"BinaryEqualsIfExists", `"QQ=="`, absent, true},

		{"IpAddress", `"192.0.2.0/24"`, req{"192.0.2.255"}, true},
		{"IpAddress", `"192.0.2.0/24"`, req{"192.0.3.0"}, false},
		{"IpAddress", `"192.0.2.77/24"`, req{"192.0.2.1"}, true},
		{"IpAddress", `"192.0.2.7"`, req{"192.0.2.7"}, true},
		{"IpAddress", `"192.0.2.7"`, req{"192.0.2.8"}, false},
		{"IpAddress", `"0.0.0.0/0"`, req{"8.8.8.8"}, true},
		{"IpAddress", `"0.0.0.0/0"`, req{"2001:db8::1"}, false},
		{"IpAddress", `"192.0.2.0/24"`, req{"::ffff:192.0.2.9"}, true},
		{"IpAddress", `"::ffff:192.0.2.0/120"`, req{"192.0.2.9"}, true},
		{"IpAddress", `"2001:db8::/32"`, req{"2001:DB8:ffff::1"}, true},
		{"IpAddress", `"2001:db8::/32"`, req{"2001:db9::1"}, false},
		{"IpAddress", `"2001:db8::1"`, req{"2001:db8:0:0:0:0:0:1"}, true},
		{"IpAddress", `"fe80::1"`, req{"fe80::1%eth0"}, false},
		{"IpAddress", `"192.0.2.0/24"`, req{"192.0.2"}, false},
		{"IpAddress", `"192.0.2.0/24"`, absent, false},
		{"NotIpAddress", `["192.0.2.0/24","198.51.100.0/24"]`, req{"198.51.100.1"}, false},
		{"NotIpAddress", `["192.0.2.0/24","198.51.100.0/24"]`, req{"203.0.113.1"}, true},
		{"NotIpAddress", `"192.0.2.0/24"`, req{"2001:db8::1"}, true},
		{"NotIpAddress", `"192.0.2.0/24"`, req{"garbage"}, true},
		{"NotIpAddress", `"192.0.2.0/24"`, absent, true},

		{"ArnEquals", `"arn:aws:iam::111122223333:user/*"`, req{aliceARN}, true},
		{"ArnLike", `"arn:aws:iam::111122223333:user/*"`, req{aliceARN}, true},
		{"ArnLike", `"arn:aws:iam::*:user/alic?"`, req{aliceARN}, true},
		{"ArnLike", `"arn:aws:*:user/alice"`, req{aliceARN}, false}, // a star does not cross a segment
		{"ArnLike", `"arn:aws:iam::111122223333:*"`, req{"arn:aws:iam::111122223333:user/a:b/c"}, true},
		{"ArnLike", `"arn:aws:IAM::111122223333:*"`, req{aliceARN}, false},
		{"ArnLike", `"*"`, req{aliceARN}, false},
		{"ArnLike", `"*:*:*:*:*:*"`, req{aliceARN}, true},
		{"ArnLike", `"*:*:*:*:*:*"`, req{"a:b:c:d:e:f"}, false},
		{"ArnLike", `"arn:*:*:*:*:*"`, req{"arn:aws:iam"}, false},
		{"ArnLike", `"arn:*:*:*:*:*"`, absent, false},
		{"ArnNotLike", `"arn:aws:iam::111122223333:user/*"`, req{aliceARN}, false},
		{"ArnNotEquals", `"arn:aws:iam::111122223333:role/*"`, req{aliceARN}, true},
		{"ArnNotEquals", `"arn:aws:iam::111122223333:role/*"`, req{"text"}, true},
		{"ArnNotLike", `"arn:aws:iam::111122223333:user/*"`, absent, true},
		{"ArnLikeIfExists", `"arn:aws:iam::111122223333:user/*"`, absent, true},

		{"Null", `"true"`, absent, true},
		{"Null", `"true"`, req{}, true},
		{"Null", `"true"`, req{""}, false},
		{"Null", `"false"`, req{"x"}, true},
		{"Null", `false`, absent, false},
		{"Null", `["true","false"]`, absent, true},
		{"Null", `[]`, absent, false},

		{"ForAllValues:StringEquals", `["a","b"]`, req{"a", "b", "a"}, true},
		{"ForAllValues:StringEquals", `["a","b"]`, req{"a", "c"}, false},
		{"ForAllValues:StringEquals", `["a","b"]`, absent, true},
		{"ForAllValues:StringEquals", `[]`, absent, true},
		{"ForAllValues:StringEquals", `[]`, req{"a"}, false},
		{"ForAllValues:StringLike", `"a*"`, req{"ab", "a"}, true},
		{"ForAllValues:StringNotEquals", `["a","b"]`, req{"c", "d"}, true},
		{"ForAllValues:StringNotEquals", `["a","b"]`, req{"c", "a"}, false},
		{"ForAllValues:StringNotEquals", `"a"`, absent, true},
		{"ForAnyValue:StringEquals", `["a","b"]`, req{"x", "b"}, true},
		{"ForAnyValue:StringEquals", `["a","b"]`, req{"x", "y"}, false},
		{"ForAnyValue:StringEquals", `["a","b"]`, absent, false},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, req{"a", "c"}, true},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, req{"a", "b"}, false},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, absent, false},
		{"ForAnyValue:StringEqualsIfExists", `"a"`, absent, true},
		{"ForAnyValue:StringEqualsIfExists", `"a"`, req{"b"}, false},
		{"ForAllValues:NumericLessThan", `5`, req{"1", "4"}, true},
		{"ForAllValues:NumericLessThan", `5`, req{"1", "x"}, false},
		{"ForAnyValue:IpAddress", `"10.0.0.0/8"`, req{"192.0.2.1", "10.1.1.1"}, true},
		{"ForAnyValue:Bool", `"true"`, req{"false", "true"}, true},
		{"ForAllValues:ArnLike", `"arn:aws:iam::*:user/*"`, req{aliceARN, "x"}, false},
		{"ForAnyValue:Null", `"true"`, absent, true},
	} {
		text := managed(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"` + c.op + `":{"x:Key":` + c.values + `}}}`)
		d := decide(t, "a:b", "*", Context{"X:KEY": c.request}, text)
		if d.Allowed != c.want {
			t.Errorf("%s %s with %q: allowed %v, want %v", c.op, c.values, c.request, d.Allowed, c.want)
		}
	}
}

func TestConditionsAreAnded(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{
		"StringEquals":{"x:a":"1","x:b":["2","3"]},"Bool":{"x:c":"true"}}}`)
	for _, c := range []struct {
		a, b, c string
		want    bool
	}{{"1", "2", "true", true}, {"1", "3", "true", true}, {"1", "1", "true", false}, {"2", "2", "true", false}, {"1", "2", "false", false}} {
		d := decide(t, "a:b", "*", Context{"x:a": {c.a}, "x:b": {c.b}, "x:c": {c.c}}, text)
		if d.Allowed != c.want {
			t.Errorf("%+v: allowed %v", c, d.Allowed)
		}
	}
}

func TestTimeKeysComeFromNow(t *testing.T) {
	text := func(cond string) string {
		return managed(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{` + cond + `}}`)
	}
	for cond, want := range map[string]bool{
		`"DateEquals":{"aws:CurrentTime":"2026-03-04T05:06:07Z"}`:                                            true,
		`"DateGreaterThan":{"aws:currenttime":"2026-03-04T05:06:07Z"}`:                                       false,
		`"NumericEquals":{"aws:EpochTime":"1772600767"}`:                                                     true,
		`"DateEquals":{"aws:EpochTime":"2026-03-04T14:06:07+09:00"}`:                                         true,
		`"StringLike":{"aws:CurrentTime":"2026-03-04*"},"Null":{"aws:epochtime":"false"}`:                    true,
		`"DateLessThan":{"aws:CurrentTime":"2027-01-01"},"DateGreaterThan":{"aws:CurrentTime":"2026-03-05"}`: false,
	} {
		if d := decide(t, "a:b", "*", nil, text(cond)); d.Allowed != want {
			t.Errorf("%s: allowed %v", cond, d.Allowed)
		}
	}
	if d := decide(t, "a:b", "*", Context{"aws:CurrentTime": {"2001-01-01"}}, text(`"DateLessThan":{"aws:CurrentTime":"2002-01-01"}`)); !d.Allowed {
		t.Error("the context's own aws:CurrentTime does not count")
	}
}

func TestContextNamesFold(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"AWS:resourcetag/CostCentre":"x"}}}`)
	if d := decide(t, "a:b", "*", Context{"aws:ResourceTag/costcentre": {"x"}}, text); !d.Allowed {
		t.Error("tag keys are compared with their case")
	}
	if d := decide(t, "a:b", "*", Context{"aws:ResourceTag/costcentre": {"X"}}, text); d.Allowed {
		t.Error("tag values are compared without their case")
	}
	c := Context{"A": {"1"}, "a": {"2"}, "b": nil}
	f := c.Fold()
	if len(f) != 2 || !equalStrings(f["a"], []string{"1", "2"}) || len(c["A"]) != 1 {
		t.Errorf("folded to %v, left %v", f, c)
	}
}
