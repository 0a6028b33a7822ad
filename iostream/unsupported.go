//go:build !unix

package iostream

import (
	"errors"

	"github.com/eddyloop/eddy/ioloop"
)

// NewPipe returns errors.ErrUnsupported: there is no backend for this system.
func NewPipe(*ioloop.Loop, int, *Config) (*Stream, error) {
	return nil, opError("new pipe", errors.ErrUnsupported)
}

// NewStdio returns errors.ErrUnsupported: there is no backend for this system.
func NewStdio(*ioloop.Loop, *Config) (*Stream, error) {
	return nil, opError("new stdio", errors.ErrUnsupported)
}
