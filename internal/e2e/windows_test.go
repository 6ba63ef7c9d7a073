package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWindowsAgentUnderWine runs the Windows agent as far as Wine (Debian 12: 8.0) can: it
// starts, registers, finds its prerequisites, opens a cmd.exe session on a pseudo-console
// and ends it. What Wine has not, such as PowerShell, resizing and services, was only
// compiled.
func TestWindowsAgentUnderWine(t *testing.T) {
	wine, err := exec.LookPath("wine")
	if err != nil {
		t.Skip("wine is not installed (Debian package wine)")
	}
	c := clis(t)[0]
	d := deploy(t, 0)
	d.advanced(c)
	dir := t.TempDir()
	program := filepath.Join(dir, "sekisho-agent.exe")
	build := exec.Command("go", "build", "-o", program, "sekisho/cmd/sekisho-agent")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	prefix := filepath.Join(dir, "wine")
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(wine, args...)
		cmd.Env = append(cleanEnv(), "WINEPREFIX="+prefix, "WINEDEBUG=-all", "HOME="+dir)
		return cmd
	}
	if out, err := run("wineboot", "--init").CombinedOutput(); err != nil {
		t.Skipf("wine does not start here: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := run("wineboot", "--kill").CombinedOutput(); err != nil {
			t.Logf("end wine: %v\n%s", err, out)
		}
	})
	system := filepath.Join(prefix, "drive_c", "windows", "system32")
	if _, err := os.Stat(filepath.Join(system, "bcryptprimitives.dll")); err != nil {
		// Programs of Go need it since 1.22; Wine has it since 9.
		dll := forwarder("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036")
		if err := os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), dll, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run(program, "version").CombinedOutput(); err != nil || !strings.Contains(string(out), "sekisho-agent") {
		t.Skipf("this Wine does not run programs of this Go: %v\n%s", err, tail(string(out), 600))
	}
	var activation struct{ ActivationId, ActivationCode string }
	d.mustJSON(c, &activation, "ssm", "create-activation", "--iam-role", "SSMServiceRole", "--default-instance-name", "wine")
	register := run(program, "register", "--endpoint", d.env["AWS_ENDPOINT_URL"], "--ca", "Z:"+strings.ReplaceAll(filepath.Join(d.dir, "ca.pem"), "/", `\`),
		"--region", d.env["AWS_DEFAULT_REGION"], "--id", activation.ActivationId)
	register.Env = append(register.Env, "SEKISHO_ACTIVATION_CODE="+activation.ActivationCode)
	if out, err := register.CombinedOutput(); err != nil {
		t.Fatalf("register: %v\n%s", err, out)
	}
	agent := run(program, "run")
	log := &syncBuffer{}
	agent.Stderr = log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		agent.Process.Kill()
		agent.Wait()
		if t.Failed() {
			t.Logf("agent:\n%s", log)
		}
	})
	var nodes struct {
		InstanceInformationList []struct{ InstanceId, PingStatus, PlatformType, PlatformName string }
	}
	eventually(t, "the node is online", func() bool {
		d.mustJSON(c, &nodes, "ssm", "describe-instance-information")
		l := nodes.InstanceInformationList
		return len(l) == 1 && l[0].PingStatus == "Online" && l[0].PlatformType != ""
	})
	node := nodes.InstanceInformationList[0]
	if node.PlatformType != "Windows" {
		t.Errorf("node: %+v", node)
	}
	if out, err := run(program, "diagnose").Output(); err != nil {
		t.Errorf("diagnose: %v\n%s", err, out)
	}
	cmd := exec.Command(c.path, d.awsArgs([]string{"ssm", "start-session", "--target", node.InstanceId})...)
	cmd.Env = d.environ()
	v := converse(t, cmd)
	v.expect(`C:\\.*>`)
	for i, word := range []string{"first", "second"} {
		// The console host draws anew what is typed; the number keeps output apart from it.
		v.typed(fmt.Sprintf("set /a %d+40\r", i+2))
		v.expect(fmt.Sprintf(`\D%d`, i+42))
		v.typed("echo " + word + "-%OS%\r")
		v.expect(word + `-Windows_NT`)
	}
	v.typed("exit\r")
	v.expect(`Exiting session`)
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "the agent knows that the session ended", func() bool { return strings.Contains(log.String(), "session ended") })
	if !strings.Contains(log.String(), "status=Success") {
		t.Errorf("the session did not end well")
	}
}

// forwarder makes a DLL with one function, which is another DLL's (PE format, Microsoft's
// specification, "Export Address Table": forwarder RVA).
func forwarder(name, function, target string) []byte {
	const rva, align = 0x1000, 512
	// Directory, one address, one name pointer, one ordinal, and the three strings.
	names := 40 + 4 + 4 + 2
	strs := name + "\x00" + target + "\x00" + function + "\x00"
	le := binary.LittleEndian
	section := make([]byte, align)
	put := func(at, value int) { le.PutUint32(section[at:], uint32(value)) }
	put(12, rva+names) // name
	put(16, 1)         // ordinal base
	put(20, 1)         // addresses
	put(24, 1)         // names
	put(28, rva+40)
	put(32, rva+44)
	put(36, rva+48)
	put(40, rva+names+len(name)+1)
	put(44, rva+names+len(name)+1+len(target)+1)
	copy(section[names:], strs)

	header := make([]byte, align)
	copy(header, "MZ")
	le.PutUint32(header[60:], 64)
	copy(header[64:], "PE\x00\x00")
	coff := header[68:]
	le.PutUint16(coff, 0x8664)      // AMD64
	le.PutUint16(coff[2:], 1)       // sections
	le.PutUint16(coff[16:], 240)    // size of the optional header
	le.PutUint16(coff[18:], 0x2022) // DLL, large addresses, executable image
	opt := header[88:]
	le.PutUint16(opt, 0x20b) // PE32+
	le.PutUint32(opt[20:], rva)
	le.PutUint64(opt[24:], 0x180000000) // image base
	le.PutUint32(opt[32:], 0x1000)      // alignment in memory
	le.PutUint32(opt[36:], align)       // and in the file
	le.PutUint16(opt[40:], 6)           // Windows 6.0
	le.PutUint16(opt[48:], 6)
	le.PutUint32(opt[56:], 2*rva) // size of the image
	le.PutUint32(opt[60:], align) // size of the headers
	le.PutUint16(opt[68:], 3)     // console
	le.PutUint32(opt[108:], 16)   // directories
	le.PutUint32(opt[112:], rva)  // exports
	le.PutUint32(opt[116:], uint32(names+len(strs)))
	table := header[88+240:]
	copy(table, ".edata")
	le.PutUint32(table[8:], align)
	le.PutUint32(table[12:], rva)
	le.PutUint32(table[16:], align)
	le.PutUint32(table[20:], align)
	le.PutUint32(table[36:], 0x40000040) // initialised data, readable
	return append(header, section...)
}
