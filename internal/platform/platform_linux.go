package platform

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const osType = Linux

// osRelease reads the files of os-release(5), in its order.
func osRelease() (name, version string) {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := os.ReadFile(file); err == nil {
			return parseOSRelease(string(text))
		}
	}
	return "Linux", ""
}

// CurrentAccount is the account that this process runs as. One that /etc/passwd does
// not know has a number for its name and no shell.
func CurrentAccount() Account {
	uid := os.Getuid()
	text, _ := os.ReadFile("/etc/passwd")
	a, ok := parsePasswd(string(text), strconv.Itoa(uid))
	if !ok {
		a = Account{Name: strconv.Itoa(uid), Home: os.Getenv("HOME")}
	}
	a.UID = uid
	return a
}

// Self is a path that executes the very program that runs now, also after an update
// has replaced its file.
func Self() (string, error) { return "/proc/self/exe", nil }

// Siblings gives the last argument of each of this account's processes that were
// started with exactly args and one more. It is how an agent that was restarted finds
// the session workers of the one before.
func Siblings(args ...string) []string {
	var last []string
	eachProcess(func(pid int) {
		if argv, ok := arguments(pid); ok && len(argv) == len(args)+1 && slices.Equal(argv[:len(args)], args) {
			last = append(last, argv[len(args)])
		}
	})
	return last
}

// SignalSiblings sends SIGTERM to this account's processes that were started with
// exactly these arguments, and says how many there were.
func SignalSiblings(args ...string) (found int) {
	meant := func(pid int) bool {
		argv, ok := arguments(pid)
		return ok && slices.Equal(argv, args)
	}
	eachProcess(func(pid int) {
		if !meant(pid) {
			return
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		// Asked again now that the handle holds the process: its id cannot have come
		// to name another one between the two.
		if meant(pid) && unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0) == nil {
			found++
		}
	})
	return found
}

// eachProcess calls f for the other processes of the machine.
func eachProcess(f func(pid int)) {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			f(pid)
		}
	}
}

// arguments gives what follows the name in the arguments of a process of this account.
func arguments(pid int) ([]string, bool) {
	path := "/proc/" + strconv.Itoa(pid) + "/cmdline"
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || int(st.Uid) != os.Geteuid() {
		return nil, false
	}
	line, err := os.ReadFile(path)
	if err != nil || len(line) == 0 { // gone, a zombie or a thread of the kernel
		return nil, false
	}
	argv := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	return argv[1:], true
}

// Detach makes cmd the leader of a session of its own, so that neither the end of
// this process nor a signal to its group ends it.
func Detach(cmd *exec.Cmd) { detach(cmd) }

// DataDir is where a service of this name keeps its data.
func DataDir(name string) string { return "/var/lib/" + name }

// LockHolder is the process that has locked a directory with [LockDir]; 0 if none has.
// The kernel tells (proc(5), /proc/locks).
func LockHolder(dir string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, err
	}
	// 1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == inode {
			return strconv.Atoi(f[4])
		}
	}
	return 0, nil
}

// isZombie says whether a process has ended and is not waited for yet.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}
