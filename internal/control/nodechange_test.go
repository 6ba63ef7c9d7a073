package control

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"

	"sekisho/internal/fabric"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func storeNode() store.Node {
	return store.Node{PublicKey: []byte("key"), PublicKeyType: "Rsa", Fingerprint: fingerprint}
}

// A node that is taken out is out at once: its sessions end, its credentials and key are
// good for nothing, and it is no target.
func TestDeregisterManagedInstance(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	node := w.node()
	gateway := w.connect(node)
	session := w.session("alice", node).SessionID
	next(t, gateway.asked)
	relay := w.relay(session)
	var cred ssm.RequestManagedInstanceRoleTokenOutput
	token := func() error {
		return w.nodeSigns(node).Call(t.Context(), "AmazonSSM.RequestManagedInstanceRoleToken",
			ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint}, &cred)
	}
	must(t, token())
	beat := func() error {
		return w.signs(func(r *http.Request, body []byte) error {
			sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{AccessKeyID: cred.AccessKeyID, SecretAccessKey: cred.SecretAccessKey, SessionToken: cred.SessionToken}, arns.Region, "ssm", time.Now())
			return nil
		}).Call(t.Context(), "AmazonSSM.UpdateInstanceInformation", ssm.UpdateInstanceInformationInput{InstanceID: node}, nil)
	}
	must(t, beat())

	_, err := c.DeregisterManagedInstance(t.Context(), &awsssm.DeregisterManagedInstanceInput{InstanceId: &node})
	must(t, err)
	if asked := next(t, relay); asked.Kind != fabric.SessionTerminate {
		t.Errorf("the session's gateway is asked %+v", asked)
	}
	if asked := next(t, gateway.asked); asked.Kind != fabric.NodeExpel {
		t.Errorf("the node's gateway is asked %+v", asked)
	}
	if err := beat(); err == nil {
		t.Error("the node's credentials are still good")
	}
	if err := token(); !ssm.IsCode(err, ssm.CodeAccessDenied) || !strings.Contains(err.Error(), "has been deregistered") {
		t.Errorf("the node's key gets %v", err)
	}
	_, err = c.StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
	wantAPIError(t, err, "TargetNotConnected", node+" is not connected.")
	list, err := c.DescribeInstanceInformation(t.Context(), &awsssm.DescribeInstanceInformationInput{})
	must(t, err)
	if len(list.InstanceInformationList) != 0 {
		t.Errorf("still listed: %v", list.InstanceInformationList)
	}
	_, err = c.DeregisterManagedInstance(t.Context(), &awsssm.DeregisterManagedInstanceInput{InstanceId: &node})
	wantAPIError(t, err, "InvalidInstanceId", node+" is not registered.")
}

func TestUpdateManagedInstanceRole(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	node := w.node()
	w.role("Other", "/")
	change := func(role string) error {
		_, err := c.UpdateManagedInstanceRole(t.Context(), &awsssm.UpdateManagedInstanceRoleInput{InstanceId: &node, IamRole: &role})
		return err
	}
	must(t, change("Other"))
	list, err := c.DescribeInstanceInformation(t.Context(), &awsssm.DescribeInstanceInformationInput{})
	must(t, err)
	if got := aws.ToString(list.InstanceInformationList[0].IamRole); got != "Other" {
		t.Errorf("the role is %s", got)
	}
	wantAPIError(t, change("Missing"), "ValidationException",
		"Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::123456789012:role/Missing")
}

// A node's new key counts from the answer on, and the old one no more.
func TestUpdateManagedInstancePublicKey(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	in := ssm.UpdateManagedInstancePublicKeyInput{NewPublicKey: base64.StdEncoding.EncodeToString(der), NewPublicKeyType: "Rsa"}
	withNew := w.signs(func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, sigv4.Hash(body), node, key, arns.Region, "ssm", time.Now())
	})
	const change, ask = "AmazonSSM.UpdateManagedInstancePublicKey", "AmazonSSM.RequestManagedInstanceRoleToken"
	token := ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint}
	var cred ssm.RequestManagedInstanceRoleTokenOutput

	if err := withNew.Call(t.Context(), change, in, nil); err == nil {
		t.Error("a key that is not registered replaces the one that is")
	}
	must(t, w.nodeSigns(node).Call(t.Context(), ask, token, &cred))
	must(t, w.nodeSigns(node).Call(t.Context(), change, in, nil))
	must(t, withNew.Call(t.Context(), ask, token, &cred))
	if err := w.nodeSigns(node).Call(t.Context(), ask, token, &cred); err == nil {
		t.Error("the old key is still good")
	}
	wantCode(t, withNew.Call(t.Context(), change, in, nil), "PublicKeyAlreadyRegistered")
	in.NewPublicKey = strings.Repeat("A", 400)
	wantCode(t, withNew.Call(t.Context(), change, in, nil), ssm.CodeInvalidPublicKey)
}
