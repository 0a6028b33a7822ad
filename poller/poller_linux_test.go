package poller_test

import (
	"testing"

	"github.com/eddyloop/eddy/internal/pollertest"
	"github.com/eddyloop/eddy/poller"
)

// Some sandboxes have no eventfd.
func TestConformanceWithPipeWake(t *testing.T) { pollertest.Run(t, poller.NewWithPipe) }

// Kernels before 5.11 and some sandboxes have no epoll_pwait2.
func TestConformanceWithMilliseconds(t *testing.T) { pollertest.Run(t, poller.NewWithMillis) }
