package control

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

func TestActivationIsListedWithoutItsCode(t *testing.T) {
	w := newWorld(t)
	client := w.client("alice")
	expires := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	made, err := client.CreateActivation(t.Context(), &awsssm.CreateActivationInput{
		IamRole: aws.String("service-role/NodeRole"), Description: aws.String("the web servers"), DefaultInstanceName: aws.String("web"),
		RegistrationLimit: aws.Int32(7), ExpirationDate: &expires, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("ops")}},
	})
	must(t, err)
	code := aws.ToString(made.ActivationCode)
	if len(code) < 20 || len(code) > 250 {
		t.Errorf("the code has %d characters", len(code))
	}
	out, err := client.DescribeActivations(t.Context(), &awsssm.DescribeActivationsInput{})
	must(t, err)
	if len(out.ActivationList) != 1 {
		t.Fatalf("%d activations", len(out.ActivationList))
	}
	a := out.ActivationList[0]
	if aws.ToString(a.ActivationId) != aws.ToString(made.ActivationId) || aws.ToString(a.IamRole) != "service-role/NodeRole" ||
		aws.ToString(a.Description) != "the web servers" || aws.ToString(a.DefaultInstanceName) != "web" ||
		aws.ToInt32(a.RegistrationLimit) != 7 || aws.ToInt32(a.RegistrationsCount) != 0 || a.Expired ||
		!a.ExpirationDate.Equal(expires) || time.Since(*a.CreatedDate) > time.Minute ||
		len(a.Tags) != 1 || aws.ToString(a.Tags[0].Key) != "team" || aws.ToString(a.Tags[0].Value) != "ops" {
		t.Errorf("activation = %+v", a)
	}
	if strings.Contains(w.dump(), code) {
		t.Error("the code is in the database")
	}
	if got := w.audited(); !slices.Contains(got, "ssm:CreateActivation") {
		t.Errorf("audit trail = %q", got)
	}
}

func TestActivationDefaults(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: "/NodeRole"})
	must(t, err)
	list, err := w.server.DescribeActivations(w.as("alice"), &ssm.DescribeActivationsInput{})
	must(t, err)
	a := list.ActivationList[0]
	if a.RegistrationLimit != 1 || a.ExpirationDate.Sub(a.CreatedDate.Time) != 24*time.Hour || a.IamRole != "NodeRole" {
		t.Errorf("activation = %+v", a)
	}
	w.ahead.Store(int64(24 * time.Hour))
	list, err = w.server.DescribeActivations(w.as("alice"), &ssm.DescribeActivationsInput{})
	must(t, err)
	if !list.ActivationList[0].Expired {
		t.Error("not expired after a day")
	}
}

func TestCreateActivationRefusals(t *testing.T) {
	w := newWorld(t)
	w.role("R", "/")
	before := w.dump()
	in := func(d time.Duration) *ssm.Time { return &ssm.Time{Time: time.Now().Add(d)} }
	const dates = "Expiration date must be in the future and at most 30 days ahead."
	tags := make([]ssm.Tag, 51)
	for i := range tags {
		tags[i].Key = strings.Repeat("k", i+1)
	}
	for _, c := range []struct {
		in            ssm.CreateActivationInput
		code, message string
	}{
		{ssm.CreateActivationInput{IamRole: "R", ExpirationDate: in(-time.Second)}, ssm.CodeValidation, dates},
		{ssm.CreateActivationInput{IamRole: "R", ExpirationDate: in(30*24*time.Hour + time.Minute)}, ssm.CodeValidation, dates},
		{ssm.CreateActivationInput{IamRole: "not a role"}, ssm.CodeValidation,
			"Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::123456789012:role/not a role"},
		{ssm.CreateActivationInput{IamRole: ""}, ssm.CodeValidation,
			"Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::123456789012:role/"},
		{ssm.CreateActivationInput{IamRole: "a//b"}, ssm.CodeValidation,
			"Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::123456789012:role/a//b"},
		{ssm.CreateActivationInput{IamRole: "R", Tags: []ssm.Tag{{Key: "a"}, {Key: "a"}}}, ssm.CodeValidation, "Duplicate tag key found: a"},
		{ssm.CreateActivationInput{IamRole: "R", Tags: []ssm.Tag{{Key: "AWS:ssmmessages:session-id", Value: "x"}}}, ssm.CodeValidation,
			"Tag keys that begin with aws: are reserved: AWS:ssmmessages:session-id"},
		{ssm.CreateActivationInput{IamRole: "R", Tags: tags}, "TooManyTagsError", ""},
	} {
		_, err := w.server.CreateActivation(w.as("alice"), &c.in)
		wantError(t, err, c.code, c.message)
	}
	if w.dump() != before {
		t.Error("the database has changed")
	}
	_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: "R", ExpirationDate: in(30*24*time.Hour - time.Minute)})
	must(t, err)
}

func TestDescribeActivationsFilters(t *testing.T) {
	w := newWorld(t)
	w.role("A", "/")
	w.role("B", "/")
	ids := make(map[string]string)
	for _, a := range [][2]string{{"web", "A"}, {"web", "B"}, {"db", "B"}} {
		out, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{DefaultInstanceName: a[0], IamRole: a[1]})
		must(t, err)
		ids[a[0]+a[1]] = out.ActivationID
	}
	names := make(map[string]string)
	for name, id := range ids {
		names[id] = name
	}
	type filters = []ssm.ActivationFilter
	for _, c := range []struct {
		filters filters
		want    string
	}{
		{nil, "dbB webA webB"},
		{filters{{FilterKey: "DefaultInstanceName", FilterValues: []string{"web"}}}, "webA webB"},
		{filters{{FilterKey: "IamRole", FilterValues: []string{"B"}}, {FilterKey: "DefaultInstanceName", FilterValues: []string{"web"}}}, "webB"},
		{filters{{FilterKey: "ActivationIds", FilterValues: []string{ids["dbB"], ids["webA"], "none"}}}, "dbB webA"},
		{filters{{FilterKey: "ActivationIds", FilterValues: []string{"none"}}}, ""},
	} {
		out, err := w.server.DescribeActivations(w.as("alice"), &ssm.DescribeActivationsInput{Filters: c.filters})
		must(t, err)
		found := make(map[string]bool)
		for _, a := range out.ActivationList {
			found[names[a.ActivationID]] = true
		}
		want := make(map[string]bool)
		for _, name := range strings.Fields(c.want) {
			want[name] = true
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.filters, diff)
		}
	}
	for _, bad := range []filters{{{FilterKey: "Colour", FilterValues: []string{"red"}}}, {{FilterValues: []string{"red"}}}, {{FilterKey: "IamRole"}}} {
		_, err := w.server.DescribeActivations(w.as("alice"), &ssm.DescribeActivationsInput{Filters: bad})
		wantError(t, err, ssm.CodeInvalidFilter, "The filter name isn't valid. Verify the you entered the correct name and try again.")
	}
}

func TestActivationsComeInPages(t *testing.T) {
	w := newWorld(t)
	w.role("R", "/")
	for range 5 {
		_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: "R"})
		must(t, err)
	}
	seen := make(map[string]bool)
	pages := awsssm.NewDescribeActivationsPaginator(w.client("alice"), &awsssm.DescribeActivationsInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		if len(page.ActivationList) > 2 {
			t.Errorf("a page has %d activations", len(page.ActivationList))
		}
		for _, a := range page.ActivationList {
			seen[aws.ToString(a.ActivationId)] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d activations in all pages, want 5", len(seen))
	}
}

func TestDeleteActivationKeepsItsNodes(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	n, err := w.store.Node(t.Context(), node)
	must(t, err)
	client := w.client("alice")
	_, err = client.DeleteActivation(t.Context(), &awsssm.DeleteActivationInput{ActivationId: &n.ActivationID})
	must(t, err)
	_, err = client.DeleteActivation(t.Context(), &awsssm.DeleteActivationInput{ActivationId: &n.ActivationID})
	wantAPIError(t, err, ssm.CodeInvalidActivation,
		"The activation isn't valid. The activation might have been deleted, or the activation ID and code do not match.")
	again, err := w.store.Node(t.Context(), node)
	must(t, err)
	if !again.DeregisteredAt.IsZero() || again.ActivationID != n.ActivationID {
		t.Errorf("node = %+v", again)
	}
	_, err = client.DeleteActivation(t.Context(), &awsssm.DeleteActivationInput{ActivationId: aws.String("x")})
	if err == nil || !strings.Contains(err.Error(), "Member must satisfy regular expression pattern: ^[0-9a-f]{8}-") {
		t.Errorf("error = %v, want the validation error of the id", err)
	}
}

func TestPageTokensAreGoodForOneQuestionOnly(t *testing.T) {
	w := newWorld(t)
	s := w.server
	filters := []ssm.SessionFilter{{Key: "Target", Value: "mi-1"}}
	token, err := s.pageToken("ssm:DescribeSessions", filters, "the cursor")
	must(t, err)
	got, err := s.pageCursor("ssm:DescribeSessions", filters, token)
	must(t, err)
	if got != "the cursor" {
		t.Errorf("cursor = %q", got)
	}
	other := &Server{cfg: Config{PageTokenKey: bytes.Repeat([]byte{1}, 32)}}
	for name, ask := range map[string]func() (string, error){
		"another operation": func() (string, error) { return s.pageCursor("ssm:DescribeActivations", filters, token) },
		"other parameters":  func() (string, error) { return s.pageCursor("ssm:DescribeSessions", filters[:0], token) },
		"no token":          func() (string, error) { return s.pageCursor("ssm:DescribeSessions", filters, "x") },
		"not base64":        func() (string, error) { return s.pageCursor("ssm:DescribeSessions", filters, token+"!") },
		"cut":               func() (string, error) { return s.pageCursor("ssm:DescribeSessions", filters, token[:len(token)-4]) },
		"altered":           func() (string, error) { return s.pageCursor("ssm:DescribeSessions", filters, token+"AAAA") },
		"long": func() (string, error) {
			return s.pageCursor("ssm:DescribeSessions", filters, strings.Repeat("A", 1<<20))
		},
		"another key": func() (string, error) { return other.pageCursor("ssm:DescribeSessions", filters, token) },
	} {
		cursor, err := ask()
		if cursor != "" {
			t.Errorf("%s: cursor %q", name, cursor)
		}
		wantError(t, err, ssm.CodeInvalidNextToken, "The specified token is not valid.")
	}
	if token, err := s.pageToken("ssm:DescribeSessions", filters, ""); token != "" || err != nil {
		t.Errorf("after the last page: %q, %v", token, err)
	}
}

func TestEveryListRefusesAForeignPageToken(t *testing.T) {
	w := newWorld(t)
	ctx := w.as("alice")
	sessions, err := w.server.pageToken("ssm:DescribeSessions", []any{"Active", []ssm.SessionFilter(nil)}, "1.x")
	must(t, err)
	_, err = w.server.DescribeSessions(ctx, &ssm.DescribeSessionsInput{State: "Active", NextToken: sessions})
	must(t, err)
	_, err = w.server.DescribeSessions(ctx, &ssm.DescribeSessionsInput{State: "History", NextToken: sessions})
	wantCode(t, err, ssm.CodeInvalidNextToken)
	_, err = w.server.DescribeActivations(ctx, &ssm.DescribeActivationsInput{NextToken: sessions})
	wantCode(t, err, ssm.CodeInvalidNextToken)
	_, err = w.server.DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{NextToken: sessions})
	wantCode(t, err, ssm.CodeInvalidNextToken)
}

// FuzzPageCursor: nobody makes a token without the key, and one that was made reads back.
func FuzzPageCursor(f *testing.F) {
	s := &Server{cfg: Config{PageTokenKey: []byte("the key of this test")}}
	token, err := s.pageToken("op", []string{"a"}, "1.alice-0")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token, "1.alice-0")
	f.Add("", "")
	f.Add("AAAA", "\x00")
	f.Fuzz(func(t *testing.T, given, cursor string) {
		if got, err := s.pageCursor("op", []string{"a"}, given); err == nil && given != "" && given != token {
			t.Fatalf("%q is accepted as %q", given, got)
		}
		made, err := s.pageToken("op", []string{"a"}, cursor)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.pageCursor("op", []string{"a"}, made); len(made) <= maxPageToken && (err != nil || got != cursor) {
			t.Fatalf("cursor %q came back as %q, %v", cursor, got, err)
		}
	})
}
