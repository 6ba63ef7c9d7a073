package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const osType = Windows

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// osRelease is the product's name and the kernel's version, as the stock agent has them.
func osRelease() (name, version string) {
	name = "Microsoft Windows"
	const path = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE); err == nil {
		if product, _, err := k.GetStringValue("ProductName"); err == nil && product != "" {
			name = "Microsoft " + product
		}
		k.Close()
	}
	v := windows.RtlGetVersion()
	return name, fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}

// CurrentAccount is the account that this process runs as.
func CurrentAccount() Account {
	a := Account{Name: os.Getenv("USERNAME"), Home: os.Getenv("USERPROFILE")}
	if u, err := user.Current(); err == nil {
		a.Name, a.Home = u.Username, u.HomeDir
	}
	return a
}

// Self is a path that executes this program.
func Self() (string, error) { return os.Executable() }

// Siblings gives the last argument of each process of this program that was started with
// exactly args and one more.
func Siblings(args ...string) []string {
	var last []string
	eachProcess(func(_ uint32, argv []string) {
		if len(argv) == len(args)+1 && slices.Equal(argv[:len(args)], args) {
			last = append(last, argv[len(args)])
		}
	})
	return last
}

// SignalSiblings ends the processes of this program that were started with exactly these
// arguments, and says how many there were. There is no asking on this system.
func SignalSiblings(args ...string) (found int) {
	eachProcess(func(pid uint32, argv []string) {
		if !slices.Equal(argv, args) {
			return
		}
		h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, pid)
		if err != nil {
			return
		}
		defer windows.CloseHandle(h)
		if windows.TerminateProcess(h, 1) == nil {
			found++
		}
	})
	return found
}

// eachProcess calls f with the arguments after the name of every other process whose
// file has this program's name.
func eachProcess(f func(pid uint32, argv []string)) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return
	}
	defer windows.CloseHandle(snapshot)
	var entry windows.ProcessEntry32
	entry.Size = uint32(unsafe.Sizeof(entry))
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if entry.ProcessID == uint32(os.Getpid()) ||
			!strings.EqualFold(windows.UTF16ToString(entry.ExeFile[:]), filepath.Base(self)) {
			continue
		}
		if argv, err := arguments(entry.ProcessID); err == nil && len(argv) > 0 {
			f(entry.ProcessID, argv[1:])
		}
	}
}

// maxCommandLine is the longest command line there is (CreateProcessW), in bytes, with the
// structure before it.
const maxCommandLine = 2*32768 + 64

func arguments(pid uint32) ([]string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(h)
	buf := make([]byte, maxCommandLine)
	var size uint32
	err = windows.NtQueryInformationProcess(h, windows.ProcessCommandLineInformation,
		unsafe.Pointer(&buf[0]), uint32(len(buf)), &size)
	if err != nil {
		return nil, err
	}
	return windows.DecomposeCommandLine((*windows.NTUnicodeString)(unsafe.Pointer(&buf[0])).String())
}

// Detach keeps a terminal's Ctrl-C from cmd, and a window from appearing for it. A process
// outlives the one that started it on this system.
func Detach(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &windows.SysProcAttr{}
	}
	cmd.SysProcAttr.CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW
}

// LockDir locks a directory for this process until unlock is called or the process ends.
// It is a named mutex: a full disk has no room for a lock file. The error is [ErrLocked]
// when another process has it.
func LockDir(dir string) (unlock func(), err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(strings.ToLower(path)))
	name, err := windows.UTF16PtrFromString(`Global\sekisho-agent-` + hex.EncodeToString(sum[:16]))
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateMutex(nil, true, name)
	switch {
	case err == nil:
		return func() { windows.CloseHandle(h) }, nil
	case errors.Is(err, windows.ERROR_ALREADY_EXISTS), errors.Is(err, windows.ERROR_ACCESS_DENIED):
		if h != 0 {
			windows.CloseHandle(h)
		}
		return nil, ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// ShellSignals are none but Ctrl-C here: there are no terminal signals to hand on.
func ShellSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// StopSignals are those that ask a process to end.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// Terminate ends a process: it cannot be asked to on this system.
func Terminate(p *os.Process) error { return p.Kill() }

// IsExecutable says whether the file exists.
func IsExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// FreeSpace says how many bytes can still be written below path, by this account.
func FreeSpace(path string) (uint64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: path, Err: err}
	}
	return free, nil
}

// OwnerOnly returns [errors.ErrUnsupported]: modes say nothing here, and the directory's
// access list was set by [MakePrivate].
func OwnerOnly(string) (bool, error) { return false, errors.ErrUnsupported }

// privateList lets the system and the administrators in, and the files below inherit it.
const privateList = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// MakePrivate keeps other accounts out of a directory and the files that are made in it. An
// account that is no administrator keeps its own access.
func MakePrivate(dir string) error {
	list := privateList
	if !IsRoot() {
		list += "(A;OICI;FA;;;OW)"
	}
	sd, err := windows.SecurityDescriptorFromString(list)
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

// IsRoot says whether this process has an administrator's rights.
func IsRoot() bool { return windows.GetCurrentProcessToken().IsElevated() }

// RootDir is a directory that is always there.
func RootDir() string {
	if dir, err := windows.GetSystemWindowsDirectory(); err == nil {
		return dir
	}
	return `C:\`
}

// ProbeShell is a program, with its arguments, that prints the two words with a hyphen
// between them.
func ProbeShell(first, second string) (path string, argv []string) {
	return commandShell(), []string{"cmd.exe", "/c", "echo " + first + "-" + second + ">CONOUT$"}
}

// DataDir is where a service of this name keeps its data.
func DataDir(name string) string {
	dir, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, name)
}

// commandShell is cmd.exe, which every Windows has.
func commandShell() string {
	if dir, err := windows.GetSystemDirectory(); err == nil {
		return filepath.Join(dir, "cmd.exe")
	}
	return `C:\Windows\System32\cmd.exe`
}

// BecomeProgram returns [errors.ErrUnsupported]: a process keeps its program here.
func BecomeProgram(string, []string, []string, string, *os.File) error { return errors.ErrUnsupported }

// CloseOnExec does nothing: no handle is inherited unless that is asked for.
func CloseOnExec(int) {}

// EndProcess ends a process.
func EndProcess(pid int, _ time.Duration) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	return p.Kill()
}

// UpdateSignal is none here.
func UpdateSignal() []os.Signal { return nil }

// AskForUpdate returns [errors.ErrUnsupported].
func AskForUpdate(int) error { return errors.ErrUnsupported }

// LockHolder cannot be told on this system.
func LockHolder(string) (int, error) { return 0, errors.ErrUnsupported }

// Shell is the shell of a session: PowerShell, else cmd.exe, with UTF-8 as the code page of
// programs that have one. ok is false on systems where the account says which it is.
func Shell(env []string, sessionID string) (path string, argv, sessionEnv []string, dir string, ok bool) {
	for _, kv := range env {
		key, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		if !strings.HasPrefix(key, "SEKISHO_") && !strings.HasPrefix(key, "AWS_") {
			sessionEnv = append(sessionEnv, kv)
		}
	}
	sessionEnv = append(sessionEnv, "SEKISHO_SESSION_ID="+sessionID)
	dir = CurrentAccount().Home
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = RootDir()
	}
	if system, err := windows.GetSystemDirectory(); err == nil {
		path = filepath.Join(system, "WindowsPowerShell", "v1.0", "powershell.exe")
		if IsExecutable(path) && !wine() {
			const utf8 = "[Console]::InputEncoding = [Console]::OutputEncoding = $OutputEncoding = [Text.UTF8Encoding]::new($false)"
			return path, []string{"powershell.exe", "-NoLogo", "-NoExit", "-Command", utf8}, sessionEnv, dir, true
		}
	}
	if wine() {
		// Wine 8 gives a program on a pseudo-console no standard handles.
		return commandShell(), []string{"cmd.exe", "/c", "cmd.exe <CONIN$ >CONOUT$ 2>CONOUT$"}, sessionEnv, dir, true
	}
	return commandShell(), []string{"cmd.exe", "/K", "chcp 65001>nul"}, sessionEnv, dir, true
}

// wine says whether this Windows is Wine, whose PowerShell is an empty program.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
