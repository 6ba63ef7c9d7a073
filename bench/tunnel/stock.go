package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"sekisho/internal/ssm"
)

// stockDomain is the service domain under which a stock agent finds its endpoints.
const stockDomain = "sekisho.test"

// stockMachine makes a mount namespace in which a stock agent finds a machine of its own.
// $1 is a folder for that, $2 the programs, $3 the configuration; then come the agent's
// arguments.
const stockMachine = `
set -e
mount --make-rprivate /
if [ ! -d "$1/etc" ]; then
	mkdir -p "$1/etc" "$1/bin/configuration" "$1/home" "$1/lib" "$1/log"
	cp -a /etc/. "$1/etc/"
	cp "$2"/* "$1/bin/"
	chown -R root:root "$1/bin"
	chmod 755 "$1/bin" "$1"/bin/*
	printf '%s' "$3" >"$1/bin/configuration/amazon-ssm-agent.json"
	chmod 600 "$1/bin/configuration/amazon-ssm-agent.json"
	for s in ssm ssmmessages ec2messages logs s3 kms; do
		echo "127.0.0.1 $s.$4.` + stockDomain + `" >>"$1/etc/hosts"
	done
fi
mkdir -p /var/lib/amazon /var/log/amazon
mount --bind "$1/etc" /etc
mount --bind "$1/home" /home
mount --bind "$1/lib" /var/lib/amazon
mount --bind "$1/log" /var/log/amazon
dir=$1
shift 4
exec "$dir/bin/amazon-ssm-agent" "$@"
`

// startStockAgent registers and runs the agent in STOCK_AGENT_DIR.
func (b *bed) startStockAgent(ctx context.Context) (node string, err error) {
	programs := os.Getenv("STOCK_AGENT_DIR")
	switch {
	case programs == "":
		return "", errors.New("STOCK_AGENT_DIR is not set")
	case os.Geteuid() != 0:
		return "", errors.New("a stock agent registers as root only")
	}
	if programs, err = filepath.Abs(programs); err != nil {
		return "", err
	}
	if err := b.call(ctx, "UpdateServiceSetting", &ssm.UpdateServiceSettingInput{SettingID: "/ssm/managed-instance/activation-tier", SettingValue: "advanced"}, nil); err != nil {
		return "", err
	}
	var activation ssm.CreateActivationOutput
	if err := b.call(ctx, "CreateActivation", &ssm.CreateActivationInput{IamRole: "SSMServiceRole"}, &activation); err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(b.listen)
	if err != nil {
		return "", err
	}
	config, err := json.Marshal(map[string]any{
		"Agent":    map[string]any{"ServiceDomain": stockDomain + ":" + port, "SelfUpdate": false},
		"Identity": map[string]any{"ConsumptionOrder": []string{"OnPrem"}},
	})
	if err != nil {
		return "", err
	}
	region := b.env["AWS_DEFAULT_REGION"]
	// Its workers end with its process namespace.
	argv := []string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", stockMachine, "sh",
		path(b.dir, "stock"), programs, string(config), region}
	environ := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + path(b.dir, "stock"), "SSL_CERT_FILE=" + b.env["SSL_CERT_FILE"],
		"AWS_EC2_METADATA_DISABLED=true", "AWS_SHARED_CREDENTIALS_FILE=" + path(b.dir, "stock", "credentials")}
	register := exec.CommandContext(ctx, argv[0], append(argv[1:], "-register", "-code", activation.ActivationCode, "-id", activation.ActivationID, "-region", region, "-y")...)
	register.Env = environ
	out, err := register.CombinedOutput()
	if node = regexp.MustCompile(`mi-[0-9a-f]{17}`).FindString(string(out)); err != nil || node == "" {
		return "", fmt.Errorf("register the stock agent: %v: %s", err, out)
	}
	if err := b.start(b.far, "stock-agent", environ, argv...); err != nil {
		return "", err
	}
	b.procs[len(b.procs)-1].kill = true // unshare waits for its child, whatever comes
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for {
		var status ssm.GetConnectionStatusOutput
		if err := b.call(ctx, "GetConnectionStatus", &ssm.GetConnectionStatusInput{Target: node}, &status); err != nil {
			return "", err
		}
		if status.Status == "connected" {
			return node, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return "", errors.New("the stock agent does not connect")
		}
	}
}
