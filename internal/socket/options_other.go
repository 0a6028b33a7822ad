//go:build (unix || windows) && !linux

package socket

import (
	"errors"
	"os"
	"time"
)

// Inherits: what an accepted socket has of its listener differs, so options are
// set on each.
const Inherits = false

func setUserTimeout(int, time.Duration) error {
	return os.NewSyscallError("TCP_USER_TIMEOUT", errors.ErrUnsupported)
}

func bindWithoutPort(int) {}

func ignoreRights(int) {}

// expectMore is for Linux, where a table of descriptors that is full holds up who wants one
// more.
func expectMore(int) {}
