package control

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// signs gives a client of our own that signs in some way.
func (w *world) signs(sign func(r *http.Request, body []byte) error) *awsapi.Client {
	return &awsapi.Client{Endpoint: w.http.URL, Sign: sign}
}

// nodeSigns gives a client that signs with a node's own key.
func (w *world) nodeSigns(id string) *awsapi.Client {
	return w.signs(func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, sigv4.Hash(body), id, nodeKey(), arns.Region, "ssm", time.Now())
	})
}

func (w *world) activation(limit int) ssm.RegisterManagedInstanceInput {
	w.t.Helper()
	made, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{
		IamRole: "service-role/NodeRole", DefaultInstanceName: "web", RegistrationLimit: &limit, Tags: []ssm.Tag{{Key: "team", Value: "ops"}},
	})
	must(w.t, err)
	return ssm.RegisterManagedInstanceInput{
		ActivationID: made.ActivationID, ActivationCode: made.ActivationCode,
		Fingerprint: fingerprint, PublicKey: publicKey(w.t), PublicKeyType: "Rsa",
	}
}

// TestANodeJoins is the story of a node: it registers without a signature, gets its
// credentials with its own key, and reports with the credentials.
func TestANodeJoins(t *testing.T) {
	w := newWorld(t)
	in := w.activation(1)
	var joined ssm.RegisterManagedInstanceOutput
	must(t, w.signs(nil).Call(t.Context(), "AmazonSSM.RegisterManagedInstance", in, &joined))
	id := joined.InstanceID
	if !ssm.IsNodeID(id) {
		t.Fatalf("node id = %q", id)
	}

	var cred ssm.RequestManagedInstanceRoleTokenOutput
	must(t, w.nodeSigns(id).Call(t.Context(), "AmazonSSM.RequestManagedInstanceRoleToken",
		ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint}, &cred))
	if left := time.Until(cred.TokenExpirationDate.Time); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the credentials are good for %v", left)
	}
	if !strings.HasPrefix(cred.AccessKeyID, "ASIA") || len(cred.AccessKeyID) != 20 || len(cred.SecretAccessKey) != 40 || cred.SessionToken == "" || cred.UpdateKeyPair {
		t.Errorf("credentials of %q", cred.AccessKeyID)
	}
	if dump := w.dump(); strings.Contains(dump, cred.SecretAccessKey) || strings.Contains(dump, cred.SessionToken) || strings.Contains(dump, in.ActivationCode) {
		t.Error("a secret is in the database")
	}

	node := w.signs(func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{AccessKeyID: cred.AccessKeyID, SecretAccessKey: cred.SecretAccessKey, SessionToken: cred.SessionToken},
			arns.Region, "ssm", time.Now())
		return nil
	})
	must(t, node.Call(t.Context(), "AmazonSSM.UpdateInstanceInformation", ssm.UpdateInstanceInformationInput{
		InstanceID: id, AgentName: "amazon-ssm-agent", AgentVersion: "3.3.0.0", AgentStatus: "Active", PlatformType: "Linux",
		PlatformName: "Debian GNU/Linux", PlatformVersion: "13", ComputerName: "web1.example", IPAddress: "192.0.2.7",
	}, nil))
	// The short form keeps the rest.
	must(t, node.Call(t.Context(), "AmazonSSM.UpdateInstanceInformation", ssm.UpdateInstanceInformationInput{
		InstanceID: id, AgentName: "amazon-ssm-agent", AgentVersion: "3.4.0.0", PlatformType: "Linux"}, nil))

	out, err := w.client("alice").DescribeInstanceInformation(t.Context(), &awsssm.DescribeInstanceInformationInput{
		Filters: []types.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: []string{id}}}})
	must(t, err)
	if len(out.InstanceInformationList) != 1 {
		t.Fatalf("%d nodes", len(out.InstanceInformationList))
	}
	got := out.InstanceInformationList[0]
	if aws.ToString(got.InstanceId) != id || got.PingStatus != types.PingStatusOnline || aws.ToString(got.AgentVersion) != "3.4.0.0" ||
		got.PlatformType != types.PlatformTypeLinux || aws.ToString(got.PlatformName) != "Debian GNU/Linux" || aws.ToString(got.PlatformVersion) != "13" ||
		aws.ToString(got.ComputerName) != "web1.example" || aws.ToString(got.IPAddress) != "192.0.2.7" || aws.ToString(got.Name) != "web" ||
		aws.ToString(got.IamRole) != "service-role/NodeRole" || aws.ToString(got.ActivationId) != in.ActivationID ||
		got.ResourceType != types.ResourceTypeManagedInstance || time.Since(*got.RegistrationDate) > time.Minute || time.Since(*got.LastPingDateTime) > time.Minute {
		t.Errorf("node = %+v", got)
	}

	err = node.Call(t.Context(), "AmazonSSM.UpdateInstanceInformation", ssm.UpdateInstanceInformationInput{InstanceID: "mi-0ffffffffffffffff"}, nil)
	wantCode(t, err, ssm.CodeAccessDenied)
}

func TestOnlyTheNodeReportsItsInformation(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	_, err := w.server.UpdateInstanceInformation(w.as("alice"), &ssm.UpdateInstanceInformationInput{InstanceID: node, AgentVersion: "9"})
	wantError(t, err, ssm.CodeAccessDenied, "Only the managed node itself may report its information.")
	must(t, w.store.DeregisterNode(t.Context(), node, time.Now()))
	_, err = w.server.UpdateInstanceInformation(w.asNode(node), &ssm.UpdateInstanceInformationInput{InstanceID: node})
	wantError(t, err, ssm.CodeInvalidInstanceID, node+" is not registered.")
}

func TestRegistrationRefusals(t *testing.T) {
	w := newWorld(t)
	good, used := w.activation(1), w.activation(1)
	_, err := w.server.RegisterManagedInstance(t.Context(), &used)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ecDER, err := x509.MarshalPKIXPublicKey(ec.Public())
	must(t, err)
	const notValid = "The activation isn't valid. The activation might have been deleted, or the activation ID and code do not match."
	const badKey = "The public key must be an RSA key of at least 2048 bits, in base64."
	for _, c := range []struct {
		name          string
		change        func(*ssm.RegisterManagedInstanceInput)
		code, message string
	}{
		{"wrong code", func(in *ssm.RegisterManagedInstanceInput) { in.ActivationCode = used.ActivationCode }, ssm.CodeInvalidActivation, notValid},
		{"unknown activation", func(in *ssm.RegisterManagedInstanceInput) { in.ActivationID = ssm.NewActivationID() }, ssm.CodeInvalidActivation, notValid},
		{"used up", func(in *ssm.RegisterManagedInstanceInput) { *in = used }, ssm.CodeRegistrationLimitExceeded, "Registration limit exceeded"},
		{"key is no base64", func(in *ssm.RegisterManagedInstanceInput) { in.PublicKey = "!" }, ssm.CodeInvalidPublicKey, badKey},
		{"key is no key", func(in *ssm.RegisterManagedInstanceInput) { in.PublicKey = "AAAA" }, ssm.CodeInvalidPublicKey, badKey},
		{"key is not RSA", func(in *ssm.RegisterManagedInstanceInput) { in.PublicKey = base64.StdEncoding.EncodeToString(ecDER) }, ssm.CodeInvalidPublicKey, badKey},
		{"key of another type", func(in *ssm.RegisterManagedInstanceInput) { in.PublicKeyType = "Ecdsa" }, ssm.CodeInvalidPublicKey, badKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := good
			c.change(&in)
			before := w.dump()
			_, err := w.server.RegisterManagedInstance(t.Context(), &in)
			wantError(t, err, c.code, c.message)
			if w.dump() != before {
				t.Error("the database has changed")
			}
		})
	}
	w.ahead.Store(int64(25 * time.Hour))
	_, err = w.server.RegisterManagedInstance(t.Context(), &good)
	wantError(t, err, ssm.CodeActivationExpired, "The activation has expired")
	w.ahead.Store(0)
	_, err = w.server.RegisterManagedInstance(t.Context(), &good)
	must(t, err)
}

func TestGuessingCodesIsThrottled(t *testing.T) {
	w := newWorld(t)
	good := w.activation(maxFailures)
	wrong := good
	wrong.ActivationCode = strings.Repeat("x", 20)
	register := func(in ssm.RegisterManagedInstanceInput) error {
		return w.signs(nil).Call(t.Context(), "AmazonSSM.RegisterManagedInstance", in, nil)
	}
	for range maxFailures - 1 {
		wantCode(t, register(wrong), ssm.CodeInvalidActivation)
		must(t, register(good)) // successes do not count
	}
	wantCode(t, register(wrong), ssm.CodeInvalidActivation)
	wantError(t, register(wrong), ssm.CodeThrottling, "Rate exceeded")
	wantCode(t, register(good), ssm.CodeThrottling)
	w.ahead.Store(int64(failureWindow))
	must(t, register(good))
}

func TestFailuresAreCountedPerAddress(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newFailureLimiter(func() time.Time { return now })
	exhaust := func(address string) {
		t.Helper()
		for range maxFailures {
			if _, ok := l.begin(address); !ok {
				t.Fatalf("%s is refused too early", address)
			}
		}
		if _, ok := l.begin(address); ok {
			t.Fatalf("%s is not refused", address)
		}
	}
	exhaust("192.0.2.1")
	exhaust("192.0.2.2")
	if _, ok := l.begin("::ffff:192.0.2.1"); ok {
		t.Error("the same address in IPv6 form is another")
	}
	exhaust("2001:db8::1")
	if _, ok := l.begin("2001:db8::ffff"); ok {
		t.Error("the same /64 is another source")
	}
	if _, ok := l.begin("2001:db8:0:1::1"); !ok {
		t.Error("another /64 is the same source")
	}
	now = now.Add(failureWindow)
	succeed, ok := l.begin("192.0.2.1")
	if !ok {
		t.Fatal("refused in the next window")
	}
	now = now.Add(failureWindow)
	exhaust("192.0.2.1")
	succeed() // of a window that is over: changes nothing
	if _, ok := l.begin("192.0.2.1"); ok {
		t.Error("a success of the last window counts in this one")
	}
}

func TestTheFailureLimiterIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newFailureLimiter(func() time.Time { return now })
	refused := 0
	for i := range maxFailureSource + 100 {
		if _, ok := l.begin(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)); !ok {
			refused++
		}
	}
	if len(l.counts) > maxFailureSource+1 {
		t.Errorf("%d addresses are remembered", len(l.counts))
	}
	if refused != 100-maxFailures {
		t.Errorf("%d of 100 strangers are refused, want all but %d", refused, maxFailures)
	}
	if _, ok := l.begin("10.0.0.1"); !ok {
		t.Error("a known address is refused with the strangers")
	}
}

func TestConcurrentAttemptsDoNotPassTheLimitTogether(t *testing.T) {
	l := newFailureLimiter(time.Now)
	l.start = time.Now()
	var wait sync.WaitGroup
	admitted := make(chan bool, 4*maxFailures)
	for range cap(admitted) {
		wait.Go(func() {
			_, ok := l.begin("192.0.2.1")
			admitted <- ok
		})
	}
	wait.Wait()
	close(admitted)
	n := 0
	for ok := range admitted {
		if ok {
			n++
		}
	}
	if n != maxFailures {
		t.Errorf("%d attempts are admitted, want %d", n, maxFailures)
	}
}

func TestRoleTokenRefusals(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	ask := func(c *awsapi.Client, print string) error {
		return c.Call(t.Context(), "AmazonSSM.RequestManagedInstanceRoleToken", ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: print}, nil)
	}
	wantError(t, apiError(ask(w.nodeSigns(node), "another")), ssm.CodeFingerprintDoesNotMatch,
		"The machine's fingerprint is not the one that it registered with. Register it again.")
	wantCode(t, ask(w.nodeSigns("mi-0ffffffffffffffff"), fingerprint), "InvalidSignatureException")
	wantCode(t, ask(w.signs(nil), fingerprint), "MissingAuthenticationTokenException")
	user := w.signs(func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{AccessKeyID: accessKeyID("alice"), SecretAccessKey: "alice's secret"}, arns.Region, "ssm", time.Now())
		return nil
	})
	wantCode(t, ask(user, fingerprint), "UnrecognizedClientException")
	const row = "temporary_credentials:"
	if strings.Contains(w.dump(), row) {
		t.Error("a refused call made credentials")
	}
	must(t, ask(w.nodeSigns(node), fingerprint))
	if !strings.Contains(w.dump(), row) {
		t.Error("no credentials are stored")
	}

	// Called otherwise than through the API, a user has no node.
	_, err := w.server.RequestManagedInstanceRoleToken(w.as("alice"), &ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint})
	wantCode(t, err, ssm.CodeInvalidInstanceID)
}

// apiError drops what the client says about the call, and the status.
func apiError(err error) error {
	for err != nil {
		if e, ok := err.(*ssm.Error); ok {
			return &ssm.Error{Code: e.Code, Message: e.Message}
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
	return nil
}

func TestDescribeInstanceInformationFilters(t *testing.T) {
	w := newWorld(t)
	a, b := w.node(ssm.Tag{Key: "team", Value: "ops"}, ssm.Tag{Key: "env", Value: "prod"}), w.node(ssm.Tag{Key: "team", Value: "dev"})
	silent := w.node()
	report := func(id, version, platform string, at time.Time) {
		must(t, w.store.UpdateNodeInformation(t.Context(), id, store.NodeInformation{AgentVersion: version, PlatformType: platform}, at))
	}
	report(a, "3.4.0.0", "Linux", time.Now())
	report(b, "3.3.0.0", "Windows", time.Now().Add(-time.Hour))
	gone := w.node()
	must(t, w.store.DeregisterNode(t.Context(), gone, time.Now()))
	row, err := w.store.Node(t.Context(), b)
	must(t, err)
	name := map[string]string{a: "a", b: "b", silent: "silent", gone: "gone"}

	type filters = []ssm.InstanceInformationStringFilter
	f := func(key string, values ...string) ssm.InstanceInformationStringFilter {
		return ssm.InstanceInformationStringFilter{Key: key, Values: values}
	}
	for _, c := range []struct {
		filters filters
		want    string
	}{
		{nil, "a b silent"},
		{filters{f("InstanceIds", a, b)}, "a b"},
		{filters{f("InstanceIds", "mi-0ffffffffffffffff")}, ""},
		{filters{f("InstanceIds", gone)}, ""},
		{filters{f("AgentVersion", "3.4.0.0")}, "a"},
		{filters{f("PlatformTypes", "Windows", "MacOS")}, "b"},
		{filters{f("ActivationIds", row.ActivationID)}, "b"},
		{filters{f("IamRole", "service-role/NodeRole")}, "a b silent"},
		{filters{f("IamRole", "Other")}, ""},
		{filters{f("PingStatus", "Online")}, "a"},
		{filters{f("PingStatus", "ConnectionLost")}, "b silent"},
		{filters{f("PingStatus", "ConnectionLost", "Online")}, "a b silent"},
		{filters{f("PingStatus", "Inactive")}, "gone"},
		{filters{f("ResourceType", "ManagedInstance")}, "a b silent"},
		{filters{f("ResourceType", "EC2Instance")}, ""},
		{filters{f("AssociationStatus", "Success")}, ""},
		{filters{f("tag-key", "env")}, "a"},
		{filters{f("tag:team", "ops", "none")}, "a"},
		{filters{f("tag:team", "dev"), f("PlatformTypes", "Linux")}, ""},
		{filters{f("tag:team", "dev"), f("tag:team", "ops")}, "a b"},
	} {
		out, err := w.server.DescribeInstanceInformation(w.as("alice"), &ssm.DescribeInstanceInformationInput{Filters: c.filters})
		must(t, err)
		found, want := map[string]bool{}, map[string]bool{}
		for _, n := range out.InstanceInformationList {
			found[name[n.InstanceID]] = true
			want := map[string]string{a: ssm.PingOnline, gone: ssm.PingInactive}[n.InstanceID]
			if want == "" {
				want = ssm.PingConnectionLost
			}
			if n.PingStatus != want {
				t.Errorf("%s is %s", name[n.InstanceID], n.PingStatus)
			}
		}
		for _, n := range strings.Fields(c.want) {
			want[n] = true
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.filters, diff)
		}
	}

	old := []ssm.InstanceInformationFilter{{Key: "PlatformTypes", ValueSet: []string{"Windows"}}}
	out, err := w.server.DescribeInstanceInformation(w.as("alice"), &ssm.DescribeInstanceInformationInput{InstanceInformationFilterList: old})
	must(t, err)
	if len(out.InstanceInformationList) != 1 || out.InstanceInformationList[0].InstanceID != b {
		t.Errorf("by the older filter: %+v", out.InstanceInformationList)
	}

	for _, c := range []struct {
		in            ssm.DescribeInstanceInformationInput
		code, message string
	}{
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("Colour", "red")}}, ssm.CodeInvalidFilterKey, ""},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("tag:", "red")}}, ssm.CodeInvalidFilterKey, ""},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("PingStatus", "up")}}, ssm.CodeInvalidInstanceFilter, "The specified filter value isn't valid."},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("PlatformTypes", "BeOS")}}, ssm.CodeInvalidInstanceFilter, "The specified filter value isn't valid."},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("ResourceType", "Toaster")}}, ssm.CodeInvalidInstanceFilter, "The specified filter value isn't valid."},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("InstanceIds", a, "web1")}}, ssm.CodeInvalidInstanceID, "An instance ID is not of the form mi-0123456789abcdef0."},
		{ssm.DescribeInstanceInformationInput{Filters: filters{f("IamRole", "R")}, InstanceInformationFilterList: old}, ssm.CodeValidation,
			"Filters and InstanceInformationFilterList cannot be used together."},
	} {
		_, err := w.server.DescribeInstanceInformation(w.as("alice"), &c.in)
		wantError(t, err, c.code, c.message)
	}
}

func TestNodesComeInPages(t *testing.T) {
	w := newWorld(t)
	in := w.activation(7)
	for range 7 {
		_, err := w.server.RegisterManagedInstance(t.Context(), &in)
		must(t, err)
	}
	seen := make(map[string]bool)
	pages := awsssm.NewDescribeInstanceInformationPaginator(w.client("alice"), &awsssm.DescribeInstanceInformationInput{MaxResults: aws.Int32(5),
		Filters: []types.InstanceInformationStringFilter{{Key: aws.String("tag:team"), Values: []string{"ops"}}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, n := range page.InstanceInformationList {
			seen[aws.ToString(n.InstanceId)] = true
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d nodes in all pages, want 7", len(seen))
	}
}

func TestGetConnectionStatus(t *testing.T) {
	w := newWorld(t)
	up, down, gone := w.node(), w.node(), w.node()
	w.connect(up)
	w.connect(gone)
	must(t, w.store.DeregisterNode(t.Context(), gone, time.Now()))
	for target, want := range map[string]string{
		up: "connected", down: "notconnected", gone: "notconnected", "mi-0ffffffffffffffff": "notconnected", "i-0123456789abcdef0": "notconnected", "x": "notconnected",
	} {
		out, err := w.client("alice").GetConnectionStatus(t.Context(), &awsssm.GetConnectionStatusInput{Target: &target})
		must(t, err)
		if string(out.Status) != want || aws.ToString(out.Target) != target {
			t.Errorf("%s is %s, want %s", target, out.Status, want)
		}
	}
	w.ahead.Store(int64(time.Hour)) // the gateway's lease has run out
	out, err := w.server.GetConnectionStatus(w.as("alice"), &ssm.GetConnectionStatusInput{Target: up})
	must(t, err)
	if out.Status != "notconnected" {
		t.Errorf("after the lease: %s", out.Status)
	}
}

// TestAStockAgentsQuestionsAreAnswered holds the bytes: a stock agent reads lists that
// are empty, and not absent.
func TestAStockAgentsQuestionsAreAnswered(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.PollHold = time.Nanosecond })
	node := w.node()
	var cred ssm.RequestManagedInstanceRoleTokenOutput
	must(t, w.nodeSigns(node).Call(t.Context(), "AmazonSSM.RequestManagedInstanceRoleToken",
		ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint}, &cred))
	for _, c := range []struct{ service, target, in, want string }{
		{"ssm", "AmazonSSM.ListInstanceAssociations", `{"InstanceId":"` + node + `","MaxResults":20}`, `{"Associations":[]}`},
		{"ssm", "AmazonSSM.ListAssociations", `{"AssociationFilterList":[{"key":"InstanceId","value":"` + node + `"}],"MaxResults":1}`, `{"Associations":[]}`},
		{"ec2messages", "EC2WindowsMessageDeliveryService.GetMessages",
			`{"Destination":"` + node + `","MessagesRequestId":"0b1","VisibilityTimeoutInSeconds":10}`,
			`{"Destination":"` + node + `","Messages":[],"MessagesRequestId":"0b1"}`},
	} {
		r, err := http.NewRequest(http.MethodPost, w.http.URL, strings.NewReader(c.in))
		must(t, err)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", c.target)
		sigv4.Sign(r, sigv4.Hash([]byte(c.in)), sigv4.Credentials{AccessKeyID: cred.AccessKeyID, SecretAccessKey: cred.SecretAccessKey, SessionToken: cred.SessionToken},
			arns.Region, c.service, time.Now())
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		text, err := io.ReadAll(answer.Body)
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != http.StatusOK || string(bytes.TrimSpace(text)) != c.want {
			t.Errorf("%s: %d %s, want %s", c.target, answer.StatusCode, text, c.want)
		}
	}
}

func TestAPollEndsWithTheServerOrItsClient(t *testing.T) {
	const never = 1000 * time.Hour
	for name, end := range map[string]func(s *Server, cancel func()){
		"server": func(s *Server, _ func()) { s.Close(); s.Close() },
		"client": func(_ *Server, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.PollHold = never })
			node := w.node()
			ctx, cancel := context.WithCancel(w.asNode(node))
			defer cancel()
			done := make(chan *GetMessagesOutput, 1)
			go func() {
				out, err := w.server.GetMessages(ctx, &GetMessagesInput{Destination: node})
				// A client may go before its poll is held.
				if err != nil && !(name == "client" && errors.Is(err, context.Canceled)) {
					t.Error(err)
				}
				if err != nil {
					out = &GetMessagesOutput{Destination: node}
				}
				done <- out
			}()
			select {
			case <-done:
				t.Fatal("the poll was not held")
			default:
			}
			end(w.server, cancel)
			if out := <-done; out == nil || out.Destination != node || len(out.Messages) != 0 {
				t.Errorf("answer = %+v", out)
			}
		})
	}
}

func TestANodePollsForItselfOnly(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.PollHold = time.Nanosecond })
	_, err := w.server.GetMessages(w.asNode("mi-0123456789abcdef0"), &GetMessagesInput{Destination: "mi-0ffffffffffffffff"})
	wantCode(t, err, ssm.CodeAccessDenied)
	_, err = w.server.ListInstanceAssociations(w.asNode("mi-0123456789abcdef0"), &ListInstanceAssociationsInput{InstanceID: "mi-0ffffffffffffffff"})
	wantCode(t, err, ssm.CodeAccessDenied)
}
