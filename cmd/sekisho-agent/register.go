package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sekisho/internal/agent"
)

const registerHelp = `Usage: sekisho-agent register --endpoint URL --region REGION --id ID --code CODE

Registers this machine as a managed node. Code and id come from an activation:
  aws ssm create-activation --iam-role ROLE --registration-limit 10

The code can come from SEKISHO_ACTIVATION_CODE or a file (--code-file, "-" for standard
input) instead, where other users of this machine do not see it. Endpoint, authority
and region can come from SEKISHO_ENDPOINT, SEKISHO_CA and SEKISHO_REGION, or from
AWS_ENDPOINT_URL, AWS_CA_BUNDLE and AWS_DEFAULT_REGION.

A registration that exists is replaced only with -y, and only once the server has
accepted the new one.
`

func register(ctx context.Context, w world, args []string) error {
	fs := flags(w, registerHelp)
	var act agent.Activation
	env := func(names ...string) string {
		for _, name := range names {
			if v := w.getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	fs.StringVar(&act.Dir, "dir", agent.DefaultDir(), "`directory` of the registration")
	fs.StringVar(&act.Endpoint, "endpoint", env("SEKISHO_ENDPOINT", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"), "`URL` of the server, https://host:port")
	fs.StringVar(&act.CAFile, "ca", env("SEKISHO_CA", "AWS_CA_BUNDLE"), "`file` with the server's certificate authority in PEM, pinned from now on")
	fs.StringVar(&act.ReleaseKey, "release-key", "", "`key` whose signature new versions of this program must have; the server's if absent")
	fs.StringVar(&act.Region, "region", env("SEKISHO_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"), "the server's `region`")
	fs.StringVar(&act.ID, "id", "", "activation `id`")
	fs.StringVar(&act.Code, "code", "", "activation `code`")
	codeFile := fs.String("code-file", "", "`file` that holds the activation code")
	fs.BoolVar(&act.Replace, "y", false, "replace an existing registration without asking")
	asJSON := fs.Bool("json", false, "print JSON")
	fs.Bool("register", true, "for the stock agent's form")
	fs.Bool("disableSimilarityCheck", false, "for the stock agent's form; without effect")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	code, err := activationCode(w, act.Code, *codeFile)
	if err != nil {
		return err
	}
	act.Code = code
	reg, err := agent.Register(ctx, act)
	if errors.Is(err, agent.ErrRegistered) && isTerminal(w.stdin) {
		if !confirm(w, err) {
			return err
		}
		act.Replace = true
		reg, err = agent.Register(ctx, act)
	}
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if *asJSON {
		return json.NewEncoder(w.stdout).Encode(map[string]string{
			"InstanceId": reg.NodeID, "Region": reg.Region, "Endpoint": reg.Endpoint, "Directory": act.Dir,
		})
	}
	_, err = fmt.Fprintf(w.stdout, "This machine is registered. Managed instance-id: %s\nStart the agent with: sekisho-agent run --dir %s\n", reg.NodeID, act.Dir)
	return err
}

// maxCode bounds what is read of a file with an activation code; the API takes 250.
const maxCode = 4096

// activationCode finds the code: from its flag, a file, or the environment.
func activationCode(w world, flag, file string) (string, error) {
	if flag != "" || file == "" {
		return cmp.Or(flag, w.getenv("SEKISHO_ACTIVATION_CODE")), nil
	}
	r := w.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the activation code: %w", err)
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxCode))
	if err != nil {
		return "", fmt.Errorf("read the activation code: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func confirm(w world, fact error) bool {
	fmt.Fprintf(w.stderr, "%v. Replace that registration? [y/N] ", fact)
	line, _ := bufio.NewReader(io.LimitReader(w.stdin, maxCode)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
