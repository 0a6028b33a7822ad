//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !eddy_kqueue && !eddy_poll

package poller_test

// newLimits are those of New's backend.
const newLimits = 0
