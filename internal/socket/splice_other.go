//go:build !linux

package socket

import "errors"

// Pipe is what only Linux has: nobody gets one here.
type Pipe struct{}

// CanSplice is whether the system has such pipes.
const CanSplice = false

// PipeSize is how much a Pipe would hold.
const PipeSize = 1 << 20

// GetPipe returns nil.
func GetPipe() *Pipe { return nil }

func (*Pipe) Put()                       {}
func (*Pipe) Held() int                  { return 0 }
func (*Pipe) Fill(_, _ int) (int, error) { return 0, errors.ErrUnsupported }
func (*Pipe) Read([]byte) (int, error)   { return 0, errors.ErrUnsupported }
func (*Pipe) Drain(int) (int, error)     { return 0, errors.ErrUnsupported }

// CannotSplice returns true.
func CannotSplice(error) bool { return true }
