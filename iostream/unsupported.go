//go:build !unix

package iostream

import (
	"errors"

	"github.com/eddyloop/eddy/ioloop"
)

// NewPipe returns errors.ErrUnsupported: the system has no readiness of pipes, or no
// backend at all.
func NewPipe(*ioloop.Loop, int, *Config) (*Stream, error) {
	return nil, opError("new pipe", errors.ErrUnsupported)
}

// NewStdio returns errors.ErrUnsupported, as NewPipe does.
func NewStdio(*ioloop.Loop, *Config) (*Stream, error) {
	return nil, opError("new stdio", errors.ErrUnsupported)
}
