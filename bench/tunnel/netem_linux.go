package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// packetSize is the MTU of the way between the hosts, in bytes.
	packetSize = 1500
	// underWay bounds the packets on their way, in each direction; more are lost, as at
	// any router. It is far above what a flow has there.
	underWay = 20_000
)

// apart makes two hosts: network namespaces, each with a TUN device, and this process as
// the wire between these. It does what `tc qdisc add … netem delay … loss …` does to IP
// packets, on kernels that were built without it too.
func apart(rtt time.Duration, loss float64) (near, far *host, cut func(), err error) {
	if os.Geteuid() != 0 {
		return nil, nil, nil, errors.New("only root can make network namespaces")
	}
	near, nearEnd, err := newHost("10.77.0.2", "10.77.0.1")
	if err != nil {
		return nil, nil, nil, err
	}
	far, farEnd, err := newHost("10.77.0.1", "10.77.0.2")
	if err != nil {
		nearEnd.Close()
		close(near.work)
		return nil, nil, nil, err
	}
	var wires sync.WaitGroup
	wires.Go(func() { wire(farEnd, nearEnd, rtt/2, loss) })
	wires.Go(func() { wire(nearEnd, farEnd, rtt/2, loss) })
	return near, far, func() {
		nearEnd.Close()
		farEnd.Close()
		wires.Wait()
		close(near.work)
		close(far.work)
	}, nil
}

// newHost makes a namespace and the device in it.
func newHost(address, peer string) (*host, *os.File, error) {
	work, ended := make(chan func()), make(chan struct{})
	h := &host{address: address, work: work, ended: ended}
	type made struct {
		device *os.File
		err    error
	}
	ready := make(chan made)
	go func() {
		defer close(ended)
		// The thread has its own namespace until it ends with this goroutine.
		runtime.LockOSThread()
		device, err := newDevice(address, peer)
		ready <- made{device, err}
		if err != nil {
			return
		}
		for f := range work {
			f()
		}
	}()
	m := <-ready
	return h, m.device, m.err
}

func newDevice(address, peer string) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	const name = "wire0"
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	for _, line := range []string{
		"link set lo up",
		fmt.Sprintf("link set %s mtu %d up txqueuelen 20000", name, packetSize),
		fmt.Sprintf("address add %s peer %s dev %s", address, peer, name),
	} {
		// A child has the namespace of the thread that starts it.
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("ip %s (Debian: iproute2): %w: %s", line, err, out)
		}
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// packet is one on its way.
type packet struct {
	due   time.Time
	bytes []byte
}

// wire carries packets one way until a device is closed.
func wire(to, from *os.File, delay time.Duration, loss float64) {
	way := make(chan packet, underWay)
	var writer sync.WaitGroup
	writer.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.due)) // they come in the order that they are due
			_, _ = to.Write(p.bytes)      // a host that does not take it loses it
		}
	})
	defer writer.Wait()
	defer close(way)
	b := make([]byte, packetSize)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if rand.Float64()*100 < loss {
			continue
		}
		select {
		case way <- packet{time.Now().Add(delay), append([]byte(nil), b[:n]...)}:
		default:
		}
	}
}
