package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// logFile is a log that does not grow for ever: when a line would make it larger than max
// it becomes path.1, path.1 becomes path.2, and so on up to keep. A disk that takes no
// line must not end the agent, so that line goes to fallback instead.
type logFile struct {
	path     string
	max      int64 // bytes
	keep     int
	fallback io.Writer

	mu   sync.Mutex // guards the following
	file *os.File   // nil while it cannot be opened
	size int64
}

func newLogFile(path string, max int64, keep int, fallback io.Writer) *logFile {
	return &logFile{path: path, max: max, keep: keep, fallback: fallback}
}

func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size+int64(len(line)) > l.max && l.size > 0 {
		l.rotate()
	}
	if l.file == nil && l.open() != nil {
		return l.fallback.Write(line)
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err != nil {
		return l.fallback.Write(line)
	}
	return n, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// rotate leaves the place free for a new file. Closed first: Windows renames no open file.
func (l *logFile) rotate() {
	l.file.Close()
	l.file = nil
	name := func(n int) string { return fmt.Sprintf("%s.%d", l.path, n) }
	os.Remove(name(l.keep))
	for n := l.keep; n > 1; n-- {
		os.Rename(name(n-1), name(n))
	}
	if l.keep < 1 || os.Rename(l.path, name(1)) != nil {
		os.Truncate(l.path, 0) // rather no history than a full disk
	}
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
