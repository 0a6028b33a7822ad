//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"testing"

	"github.com/eddyloop/eddy/internal/pollertest"
	"github.com/eddyloop/eddy/poller"
)

func TestConformance(t *testing.T) { pollertest.Run(t, poller.New) }
