package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/platform"
)

// onlineWord is what the new program says when its control channel is open.
const onlineWord = "online\n"

// afterUpdate is the new program's part: it takes over what the one before it left. online
// says that the control channel is open; it is never nil.
func afterUpdate(getenv func(string) string) (online func()) {
	for _, text := range strings.Split(getenv(childrenEnv), ",") {
		if pid, err := strconv.Atoi(text); err == nil {
			if p, err := os.FindProcess(pid); err == nil {
				go p.Wait() // ends with that process
			}
		}
	}
	fd, err := strconv.Atoi(getenv(onlineEnv))
	if err != nil || fd < 3 {
		return func() {}
	}
	platform.CloseOnExec(fd) // sessions must not hold it open
	pipe := os.NewFile(uintptr(fd), "online")
	return func() {
		io.WriteString(pipe, onlineWord)
		pipe.Close()
	}
}

// watchUpdate waits for the new program to come online, and puts the old one back if it
// does not. It returns the exit status, unless it becomes the agent itself.
func watchUpdate(stdin io.Reader, stderr io.Writer) int {
	logger := slog.New(slog.NewTextHandler(stderr, nil)).With("part", "update")
	text, err := io.ReadAll(io.LimitReader(stdin, maxSpec))
	var spec watchSpec
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		logger.Error("update not watched", "error", err)
		return 1
	}
	const onlineFD = 3
	platform.CloseOnExec(onlineFD)
	if awaitOnline(os.NewFile(onlineFD, "online"), spec.Patience) {
		spec.Outcome.Installed = true
		logger.Info("updated", "version", spec.Outcome.Version)
		if err := spec.Outcome.save(spec.Dir); err != nil {
			logger.Warn("outcome of the update not saved", "error", err)
		}
		return 0
	}
	spec.Outcome.Error = fmt.Sprintf("it was not online within %s, or ended; the program before it was put back", spec.Patience)
	logger.Error("update undone", "version", spec.Outcome.Version, "reason", spec.Outcome.Error)
	if err := spec.undo(logger); err != nil {
		logger.Error("the program before the update does not run", "error", err)
		return 1
	}
	return 0
}

// awaitOnline says whether the word comes. The end of the pipe says that the process, or
// the program in it, has ended.
func awaitOnline(pipe *os.File, patience time.Duration) bool {
	said := make(chan bool, 1)
	go func() { // ends with the pipe
		word := make([]byte, len(onlineWord))
		_, err := io.ReadFull(pipe, word)
		said <- err == nil && string(word) == onlineWord
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case ok := <-said:
		return ok
	case <-timer.C:
		return false
	}
}

// undo puts the old program back and sees to it that it runs.
func (s watchSpec) undo(logger *slog.Logger) error {
	if err := os.Rename(s.Program+oldSuffix, s.Program); err != nil {
		return err
	}
	// Before the process ends: what is started next must know that this was tried.
	if err := s.Outcome.save(s.Dir); err != nil {
		logger.Warn("outcome of the update not saved", "error", err)
	}
	if err := platform.EndProcess(s.Pid, stopPatience); err != nil {
		logger.Warn("the new program has not ended", "error", err)
	}
	for deadline := time.Now().Add(min(restartPatience, s.Patience/2)); time.Now().Before(deadline); time.Sleep(lockRetry) {
		unlock, err := platform.LockDir(s.Dir)
		if errors.Is(err, platform.ErrLocked) {
			return nil // the service manager has started it
		}
		if err == nil {
			unlock()
		}
	}
	logger.Info("nobody starts the agent again; this process goes on as it")
	return platform.BecomeProgram(s.Program, s.Args, agentEnv(os.Environ()), "", nil)
}
