//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly && !aix && !solaris && !windows

package poller

// New returns ErrUnsupported: there's no backend for this system.
func New() (Poller, error) { return nil, ErrUnsupported }
