package iam

import (
	"context"

	"sekisho/internal/awsapi"
	"sekisho/internal/policy"
	"sekisho/internal/ssm"
)

// accountOperations are the operations on the account as a whole, and on what its
// policies amount to.
func (s *Server) accountOperations() []awsapi.Operation {
	return []awsapi.Operation{
		op("GetAccountSummary", s.GetAccountSummary),
		op("GetAccountAuthorizationDetails", s.GetAccountAuthorizationDetails),
		op("SimulatePrincipalPolicy", s.SimulatePrincipalPolicy),
		op("SimulateCustomPolicy", s.SimulateCustomPolicy),
		op("GetContextKeysForPrincipalPolicy", s.GetContextKeysForPrincipalPolicy),
		op("GetContextKeysForCustomPolicy", s.GetContextKeysForCustomPolicy),
	}
}

// GetAccountSummaryOutput is the answer of iam:GetAccountSummary.
type GetAccountSummaryOutput struct{ SummaryMap map[string]int }

// GetAccountSummary counts what the account has and says what its quotas are. What does
// not exist here, such as server certificates, is counted as none.
func (s *Server) GetAccountSummary(ctx context.Context, _ *ssm.Empty) (*GetAccountSummaryOutput, error) {
	if err := s.authorize(ctx, "iam:GetAccountSummary", everything); err != nil {
		return nil, err
	}
	n, err := s.cfg.Store.IdentityCounts(ctx)
	if err != nil {
		return nil, err
	}
	return &GetAccountSummaryOutput{SummaryMap: map[string]int{
		"Users":                             n.Users,
		"UsersQuota":                        5000,
		"Groups":                            n.Groups,
		"GroupsQuota":                       300,
		"GroupsPerUserQuota":                10,
		"Roles":                             n.Roles,
		"RolesQuota":                        1000,
		"InstanceProfiles":                  n.InstanceProfiles,
		"InstanceProfilesQuota":             1000,
		"Policies":                          n.Policies,
		"PoliciesQuota":                     1500,
		"PolicyVersionsInUse":               n.PolicyVersions,
		"PolicyVersionsInUseQuota":          10000,
		"VersionsPerPolicyQuota":            5,
		"PolicySizeQuota":                   policy.QuotaManaged,
		"UserPolicySizeQuota":               policy.QuotaUserInline,
		"GroupPolicySizeQuota":              policy.QuotaGroupInline,
		"RolePolicySizeQuota":               policy.QuotaRoleInline,
		"AssumeRolePolicySizeQuota":         policy.QuotaTrust,
		"AttachedPoliciesPerUserQuota":      attachedLimit,
		"AttachedPoliciesPerGroupQuota":     attachedLimit,
		"AttachedPoliciesPerRoleQuota":      attachedLimit,
		"AccessKeysPerUserQuota":            2,
		"MFADevices":                        n.MFADevices,
		"MFADevicesInUse":                   n.MFADevicesInUse,
		"Providers":                         n.Providers,
		"AccountMFAEnabled":                 0,
		"AccountAccessKeysPresent":          0,
		"AccountPasswordPresent":            0,
		"AccountSigningCertificatesPresent": 0,
		"SigningCertificatesPerUserQuota":   2,
		"ServerCertificates":                0,
		"ServerCertificatesQuota":           20,
		"GlobalEndpointTokenVersion":        2,
	}}, nil
}
