package platform

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"

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

// SignalSiblings sends SIGTERM to this account's processes that were started with
// exactly these arguments, and says how many there were. It is how an agent that was
// restarted finds the session workers of the one before.
func SignalSiblings(args ...string) int { return siblings(args, unix.SIGTERM) }

// Siblings counts this account's processes that were started with exactly these
// arguments.
func Siblings(args ...string) int { return siblings(args, 0) }

func siblings(args []string, sig unix.Signal) (found int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() || !startedWith(pid, args) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		// Asked again now that the handle holds the process: its id cannot have come
		// to name another one between the two.
		if startedWith(pid, args) && unix.PidfdSendSignal(fd, sig, nil, 0) == nil {
			found++
		}
		unix.Close(fd)
	}
	return found
}

// startedWith says whether a process of this account has the given arguments after
// its own name.
func startedWith(pid int, args []string) bool {
	path := "/proc/" + strconv.Itoa(pid) + "/cmdline"
	line, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	argv := bytes.Split(bytes.TrimSuffix(line, []byte{0}), []byte{0})
	if len(argv) != len(args)+1 {
		return false
	}
	for i, arg := range args {
		if string(argv[i+1]) != arg {
			return false
		}
	}
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && int(st.Uid) == os.Geteuid()
}

// Detach makes cmd the leader of a session of its own, so that neither the end of
// this process nor a signal to its group ends it.
func Detach(cmd *exec.Cmd) { detach(cmd) }
