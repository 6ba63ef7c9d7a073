package control

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// serviceRoleSetting names the role that EC2 instances get. There are none here; it is
// stored for tools that set it.
const serviceRoleSetting = "/ssm/managed-instance/default-ec2-instance-management-role"

// settingDefault is a setting as it is before anybody changes it.
type settingDefault struct {
	value  string
	values []string // that it may have; nil means any
}

// settings are the service settings that exist (api.md §13). Only the activation tier has
// an effect here.
var settings = map[string]settingDefault{
	ssm.ActivationTierSetting:                          {ssm.TierStandard, []string{ssm.TierStandard, ssm.TierAdvanced}},
	serviceRoleSetting:                                 {"$None", nil},
	"/ssm/documents/console/public-sharing-permission": {"Enable", []string{"Enable", "Disable"}},
	"/ssm/parameter-store/default-parameter-tier":      {"Standard", []string{"Standard", "Advanced", "Intelligent-Tiering"}},
	"/ssm/parameter-store/high-throughput-enabled":     {"false", []string{"true", "false"}},
	"/ssm/automation/customer-script-log-destination":  {"", nil},
	"/ssm/automation/customer-script-log-group-name":   {"", nil},
	"/ssm/automation/enable-adaptive-concurrency":      {"", nil},
	"/ssm/opsinsights/opscenter":                       {"Disabled", nil},
	"/ssm/appmanager/appmanager-enabled":               {"False", nil},
}

// checkTier refuses sessions to hybrid nodes, the only ones there are, while the account
// is on the standard tier.
func (s *Server) checkTier(ctx context.Context) error {
	tier, err := s.setting(ctx, ssm.ActivationTierSetting)
	if err != nil {
		return err
	}
	if tier.SettingValue != ssm.TierAdvanced {
		return ssm.Errorf("BadRequest", "Enable advanced-instances tier to use Session Manager with your on-premises instances")
	}
	return nil
}

// checkRoom refuses another node when the standard tier has room for no more.
func (s *Server) checkRoom(ctx context.Context) error {
	n, err := s.cfg.Store.CountNodes(ctx)
	if err != nil || n < s.cfg.MaxStandardNodes {
		return err
	}
	tier, err := s.setting(ctx, ssm.ActivationTierSetting)
	if err == nil && tier.SettingValue != ssm.TierAdvanced {
		err = ssm.Errorf(ssm.CodeRegistrationLimitExceeded, "Registration limit exceeded: the standard-instances tier has room for %d hybrid nodes. "+
			"Change the activation tier to advanced.", s.cfg.MaxStandardNodes)
	}
	return err
}

// setting gives a setting that exists as it is.
func (s *Server) setting(ctx context.Context, id string) (ssm.ServiceSetting, error) {
	out := ssm.ServiceSetting{
		SettingID: id, SettingValue: settings[id].value, LastModifiedDate: ssm.Time{Time: builtinsSince},
		LastModifiedUser: "System", ARN: s.cfg.ARNs.ServiceSetting(id), Status: "Default",
	}
	changed, err := s.cfg.Store.Setting(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return ssm.ServiceSetting{}, err
	}
	out.SettingValue, out.Status = changed.Value, "Customized"
	out.LastModifiedDate, out.LastModifiedUser = ssm.Time{Time: changed.ModifiedAt}, changed.ModifiedBy
	return out, nil
}

// settingFor authorizes an action on the setting that is named by its id or ARN, and gives
// its id.
func (s *Server) settingFor(ctx context.Context, action, given string, more ...auth.Request) (string, error) {
	id, ok := given, true
	arn := s.cfg.ARNs.ServiceSetting(id)
	if strings.HasPrefix(given, "arn:") {
		arn = given
		id, ok = strings.CutPrefix(given, s.cfg.ARNs.ServiceSetting(""))
	}
	requests := append([]auth.Request{{Action: action, Resource: arn}}, more...)
	if err := s.cfg.Auth.Authorize(ctx, requests...); err != nil {
		return "", err
	}
	if _, known := settings[id]; !ok || !known {
		return "", ssm.Errorf("ServiceSettingNotFound", "The specified service setting wasn't found. "+
			"Either the service name or the setting hasn't been provisioned by the AWS service team.")
	}
	return id, nil
}

// GetServiceSetting gives a setting.
func (s *Server) GetServiceSetting(ctx context.Context, in *ssm.GetServiceSettingInput) (*ssm.ServiceSettingOutput, error) {
	id, err := s.settingFor(ctx, "ssm:GetServiceSetting", in.SettingID)
	if err != nil {
		return nil, err
	}
	x, err := s.setting(ctx, id)
	return &ssm.ServiceSettingOutput{ServiceSetting: x}, err
}

// UpdateServiceSetting changes a setting. The tier counts from the next session on.
func (s *Server) UpdateServiceSetting(ctx context.Context, in *ssm.UpdateServiceSettingInput) (*ssm.Empty, error) {
	var pass []auth.Request
	if strings.HasSuffix(in.SettingID, serviceRoleSetting) && in.SettingValue != settings[serviceRoleSetting].value {
		pass = []auth.Request{{Action: "iam:PassRole", Resource: s.nodeRoleARN(strings.TrimPrefix(in.SettingValue, "/")),
			Context: map[string][]string{"iam:PassedToService": {servicePrincipal}}}}
	}
	id, err := s.settingFor(ctx, "ssm:UpdateServiceSetting", in.SettingID, pass...)
	if err != nil {
		return nil, err
	}
	if values := settings[id].values; values != nil && !slices.Contains(values, in.SettingValue) {
		return nil, validation("The value of %s must be one of %s.", id, strings.Join(values, ", "))
	}
	if err := s.checkSettingChange(ctx, id, in.SettingValue); err != nil {
		return nil, err
	}
	p, _ := auth.From(ctx)
	return &ssm.Empty{}, s.cfg.Store.PutSetting(ctx, store.Setting{
		ID: id, Value: in.SettingValue, ModifiedAt: s.cfg.Now(), ModifiedBy: p.ARN,
	})
}

// ResetServiceSetting gives a setting its default back.
func (s *Server) ResetServiceSetting(ctx context.Context, in *ssm.ResetServiceSettingInput) (*ssm.ServiceSettingOutput, error) {
	id, err := s.settingFor(ctx, "ssm:ResetServiceSetting", in.SettingID)
	if err != nil {
		return nil, err
	}
	if err := s.checkSettingChange(ctx, id, settings[id].value); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.DeleteSetting(ctx, id, s.cfg.Now()); err != nil {
		return nil, err
	}
	x, err := s.setting(ctx, id)
	return &ssm.ServiceSettingOutput{ServiceSetting: x}, err
}

// checkSettingChange refuses a change that would leave more nodes than the tier has room
// for.
func (s *Server) checkSettingChange(ctx context.Context, id, value string) error {
	if id != ssm.ActivationTierSetting || value != ssm.TierStandard {
		return nil
	}
	n, err := s.cfg.Store.CountNodes(ctx)
	if err != nil {
		return err
	}
	if n > s.cfg.MaxStandardNodes {
		return validation("The standard-instances tier has room for %d hybrid nodes; %d are registered.", s.cfg.MaxStandardNodes, n)
	}
	return nil
}
