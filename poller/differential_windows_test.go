package poller_test

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// backends are compared with the first.
var backends = []string{"oracle", "AFD"}

// kinds are TCP's only: Windows has no socket pairs, and its pipes can't be polled.
var kinds = [...]twinKind{tcpPair, tcpPair, tcpPair, tcpPair}

var modes = []poller.Mode{poller.Level, poller.OneShot}

const (
	opCount = 200
	pollEnd = posix.POLLIN // the end comes unasked, but behind data not under wine
)

// lateness is how long a completion may take to come.
var lateness = testtime.Patience(3 * time.Second)

func newRig(t *testing.T, _ uint64) *rig {
	p, err := poller.New()
	require.NoError(t, err)
	return &rig{pollers: []poller.Poller{newOracle(), p}}
}

var (
	ws2        = windows.NewLazySystemDLL("ws2_32.dll")
	procSelect = ws2.NewProc("select")
	procIoctl  = ws2.NewProc("ioctlsocket")
)

// ask tells what fd is ready for, from all who can be asked without the driver's polls
// of our own: WSAPoll; select, since WSAPoll said nothing of a connect that has failed
// before Windows 10 2004; and recv, which looks at the data and at no poll at all, but
// has nothing to say about writing.
func ask(fd int) (found poller.Interest, failed bool) {
	fds := []posix.PollFd{{Fd: int32(fd), Events: posix.POLLIN | posix.POLLOUT}}
	if n, _ := posix.Poll(fds, 0); n > 0 {
		for flag, means := range map[int16]poller.Interest{
			posix.POLLIN:  poller.Readable,
			posix.POLLOUT: poller.Writable,
			posix.POLLHUP: poller.Readable | poller.PeerClosed,
		} {
			if fds[0].Revents&flag != 0 {
				found |= means
			}
		}
		failed = fds[0].Revents&posix.POLLERR != 0
	}
	n, _, err := posix.Recvfrom(fd, make([]byte, 1), posix.MSG_PEEK)
	switch {
	case n > 0:
		found |= poller.Readable
	case n == 0:
		found |= poller.Readable | poller.PeerClosed
	case errors.Is(err, windows.WSAECONNRESET), errors.Is(err, windows.WSAECONNABORTED):
		failed = true
	}
	if failed = failed || exceptional(fd); failed {
		found |= poller.Readable | poller.Writable | poller.PeerClosed
	}
	return found, failed
}

// exceptional tells by select whether connecting has failed: nobody here sends data
// out of band.
func exceptional(fd int) bool {
	set := struct { // fd_set
		count uint32
		fds   [1]uintptr
	}{1, [1]uintptr{uintptr(fd)}}
	var at0 [2]int32 // timeval
	n, _, _ := procSelect.Call(0, 0, 0, uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&at0)))
	return int32(n) > 0 && set.count > 0
}

// unread is how many bytes there are to read.
func unread(fd int) int {
	const fionread = 0x4004667f
	var n uint32
	procIoctl.Call(uintptr(fd), fionread, uintptr(unsafe.Pointer(&n)))
	return int(n)
}

// takeNumber gives the socket from the number to, whose socket it closes: handles are
// taken until one has the number, unless another thread was quicker.
func takeNumber(t *testing.T, from, to int) bool {
	require.NoError(t, posix.Close(to))
	var others []int
	defer func() {
		for _, fd := range others {
			posix.Close(fd)
		}
	}()
	for range 500 {
		fd, err := posix.Dup(from)
		require.NoError(t, err)
		if fd == to {
			require.NoError(t, posix.Close(from))
			return true
		}
		others = append(others, fd)
	}
	return false
}

func connectLocal(*testing.T, twinKind) (own, peer int) { panic("no such kind") }

// look notes what has been so: a poll that has completed with it may be told later.
func (c *twins) look() {
	if !c.gone {
		ready, _ := ask(c.own[1])
		c.was |= ready
	}
}

// checked notes what is to be known at the next check.
func (c *twins) checked(events []poller.Event) {
	if c.mode == poller.OneShot {
		c.spent = c.spent || events[1].Ready != 0
		return // its poll may be as old as the registration
	}
	c.was, _ = ask(c.own[1])
}

// compare says in what the events of one connection differ.
func (c *twins) compare(_ *rig, events []poller.Event) string {
	oracle, afd := events[0].Ready, events[1].Ready
	if c.untrue |= afd &^ (oracle | c.was); c.untrue != 0 {
		return fmt.Sprintf("AFD tells what isn't so: %03b", c.untrue)
	}
	if c.mode == poller.OneShot {
		// Its event has what the poll found, which was over then.
		switch {
		case c.spent && afd != 0:
			return "AFD: two events of a one-shot"
		case !c.spent && afd == 0 && oracle != 0:
			return "AFD lacks an event"
		}
		return ""
	}
	if lack := oracle &^ afd; lack != 0 {
		return fmt.Sprintf("AFD lacks %03b", lack)
	}
	if (oracle^afd)&poller.PeerClosed != 0 {
		return "AFD tells of the end, or of another one"
	}
	if (events[0].Hints^events[1].Hints)&poller.Failed != 0 {
		return "hints differ"
	}
	return ""
}
