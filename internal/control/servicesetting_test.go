package control

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"

	"sekisho/internal/ssm"
)

// A new account is on the standard tier, where there are no sessions on hybrid nodes.
func TestActivationTier(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.DeleteSetting(t.Context(), ssm.ActivationTierSetting, time.Now()))
	c := w.client("alice")
	node := w.node()
	w.connect(node)
	const arn = "arn:aws:ssm:local-1:123456789012:servicesetting/ssm/managed-instance/activation-tier"
	get := func(id, value, status, user string) {
		t.Helper()
		out, err := c.GetServiceSetting(t.Context(), &awsssm.GetServiceSettingInput{SettingId: &id})
		must(t, err)
		s := out.ServiceSetting
		if aws.ToString(s.SettingId) != ssm.ActivationTierSetting || aws.ToString(s.ARN) != arn || s.LastModifiedDate == nil ||
			aws.ToString(s.SettingValue) != value || aws.ToString(s.Status) != status || aws.ToString(s.LastModifiedUser) != user {
			t.Errorf("the setting is %s, %s, by %s", aws.ToString(s.SettingValue), aws.ToString(s.Status), aws.ToString(s.LastModifiedUser))
		}
	}
	refused := func() {
		t.Helper()
		_, err := c.StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
		wantAPIError(t, err, "BadRequest", "Enable advanced-instances tier to use Session Manager with your on-premises instances")
	}
	change := func(id, value string) error {
		_, err := c.UpdateServiceSetting(t.Context(), &awsssm.UpdateServiceSettingInput{SettingId: &id, SettingValue: &value})
		return err
	}
	get(ssm.ActivationTierSetting, "standard", "Default", "System")
	refused()
	must(t, change(arn, "advanced"))
	get(arn, "advanced", "Customized", "arn:aws:iam::123456789012:user/alice")
	_, err := c.StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
	must(t, err)
	must(t, change(ssm.ActivationTierSetting, "standard"))
	get(ssm.ActivationTierSetting, "standard", "Customized", "arn:aws:iam::123456789012:user/alice")
	refused()
	must(t, change(ssm.ActivationTierSetting, "advanced"))
	_, err = c.ResetServiceSetting(t.Context(), &awsssm.ResetServiceSettingInput{SettingId: aws.String(arn)})
	must(t, err)
	get(ssm.ActivationTierSetting, "standard", "Default", "System")
	refused()

	wantAPIError(t, change(ssm.ActivationTierSetting, "Advanced"), "ValidationException",
		"The value of /ssm/managed-instance/activation-tier must be one of standard, advanced.")
	const unknown = "The specified service setting wasn't found. Either the service name or the setting hasn't been provisioned by the AWS service team."
	for _, id := range []string{"/ssm/nothing", "managed-instance/activation-tier", "arn:aws:ssm:local-1:111122223333:servicesetting/ssm/managed-instance/activation-tier"} {
		wantAPIError(t, change(id, "advanced"), "ServiceSettingNotFound", unknown)
	}
	// An unknown node is not told from one of the standard tier.
	_, err = c.StartSession(t.Context(), &awsssm.StartSessionInput{Target: aws.String("mi-0ffffffffffffffff")})
	wantAPIError(t, err, "TargetNotConnected", "mi-0ffffffffffffffff is not connected.")
}

// The standard tier has room for a thousand hybrid nodes; here for three.
func TestStandardTierIsNotForManyNodes(t *testing.T) {
	const room = 3
	w := newWorld(t, func(c *Config) { c.MaxStandardNodes = room })
	in := w.activation(room)
	for range room {
		_, err := w.store.RegisterNode(t.Context(), in.ActivationID, secretHash(in.ActivationCode), storeNode(), time.Now())
		must(t, err)
	}
	_, err := w.server.ResetServiceSetting(w.as("alice"), &ssm.ResetServiceSettingInput{SettingID: ssm.ActivationTierSetting})
	must(t, err)
	more := w.activation(1)
	_, err = w.server.RegisterManagedInstance(t.Context(), &more)
	wantCode(t, err, ssm.CodeRegistrationLimitExceeded)
	wrong := more
	wrong.ActivationCode = strings.Repeat("x", 20)
	_, err = w.server.RegisterManagedInstance(t.Context(), &wrong)
	wantCode(t, err, ssm.CodeInvalidActivation) // strangers do not learn of it
	_, err = w.server.UpdateServiceSetting(w.as("alice"), &ssm.UpdateServiceSettingInput{SettingID: ssm.ActivationTierSetting, SettingValue: "advanced"})
	must(t, err)
	w.node()
	_, err = w.server.ResetServiceSetting(w.as("alice"), &ssm.ResetServiceSettingInput{SettingID: ssm.ActivationTierSetting})
	wantError(t, err, "ValidationException", "The standard-instances tier has room for 3 hybrid nodes; 4 are registered.")
}
