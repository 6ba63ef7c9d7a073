package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/internal/release"
)

// Files of the agent's programs in the data directory (docs/adr/0019-programs-from-the-server.md).
const (
	agentsDir        = "agents"
	agentsManifest   = "manifest.json"
	agentsKeyFile    = "agents.key"
	agentsPublicFile = "key.pub" // in agentsDir
)

// runAgentsPublish copies programs of the agent to where the server serves them from, and
// signs the list.
func runAgentsPublish(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var path, keyPath, name string
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE` of the server")
	flags.StringVar(&keyPath, "key", "", "private key `FILE` to sign with, for a key that is kept elsewhere; "+agentsKeyFile+" in the data directory if absent")
	flags.StringVar(&name, "release", version, "`NAME` of the release, for people")
	files, err := c.parseWithFiles(&flags, args, stdout)
	if err != nil {
		return err
	}
	if path == "" || len(files) == 0 {
		return usageError{fmt.Sprintf("%s: --config and at least one program are needed (see `sekishod %s --help`)", c.name, c.name)}
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	if keyPath == "" {
		keyPath = filepath.Join(cfg.DataDir, agentsKeyFile)
	}
	manifest, err := publishAgents(filepath.Join(cfg.DataDir, agentsDir), keyPath, name, files, time.Now())
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, b := range manifest.Binaries {
		fmt.Fprintf(stdout, "%s  %s\n", b.SHA256, b.Name)
	}
	_, err = fmt.Fprintf(stdout, "Release %s is published. `sekishod agents command --config %s` prints how a machine joins.\n", name, shellWord(path))
	return err
}

// parseWithFiles reads flags that names of files follow.
func (c command) parseWithFiles(flags *flag.FlagSet, args []string, stdout io.Writer) ([]string, error) {
	flags.Init("sekishod "+c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		c.printHelp(flags, stdout)
		return nil, errHelpShown
	}
	if err != nil {
		return nil, usageError{fmt.Sprintf("%s: %s (see `sekishod %s --help`)", c.name, err, c.name)}
	}
	return flags.Args(), nil
}

// publishAgents puts programs into dir, replacing those of the same system, and signs the
// list of all that are there then.
func publishAgents(dir, keyPath, name string, files []string, now time.Time) (release.Manifest, error) {
	key, err := openAgentsKey(keyPath)
	if err != nil {
		return release.Manifest{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return release.Manifest{}, err
	}
	for _, file := range files {
		if _, _, ok := release.ParseFileName(filepath.Base(file)); !ok {
			return release.Manifest{}, fmt.Errorf("%s: the name of a program is sekisho-agent-OS-ARCH, with .exe for Windows (`make agents` makes them)", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return release.Manifest{}, err
		}
		if err := writeFile(filepath.Join(dir, filepath.Base(file)), text, 0o644); err != nil {
			return release.Manifest{}, err
		}
	}
	manifest := release.Manifest{Version: name, Published: now.UTC().Truncate(time.Second)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return release.Manifest{}, err
	}
	for _, entry := range entries {
		system, arch, ok := release.ParseFileName(entry.Name())
		if !ok {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return release.Manifest{}, err
		}
		sum := sha256.Sum256(text)
		manifest.Binaries = append(manifest.Binaries, release.Binary{
			Name: entry.Name(), OS: system, Arch: arch, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]),
		})
	}
	text, err := release.Sign(manifest, key)
	if err != nil {
		return release.Manifest{}, err
	}
	public := release.EncodeKey(key.Public().(ed25519.PublicKey)) + "\n"
	if err := writeFile(filepath.Join(dir, agentsPublicFile), []byte(public), 0o644); err != nil {
		return release.Manifest{}, err
	}
	// Last: whoever reads the list finds the programs.
	return manifest, writeFile(filepath.Join(dir, agentsManifest), text, 0o644)
}

// openAgentsKey reads the key that signs releases, or makes it if there is none.
func openAgentsKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return newAgentsKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key", path)
	}
	return key, nil
}

func newAgentsKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// runAgentsCommand prints what an operator pastes on a machine that is to join.
func runAgentsCommand(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var path, id string
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE` of the server")
	flags.StringVar(&id, "id", "ACTIVATION_ID", "activation `ID` to put into the command")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	if path == "" {
		return usageError{fmt.Sprintf("%s: --config is missing (see `sekishod %s --help`)", c.name, c.name)}
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	inst, err := newInstaller(cfg, "")
	if err != nil {
		return err
	}
	manifest, err := inst.manifest()
	if err != nil {
		return fmt.Errorf("no programs are published (`sekishod agents publish`): %w", err)
	}
	systems := func(os string) bool {
		return slices.ContainsFunc(manifest.Binaries, func(b release.Binary) bool { return (b.OS == "windows") == (os == "windows") })
	}
	if systems("unix") {
		fmt.Fprintf(stdout, "Linux and macOS, with the activation's code at the prompt:\n\n  %s\n\n", inst.unixCommand(manifest, id))
	}
	if systems("windows") {
		fmt.Fprintf(stdout, "Windows, in a PowerShell that runs as administrator:\n\n  %s\n\n", inst.windowsCommand(manifest, id))
	}
	_, err = fmt.Fprint(stdout, strings.TrimLeft(`
The sum in the command holds the script to what this server serves now; the script holds
the certificate authority, the key of releases and the sums of the programs. Print the
command anew after a release was published.
`, "\n"))
	return err
}
