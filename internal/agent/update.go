package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/platform"
	"sekisho/internal/release"
)

const (
	updateFile = "update.json"
	// oldSuffix is of the program that an update has replaced, kept beside the new one.
	oldSuffix = ".old"
	// updateInterval is how often an agent that may update itself looks for a release. The
	// first look is somewhere in the first one.
	updateInterval = 6 * time.Hour
	// onlinePatience is how long a new program may take to open its control channel before
	// the old one is put back.
	onlinePatience = 2 * time.Minute
	// restartPatience is how long a service manager may take to start the program that was
	// put back, before the watcher becomes the agent itself.
	restartPatience = 20 * time.Second
	trialTimeout    = 10 * time.Second
	downloadTimeout = 10 * time.Minute
	maxKeyAnswer    = 256 // bytes of /agents/key.pub
)

// Errors of updates.
var (
	ErrNoReleaseKey = errors.New("no key of releases was pinned at registration, so no program is taken from the server")
	ErrNoRelease    = errors.New("the server offers no programs")
	errOlder        = errors.New("the server offers an older release than the one that was installed last")
)

// Outcome is how the last update ended; it is kept in the registration's directory.
type Outcome struct {
	At        time.Time
	Version   string    // that was to be installed
	Published time.Time // of its release
	SHA256    string
	Installed bool   // it came online; otherwise the program before it runs
	Error     string `json:",omitempty"`
}

// ReadOutcome reads how the last update ended. The zero value says that there was none.
func ReadOutcome(dir string) Outcome {
	var o Outcome
	if text, err := readFile(filepath.Join(dir, updateFile)); err == nil {
		json.Unmarshal(text, &o)
	}
	return o
}

func (o Outcome) save(dir string) error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, updateFile), append(text, '\n'))
}

// releaseKey asks the server whose signature its programs have; empty if it has none.
func (s *server) releaseKey(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := s.fetch(ctx, "/agents/key.pub", maxKeyAnswer)
	if err != nil {
		return ""
	}
	key, err := release.ParseKey(string(text))
	if err != nil {
		return ""
	}
	return release.EncodeKey(key)
}

// fetch gets a small file of the server.
func (s *server) fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	body, err := s.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}

func (s *server) open(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", userAgent)
	resp, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound {
			return nil, ErrNoRelease
		}
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// Offer is what the server has for this machine.
type Offer struct {
	Version   string
	Published time.Time
	Current   bool // this program is the one that is offered
	binary    release.Binary
}

// CheckUpdate asks the server of the registration in dir what it offers instead of the
// program at path.
func CheckUpdate(ctx context.Context, dir, path string) (Offer, error) {
	reg, err := Load(dir)
	if err != nil {
		return Offer{}, err
	}
	srv, err := newServer(reg)
	if err != nil {
		return Offer{}, err
	}
	defer srv.close()
	return srv.offer(ctx, reg, path)
}

func (s *server) offer(ctx context.Context, reg *Registration, path string) (Offer, error) {
	if reg.ReleaseKey == "" {
		return Offer{}, ErrNoReleaseKey
	}
	key, err := release.ParseKey(reg.ReleaseKey)
	if err != nil {
		return Offer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := s.fetch(ctx, "/agents/manifest.json", release.MaxManifest)
	if err != nil {
		return Offer{}, err
	}
	m, err := release.Open(text, key)
	if err != nil {
		return Offer{}, err
	}
	b, ok := m.For(runtime.GOOS, runtime.GOARCH)
	if !ok {
		return Offer{}, fmt.Errorf("%w for %s on %s", ErrNoRelease, runtime.GOOS, runtime.GOARCH)
	}
	sum, err := fileSum(path)
	if err != nil {
		return Offer{}, err
	}
	return Offer{Version: m.Version, Published: m.Published, Current: sum == b.SHA256, binary: b}, nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// keepUpdated looks for a release when it is told to and, if the operator wants that, from
// time to time, until ctx ends or a new program takes over. It never returns then: the
// process goes on as the new program.
func (a *agent) keepUpdated(ctx context.Context) {
	if a.cfg.Program == "" {
		return
	}
	var timer <-chan time.Time
	look := backoff{min: updateInterval, max: updateInterval} // spread by its half
	for {
		if a.cfg.AutoUpdate {
			timer = time.After(look.next())
		}
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-a.cfg.Update:
			asked = true
		case <-timer:
		}
		err := a.update(ctx, asked)
		switch {
		case err == nil || ctx.Err() != nil:
		case !asked && (errors.Is(err, ErrNoRelease) || errors.Is(err, ErrNoReleaseKey)):
			a.logger.Debug("no update", "reason", err)
		default:
			a.logger.Warn("not updated", "error", err)
		}
	}
}

// update installs what the server offers and goes on as it. It returns when there is
// nothing to do or something failed; then this program runs on as before.
func (a *agent) update(ctx context.Context, asked bool) (err error) {
	last := ReadOutcome(a.cfg.Dir)
	offer, err := a.server.offer(ctx, a.reg, a.cfg.Program)
	outcome := Outcome{At: time.Now().UTC(), Version: offer.Version, Published: offer.Published, SHA256: offer.binary.SHA256}
	defer func() {
		if asked && (err != nil || offer.Current) {
			if err != nil {
				outcome.Error = err.Error()
			}
			// What was installed stays the measure of what is older.
			outcome.Installed = err == nil
			if err != nil && last.Published.After(outcome.Published) {
				outcome.Published = last.Published
			}
			if saveErr := outcome.save(a.cfg.Dir); saveErr != nil {
				a.logger.Warn("outcome of the update not saved", "error", saveErr)
			}
		}
	}()
	switch {
	case err != nil:
		return err
	case offer.Current:
		a.logger.Debug("up to date", "version", offer.Version)
		return nil
	case offer.Published.Before(last.Published):
		return errOlder
	case !asked && !last.Installed && last.SHA256 == offer.binary.SHA256 && last.Error != "":
		return fmt.Errorf("release %s was tried before: %s", offer.Version, last.Error)
	}
	fresh, err := a.server.download(ctx, offer.binary, filepath.Dir(a.cfg.Program))
	if err != nil {
		return fmt.Errorf("download release %s: %w", offer.Version, err)
	}
	defer os.Remove(fresh) // after the rename there is none
	if err := try(ctx, fresh); err != nil {
		return fmt.Errorf("release %s does not run on this machine: %w", offer.Version, err)
	}
	a.logger.Info("updating", "version", offer.Version, "program", a.cfg.Program)
	return a.takeOver(fresh, outcome)
}

// download gets a program into dir, checks it and gives its path.
func (s *server) download(ctx context.Context, b release.Binary, dir string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	body, err := s.open(ctx, "/agents/"+b.Name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	f, err := os.CreateTemp(dir, ".sekisho-agent-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(body, b.Size+1))
	if err != nil {
		return "", err
	}
	if n != b.Size || hex.EncodeToString(h.Sum(nil)) != b.SHA256 {
		return "", fmt.Errorf("%s is not the program that was signed", b.Name)
	}
	if err := errors.Join(f.Chmod(0o755), f.Sync()); err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// try runs a program once.
func try(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "version").CombinedOutput()
	if err == nil && !strings.HasPrefix(string(out), agentName) {
		err = errors.New("it is another program")
	}
	if err != nil {
		return fmt.Errorf("%w: %.200s", err, out)
	}
	return nil
}

// childUpdate is the child that watches over an update.
const childUpdate = "update"

// Environment of the process that goes on as the new program.
const (
	onlineEnv   = "SEKISHO_AGENT_ONLINE_FD" // to say on that it is online
	childrenEnv = "SEKISHO_AGENT_CHILDREN"  // processes to wait for, so that none stays a zombie
)

// watchSpec is what the watcher of an update is told.
type watchSpec struct {
	Dir      string
	Program  string
	Args     []string
	Pid      int
	Outcome  Outcome
	Patience time.Duration
}

// takeOver puts the program at fresh in this one's place and goes on as it. A process that
// runs this program watches: when the new one is not online in time, it puts this one
// back. It returns only with an error; then all is as before.
func (a *agent) takeOver(fresh string, outcome Outcome) (err error) {
	program, old := a.cfg.Program, a.cfg.Program+oldSuffix
	if err := keepOld(program, old); err != nil {
		return fmt.Errorf("keep the program: %w", err)
	}
	if err := os.Rename(fresh, program); err != nil {
		return fmt.Errorf("replace the program: %w", err)
	}
	defer func() { // not reached when all goes well
		if restoreErr := os.Rename(old, program); restoreErr != nil {
			err = errors.Join(err, restoreErr)
		}
	}()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	watcher, err := a.startWatcher(theirs, outcome)
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start the update's watcher: %w", err)
	}
	var children []string
	for _, pid := range append(a.sessions.pids(), watcher.Pid) {
		children = append(children, strconv.Itoa(pid))
	}
	err = platform.BecomeProgram(program, os.Args, append(agentEnv(os.Environ()), childrenEnv+"="+strings.Join(children, ",")), onlineEnv, ours)
	watcher.Kill()
	watcher.Wait()
	return fmt.Errorf("go on as the new program: %w", err)
}

// keepOld makes old a second name, or a copy, of program.
func keepOld(program, old string) error {
	if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Link(program, old) == nil {
		return nil
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(old, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Sync(), to.Close())
}

// agentEnv is the environment without what an update before this one left in it.
func agentEnv(env []string) []string {
	var out []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, onlineEnv+"=") && !strings.HasPrefix(kv, childrenEnv+"=") {
			out = append(out, kv)
		}
	}
	return out
}

func (a *agent) startWatcher(online *os.File, outcome Outcome) (*os.Process, error) {
	self, err := platform.Self()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(watchSpec{
		Dir: a.cfg.Dir, Program: a.cfg.Program, Args: os.Args, Pid: os.Getpid(), Outcome: outcome, Patience: a.cfg.UpdatePatience,
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, ChildCommand, childUpdate)
	cmd.Args[0] = agentName
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{online}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	platform.Detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = stdin.Write(spec)
	return cmd.Process, errors.Join(err, stdin.Close())
}

// pids are the processes of sessions.
func (s *sessions) pids() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pids []int
	for _, p := range s.running {
		if p != nil {
			pids = append(pids, p.Pid)
		}
	}
	return pids
}
