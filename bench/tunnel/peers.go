package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
)

// peers starts everybody who is wanted. With a long way between the hosts, programs that
// say nothing about it are left out.
func (b *bed) peers(ctx context.Context, bin string, far bool, wanted func(string) bool) ([]*peer, error) {
	var err error
	if b.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	var list []*peer
	add := func(name string, begin func(p *peer) error) {
		if !wanted(name) || ctx.Err() != nil {
			return
		}
		p := &peer{Name: name, Figures: map[string][]float64{}, host: b.near}
		list = append(list, p)
		if err := begin(p); err != nil {
			p.Absent = err.Error()
		}
	}
	if b.target, err = b.service.listen(b.far, net.JoinHostPort(loopback, "0")); err != nil {
		return nil, err
	}
	direct := b.target // as the near host reaches it
	if far {
		if direct, err = b.service.listen(b.far, net.JoinHostPort(b.far.address, "0")); err != nil {
			return nil, err
		}
	}
	if err := b.startDeployment(ctx, "--service-domain", stockDomain); err != nil {
		return nil, err
	}
	sshPort, sshErr := b.startSSHD(ctx)
	content := path(b.dir, "content")
	if err := os.WriteFile(content, make([]byte, copySize), 0o600); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(b.target)
	if err != nil {
		return nil, err
	}

	add("plain TCP", func(p *peer) error { p.address = direct; return nil })
	ssh := func(name string, args ...string) {
		add(name, func(p *peer) error {
			if sshErr != nil {
				return sshErr
			}
			p.address = b.near.free(loopback)
			argv := append([]string{"ssh", "-F", path(b.dir, "ssh_config"), "-N", "-L", p.address + ":" + b.target}, args...)
			return b.listening(ctx, b.near, p.address, "ssh-"+p.address, clean(), append(argv, "bench")...)
		})
	}
	ssh(reference)
	ssh(fastest, "-c", "aes128-gcm@openssh.com")
	if !far {
		ssh("ssh -L -J, two hops", "-J", "bench")
		add("chisel", func(p *peer) error { return b.startChisel(ctx, p) })
	}
	forward := func(name, program string, node func() (string, error)) {
		add(name, func(p *peer) error {
			if program == "" {
				return errors.New("STOCK_PLUGIN is not set")
			}
			id, err := node()
			if err != nil {
				return err
			}
			p.address = b.near.free(loopback)
			_, local, _ := net.SplitHostPort(p.address)
			argv, environ, err := b.plugin(ctx, program, id, "AWS-StartPortForwardingSession",
				map[string][]string{"portNumber": {port}, "localPortNumber": {local}})
			if err != nil {
				return err
			}
			return b.listening(ctx, b.near, p.address, "plugin-"+local, environ, argv...)
		})
	}
	own := path(b.bin, "session-manager-plugin")
	node := func() (string, error) { return b.env["SEKISHO_NODE_ID"], nil }
	forward("sekisho", own, node)
	forward("stock plugin, our agent", os.Getenv("STOCK_PLUGIN"), node)
	if far {
		return list, nil
	}
	forward("our client, stock agent", own, func() (string, error) { return b.startStockAgent(ctx) })
	add(plainCopy, func(p *peer) error {
		p.scp = func(ctx context.Context) (float64, error) { return b.scp(ctx, clean(), content) }
		return sshErr
	})
	add("scp, our ProxyCommand", func(p *peer) error {
		p.scp = func(ctx context.Context) (float64, error) { return b.tunnelledCopy(ctx, own, sshPort, content) }
		return sshErr
	})
	return list, nil
}

// startChisel starts the server and the client of STOCK_CHISEL.
func (b *bed) startChisel(ctx context.Context, p *peer) error {
	program := os.Getenv("STOCK_CHISEL")
	if program == "" {
		return errors.New("STOCK_CHISEL is not set")
	}
	server := b.far.free(loopback)
	_, port, _ := net.SplitHostPort(server)
	if err := b.listening(ctx, b.far, server, "chisel-server", clean(), program, "server", "--host", loopback, "--port", port); err != nil {
		return err
	}
	p.address = b.near.free(loopback)
	return b.listening(ctx, b.near, p.address, "chisel", clean(), program, "client", "http://"+server, p.address+":"+b.target)
}

// tunnelledCopy is scp with a plugin as its ProxyCommand. The time that StartSession takes
// is not scp's.
func (b *bed) tunnelledCopy(ctx context.Context, program, sshPort, content string) (float64, error) {
	argv, environ, err := b.plugin(ctx, program, b.env["SEKISHO_NODE_ID"], "AWS-StartSSHSession", map[string][]string{"portNumber": {sshPort}})
	if err != nil {
		return 0, err
	}
	script := "#!/bin/sh\nexec"
	for _, a := range argv {
		script += " '" + a + "'"
	}
	if err := os.WriteFile(path(b.dir, "proxy"), []byte(script+"\n"), 0o700); err != nil {
		return 0, err
	}
	return b.scp(ctx, environ, content, "-o", "ProxyCommand="+path(b.dir, "proxy"))
}
