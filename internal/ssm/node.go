package ssm

// Tag is a key and a value put on a resource.
type Tag struct {
	Key   string `constraint:"required len=1..128 pattern=Tag"`
	Value string `constraint:"required len=0..256 pattern=Tag"`
}

// CreateActivationInput is the request of ssm:CreateActivation.
type CreateActivationInput struct {
	Description         string `constraint:"len=0..256"`
	DefaultInstanceName string `constraint:"len=0..256 pattern=DefaultInstanceName"`
	IamRole             string `constraint:"required len=0..64"`
	RegistrationLimit   *int   `constraint:"range=1..1000000"` // AWS ends at 1000
	ExpirationDate      *Time  `constraint:""`
	Tags                []Tag  `constraint:"len=0..1000"`
}

// CreateActivationOutput is the answer of ssm:CreateActivation. The code is shown
// here and never again.
type CreateActivationOutput struct {
	ActivationID   string `json:"ActivationId"`
	ActivationCode string
}

// DescribeActivationsInput is the request of ssm:DescribeActivations.
type DescribeActivationsInput struct {
	Filters    []ActivationFilter `constraint:""`
	MaxResults *int               `constraint:"range=1..50"`
	NextToken  string             `constraint:""`
}

// ActivationFilter is one filter of ssm:DescribeActivations.
type ActivationFilter struct {
	FilterKey    string   `constraint:"enum=DescribeActivationsFilterKeys"`
	FilterValues []string `constraint:""`
}

// Activation describes a hybrid activation. It never carries the code.
type Activation struct {
	ActivationID        string `json:"ActivationId"`
	Description         string `json:",omitempty"`
	DefaultInstanceName string `json:",omitempty"`
	IamRole             string
	RegistrationLimit   int
	RegistrationsCount  int
	ExpirationDate      *Time
	Expired             bool
	CreatedDate         *Time
	Tags                []Tag `json:",omitempty"`
}

// DescribeActivationsOutput is the answer of ssm:DescribeActivations.
type DescribeActivationsOutput struct {
	ActivationList []Activation
	NextToken      string `json:",omitempty"`
}

// DeleteActivationInput is the request of ssm:DeleteActivation.
type DeleteActivationInput struct {
	ActivationID string `json:"ActivationId" constraint:"required pattern=ActivationId"`
}

// RegisterManagedInstanceInput is the unsigned request by which a node joins
// (agent-control-plane.md §1.2).
type RegisterManagedInstanceInput struct {
	ActivationCode string `constraint:"required len=20..250"`
	ActivationID   string `json:"ActivationId" constraint:"required pattern=ActivationId"`
	Fingerprint    string `constraint:"required len=1..256"`
	PublicKey      string `constraint:"required len=392..8192"` // base64 of the PKIX DER
	PublicKeyType  string `constraint:"required len=1..16"`
}

// RegisterManagedInstanceOutput is the answer of ssm:RegisterManagedInstance.
type RegisterManagedInstanceOutput struct {
	InstanceID string `json:"InstanceId"`
}

// RequestManagedInstanceRoleTokenInput is signed with the node's own key.
type RequestManagedInstanceRoleTokenInput struct {
	Fingerprint string `constraint:"required len=1..256"`
}

// RequestManagedInstanceRoleTokenOutput carries a node's temporary credentials. The
// stock agent dereferences all five members without a check, so none may be absent
// (agent-control-plane.md §2.3).
type RequestManagedInstanceRoleTokenOutput struct {
	AccessKeyID         string `json:"AccessKeyId"`
	SecretAccessKey     string
	SessionToken        string
	TokenExpirationDate Time
	UpdateKeyPair       bool
}

// UpdateInstanceInformationInput is a node's heartbeat. The stock agent's short form
// leaves the platform facts out; stored values then stay.
type UpdateInstanceInformationInput struct {
	InstanceID           string `json:"InstanceId" constraint:"required len=1..124"`
	AgentName            string `constraint:"len=0..256"`
	AgentStatus          string `constraint:"len=0..64"`
	AgentVersion         string `constraint:"len=0..64"`
	AvailabilityZone     string `constraint:"len=0..64"`
	AvailabilityZoneID   string `json:"AvailabilityZoneId" constraint:"len=0..64"`
	ComputerName         string `constraint:"len=0..255"`
	IPAddress            string `constraint:"len=0..46"`
	PlatformName         string `constraint:"len=0..120"`
	PlatformType         string `constraint:"enum=PlatformType"`
	PlatformVersion      string `constraint:"len=0..120"`
	SSMConnectionChannel string `constraint:"len=0..64"`
}

// Empty is the answer of operations that answer "{}".
type Empty struct{}

// DescribeInstanceInformationInput is the request of ssm:DescribeInstanceInformation.
type DescribeInstanceInformationInput struct {
	Filters                       []InstanceInformationStringFilter `constraint:""`
	InstanceInformationFilterList []InstanceInformationFilter       `constraint:""`
	MaxResults                    *int                              `constraint:"range=5..50"`
	NextToken                     string                            `constraint:""`
}

// InstanceInformationStringFilter is the newer filter form.
type InstanceInformationStringFilter struct {
	Key    string   `constraint:"required len=1..1000"`
	Values []string `constraint:"required len=1..100"`
}

// InstanceInformationFilter is the older filter form; its wire names are lower case.
type InstanceInformationFilter struct {
	Key      string   `json:"key" constraint:"required enum=InstanceInformationFilterKey"`
	ValueSet []string `json:"valueSet" constraint:"required len=1..100"`
}

// Values of InstanceInformation.PingStatus.
const (
	PingOnline         = "Online"
	PingConnectionLost = "ConnectionLost"
	PingInactive       = "Inactive"
)

// InstanceInformation describes one managed node.
type InstanceInformation struct {
	InstanceID       string `json:"InstanceId"`
	PingStatus       string
	LastPingDateTime *Time  `json:",omitempty"`
	AgentVersion     string `json:",omitempty"`
	IsLatestVersion  *bool  `json:",omitempty"`
	PlatformType     string `json:",omitempty"`
	PlatformName     string `json:",omitempty"`
	PlatformVersion  string `json:",omitempty"`
	ActivationID     string `json:"ActivationId,omitempty"`
	IamRole          string `json:",omitempty"`
	RegistrationDate *Time  `json:",omitempty"`
	ResourceType     string `json:",omitempty"`
	Name             string `json:",omitempty"`
	IPAddress        string `json:",omitempty"`
	ComputerName     string `json:",omitempty"`
	SourceID         string `json:"SourceId,omitempty"`
	SourceType       string `json:",omitempty"`
}

// DescribeInstanceInformationOutput is the answer of ssm:DescribeInstanceInformation.
type DescribeInstanceInformationOutput struct {
	InstanceInformationList []InstanceInformation
	NextToken               string `json:",omitempty"`
}

// DescribeInstancePropertiesInput is the request of ssm:DescribeInstanceProperties.
type DescribeInstancePropertiesInput struct {
	InstancePropertyFilterList []InstancePropertyFilter       `constraint:"len=1..40"`
	FiltersWithOperator        []InstancePropertyStringFilter `constraint:"len=1..40"`
	MaxResults                 *int                           `constraint:"range=5..1000"`
	NextToken                  string                         `constraint:""`
}

// InstancePropertyFilter is the older filter form; its wire names are lower case.
type InstancePropertyFilter struct {
	Key      string   `json:"key" constraint:"required enum=InstancePropertyFilterKey"`
	ValueSet []string `json:"valueSet" constraint:"required len=1..40"`
}

// InstancePropertyStringFilter is the newer filter form.
type InstancePropertyStringFilter struct {
	Key      string   `constraint:"required len=1..1000"`
	Values   []string `constraint:"required len=1..40"`
	Operator string   `constraint:"enum=InstancePropertyFilterOperator"`
}

// InstanceProperty describes one managed node, as the console's list has it.
type InstanceProperty struct {
	Name             string `json:",omitempty"`
	InstanceID       string `json:"InstanceId"`
	InstanceState    string `json:",omitempty"`
	Architecture     string `json:",omitempty"`
	IPAddress        string `json:",omitempty"`
	PingStatus       string
	LastPingDateTime *Time  `json:",omitempty"`
	AgentVersion     string `json:",omitempty"`
	PlatformType     string `json:",omitempty"`
	PlatformName     string `json:",omitempty"`
	PlatformVersion  string `json:",omitempty"`
	ActivationID     string `json:"ActivationId,omitempty"`
	IamRole          string `json:",omitempty"`
	RegistrationDate *Time  `json:",omitempty"`
	ResourceType     string `json:",omitempty"`
	ComputerName     string `json:",omitempty"`
	SourceID         string `json:"SourceId,omitempty"`
	SourceType       string `json:",omitempty"`
}

// DescribeInstancePropertiesOutput is the answer of ssm:DescribeInstanceProperties.
type DescribeInstancePropertiesOutput struct {
	InstanceProperties []InstanceProperty
	NextToken          string `json:",omitempty"`
}
