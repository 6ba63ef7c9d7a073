package control

import (
	"context"
	"time"

	"sekisho/internal/auth"
)

// What a stock agent asks now and then, beside sessions: whether there is a State
// Manager association to apply or a Run Command message to fetch. There never is; but
// an agent that is refused asks all the more often (agent-control-plane.md §3.2, §3.3).
// The shapes hold only what is read.

// ListInstanceAssociationsInput is the request of ssm:ListInstanceAssociations.
type ListInstanceAssociationsInput struct {
	InstanceID string `json:"InstanceId" constraint:"required len=1..124"`
}

// ListAssociationsInput is the request of ssm:ListAssociations.
type ListAssociationsInput struct{}

// AssociationsOutput is the answer of both: a list that is empty, not absent.
type AssociationsOutput struct {
	Associations []Association
}

// Association has no members because there are no associations.
type Association struct{}

// ListInstanceAssociations gives a node's associations: none.
func (s *Server) ListInstanceAssociations(ctx context.Context, in *ListInstanceAssociationsInput) (*AssociationsOutput, error) {
	if err := s.authorize(ctx, "ssm:ListInstanceAssociations", s.cfg.ARNs.Node(in.InstanceID)); err != nil {
		return nil, err
	}
	return &AssociationsOutput{Associations: []Association{}}, nil
}

// ListAssociations gives the account's associations: none.
func (s *Server) ListAssociations(ctx context.Context, _ *ListAssociationsInput) (*AssociationsOutput, error) {
	if err := s.authorize(ctx, "ssm:ListAssociations", everything); err != nil {
		return nil, err
	}
	return &AssociationsOutput{Associations: []Association{}}, nil
}

// GetMessagesInput is the request of ec2messages:GetMessages.
type GetMessagesInput struct {
	Destination       string `constraint:"required len=1..124"`
	MessagesRequestID string `json:"MessagesRequestId" constraint:"len=0..64"`
}

// GetMessagesOutput is the answer of ec2messages:GetMessages.
type GetMessagesOutput struct {
	Destination       string
	Messages          []Message
	MessagesRequestID string `json:"MessagesRequestId"`
}

// Message has no members because there are no messages.
type Message struct{}

// GetMessages gives the Run Command messages for a node: none, after as long a wait as
// the agent allows, or it would ask again at once. The wait ends early when the node
// goes away or the server stops.
func (s *Server) GetMessages(ctx context.Context, in *GetMessagesInput) (*GetMessagesOutput, error) {
	requests := []auth.Request{{Action: "ec2messages:GetMessages", Resource: everything}}
	if p, _ := auth.From(ctx); p.NodeID != "" {
		// A node fetches its own; the resource makes authorization say so.
		requests = append(requests, auth.Request{Action: "ec2messages:GetMessages", Resource: s.cfg.ARNs.Node(in.Destination)})
	}
	if err := s.cfg.Auth.Authorize(ctx, requests...); err != nil {
		return nil, err
	}
	hold := time.NewTimer(s.cfg.PollHold)
	defer hold.Stop()
	select {
	case <-hold.C:
	case <-s.stopping:
	case <-ctx.Done(): // nobody reads the answer
	}
	return &GetMessagesOutput{
		Destination:       in.Destination,
		Messages:          []Message{},
		MessagesRequestID: in.MessagesRequestID,
	}, nil
}
