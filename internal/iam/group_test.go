package iam_test

import (
	"fmt"
	"testing"
)

func groupXML(path, name string) string {
	return "<Path>" + path + "</Path><GroupName>" + name + "</GroupName><GroupId>AGPA</GroupId>" +
		"<Arn>arn:aws:iam::123456789012:group" + path + name + "</Arn>" + started
}

func TestGroupLivesAndDies(t *testing.T) {
	w := newWorld(t)
	end := "<IsTruncated>false</IsTruncated>"
	w.tell([]step{
		{"admin", form("CreateGroup", "GroupName", "Developers", "Path", "/eng/"), "200 <Group>" + groupXML("/eng/", "Developers") + "</Group>"},
		{"admin", form("CreateGroup", "GroupName", "developers"), "409 EntityAlreadyExists: Group with name developers already exists."},
		{"admin", form("GetGroup", "GroupName", "Developers"), "200 <Group>" + groupXML("/eng/", "Developers") + "</Group><Users/>" + end},
		{"admin", form("GetGroup", "GroupName", "Others"), "404 NoSuchEntity: The group with name Others cannot be found."},
		{"admin", form("AddUserToGroup", "GroupName", "Developers", "UserName", "nobody"), "200"},
		{"admin", form("AddUserToGroup", "GroupName", "Developers", "UserName", "nobody"), "200"},
		{"admin", form("AddUserToGroup", "GroupName", "Developers", "UserName", "ghost"), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", form("AddUserToGroup", "GroupName", "Others", "UserName", "nobody"), "404 NoSuchEntity: The group with name Others cannot be found."},
		{"admin", form("GetGroup", "GroupName", "Developers"), "200 <Group>" + groupXML("/eng/", "Developers") + "</Group><Users><member>" +
			userXML("/", "nobody", "") + "</member></Users>" + end},
		{"admin", form("ListGroupsForUser", "UserName", "nobody"), "200 <Groups><member>" + groupXML("/eng/", "Developers") + "</member></Groups>" + end},
		{"admin", form("ListGroupsForUser", "UserName", "admin"), "200 <Groups/>" + end},
		{"admin", form("ListGroupsForUser", "UserName", "ghost"), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", form("ListGroups", "PathPrefix", "/eng/"), "200 <Groups><member>" + groupXML("/eng/", "Developers") + "</member></Groups>" + end},
		{"admin", form("ListGroups", "PathPrefix", "/ops/"), "200 <Groups/>" + end},
		{"admin", form("DeleteGroup", "GroupName", "Developers"), "409 DeleteConflict: Cannot delete entity, must remove users from group first."},
		{"admin", form("UpdateGroup", "GroupName", "Developers", "NewGroupName", "Engineers", "NewPath", "/"), "200"},
		{"admin", form("UpdateGroup", "GroupName", "Developers", "NewGroupName", "Engineers"), "404 NoSuchEntity: The group with name Developers cannot be found."},
		{"admin", form("ListGroupsForUser", "UserName", "nobody"), "200 <Groups><member>" + groupXML("/", "Engineers") + "</member></Groups>" + end},
		{"admin", form("RemoveUserFromGroup", "GroupName", "Engineers", "UserName", "nobody"), "200"},
		{"admin", form("RemoveUserFromGroup", "GroupName", "Engineers", "UserName", "nobody"),
			"404 NoSuchEntity: The user with name nobody cannot be found in the group with name Engineers."},
		{"admin", form("DeleteGroup", "GroupName", "Engineers"), "200"},
		{"admin", form("DeleteGroup", "GroupName", "Engineers"), "404 NoSuchEntity: The group with name Engineers cannot be found."},
	})
}

func TestUserIsInTenGroupsAtMost(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		group := fmt.Sprintf("group%02d", i)
		must(t, okay(w.call("admin", form("CreateGroup", "GroupName", group))))
		want := "200"
		if i == 10 {
			want = "409 LimitExceeded: Cannot exceed quota for GroupsPerUser: 10"
		}
		w.tell([]step{{"admin", form("AddUserToGroup", "GroupName", group, "UserName", "nobody"), want}})
	}
	w.tell([]step{{"admin", form("DeleteUser", "UserName", "nobody"), "409 DeleteConflict: Cannot delete entity, must delete access keys first."}})
	must(t, okay(w.call("admin", form("DeleteAccessKey", "UserName", "nobody", "AccessKeyId", w.secret["nobody"].id))))
	w.tell([]step{{"admin", form("DeleteUser", "UserName", "nobody"), "409 DeleteConflict: Cannot delete entity, must remove users from group first."}})
}

// What a group allows, its members may at once, and no longer than they are members.
func TestMembershipCounts(t *testing.T) {
	w := newWorld(t)
	must(t, okay(w.call("admin", form("CreateGroup", "GroupName", "Readers"))))
	w.allowGroup("Readers", "read", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}}`)
	no := denied("nobody", "iam:ListUsers", "*")
	w.tell([]step{
		{"nobody", form("ListUsers", "PathPrefix", "/x/"), no},
		{"admin", form("AddUserToGroup", "GroupName", "Readers", "UserName", "nobody"), "200"},
		{"nobody", form("ListUsers", "PathPrefix", "/x/"), "200 <Users/><IsTruncated>false</IsTruncated>"},
		{"admin", form("RemoveUserFromGroup", "GroupName", "Readers", "UserName", "nobody"), "200"},
		{"nobody", form("ListUsers", "PathPrefix", "/x/"), no},
	})
}
