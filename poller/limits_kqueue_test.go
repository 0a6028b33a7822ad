//go:build linux && eddy_kqueue

package poller_test

import "github.com/eddyloop/eddy/internal/pollertest"

const newLimits = pollertest.NullPolls
