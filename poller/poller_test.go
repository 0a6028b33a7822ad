//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package poller_test

import (
	"testing"

	"github.com/eddyloop/eddy/internal/pollertest"
	"github.com/eddyloop/eddy/poller"
)

func TestMain(m *testing.M) { pollertest.Main(m) }

// TestConformance is about the backend that New chooses.
func TestConformance(t *testing.T) {
	pollertest.Apart(t, func(t *testing.T) { pollertest.Run(t, poller.New, newLimits) })
}
