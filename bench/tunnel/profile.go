package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// profiled is added to each program: it profiles itself from its start until SIGUSR2.
const profiled = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

func init() {
	name := fmt.Sprintf("%%s/%%s-%%d", %q, filepath.Base(os.Args[0]), os.Getpid())
	f, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no profile:", err)
		return
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGUSR2)
	go func() {
		<-stop
		pprof.StopCPUProfile()
		f.Close()
		os.Rename(name, name+".pprof")
	}()
}
`

// instrumented builds our programs so that they write CPU profiles to a directory. The
// programs that people run have no such thing; the source is laid over theirs.
func instrumented(ctx context.Context, dir, bin string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o777); err != nil { // sessions may be of other accounts
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list (run this in the repository): %w", err)
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		return "", err
	}
	source, overlay := path(bin, "profile.txt"), path(bin, "overlay.json")
	replace := map[string]string{}
	args := []string{"build", "-buildvcs=false", "-overlay", overlay, "-o", bin + "/"}
	for _, program := range []string{"sekishod", "sekisho-agent", "session-manager-plugin"} {
		replace[path(strings.TrimSpace(string(out)), "cmd", program, "profiled.go")] = source
		args = append(args, "./cmd/"+program)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(source, fmt.Appendf(nil, profiled, dir), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return bin, nil
}

// profiles makes the programs write their profiles, and says what is in them.
func (b *bed) profiles(dir, bin string, w io.Writer) error {
	var wanted []string
	for _, p := range b.procs {
		for _, pid := range tree(p.cmd.Process.Pid) {
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if err == nil && filepath.Dir(exe) == bin && syscall.Kill(pid, syscall.SIGUSR2) == nil {
				wanted = append(wanted, path(dir, fmt.Sprintf("%s-%d", filepath.Base(exe), pid)))
			}
		}
	}
	deadline := time.Now().Add(patience)
	for _, name := range wanted {
		name += ".pprof"
		for _, err := os.Stat(name); err != nil && time.Now().Before(deadline); _, err = os.Stat(name) {
			time.Sleep(10 * time.Millisecond)
		}
		top := exec.Command("go", "tool", "pprof", "-top", "-nodecount=15", name)
		top.Stdout, top.Stderr = w, w
		fmt.Fprintf(w, "\n%s\n", name)
		if err := top.Run(); err != nil {
			return fmt.Errorf("read profile %s: %w", name, err)
		}
	}
	return nil
}

// tree is a process and all below it.
func tree(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, _ := os.ReadFile(l)
		for child := range strings.FieldsSeq(string(text)) {
			var n int
			fmt.Sscan(child, &n)
			all = append(all, tree(n)...)
		}
	}
	return all
}
