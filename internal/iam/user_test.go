package iam_test

import (
	"fmt"
	"strings"
	"testing"
)

// Parts of answers.
const (
	aliceARN = "arn:aws:iam::123456789012:user/eng/alice"
	started  = "<CreateDate>2026-01-31T08:09:10Z</CreateDate>"
)

func userXML(path, name, more string) string {
	return "<Path>" + path + "</Path><UserName>" + name + "</UserName><UserId>AIDA</UserId>" +
		"<Arn>arn:aws:iam::123456789012:user" + path + name + "</Arn>" + started + more
}

func tagsXML(pairs ...string) string {
	if len(pairs) == 0 {
		return "<Tags/>"
	}
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<member><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></member>")
	}
	return "<Tags>" + b.String() + "</Tags>"
}

func TestUserLivesAndDies(t *testing.T) {
	w := newWorld(t)
	boundary := "<PermissionsBoundary><PermissionsBoundaryType>PermissionsBoundaryPolicy</PermissionsBoundaryType>" +
		"<PermissionsBoundaryArn>arn:aws:iam::aws:policy/ReadOnlyAccess</PermissionsBoundaryArn></PermissionsBoundary>"
	w.tell([]step{
		{"admin", form("CreateUser", "UserName", "alice", "Path", "/eng/", "Tags.member.1.Key", "team", "Tags.member.1.Value", "db"),
			"200 <User>" + userXML("/eng/", "alice", tagsXML("team", "db")) + "</User>"},
		{"admin", form("CreateUser", "UserName", "alice"), "409 EntityAlreadyExists: User with name alice already exists."},
		{"admin", form("CreateUser", "UserName", "ALICE"), "409 EntityAlreadyExists: User with name ALICE already exists."},
		{"admin", form("GetUser", "UserName", "alice"), "200 <User>" + userXML("/eng/", "alice", tagsXML("team", "db")) + "</User>"},
		{"admin", form("GetUser", "UserName", "ALICE"), "404 NoSuchEntity: The user with name ALICE cannot be found."},
		{"admin", form("GetUser"), "200 <User>" + userXML("/", "admin", "") + "</User>"},
		{"admin", form("CreateUser", "UserName", "bob", "PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
			"200 <User>" + userXML("/", "bob", boundary) + "</User>"},
		{"admin", form("CreateUser", "UserName", "carol", "PermissionsBoundary", "arn:aws:iam::123456789012:policy/none"),
			"404 NoSuchEntity: The policy arn:aws:iam::123456789012:policy/none cannot be found"},
		{"admin", form("CreateUser", "UserName", "carol", "PermissionsBoundary", "what is not a policy"),
			"400 ValidationError: Value (what is not a policy) for parameter PermissionsBoundary is invalid."},

		{"admin", form("ListUsers"), "200 <Users><member>" + userXML("/", "admin", "") + "</member><member>" + userXML("/eng/", "alice", "") +
			"</member><member>" + userXML("/", "bob", "") + "</member><member>" + userXML("/", "nobody", "") + "</member></Users><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListUsers", "PathPrefix", "/eng"), "200 <Users><member>" + userXML("/eng/", "alice", "") + "</member></Users><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListUsers", "PathPrefix", "/none/"), "200 <Users/><IsTruncated>false</IsTruncated>"},

		{"admin", form("UpdateUser", "UserName", "alice", "NewUserName", "Alice", "NewPath", "/ops/"), "200"},
		{"admin", form("UpdateUser", "UserName", "alice"), "404 NoSuchEntity: The user with name alice cannot be found."},
		{"admin", form("UpdateUser", "UserName", "Alice", "NewUserName", "BOB"), "409 EntityAlreadyExists: User with name BOB already exists."},
		{"admin", form("GetUser", "UserName", "Alice"), "200 <User>" + userXML("/ops/", "Alice", tagsXML("team", "db")) + "</User>"},

		{"admin", form("DeleteUser", "UserName", "Alice"), "200"},
		{"admin", form("DeleteUser", "UserName", "Alice"), "404 NoSuchEntity: The user with name Alice cannot be found."},
	})
}

func TestUserInputsAreChecked(t *testing.T) {
	long := strings.Repeat("a", 65)
	w := newWorld(t)
	w.tell([]step{
		{"admin", form("CreateUser"), "400 ValidationError: 1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"},
		{"admin", form("CreateUser", "UserName", "a b"), "400 ValidationError: 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: " +
			`Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		{"admin", form("CreateUser", "UserName", long), "400 ValidationError: 1 validation error detected: Value '" + long +
			"' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"admin", form("CreateUser", "UserName", "a", "Path", "/x"), "400 ValidationError: 1 validation error detected: Value '/x' at 'path' failed to satisfy constraint: " +
			`Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)`},
		{"admin", form("ListUsers", "MaxItems", "1001"), "400 ValidationError: 1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: " +
			"Member must have value less than or equal to 1000"},
		{"admin", form("CreateUser", "UserName", "a", "Tags.member.1.Key", "K", "Tags.member.1.Value", "1", "Tags.member.2.Key", "k", "Tags.member.2.Value", "2"),
			"400 InvalidInput: Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"admin", form("CreateUser", "UserName", "a", "Tags.member.1.Key", "AWS:x", "Tags.member.1.Value", "1"),
			"400 InvalidInput: System tags cannot be added/updated by requester."},
		{"admin", form("GetUser", "UserName", "a"), "404 NoSuchEntity: The user with name a cannot be found."},
	})
}

func TestUserTags(t *testing.T) {
	w := newWorld(t)
	many := []string{"UserName", "nobody"}
	for i := range 49 {
		many = append(many, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprintf("k%02d", i), fmt.Sprintf("Tags.member.%d.Value", i+1), "v")
	}
	w.tell([]step{
		{"admin", form("ListUserTags", "UserName", "nobody"), "200 <Tags/><IsTruncated>false</IsTruncated>"},
		{"admin", form("TagUser", "UserName", "nobody", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "a", "Tags.member.2.Key", "env", "Tags.member.2.Value", ""), "200"},
		{"admin", form("TagUser", "UserName", "nobody", "Tags.member.1.Key", "team", "Tags.member.1.Value", "b"), "200"},
		{"admin", form("ListUserTags", "UserName", "nobody"), "200 " + tagsXML("env", "", "team", "b") + "<IsTruncated>false</IsTruncated>"},
		{"admin", form("GetUser", "UserName", "nobody"), "200 <User>" + userXML("/", "nobody", tagsXML("env", "", "team", "b")) + "</User>"},
		{"admin", form("UntagUser", "UserName", "nobody", "TagKeys.member.1", "TEAM", "TagKeys.member.2", "absent"), "200"},
		{"admin", form("ListUserTags", "UserName", "nobody"), "200 " + tagsXML("env", "") + "<IsTruncated>false</IsTruncated>"},
		{"admin", form("TagUser", many...), "200"},
		{"admin", form("TagUser", "UserName", "nobody", "Tags.member.1.Key", "more", "Tags.member.1.Value", ""),
			"409 LimitExceeded: The number of tags has reached the maximum limit."},
		{"admin", form("TagUser", "UserName", "ghost", "Tags.member.1.Key", "a", "Tags.member.1.Value", ""), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", form("UntagUser", "UserName", "ghost", "TagKeys.member.1", "a"), "404 NoSuchEntity: The user with name ghost cannot be found."},
	})
}

func TestListsArePaged(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		must(t, okay(w.call("admin", form("CreateUser", "UserName", fmt.Sprintf("user%d", i), "Path", "/x/"))))
	}
	var names []string
	marker := ""
	for pages := 1; ; pages++ {
		parameters := []string{"PathPrefix", "/x/", "MaxItems", "2"}
		if marker != "" {
			parameters = append(parameters, "Marker", marker)
		}
		page := w.call("admin", form("ListUsers", parameters...))
		must(t, okay(page))
		for _, m := range strings.Split(page.body, "<UserName>")[1:] {
			name, _, _ := strings.Cut(m, "<")
			names = append(names, name)
		}
		marker = page.get("Marker")
		if want := fmt.Sprint(marker != ""); page.get("IsTruncated") != want {
			t.Errorf("IsTruncated is %s, want %s", page.get("IsTruncated"), want)
		}
		if marker == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		// A marker is good for the list it was made for, and for no other.
		invalid := "400 ValidationError: Invalid Marker."
		w.tell([]step{
			{"admin", form("ListUsers", "Marker", marker), invalid},
			{"admin", form("ListGroups", "PathPrefix", "/x/", "Marker", marker), invalid},
			{"admin", form("ListUsers", "PathPrefix", "/x/", "Marker", marker[:len(marker)-4]+"AAAA"), invalid},
			{"admin", form("ListUsers", "PathPrefix", "/x/", "Marker", "x"), invalid},
			{"admin", form("ListUsers", "PathPrefix", "/x/", "Marker", strings.Repeat("A", 5000)), invalid},
		})
	}
	if got, want := strings.Join(names, " "), "user0 user1 user2 user3 user4"; got != want {
		t.Errorf("users %s, want %s", got, want)
	}
}

// okay is an error if an answer is one.
func okay(a answer) error {
	if a.status != 200 {
		return fmt.Errorf("answer %s", a)
	}
	return nil
}
