package ssm

// ListNodesInput is the request of ssm:ListNodes.
type ListNodesInput struct {
	SyncName   string       `constraint:"len=1..64"`
	Filters    []NodeFilter `constraint:"len=1..5"`
	NextToken  string       `constraint:""`
	MaxResults *int         `constraint:"range=1..50"`
}

// NodeFilter is one filter of ssm:ListNodes. Without a type it means Equal.
type NodeFilter struct {
	Key    string   `constraint:"required enum=NodeFilterKey"`
	Values []string `constraint:"required len=1..10"`
	Type   string   `constraint:"enum=NodeFilterOperatorType"`
}

// ListNodesOutput is the answer of ssm:ListNodes.
type ListNodesOutput struct {
	Nodes     []Node
	NextToken string `json:",omitempty"`
}

// Node is a managed node as ssm:ListNodes shows it.
type Node struct {
	CaptureTime *Time
	ID          string `json:"Id"`
	Owner       NodeOwner
	Region      string
	NodeType    NodeType
}

// NodeOwner is the account that has a node.
type NodeOwner struct {
	AccountID string `json:"AccountId"`
}

// NodeType is what a node is. There is one kind.
type NodeType struct{ Instance InstanceInfo }

// InstanceInfo is what is known of a node.
type InstanceInfo struct {
	AgentType       string `json:",omitempty"`
	AgentVersion    string `json:",omitempty"`
	ComputerName    string `json:",omitempty"`
	InstanceStatus  string `json:",omitempty"`
	IPAddress       string `json:"IpAddress,omitempty"`
	ManagedStatus   string
	PlatformType    string `json:",omitempty"`
	PlatformName    string `json:",omitempty"`
	PlatformVersion string `json:",omitempty"`
	ResourceType    string
}

// ListNodesSummaryInput is the request of ssm:ListNodesSummary.
type ListNodesSummaryInput struct {
	SyncName    string           `constraint:"len=1..64"`
	Filters     []NodeFilter     `constraint:"len=1..5"`
	Aggregators []NodeAggregator `constraint:"required len=1..2"`
	NextToken   string           `constraint:""`
	MaxResults  *int             `constraint:"range=1..50"`
}

// NodeAggregator asks for a count by the values of an attribute, and within each of them
// by those of another.
type NodeAggregator struct {
	AggregatorType string           `constraint:"required enum=NodeAggregatorType"`
	TypeName       string           `constraint:"required enum=NodeTypeName"`
	AttributeName  string           `constraint:"required enum=NodeAttributeName"`
	Aggregators    []NodeAggregator `constraint:"len=1..2"`
}

// ListNodesSummaryOutput is the answer of ssm:ListNodesSummary.
type ListNodesSummaryOutput struct {
	Summary   []map[string]string
	NextToken string `json:",omitempty"`
}
