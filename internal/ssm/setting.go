package ssm

// ActivationTierSetting is the id of the setting that says whether sessions to hybrid
// nodes are open to the account, and its values (api.md §13).
const (
	ActivationTierSetting = "/ssm/managed-instance/activation-tier"
	TierStandard          = "standard"
	TierAdvanced          = "advanced"
)

// ServiceSetting is a setting of the account.
type ServiceSetting struct {
	SettingID        string `json:"SettingId"` // the short form, however it was asked for
	SettingValue     string
	LastModifiedDate Time
	LastModifiedUser string // ARN, or "System"
	ARN              string
	Status           string // "Default" or "Customized"
}

// GetServiceSettingInput is the request of ssm:GetServiceSetting.
type GetServiceSettingInput struct {
	SettingID string `json:"SettingId" constraint:"required len=1..1000"`
}

// ServiceSettingOutput is the answer of ssm:GetServiceSetting and ResetServiceSetting.
type ServiceSettingOutput struct {
	ServiceSetting ServiceSetting
}

// UpdateServiceSettingInput is the request of ssm:UpdateServiceSetting.
type UpdateServiceSettingInput struct {
	SettingID    string `json:"SettingId" constraint:"required len=1..1000"`
	SettingValue string `constraint:"required len=1..4096"`
}

// ResetServiceSettingInput is the request of ssm:ResetServiceSetting.
type ResetServiceSettingInput struct {
	SettingID string `json:"SettingId" constraint:"required len=1..1000"`
}

// DeregisterManagedInstanceInput is the request of ssm:DeregisterManagedInstance.
type DeregisterManagedInstanceInput struct {
	InstanceID string `json:"InstanceId" constraint:"required pattern=ManagedInstanceId"`
}

// UpdateManagedInstanceRoleInput is the request of ssm:UpdateManagedInstanceRole.
type UpdateManagedInstanceRoleInput struct {
	InstanceID string `json:"InstanceId" constraint:"required pattern=ManagedInstanceId"`
	IamRole    string `constraint:"required len=1..64"`
}

// UpdateManagedInstancePublicKeyInput is signed with the node's present key
// (agent-control-plane.md §2.5).
type UpdateManagedInstancePublicKeyInput struct {
	NewPublicKey     string `constraint:"required len=392..8192"` // base64 of the PKIX DER
	NewPublicKeyType string `constraint:"required len=1..16"`
}
