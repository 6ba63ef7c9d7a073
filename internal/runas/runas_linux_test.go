package runas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// beChild makes the test binary the re-executed child.
const beChild = "be-runas-child"

// tryRoot makes it try what a program without rights must not be able to do.
const tryRoot = "try-root"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case beChild:
			os.Exit(Child())
		case tryRoot:
			tryToBeRoot(os.Args[2:])
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// tryToBeRoot prints what can be done, but for what is left out. It is run as the account.
func tryToBeRoot(leftOut []string) {
	for name, try := range map[string]func() error{
		"setuid":    func() error { return syscall.Setuid(0) },
		"seteuid":   func() error { return syscall.Seteuid(0) },
		"setreuid":  func() error { return syscall.Setreuid(-1, 0) },
		"setresuid": func() error { return syscall.Setresuid(0, 0, 0) },
		"saved uid": func() error { return syscall.Setresuid(-1, -1, 0) },
		"setgid":    func() error { return syscall.Setgid(0) },
		"setregid":  func() error { return syscall.Setregid(-1, 0) },
		"setresgid": func() error { return syscall.Setresgid(0, 0, 0) },
		"setgroups": func() error { return syscall.Setgroups([]int{0}) },
		"setfsuid":  func() error { return setfs(unix.SYS_SETFSUID) },
		"setfsgid":  func() error { return setfs(unix.SYS_SETFSGID) },
		"chroot":    func() error { return syscall.Chroot("/") },
		"mount":     func() error { return syscall.Mount("none", "/", "tmpfs", 0, "") },
		"kill init": func() error { return syscall.Kill(1, 0) },
		"shadow":    func() error { f, err := os.Open("/etc/shadow"); f.Close(); return err },
		"memory of the parent": func() error {
			f, err := os.Open("/proc/" + strconv.Itoa(os.Getppid()) + "/mem")
			f.Close()
			return err
		},
		"descriptors of the parent": func() error {
			_, err := os.ReadDir("/proc/" + strconv.Itoa(os.Getppid()) + "/fd")
			return err
		},
		"trace the parent": func() error { return syscall.PtraceAttach(os.Getppid()) },
	} {
		if slices.Contains(leftOut, name) {
			continue
		}
		if err := try(); err == nil {
			fmt.Println("POSSIBLE:", name)
		} else {
			fmt.Println("refused:", name, err)
		}
	}
}

// setfs tries one of the calls that fail without saying so.
func setfs(call uintptr) error {
	syscall.RawSyscall(call, 0, 0, 0)
	if now, _, _ := syscall.RawSyscall(call, ^uintptr(0), 0, 0); now != 0 {
		return syscall.EPERM
	}
	return nil
}

// needRoot skips with the reason.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make accounts and become them")
	}
	for _, name := range []string{"useradd", "userdel", "groupadd"} {
		if _, err := tool(name); err != nil {
			t.Skip(err)
		}
	}
}

// run runs one of the system's tools.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := output(context.Background(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func throwAwayName() string { return fmt.Sprintf("skt%08x", rand.Uint32()) }

// throwAway makes a user with a second group who is gone after the test.
func throwAway(t *testing.T) Account {
	t.Helper()
	needRoot(t)
	name, group := throwAwayName(), throwAwayName()
	run(t, "groupadd", group)
	t.Cleanup(func() { run(t, "groupdel", group) })
	run(t, "useradd", "-m", "-d", filepath.Join(t.TempDir(), "elsewhere"), "-s", "/bin/bash", "-G", group, name)
	t.Cleanup(func() { run(t, "userdel", name) })
	a, err := Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	// The directories above belong to root alone.
	for dir := filepath.Dir(a.Home); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// runAs runs a program as an account, as the agent does, and returns what it prints.
func runAs(t *testing.T, c Command) (string, error) {
	t.Helper()
	l, err := Prepare(c)
	if err != nil {
		return "", err
	}
	defer l.Close()
	cmd := exec.Command("/proc/self/exe", beChild)
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "SECRET=of the agent"}
	cmd.ExtraFiles = l.Files()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitErr := l.Wait()
	if err := cmd.Wait(); err != nil && waitErr == nil {
		t.Errorf("the program ended with %v: %s", err, &out)
	}
	return out.String(), waitErr
}

func command(a Account, path string, args ...string) Command {
	return Command{
		Account: a, Path: path, Argv: append([]string{filepath.Base(path)}, args...),
		Env: []string{"HOME=" + a.Home, "USER=" + a.Name, "PATH=/usr/bin:/bin", "ODD=\xff\xfe"}, Dir: a.Home, Umask: 0o027,
	}
}

func TestLookupFindsTheWholeAccount(t *testing.T) {
	a := throwAway(t)
	want := strings.Fields(run(t, "id", "-G", a.Name))
	var got []string
	for _, g := range a.Groups {
		got = append(got, strconv.Itoa(g))
	}
	if !slices.Equal(got, want) || len(got) != 2 || a.Groups[0] != a.GID {
		t.Errorf("groups %v, want %v", got, want)
	}
	if strconv.Itoa(a.UID) != strings.TrimSpace(run(t, "id", "-u", a.Name)) || a.Shell != "/bin/bash" || !strings.HasSuffix(a.Home, "/elsewhere") {
		t.Errorf("account %+v", a)
	}
}

func TestUnknownUsersAreUnknown(t *testing.T) {
	for _, name := range []string{
		"", "nobody-of-that-name", "0", "1", "65534", "+0", "-G", "--help", "root\n", " root", "root ", "a:b", "../root", "$(id)", "a;b", "a b",
		strings.Repeat("x", 300), "\x00", "root\x00", "~", ".",
	} {
		if a, err := Lookup(t.Context(), name); !errors.Is(err, ErrNoUser) {
			t.Errorf("Lookup(%q) = %+v, %v", name, a, err)
		}
	}
}

func TestRootIsRefused(t *testing.T) {
	root, err := Lookup(t.Context(), "root")
	if err != nil || !root.Root() {
		t.Fatalf("%+v, %v", root, err)
	}
	for _, a := range []Account{root, {Name: "toor", UID: 0, GID: 1000}, {Name: "wheel", UID: 1000, GID: 0}, {}} {
		if _, err := Prepare(Command{Account: a, Path: "/bin/true"}); !errors.Is(err, ErrRoot) {
			t.Errorf("Prepare as %+v: %v", a, err)
		}
		if err := become(a); !errors.Is(err, ErrRoot) {
			t.Errorf("become %+v: %v", a, err)
		}
	}
}

// The ids, the groups, the environment, the directory and the umask are the account's,
// whatever the agent's are.
func TestProgramIsTheAccounts(t *testing.T) {
	a := throwAway(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	out, err := runAs(t, command(a, "/bin/sh", "-c", `id -u; id -g; id -G; umask; pwd; echo "$HOME $USER"; env | sort | tr '\n' '|'; echo; ps -o args= -p $$ 2>/dev/null | grep -c runas; cat /proc/$$/cmdline | tr '\0' ' '; echo "$$" `))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	want := []string{strconv.Itoa(a.UID), strconv.Itoa(a.GID), fmt.Sprint(a.Groups[0], a.Groups[1]), "0027", a.Home, a.Home + " " + a.Name}
	if len(lines) < 8 || !slices.Equal(lines[:6], want) {
		t.Fatalf("got\n%s\nwant\n%s", out, strings.Join(want, "\n"))
	}
	env := slices.DeleteFunc(strings.Split(lines[6], "|"), func(kv string) bool {
		return kv == "" || strings.HasPrefix(kv, "_=") || strings.HasPrefix(kv, "PWD=") // the shell's own
	})
	if wantEnv := []string{"HOME=" + a.Home, "ODD=\xff\xfe", "PATH=/usr/bin:/bin", "USER=" + a.Name}; !slices.Equal(env, wantEnv) {
		t.Errorf("environment %q, want %q", env, wantEnv)
	}
	if strings.Contains(out, "SECRET") || strings.Contains(out, beChild) {
		t.Errorf("something of the agent is left: %s", out)
	}
}

func TestThereIsNoWayBackToRoot(t *testing.T) {
	a := throwAway(t)
	status, err := runAs(t, command(a, "/bin/cat", "/proc/self/status"))
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int) string { return strings.Repeat("\t"+strconv.Itoa(n), 4) }
	groups := slices.Clone(a.Groups)
	slices.Sort(groups)
	for _, want := range []string{
		"Uid:" + id(a.UID), "Gid:" + id(a.GID), "Groups:\t" + strings.Trim(fmt.Sprint(groups), "[]"),
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000",
	} {
		if !strings.Contains(status, "\n"+want) {
			t.Errorf("/proc/self/status has no %q:\n%s", want, status)
		}
	}
	// The test binary is where the account may not go.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(a.Home, "attempts")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := runAs(t, command(a, program, tryRoot))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "POSSIBLE") || strings.Count(out, "refused:") != 18 {
		t.Errorf("as %s:\n%s", a.Name, out)
	}
}

// The attempts above must be able to succeed, or they show nothing.
func TestAttemptsSucceedAsRoot(t *testing.T) {
	needRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What mount does must not be seen by others, and the parent that is traced is this test.
	out, err := exec.Command("unshare", "--mount", self, tryRoot, "trace the parent").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("unshare is not installed")
	}
	for _, name := range []string{"setuid", "setresuid", "setgroups", "setfsuid", "shadow", "kill init", "descriptors of the parent"} {
		if !strings.Contains(string(out), "POSSIBLE: "+name+"\n") {
			t.Errorf("root cannot %s: %s (%v)", name, out, err)
		}
	}
}

func TestNoDescriptorIsLeaked(t *testing.T) {
	a := throwAway(t)
	// Descriptors that a careless library left open for every program.
	var leaks []int
	for range 5 {
		fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0) // without O_CLOEXEC
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		leaks = append(leaks, fd)
	}
	const high = 900
	if err := unix.Dup2(leaks[0], high); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	out, err := runAs(t, command(a, "/bin/ls", "/proc/self/fd"))
	if err != nil {
		t.Fatal(err)
	}
	// 3 is the directory that ls reads.
	if got := strings.Fields(out); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("descriptors %v", got)
	}
}

func TestWhatCannotBeExecutedIsToldApart(t *testing.T) {
	a := throwAway(t)
	private := filepath.Join(t.TempDir(), "private")
	if err := os.WriteFile(private, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nonexistent", private, "/etc/passwd", "/"} {
		if _, err := runAs(t, command(a, path)); !errors.Is(err, ErrNotExecuted) {
			t.Errorf("%s: %v", path, err)
		}
	}
	c := command(a, "/bin/pwd")
	c.Dir = private
	out, err := runAs(t, c)
	if err != nil || out != "/\n" {
		t.Errorf("in a directory that is none: %q, %v", out, err)
	}
}

// An agent that is not root cannot become anybody, and says so.
func TestWithoutRootNobodyElse(t *testing.T) {
	a, b := throwAway(t), throwAway(t)
	self := filepath.Join(a.Home, "self")
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, text, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := Prepare(command(b, "/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, beChild)
	cmd.ExtraFiles = l.Files()
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = l.Wait()
	cmd.Wait()
	if err == nil || errors.Is(err, ErrNotExecuted) {
		t.Errorf("%v", err)
	}
}

func TestChildThatDiesIsAnError(t *testing.T) {
	l, err := Prepare(Command{Account: Account{Name: "x", UID: 1, GID: 1}, Path: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/false")
	cmd.ExtraFiles = l.Files()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	done := make(chan error, 1)
	go func() { done <- l.Wait() }()
	select {
	case <-done: // a small command fits into the pipe, so this may be no error
	case <-time.After(20 * time.Second):
		t.Error("Wait waits for a dead child")
	}
}

func TestSessionUserIsMadeOnce(t *testing.T) {
	needRoot(t)
	u := User{Name: throwAwayName(), Sudoers: filepath.Join(t.TempDir(), "rules")}
	t.Cleanup(func() { exec.Command("userdel", "-r", u.Name).Run() })
	// Several at once, as the first sessions of a node may be.
	type result struct {
		a   Account
		err error
	}
	results := make(chan result)
	for range 3 {
		go func() {
			a, err := Ensure(context.Background(), u)
			results <- result{a, err}
		}()
	}
	var first Account
	for i := range 3 {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		if i == 0 {
			first = r.a
		}
		if r.a.UID != first.UID || r.a.Root() || r.a.Home != "/home/"+u.Name {
			t.Errorf("account %+v", r.a)
		}
	}
	if info, err := os.Stat(first.Home); err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(first.UID) {
		t.Errorf("home: %v, %v", info, err)
	}
	if shadow := run(t, "getent", "shadow", u.Name); !strings.HasPrefix(shadow, u.Name+":!") && !strings.HasPrefix(shadow, u.Name+":*") {
		t.Errorf("the password is not locked: %s", shadow)
	}
	text, err := os.ReadFile(u.Sudoers)
	if err != nil || string(text) != fmt.Sprintf("# User rules for %s\n%s ALL=(ALL) NOPASSWD:ALL\n", u.Name, u.Name) {
		t.Errorf("sudoers %q, %v", text, err)
	}
	if info, err := os.Stat(u.Sudoers); err != nil || info.Mode() != 0o440 {
		t.Errorf("sudoers: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(u.Sudoers), ".*")); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	// What an administrator takes away stays away.
	if err := os.Remove(u.Sudoers); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(u.Sudoers); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file came back: %v", err)
	}
}

func TestSudoersAreNeverOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeSudoers(path, "somebody"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("%q", text)
	}
	if err := writeSudoers(filepath.Join(t.TempDir(), "no sudo here", "rules"), "somebody"); err != nil {
		t.Error(err)
	}
}

func TestNamesThatCannotBeMade(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if a, err := Ensure(ctx, User{Name: "no such:name"}); !errors.Is(err, ErrNoUser) {
		t.Errorf("made %+v, %v", a, err)
	}
	if _, err := Ensure(t.Context(), User{Name: "root"}); !errors.Is(err, ErrRoot) {
		t.Errorf("root: %v", err)
	}
}

func TestParsePasswd(t *testing.T) {
	const text = "root:x:0:0:root:/root:/bin/bash\n# comment\n+::::::\nbad:x:-1:5::/:/bin/sh\nnone:x:4294967295:4294967295::/:/bin/sh\nhuge:x:4294967296:1::/:\nshort:x:1\n:x:5:5::/:/bin/sh\nok:x:12:34:a,b:/h:\n"
	for _, name := range []string{"", "+", "bad", "none", "huge", "short", "# comment", "x"} {
		if a, ok := parsePasswd(text, name); ok {
			t.Errorf("%q is %+v", name, a)
		}
	}
	a, ok := parsePasswd(text, "ok")
	if want := (Account{Name: "ok", UID: 12, GID: 34, Home: "/h"}); !ok || fmt.Sprint(a) != fmt.Sprint(want) {
		t.Errorf("got %+v", a)
	}
	if got := parseGroup("a:x:1:ok,b\nb:x:2:b,okay\nc:x:3:ok\nd:x:-1:ok\nshort:x:4\n", "ok"); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("groups %v", got)
	}
}

func FuzzParsePasswd(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n", "root")
	f.Add("a:x:4294967295:1:::", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		a, ok := parsePasswd(text, name)
		if ok && (a.Name != name || name == "" || a.UID < 0 || a.GID < 0 || a.UID >= 1<<32-1 || strings.Contains(a.Home, ":")) {
			t.Errorf("%q in %q is %+v", name, text, a)
		}
	})
}
