package osservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// restartDelay is how long after an unexpected end the service is started again.
const restartDelay = 5 * time.Second

// stopTimeout bounds the wait for a service that is told to stop.
const stopTimeout = 20 * time.Second

// Install makes the service, starts it with the machine and now. An older one of the same
// name is replaced and restarted.
func Install(ctx context.Context, s Service) error {
	if len(s.Command) == 0 {
		return errors.New("a service needs its program")
	}
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("service manager (an administrator is needed): %w", err)
	}
	defer m.Disconnect()
	if err := remove(ctx, m, s.Name); err != nil {
		return err
	}
	service, err := m.CreateService(s.Name, s.Command[0], mgr.Config{
		DisplayName: s.Description, Description: s.Description, StartType: mgr.StartAutomatic, DelayedAutoStart: true,
	}, s.Command[1:]...)
	if err != nil {
		return fmt.Errorf("make the service: %w", err)
	}
	defer service.Close()
	restart := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: restartDelay}
	if err := service.SetRecoveryActions([]mgr.RecoveryAction{restart, restart, restart}, uint32((24 * time.Hour).Seconds())); err != nil {
		return fmt.Errorf("have the service restarted: %w", err)
	}
	if err := service.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	return nil
}

// Uninstall stops the service and removes it. One that is not installed is no error.
func Uninstall(ctx context.Context, name string) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("service manager (an administrator is needed): %w", err)
	}
	defer m.Disconnect()
	return remove(ctx, m, name)
}

func remove(ctx context.Context, m *mgr.Mgr, name string) error {
	service, err := m.OpenService(name)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the service: %w", err)
	}
	defer service.Close()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	service.Control(svc.Stop) // fails when it does not run
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := service.Query()
		if err != nil || status.State == svc.Stopped {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the service %s does not stop", name)
		}
	}
	if err := service.Delete(); err != nil {
		return fmt.Errorf("remove the service: %w", err)
	}
	return nil
}

// Query says how the service does.
func Query(_ context.Context, name string) (Status, error) {
	m, err := mgr.Connect()
	if err != nil {
		return Status{}, fmt.Errorf("service manager (an administrator is needed): %w", err)
	}
	defer m.Disconnect()
	service, err := m.OpenService(name)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return Status{State: "absent"}, nil
	}
	if err != nil {
		return Status{}, fmt.Errorf("open the service: %w", err)
	}
	defer service.Close()
	s := Status{Installed: true}
	if config, err := service.Config(); err == nil {
		s.Enabled = config.StartType == mgr.StartAutomatic
	}
	status, err := service.Query()
	if err != nil {
		return s, fmt.Errorf("ask for the service's state: %w", err)
	}
	s.State = map[svc.State]string{svc.Stopped: "stopped", svc.StartPending: "starting", svc.StopPending: "stopping", svc.Running: "running"}[status.State]
	return s, nil
}

// Serve runs f, under the service manager if that has started this process. f's context
// ends when the service is to stop; its result is the exit status.
func Serve(ctx context.Context, name string, f func(context.Context) int) int {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return f(ctx)
	}
	h := &handler{ctx: ctx, f: f}
	if err := svc.Run(name, h); err != nil && h.code == 0 {
		return 1
	}
	return h.code
}

// handler is a running service.
type handler struct {
	ctx  context.Context // the process's
	f    func(context.Context) int
	code int
}

// Execute answers the service manager until f ends.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	done := make(chan int, 1)
	go func() { done <- h.f(ctx) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	status <- running
	for {
		select {
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- running
			case svc.Stop, svc.Shutdown:
				running = svc.Status{State: svc.StopPending}
				status <- running
				cancel()
			}
		case h.code = <-done:
			return h.code != 0, uint32(h.code) // a failure is restarted
		}
	}
}

// KeepsLog says whether the service manager keeps what a service writes to standard error.
const KeepsLog = false
