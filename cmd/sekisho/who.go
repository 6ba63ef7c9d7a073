package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// whoOptions say what is asked of everybody.
type whoOptions struct{ node, action, resource string }

func (o *whoOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.node, "node", "", "`ID` of a node: who can start a session on it, with the default document?")
	f.StringVar(&o.action, "action", "ssm:StartSession", "`ACTION`")
	f.StringVar(&o.resource, "resource", "", "`ARNS` of what it is about, with commas between them; all must be allowed")
}

// verdict is what the policies of one principal decide of one resource.
type verdict struct {
	Principal string
	Action    string   `xml:"EvalActionName"`
	Resource  string   `xml:"EvalResourceName"`
	Decision  string   `xml:"EvalDecision"`
	Missing   []string `xml:"MissingContextValues>member" json:",omitempty"`
	Matched   []struct {
		SourcePolicyID   string `xml:"SourcePolicyId"`
		SourcePolicyType string
		StartPosition    struct{ Line, Column int }
	} `xml:"MatchedStatements>member" json:",omitempty"`
}

// why names the statements that matched.
func (v verdict) why() string {
	var list []string
	for _, m := range v.Matched {
		list = append(list, fmt.Sprintf("%s:%d:%d", m.SourcePolicyID, m.StartPosition.Line, m.StartPosition.Column))
	}
	if len(list) == 0 {
		list = append(list, "no statement matches")
	}
	if len(v.Missing) > 0 {
		list = append(list, "depends on "+strings.Join(v.Missing, ", "))
	}
	return strings.Join(list, ", ")
}

// behindColon is what an ARN names, without what is the same in all of a deployment.
func behindColon(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// who asks the simulator about every user and role.
func (o *whoOptions) who(ctx context.Context, c *caller) error {
	if (o.node == "") == (o.resource == "") {
		return usageError{"policy who: either --node or --resource is needed"}
	}
	people, err := c.api.people(ctx)
	if err != nil {
		return err
	}
	var all []verdict
	var rows [][]string
	for _, person := range people {
		resources := strings.Split(o.resource, ",")
		if o.node != "" {
			// Everything of a deployment is in one account: that of its people.
			prefix := "arn:aws:ssm:" + c.api.region + ":" + strings.Split(person, ":")[4] + ":"
			resources = []string{prefix + "managed-instance/" + o.node, prefix + "document/SSM-SessionManagerRunShell"}
		}
		form := url.Values{"Action": {"SimulatePrincipalPolicy"}, "PolicySourceArn": {person}, "ActionNames.member.1": {o.action}}
		for i, r := range resources {
			form.Set("ResourceArns.member."+strconv.Itoa(i+1), strings.TrimSpace(r))
		}
		var out struct {
			Results []verdict `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
		}
		if err := c.api.query(ctx, form, &out); err != nil {
			return fmt.Errorf("%s: %w", person, err)
		}
		for _, v := range out.Results {
			v.Principal = person
			all = append(all, v)
			rows = append(rows, []string{behindColon(person), v.Decision, behindColon(v.Resource), v.why()})
		}
	}
	return c.print(all, "PRINCIPAL DECISION RESOURCE WHY", rows)
}

// people are the ARNs of all users and roles.
func (a *api) people(ctx context.Context) ([]string, error) {
	var people []string
	for _, operation := range []string{"ListUsers", "ListRoles"} {
		marker := ""
		for {
			form := url.Values{"Action": {operation}}
			if marker != "" {
				form.Set("Marker", marker)
			}
			type page struct {
				Users       []string `xml:"Users>member>Arn"`
				Roles       []string `xml:"Roles>member>Arn"`
				IsTruncated bool
				Marker      string
			}
			var out struct {
				Users page `xml:"ListUsersResult"`
				Roles page `xml:"ListRolesResult"`
			}
			if err := a.query(ctx, form, &out); err != nil {
				return nil, err
			}
			people = append(append(people, out.Users.Users...), out.Roles.Roles...)
			p := out.Users
			if operation == "ListRoles" {
				p = out.Roles
			}
			if !p.IsTruncated {
				break
			}
			marker = p.Marker
		}
	}
	return people, nil
}
