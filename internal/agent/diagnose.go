package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekisho/internal/platform"
	"sekisho/internal/pty"
	"sekisho/internal/runas"
	"sekisho/internal/ssm"
)

// Verdict is how a check ended.
type Verdict string

// The verdicts. A warning keeps no session from opening.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Finding is the result of one check.
type Finding struct {
	Check   string // the check's name, the same in every language
	Verdict Verdict
	Text    string // what was found
	Advice  string `json:",omitempty"` // what to do about it
}

// Examination is what [Diagnose] looks at.
type Examination struct {
	Dir         string
	SessionUser string // see [Config]
	Japanese    bool   // the language of texts and advice
}

const (
	// checkPatience bounds each check that asks the network.
	checkPatience = 10 * time.Second
	// skewNoticed is a difference of clocks that is worth a word; the server bears 5
	// minutes, and the agent corrects the rest.
	skewNoticed = 30 * time.Second
	// lowDisk is what a log, a new key and an update need together, roughly.
	lowDisk = 64 << 20 // bytes
	// certificateSoon is how long before its end a certificate is worth a word.
	certificateSoon = 14 * 24 * time.Hour
	maxHealthAnswer = 4 << 10
)

// checks are the names of all checks in their order.
const (
	checkConfiguration = "configuration"
	checkIdentity      = "identity"
	checkDisk          = "disk"
	checkProxy         = "proxy"
	checkDNS           = "dns"
	checkTCP           = "tcp"
	checkTLS           = "tls"
	checkClock         = "clock"
	checkCredentials   = "credentials"
	checkHeartbeat     = "heartbeat"
	checkControl       = "control-channel"
	checkShell         = "shell"
	checkRunAs         = "run-as"
	checkAgent         = "agent"
)

// examiner is one run of the checks.
type examiner struct {
	Examination
	found func(Finding)
	bad   bool

	reg    *Registration
	host   string // of the endpoint, and its port
	port   string
	proxy  *url.URL // the way to the endpoint; nil is the direct one
	server *server
	creds  *credentials
}

// Diagnose checks everything that a session on this machine needs and hands each finding
// on as soon as there is one. It disturbs no agent that runs, and changes nothing. It says
// whether nothing has failed.
func Diagnose(ctx context.Context, ex Examination, found func(Finding)) bool {
	e := &examiner{Examination: ex, found: found}
	e.configuration()
	e.disk()
	if e.reg != nil {
		e.network(ctx)
	} else {
		for _, check := range []string{checkIdentity, checkProxy, checkDNS, checkTCP, checkTLS, checkClock, checkCredentials, checkHeartbeat, checkControl} {
			e.skip(check)
		}
	}
	e.shell(ctx)
	e.runAs(ctx)
	e.running()
	if e.server != nil {
		e.server.close()
	}
	return !e.bad
}

// says is a sentence in both languages.
type says struct{ en, ja string }

func (e *examiner) in(s says, args ...any) string {
	text := s.en
	if e.Japanese {
		text = s.ja
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

func (e *examiner) say(check string, verdict Verdict, text, advice string) {
	e.bad = e.bad || verdict == Failed
	e.found(Finding{check, verdict, text, advice})
}

func (e *examiner) skip(check string) {
	e.say(check, Skipped, e.in(says{"Not checked, because an earlier check failed.", "前の検査に失敗したため、検査していません。"}), "")
}

func (e *examiner) configuration() {
	reg, err := Load(e.Dir)
	switch {
	case errors.Is(err, ErrNotRegistered):
		e.say(checkConfiguration, Failed, e.in(says{"This machine is not registered: %s holds no registration.", "このマシンは登録されていません。%s に登録情報がありません。"}, e.Dir),
			e.in(says{"Create an activation on the server and run 'sekisho-agent register' with its id and code. If the registration is elsewhere, add --dir.",
				"サーバーでアクティベーションを作成し、その ID とコードで 'sekisho-agent register' を実行してください。登録情報が別の場所にある場合は --dir を付けてください。"}))
	case err != nil:
		e.say(checkConfiguration, Failed, e.in(says{"The registration cannot be read: %v.", "登録情報を読めません: %v"}, err), e.advice(err))
	default:
		u, parseErr := url.Parse(reg.Endpoint)
		if parseErr != nil || u.Scheme != "https" || u.Hostname() == "" {
			e.say(checkConfiguration, Failed, e.in(says{"The registration's endpoint %q is not of the form https://host:port.", "登録情報のエンドポイント %q は https://host:port の形式ではありません。"}, reg.Endpoint),
				e.in(says{"Register this machine anew: sekisho-agent register -y …", "このマシンを登録し直してください: sekisho-agent register -y …"}))
			return
		}
		if e.host, e.port = u.Hostname(), u.Port(); e.port == "" {
			e.port = "443"
		}
		e.reg = reg
		e.say(checkConfiguration, OK, e.in(says{"Registered as %s in region %s at %s.", "%s としてリージョン %s のサーバー %s に登録されています。"}, reg.NodeID, reg.Region, reg.Endpoint), "")
	}
}

func (e *examiner) identity() bool {
	key, err := e.reg.key(e.Dir)
	if err != nil {
		e.say(checkIdentity, Failed, e.in(says{"The node's private key cannot be used: %v.", "ノードの秘密鍵を使用できません: %v"}, err),
			e.in(says{"Run this as the account that runs the agent (usually root). If the key is lost, register this machine anew with -y.",
				"エージェントを実行するアカウント (通常は root) で実行してください。鍵を失った場合は -y を付けて登録し直してください。"}))
		return false
	}
	for _, name := range []string{keyFile, registrationFile} {
		path := filepath.Join(e.Dir, name)
		if private, err := platform.OwnerOnly(path); err == nil && !private {
			e.say(checkIdentity, Failed, e.in(says{"Other accounts of this machine can read %s.", "このマシンの他のアカウントが %s を読めます。"}, path),
				e.in(says{"Run 'chmod 600 %[1]s'. If other people use this machine, register it anew with -y: the key may have been copied.",
					"'chmod 600 %[1]s' を実行してください。他の人もこのマシンを使う場合は、鍵がコピーされた可能性があるため -y を付けて登録し直してください。"}, path))
			return false
		}
	}
	e.say(checkIdentity, OK, e.in(says{"The private key (%d bits) belongs to the registration and only its owner can read it.", "秘密鍵 (%d ビット) は登録情報と一致し、所有者だけが読めます。"}, key.N.BitLen()), "")
	e.creds = newCredentials(e.server, e.reg.Fingerprint, func() (signer, error) { return rsaSigner(e.server, e.reg.NodeID, key), nil })
	return true
}

func (e *examiner) disk() {
	free, err := platform.FreeSpace(e.Dir)
	if errors.Is(err, os.ErrNotExist) {
		free, err = platform.FreeSpace(filepath.Dir(e.Dir))
	}
	consequence := e.in(says{"Sessions open all the same. A new registration, a new key, an update and a log file need room: free some.",
		"セッションは開けます。ただし再登録、鍵の更新、アップデート、ログファイルには空きが必要です。空きを作ってください。"})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		e.say(checkDisk, Skipped, e.in(says{"Not checked on this system.", "このシステムでは検査しません。"}), "")
		return
	case err != nil:
		e.say(checkDisk, Warning, e.in(says{"The disk of %s cannot be examined: %v.", "%s のディスクを調べられません: %v"}, e.Dir, err), "")
		return
	case free < lowDisk:
		e.say(checkDisk, Warning, e.in(says{"Only %d MB are free for %s.", "空き容量が %d MB しかありません (%s)。"}, free>>20, e.Dir), consequence)
		return
	}
	if e.reg == nil {
		e.say(checkDisk, OK, e.in(says{"%d MB are free.", "空き容量は %d MB です。"}, free>>20), "")
		return
	}
	probe, err := os.CreateTemp(e.Dir, ".probe-*")
	if err != nil {
		e.say(checkDisk, Warning, e.in(says{"%s cannot be written: %v.", "%s に書き込めません: %v"}, e.Dir, err),
			e.in(says{"Sessions open all the same. For a new registration, a new key or an update, make the file system writable, or run as root.",
				"セッションは開けます。再登録、鍵の更新、アップデートを行うには、ファイルシステムを書き込み可能にするか root で実行してください。"}))
		return
	}
	probe.Close()
	os.Remove(probe.Name())
	e.say(checkDisk, OK, e.in(says{"%d MB are free, and %s can be written.", "空き容量は %d MB で、%s に書き込めます。"}, free>>20, e.Dir), "")
}

// network makes the checks that lead to the server, each of which needs the ones before.
func (e *examiner) network(ctx context.Context) {
	srv, err := newServer(e.reg)
	if err == nil {
		e.server = srv
	}
	steps := []struct {
		check string
		run   func(context.Context) bool
	}{
		{checkIdentity, func(context.Context) bool {
			if err != nil {
				e.say(checkIdentity, Failed, err.Error(), e.advice(err))
				return false
			}
			return e.identity()
		}},
		{checkProxy, e.way},
		{checkDNS, e.dns},
		{checkTCP, e.tcp},
		{checkTLS, e.tls}, // and the clock
		{checkCredentials, e.credentials},
		{checkHeartbeat, e.heartbeat},
		{checkControl, e.control},
	}
	good, identified := true, true
	for _, step := range steps {
		if !good || !identified && step.check == checkCredentials {
			good = false
			if step.check == checkTLS {
				e.skip(checkTLS)
				e.skip(checkClock)
				continue
			}
			e.skip(step.check)
			continue
		}
		stepCtx, cancel := context.WithTimeout(ctx, checkPatience)
		ok := step.run(stepCtx)
		cancel()
		if step.check == checkIdentity {
			identified = ok // the way to the server can be looked at all the same
			good = e.server != nil
			continue
		}
		good = ok
	}
}

func (e *examiner) way(context.Context) bool {
	r, err := http.NewRequest(http.MethodGet, e.reg.Endpoint, nil)
	if err == nil {
		e.proxy, err = http.ProxyFromEnvironment(r)
	}
	switch {
	case err != nil:
		e.say(checkProxy, Failed, e.in(says{"The proxy settings cannot be understood: %v.", "プロキシの設定を解釈できません: %v"}, err),
			e.in(says{"Correct HTTPS_PROXY; it has the form http://host:port.", "HTTPS_PROXY を修正してください。形式は http://host:port です。"}))
		return false
	case e.proxy != nil:
		e.say(checkProxy, OK, e.in(says{"The server is reached through the proxy %s, as HTTPS_PROXY says.", "HTTPS_PROXY に従い、プロキシ %s を経由してサーバーに接続します。"}, e.proxy.Redacted()),
			e.in(says{"To reach the server directly, add its name to NO_PROXY. The service has an environment of its own: see docs/agent.md.",
				"直接接続する場合は、サーバーの名前を NO_PROXY に加えてください。サービスの環境変数はこのシェルとは別です (docs/ja/agent.md を参照)。"}))
	default:
		e.say(checkProxy, OK, e.in(says{"No proxy is used.", "プロキシは使用しません。"}), "")
	}
	return true
}

// next is the host and port that a connection is made to: the server's or its proxy's.
func (e *examiner) next() (host, port string) {
	if e.proxy == nil {
		return e.host, e.port
	}
	if port = e.proxy.Port(); port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[e.proxy.Scheme]
		if port == "" {
			port = "80"
		}
	}
	return e.proxy.Hostname(), port
}

func (e *examiner) dns(ctx context.Context) bool {
	host, _ := e.next()
	if net.ParseIP(host) != nil {
		e.say(checkDNS, OK, e.in(says{"%s is an address; no name needs to be resolved.", "%s はアドレスなので、名前解決は不要です。"}, host), "")
		return true
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		e.say(checkDNS, Failed, e.in(says{"The name %s cannot be resolved: %v.", "名前 %s を解決できません: %v"}, host, err),
			e.in(says{"Check this machine's DNS (/etc/resolv.conf), or add the name to /etc/hosts.", "このマシンの DNS (/etc/resolv.conf) を確認するか、/etc/hosts に名前を追加してください。"}))
		return false
	}
	e.say(checkDNS, OK, e.in(says{"%s is %s.", "%s は %s です。"}, host, strings.Join(addresses, ", ")), "")
	return true
}

func (e *examiner) tcp(ctx context.Context) bool {
	host, port := e.next()
	address := net.JoinHostPort(host, port)
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		e.say(checkTCP, Failed, e.in(says{"No connection to %s: %v.", "%s に接続できません: %v"}, address, err),
			e.in(says{"Check that the server (or proxy) runs and that a firewall lets this machine connect to that port. The agent needs no other port, and none open on this machine.",
				"サーバー (またはプロキシ) が動作していること、ファイアウォールがこのポートへの接続を許可していることを確認してください。エージェントに必要なのはこのポートだけで、このマシン側で開くポートはありません。"}))
		return false
	}
	defer c.Close()
	e.say(checkTCP, OK, e.in(says{"Connected to %s in %s.", "%s に %s で接続しました。"}, c.RemoteAddr(), time.Since(began).Round(time.Millisecond)), "")
	return true
}

func (e *examiner) tls(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.reg.Endpoint+"/health", nil)
	var resp *http.Response
	if err == nil {
		resp, err = e.server.http.Do(r)
	}
	if err != nil {
		e.say(checkTLS, Failed, e.in(says{"No TLS connection with the server: %v.", "サーバーと TLS で接続できません: %v"}, err), e.advice(err))
		e.skip(checkClock)
		return false
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxHealthAnswer))
	resp.Body.Close()
	trusted := e.in(says{"the system's authorities", "システムの認証局"})
	if e.reg.CA != "" {
		trusted = e.in(says{"the pinned authority", "登録時に固定した認証局"})
	}
	switch left := certificateLife(resp); {
	case left < certificateSoon:
		e.say(checkTLS, Warning, e.in(says{"The server's certificate is good (%s), but it ends in %d days by this machine's clock.", "サーバーの証明書は有効です (%s) が、このマシンの時計ではあと %d 日で切れます。"}, trusted, int(left.Hours()/24)),
			e.in(says{"Restart the server: it renews its certificate. Check this machine's clock as well.", "サーバーを再起動すると証明書が更新されます。このマシンの時計も確認してください。"}))
	default:
		e.say(checkTLS, OK, e.in(says{"The server's certificate is good: %s.", "サーバーの証明書は有効です (%s)。"}, trusted), "")
	}
	e.clock()
	return true
}

func certificateLife(resp *http.Response) time.Duration {
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		return 0
	}
	return time.Until(resp.TLS.PeerCertificates[0].NotAfter)
}

func (e *examiner) clock() {
	skew := -time.Duration(e.server.clock.observed.Load())
	switch {
	case e.server.clock.observed.Load() == 0:
		e.say(checkClock, Warning, e.in(says{"The server did not say its time.", "サーバーが時刻を返しませんでした。"}), "")
	case skew.Abs() > skewNoticed:
		e.say(checkClock, Warning, e.in(says{"This machine's clock differs from the server's by %s.", "このマシンの時計はサーバーの時計と %s ずれています。"}, skew.Round(time.Second)),
			e.in(says{"The agent corrects its signatures, so sessions open. Set the clock right (chrony, systemd-timesyncd): other programs need it.",
				"エージェントは署名の時刻を補正するため、セッションは開けます。他のプログラムのために時計を合わせてください (chrony、systemd-timesyncd)。"}))
	default:
		e.say(checkClock, OK, e.in(says{"This machine's clock agrees with the server's.", "このマシンの時計はサーバーと合っています。"}), "")
	}
}

func (e *examiner) credentials(ctx context.Context) bool {
	c, err := e.creds.get(ctx)
	if err != nil {
		e.say(checkCredentials, Failed, e.in(says{"The server gives this node no credentials: %v.", "サーバーがこのノードに認証情報を発行しません: %v"}, err), e.advice(err))
		return false
	}
	e.say(checkCredentials, OK, e.in(says{"The server knows this node and gave it credentials until %s.", "サーバーはこのノードを認識し、%s まで有効な認証情報を発行しました。"}, c.Expires.Local().Format(time.DateTime)), "")
	return true
}

func (e *examiner) heartbeat(ctx context.Context) bool {
	err := e.creds.use(ctx, func(c Credentials) error {
		return e.server.call(ctx, "AmazonSSM.UpdateInstanceInformation", information(e.reg.NodeID), nil, e.server.sigv4Signer(c, "ssm"))
	})
	if err != nil {
		e.say(checkHeartbeat, Failed, e.in(says{"The server does not take this node's heartbeat: %v.", "サーバーがこのノードのハートビートを受け付けません: %v"}, err), e.advice(err))
		return false
	}
	e.say(checkHeartbeat, OK, e.in(says{"The server took this node's heartbeat.", "サーバーがハートビートを受け付けました。"}), "")
	return true
}

// control makes the websocket of a control channel and leaves it before the first message,
// so that the channel of an agent that runs is not replaced.
func (e *examiner) control(ctx context.Context) bool {
	ch := controlChannel(e.reg.NodeID, platformType())
	err := e.creds.use(ctx, func(c Credentials) error {
		if _, err := e.server.create(ctx, c, ch); err != nil {
			return err
		}
		ws, err := e.server.dial(ctx, c, ch, defaultPace)
		if err == nil {
			ws.Close()
		}
		return err
	})
	if err != nil {
		e.say(checkControl, Failed, e.in(says{"The control channel cannot be opened: %v.", "コントロールチャネルを開けません: %v"}, err),
			e.in(says{"If the checks before are good, something between here and the server lets no websocket through: a proxy or load balancer must pass on 'Upgrade: websocket' and leave quiet connections open for a minute.",
				"ここまでの検査に問題がなければ、途中の機器が WebSocket を通していません。プロキシやロードバランサーは 'Upgrade: websocket' を転送し、無通信の接続を 1 分以上維持する必要があります。"}))
		return false
	}
	e.say(checkControl, OK, e.in(says{"A websocket to the message gateway opens.", "メッセージゲートウェイへの WebSocket を開けます。"}), "")
	return true
}

// shellProbe is printed by a shell that works. The shell puts it together, so that an echo
// of the command is not taken for it.
const shellProbe = "sekisho-shell-works"

func (e *examiner) shell(ctx context.Context) {
	program, argv := platform.ProbeShell("sekisho-shell", "works")
	p, err := pty.Start(pty.Command{Path: program, Argv: argv, Env: os.Environ(), Dir: platform.RootDir()})
	if err != nil {
		e.say(checkShell, Failed, e.in(says{"No terminal can be opened: %v.", "端末を開けません: %v"}, err),
			e.in(says{"A terminal needs /dev/ptmx and devpts mounted at /dev/pts, and %s.", "端末には /dev/ptmx、/dev/pts にマウントされた devpts、および %s が必要です。"}, program))
		return
	}
	stop := context.AfterFunc(ctx, p.Kill)
	timer := time.AfterFunc(checkPatience, p.Kill)
	output, _ := io.ReadAll(io.LimitReader(p, maxHealthAnswer))
	stop()
	timer.Stop()
	p.Kill()
	p.Close()
	if !strings.Contains(string(output), shellProbe) {
		e.say(checkShell, Failed, e.in(says{"%s does not run on a terminal: it printed %q.", "%s が端末上で動作しません。出力は %q でした。"}, program, output),
			e.in(says{"Run it by hand and repair what it says.", "手動で実行し、表示される問題を解決してください。"}))
		return
	}
	e.say(checkShell, OK, e.in(says{"A terminal opens, and %s runs on it.", "端末を開き、%s を実行できます。"}, program), "")
}

func (e *examiner) runAs(ctx context.Context) {
	own := platform.CurrentAccount()
	switch {
	case !platform.IsRoot():
		e.say(checkRunAs, Warning, e.in(says{"This account, %s, is not the administrator: an agent that runs as it opens sessions as it alone, and not as the user that a session document names.",
			"このアカウント %s は管理者ではありません。このアカウントで動くエージェントは、セッションドキュメントで指定されたユーザーではなく、このアカウントとしてのみセッションを開きます。"}, own.Name),
			e.in(says{"To have sessions run as other users, run the agent as root; to check that, run this as root.", "他のユーザーとしてセッションを実行するには、エージェントを root で実行してください。その状態を検査するには、この検査も root で実行してください。"}))
		return
	case e.SessionUser == "":
		e.say(checkRunAs, Warning, e.in(says{"Sessions run as %s.", "セッションは %s として実行されます。"}, own.Name), "")
		return
	}
	a, err := runas.Lookup(ctx, e.SessionUser)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		e.say(checkRunAs, Warning, e.in(says{"Sessions run as %s: run-as does not exist on this system.", "このシステムでは実行ユーザーを選べないため、セッションは %s として実行されます。"}, own.Name), "")
	case errors.Is(err, runas.ErrNoUser) && e.SessionUser == DefaultSessionUser:
		e.say(checkRunAs, OK, e.in(says{"The user %s does not exist yet; the first session makes it.", "ユーザー %s はまだありません。最初のセッションで作成されます。"}, e.SessionUser), "")
	case errors.Is(err, runas.ErrNoUser):
		e.say(checkRunAs, Failed, e.in(says{"The session user %s does not exist.", "セッションユーザー %s が存在しません。"}, e.SessionUser),
			e.in(says{"Create it (useradd --create-home %s), or start the agent with another --session-user.", "ユーザーを作成する (useradd --create-home %s) か、別の --session-user でエージェントを起動してください。"}, e.SessionUser))
	case err != nil || a.Root():
		e.say(checkRunAs, Failed, e.in(says{"Sessions cannot run as %s: it is root's, or cannot be looked up (%v).", "%s としてセッションを実行できません。root のアカウントであるか、検索できません (%v)。"}, e.SessionUser, err),
			e.in(says{"Start the agent with a --session-user that is an ordinary account.", "--session-user に一般アカウントを指定してエージェントを起動してください。"}))
	default:
		e.say(checkRunAs, OK, e.in(says{"Sessions run as %s unless their document or the caller's tag names another user.", "ドキュメントや呼び出し元のタグで別のユーザーが指定されない限り、セッションは %s として実行されます。"}, e.SessionUser), "")
	}
}

func (e *examiner) running() {
	if e.reg == nil {
		e.skip(checkAgent)
		return
	}
	unlock, err := platform.LockDir(e.Dir)
	switch {
	case errors.Is(err, platform.ErrLocked):
		e.say(checkAgent, OK, e.in(says{"An agent is running with this registration.", "この登録情報でエージェントが動作しています。"}), "")
	case err != nil:
		e.say(checkAgent, Warning, e.in(says{"It cannot be told whether an agent is running: %v.", "エージェントが動作しているか判断できません: %v"}, err), "")
	default:
		unlock()
		e.say(checkAgent, Warning, e.in(says{"No agent is running with this registration, so the node is offline.", "この登録情報で動作しているエージェントがないため、ノードはオフラインです。"}),
			e.in(says{"Run 'sekisho-agent service install', or 'sekisho-agent run'.", "'sekisho-agent service install' または 'sekisho-agent run' を実行してください。"}))
	}
}

// advice is [Hint] in the examiner's language.
func (e *examiner) advice(err error) string {
	if !e.Japanese {
		return Hint(err)
	}
	var api *ssm.Error
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &api) && api.Code == ssm.CodeFingerprintDoesNotMatch:
		return "別のマシンの複製と思われます。-y を付けて登録し直してください。"
	case errors.As(err, &api) && (api.Code == ssm.CodeAccessDenied || api.Code == ssm.CodeInvalidInstanceID):
		return "サーバーはこのノードを認識していません。-y を付けて登録し直してください。"
	case errors.As(err, &api) && (isSkew(err) || strings.Contains(api.Message, "different region")):
		return "このマシンの時計と、リージョンがサーバーと同じであることを確認してください。"
	case errors.As(err, &api) && api.Status >= http.StatusInternalServerError:
		return "サーバー側の障害です。しばらくしてから再試行し、サーバーのログを確認してください。"
	case errors.As(err, &unknown):
		return "サーバーの証明書は、登録時に固定した認証局のものではありません。サーバーの CA が変わった場合は、--ca に新しい CA 証明書を指定して登録し直してください。"
	case errors.As(err, &host):
		return "サーバーの証明書は別の名前用です。証明書に含まれる名前をエンドポイントに使うか、サーバーで名前を追加してください。"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "証明書の期限が切れているか、このマシンの時計が誤っています。両方を確認してください。"
	case errors.Is(err, context.DeadlineExceeded):
		return "サーバーに到達できません。エンドポイント、ファイアウォール、プロキシを確認してください。"
	case errors.Is(err, os.ErrPermission):
		return "権限がありません。root で実行してください。"
	}
	return ""
}
