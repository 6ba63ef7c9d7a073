package iam_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccountSummary(t *testing.T) {
	w := withThree(t)
	w.call("admin", form("CreatePolicy", "PolicyName", "P", "PolicyDocument", allowing("s3:*")))
	w.call("admin", form("CreatePolicyVersion", "PolicyArn", policies+"/P", "PolicyDocument", allowing("s3:*")))
	w.call("admin", form("CreateInstanceProfile", "InstanceProfileName", "i"))
	got := w.call("admin", form("GetAccountSummary"))
	for key, want := range map[string]int{"Users": 3, "Groups": 1, "Roles": 1, "Policies": 1, "PolicyVersionsInUse": 2, "InstanceProfiles": 1, "MFADevices": 0,
		"AccessKeysPerUserQuota": 2, "PolicySizeQuota": 6144, "AssumeRolePolicySizeQuota": 2048, "VersionsPerPolicyQuota": 5} {
		if entry := fmt.Sprintf("<entry><key>%s</key><value>%d</value></entry>", key, want); !strings.Contains(got.body, entry) {
			t.Errorf("no %s in %s", entry, got.body)
		}
	}
	w.tell([]step{{"nobody", form("GetAccountSummary"), denied("nobody", "iam:GetAccountSummary", "*")}})
}

// accountDetails is what the tests look at in an answer of GetAccountAuthorizationDetails.
type accountDetails struct {
	Users []struct {
		UserName string
		Policies []string `xml:"UserPolicyList>member>PolicyName"`
		Attached []string `xml:"AttachedManagedPolicies>member>PolicyName"`
		Groups   []string `xml:"GroupList>member"`
		Boundary string   `xml:"PermissionsBoundary>PermissionsBoundaryArn"`
	} `xml:"UserDetailList>member"`
	Groups []struct {
		GroupName string
		Documents []string `xml:"GroupPolicyList>member>PolicyDocument"`
		Attached  []string `xml:"AttachedManagedPolicies>member>PolicyName"`
	} `xml:"GroupDetailList>member"`
	Roles []struct {
		RoleName string
		Trust    string   `xml:"AssumeRolePolicyDocument"`
		Policies []string `xml:"RolePolicyList>member>PolicyName"`
		Profiles []string `xml:"InstanceProfileList>member>InstanceProfileName"`
	} `xml:"RoleDetailList>member"`
	Policies []struct {
		PolicyName string
		Attached   int      `xml:"AttachmentCount"`
		Versions   []string `xml:"PolicyVersionList>member>VersionId"`
	} `xml:"Policies>member"`
	IsTruncated bool
	Marker      string
}

func (w *world) details(parameters ...string) accountDetails {
	w.t.Helper()
	var out struct {
		Result accountDetails `xml:"GetAccountAuthorizationDetailsResult"`
	}
	got := w.call("admin", form("GetAccountAuthorizationDetails", parameters...))
	if got.status != 200 {
		w.t.Fatal(got)
	}
	must(w.t, xml.Unmarshal([]byte(got.body), &out))
	return out.Result
}

// names are the names of everything in an answer.
func (d accountDetails) names() []string {
	var all []string
	for _, u := range d.Users {
		all = append(all, "user "+u.UserName)
	}
	for _, g := range d.Groups {
		all = append(all, "group "+g.GroupName)
	}
	for _, r := range d.Roles {
		all = append(all, "role "+r.RoleName)
	}
	for _, p := range d.Policies {
		all = append(all, "policy "+p.PolicyName)
	}
	return all
}

func TestAccountAuthorizationDetails(t *testing.T) {
	w := withThree(t)
	w.call("admin", form("CreatePolicy", "PolicyName", "P", "PolicyDocument", allowing("s3:*")))
	w.call("admin", form("CreatePolicyVersion", "PolicyArn", policies+"/P", "PolicyDocument", allowing("ssm:*")))
	w.tell([]step{
		{"admin", form("AddUserToGroup", "UserName", "x", "GroupName", "x"), "200"},
		{"admin", form("PutUserPolicy", "UserName", "x", "PolicyName", "mine", "PolicyDocument", allowing("s3:*")), "200"},
		{"admin", form("PutGroupPolicy", "GroupName", "x", "PolicyName", "ours", "PolicyDocument", allowing("ssm:*")), "200"},
		{"admin", form("PutRolePolicy", "RoleName", "x", "PolicyName", "its", "PolicyDocument", allowing("ssm:*")), "200"},
		{"admin", form("AttachUserPolicy", "UserName", "x", "PolicyArn", policies+"/P"), "200"},
		{"admin", form("AttachGroupPolicy", "GroupName", "x", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), "200"},
		{"admin", form("PutUserPermissionsBoundary", "UserName", "x", "PermissionsBoundary", "arn:aws:iam::aws:policy/SekishoSessionUser"), "200"},
	})
	w.call("admin", form("CreateInstanceProfile", "InstanceProfileName", "i"))
	w.call("admin", form("AddRoleToInstanceProfile", "InstanceProfileName", "i", "RoleName", "x"))
	everything := []string{"user admin", "user nobody", "user x", "group x", "role x", "policy P", "policy AdministratorAccess", "policy ReadOnlyAccess", "policy SekishoSessionUser"}

	d := w.details()
	if diff := cmp.Diff(everything, d.names()); diff != "" || d.IsTruncated {
		t.Fatalf("-want +got:\n%s", diff)
	}
	x := d.Users[2]
	if got, want := fmt.Sprint(x.Policies, x.Attached, x.Groups, x.Boundary), "[mine] [P] [x]arn:aws:iam::aws:policy/SekishoSessionUser"; got != want {
		t.Errorf("the user has %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(d.Groups[0].Documents, d.Groups[0].Attached), "["+encoded(allowing("ssm:*"))+"] [ReadOnlyAccess]"; got != want {
		t.Errorf("the group has %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(d.Roles[0].Trust, d.Roles[0].Policies, d.Roles[0].Profiles), encoded(trustSSM)+"[its] [i]"; got != want {
		t.Errorf("the role has %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(d.Policies[0].Attached, d.Policies[0].Versions), "1 [v2 v1]"; got != want {
		t.Errorf("the policy has %s, want %s", got, want)
	}

	for size := 1; size <= len(everything); size++ {
		var got []string
		marker := ""
		for {
			parameters := []string{"MaxItems", fmt.Sprint(size)}
			if marker != "" {
				parameters = append(parameters, "Marker", marker)
			}
			page := w.details(parameters...)
			if len(page.names()) > size {
				t.Errorf("%d on a page of %d", len(page.names()), size)
			}
			got = append(got, page.names()...)
			if marker = page.Marker; marker == "" {
				break
			}
		}
		if !slices.Equal(got, everything) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
	for filter, want := range map[string][]string{
		"User": everything[:3], "Group": everything[3:4], "Role": everything[4:5], "LocalManagedPolicy": everything[5:6], "AWSManagedPolicy": everything[6:],
	} {
		if got := w.details("Filter.member.1", filter).names(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	if got, want := w.details("Filter.member.1", "Role", "Filter.member.2", "User").names(), append(everything[:3:3], "role x"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	marker := w.details("MaxItems", "1").Marker
	w.tell([]step{
		{"admin", form("GetAccountAuthorizationDetails", "Marker", marker, "Filter.member.1", "User"), "400 ValidationError: Invalid Marker."},
		{"nobody", form("GetAccountAuthorizationDetails"), denied("nobody", "iam:GetAccountAuthorizationDetails", "*")},
	})
}
