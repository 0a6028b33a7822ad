//go:build unix

package iostream

import (
	"errors"

	"github.com/eddyloop/eddy/ioloop"
)

// NewStdioOf is NewStdio for other descriptors than 0 and 1. With shared set,
// they cannot be opened once more.
func NewStdioOf(l *ioloop.Loop, in, out int, shared bool, config *Config) (*Stream, error) {
	open := reopen
	if shared {
		open = func(int, int) (int, error) { return -1, errors.ErrUnsupported }
	}
	return newStdio(l, in, out, open, config)
}

// FileHasRead reports whether there is something of standard input, a file, that was not read.
func FileHasRead(s *Stream) bool {
	e := s.transport.(*fileStdio).in.file
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.busy && len(e.unread) > 0
}

// FileIsQueued reports whether the loop is to look at standard input, a file.
func FileIsQueued(s *Stream) bool {
	e := s.transport.(*fileStdio).in.file
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queued
}
