package poller_test

import (
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
)

// BenchmarkAfdEcho has a message sent, waited for, read and sent back. What it calls
// can be counted: docs/platforms.md says how.
func BenchmarkAfdEcho(b *testing.B) {
	p, err := poller.New()
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var fds [2]int
	if fds, err = posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0); err != nil {
		b.Fatal(err)
	}
	defer posix.Close(fds[0])
	defer posix.Close(fds[1])
	if err := p.Add(fds[0], 1, poller.Readable, poller.Level); err != nil {
		b.Fatal(err)
	}
	events, buf := make([]poller.Event, 1), make([]byte, 8)
	for range b.N {
		posix.Write(fds[1], buf)
		if n, err := p.Wait(events, -1); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		posix.Read(fds[0], buf)
		posix.Write(fds[0], buf)
	}
}
