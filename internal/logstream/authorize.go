package logstream

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func (s *Server) arn(resource string) string {
	return "arn:aws:logs:" + s.cfg.ARNs.Region + ":" + s.cfg.ARNs.Account + ":" + resource
}

// groupARN is the ARN of a group without the ":*" that some answers and many policies
// have behind it.
func (s *Server) groupARN(name string) string { return s.arn("log-group:" + name) }

func (s *Server) streamARN(group, stream string) string {
	return s.groupARN(group) + ":log-stream:" + stream
}

// keys are condition keys of one question, by their full names.
type keys = map[string][]string

// group finds a group and asks for action ("PutLogEvents") on it, or on one of its
// streams if one is named. Permission is judged first: only who may act on a group
// learns that it does not exist.
func (s *Server) group(ctx context.Context, action, name, stream string, extra keys) (store.LogGroup, error) {
	g, err := s.cfg.Store.LogGroup(ctx, name)
	found := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.LogGroup{}, err
	}
	all := keys{}
	for _, t := range g.Tags {
		all["aws:ResourceTag/"+t.Key] = []string{t.Value}
	}
	for name, values := range extra {
		all[name] = values
	}
	r := auth.Request{Action: "logs:" + action, Resource: s.streamARN(name, stream), Context: all}
	if stream == "" {
		// AWS holds a group against patterns in all three forms.
		r.Resource = s.groupARN(name)
		r.Aliases = []string{r.Resource + ":*", s.streamARN(name, "")}
	}
	if err := s.cfg.Auth.Authorize(ctx, r); err != nil {
		return store.LogGroup{}, err
	}
	if !found {
		return store.LogGroup{}, errNoGroup
	}
	return g, nil
}

// groupName takes a group from the two members that may name it.
func (s *Server) groupName(name, identifier string) (string, error) {
	if (name == "") == (identifier == "") {
		return "", invalid("Exactly one of logGroupName and logGroupIdentifier is needed.")
	}
	if name != "" {
		return name, nil
	}
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, nil
	}
	return s.groupOfARN(identifier)
}

// groupOfARN takes the name of a group from its ARN, with or without ":*". One of
// another region or account names nothing that is here.
func (s *Server) groupOfARN(arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, s.groupARN(""))
	name = strings.TrimSuffix(name, ":*")
	if !ok || name == "" || strings.Contains(name, ":") {
		return "", ssm.Errorf(codeNotFound, "The specified resource does not exist.")
	}
	return name, nil
}
