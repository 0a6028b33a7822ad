package poller_test

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

const afdPatience = 30 * time.Second

func newAfd(t *testing.T) poller.Poller {
	p, err := poller.New()
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// sockets returns two that are connected and do not block.
func sockets(t *testing.T) (a, b int) {
	pair, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
	require.NoError(t, err)
	for _, fd := range pair {
		require.NoError(t, posix.SetNonblock(fd, true))
	}
	return pair[0], pair[1]
}

// waitFor waits for an event of token.
func waitFor(t *testing.T, p poller.Poller, token poller.Token) poller.Event {
	t.Helper()
	events := make([]poller.Event, 64)
	for end := time.Now().Add(afdPatience); time.Now().Before(end); {
		n, err := p.Wait(events, time.Second)
		require.NoError(t, err)
		for _, ev := range events[:n] {
			if ev.Token == token {
				return ev
			}
		}
	}
	require.FailNow(t, "no event")
	return poller.Event{}
}

// What is no socket is refused, whatever it is: AFD knows sockets.
func TestAfdRefusesOtherHandles(t *testing.T) {
	p := newAfd(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	for name, f := range map[string]*os.File{"pipe": r, "writer": w, "null": null, "stdout": os.Stdout} {
		require.ErrorIs(t, p.Add(int(f.Fd()), 1, poller.Readable, poller.Level), poller.ErrNotPollable, name)
	}
	if console, err := os.OpenFile("CONIN$", os.O_RDWR, 0); err == nil {
		defer console.Close()
		require.ErrorIs(t, p.Add(int(console.Fd()), 1, poller.Readable, poller.Level), poller.ErrNotPollable)
	}
}

// A condition that comes and goes between two waits may be told, but once.
func TestAfdMayTellWhatHasPassed(t *testing.T) {
	p := newAfd(t)
	a, b := sockets(t)
	defer posix.Close(a)
	defer posix.Close(b)
	require.NoError(t, p.Add(a, 1, poller.Readable, poller.Level))
	events := make([]poller.Event, 4)
	n, err := p.Wait(events, 0) // hands the poll over
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = posix.Write(b, []byte("x"))
	require.NoError(t, err)
	buf := make([]byte, 1)
	for end := time.Now().Add(afdPatience); ; { // it has completed when the byte can be read
		if n, _ := posix.Read(a, buf); n == 1 || time.Now().After(end) {
			break
		}
	}
	told := 0
	for range 10 {
		n, err := p.Wait(events, time.Millisecond)
		require.NoError(t, err)
		told += n
	}
	require.LessOrEqual(t, told, 1)
	// Modify sees what is so now.
	_, err = posix.Write(b, []byte("y"))
	require.NoError(t, err)
	waitFor(t, p, 1)
	_, err = posix.Read(a, buf)
	require.NoError(t, err)
	require.NoError(t, p.Modify(a, 2, poller.Readable, poller.OneShot))
	n, err = p.Wait(events, 20*time.Millisecond)
	require.NoError(t, err)
	require.Zero(t, n)
}

// Sockets are closed under a poll, without Remove, with a goroutine waiting, and
// their handles go to others at once.
func TestAfdClosedUnderPoll(t *testing.T) {
	p := newAfd(t)
	stop := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() {
		events := make([]poller.Event, 16)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := p.Wait(events, time.Millisecond); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 200 {
		a, b := sockets(t)
		require.NoError(t, p.Add(a, poller.Token(i), poller.Readable|poller.PeerClosed, poller.Level))
		if i%2 == 0 {
			time.Sleep(100 * time.Microsecond) // the poll is pending
		}
		require.NoError(t, posix.Close(a))
		require.NoError(t, p.Remove(a))
		require.NoError(t, posix.Close(b))
	}
	close(stop)
	waiter.Wait()
	a, b := sockets(t)
	defer posix.Close(a)
	defer posix.Close(b)
	require.NoError(t, p.Add(a, 1000, poller.Readable, poller.Level))
	_, err := posix.Write(b, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, poller.Readable, waitFor(t, p, 1000).Ready)
}

// Polls are taken back while they complete: what was found before is not told, and
// what is so now is.
func TestAfdCancelRacesCompletion(t *testing.T) {
	p := newAfd(t)
	a, b := sockets(t)
	defer posix.Close(a)
	defer posix.Close(b)
	require.NoError(t, p.Add(a, 0, poller.Readable, poller.OneShot))
	buf := make([]byte, 8)
	for i := range poller.Token(500) {
		var writer sync.WaitGroup
		writer.Go(func() { posix.Write(b, []byte("x")) })
		require.NoError(t, p.Modify(a, i, poller.Readable, poller.OneShot))
		require.Equal(t, poller.Readable, waitFor(t, p, i).Ready)
		writer.Wait()
		n, err := posix.Read(a, buf)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}

// Close gives up thousands of pending polls, and the memory that the kernel may
// write to is not used again.
func TestAfdManySockets(t *testing.T) {
	count := 5000 // and their peers
	if testing.Short() {
		count = 300
	}
	p := newAfd(t)
	var fds [][2]int
	defer func() {
		for _, pair := range fds {
			posix.Close(pair[0])
			posix.Close(pair[1])
		}
	}()
	for i := range count {
		a, b := sockets(t)
		fds = append(fds, [2]int{a, b})
		require.NoError(t, p.Add(a, poller.Token(i), poller.Readable, poller.Level))
	}
	events := make([]poller.Event, 16)
	n, err := p.Wait(events, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	runtime.GC()
	for i := 0; i < count; i += 1 + count/100 {
		_, err := posix.Write(fds[i][1], []byte("x"))
		require.NoError(t, err)
		require.Equal(t, poller.Readable, waitFor(t, p, poller.Token(i)).Ready)
		_, err = posix.Read(fds[i][0], make([]byte, 1))
		require.NoError(t, err)
	}
	require.NoError(t, p.Close())
	runtime.GC()
}
