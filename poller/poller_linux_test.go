//go:build !eddy_kqueue && !eddy_poll

package poller_test

import (
	"testing"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/eddyloop/eddy/internal/pollertest"
	"github.com/eddyloop/eddy/poller"
)

// TestVariants is about the backends that New doesn't choose here.
func TestVariants(t *testing.T) {
	t.Parallel()
	run := func(name string, limits pollertest.Limits, newPoller func() (poller.Poller, error)) {
		t.Run(name, func(t *testing.T) {
			pollertest.Apart(t, func(t *testing.T) { pollertest.Run(t, newPoller, limits) }, "-test.short")
		})
	}
	// Kernels before 5.11 and some sandboxes have no epoll_pwait2.
	run("epoll-milliseconds", 0, poller.NewWithMillis)
	const poll2 = pollertest.NoEdges | pollertest.NoFD | pollertest.NullPolls
	run("poll", poll2, func() (poller.Poller, error) { return poller.NewPoll(true) })
	// As on systems without POLLRDHUP.
	run("poll-late", poll2|pollertest.LateEnd, func() (poller.Poller, error) { return poller.NewPoll(false) })
	for _, p := range kqueuesim.Profiles {
		limits := pollertest.NullPolls
		if p.DeafFIFO {
			limits |= pollertest.NoFIFOs
		}
		if p.FIFOWritesAsReader {
			limits |= pollertest.NoFIFOWriters
		}
		if !p.NoUser {
			run(p.Name+"-user", limits, func() (poller.Poller, error) { return poller.NewEmulated(p, false) })
		}
		run(p.Name+"-pipe", limits, func() (poller.Poller, error) { return poller.NewEmulated(p, true) })
	}
}
