package iostream_test

import (
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

const largePiece, smallPiece = 16 << 10, 16<<10 - 1

// copySource is a stream that is copied from, step by step, and its peer.
type copySource struct {
	iostream.CopySteps
	s     *iostream.Stream
	limit *io.LimitedReader
	peer  net.Conn
}

func newCopySource(t *testing.T) *copySource {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	limit := &io.LimitedReader{R: s.NetConn(), N: 1 << 30}
	return &copySource{iostream.StepsOfCopy(limit), s, limit, peer}
}

// bulkSource has read so much at once that what comes next goes through a pipe.
func bulkSource(t *testing.T) *copySource {
	c := newCopySource(t)
	c.isBulk(t)
	return c
}

func (c *copySource) isBulk(t *testing.T) {
	t.Helper()
	for range 4 {
		require.False(t, c.Splices())
		c.Read(largePiece)
	}
	require.True(t, c.Splices())
}

// arrives has the peer send what the stream is told of, and not read.
func (c *copySource) arrives(t *testing.T, text string) {
	t.Helper()
	readByLoop(t, c.s, c.peer)
	send(t, c.peer, text)
	announced(t, c.s)
}

// TestCopyOfSmallMessagesIsNoBulk has a pipe only where large reads follow one another.
func TestCopyOfSmallMessagesIsNoBulk(t *testing.T) {
	c := newCopySource(t)
	for range 10 {
		for _, n := range []int{largePiece, largePiece, largePiece, smallPiece} {
			c.Read(n)
			require.False(t, c.Splices())
		}
	}
	require.Equal(t, 64<<10, c.Room())
	c.isBulk(t)
	require.Equal(t, 4<<10, c.Room(), "the rest goes through a pipe")
	c.limit.N = smallPiece
	require.False(t, c.Splices(), "no more is wanted")
	require.Equal(t, 64<<10, c.Room())
}

// TestCopyGoesBackToReadingWhenLittleComes costs small messages no pipe and no reads in two parts.
func TestCopyGoesBackToReadingWhenLittleComes(t *testing.T) {
	littleComes := map[string]func(t *testing.T, c *copySource){
		"by reads": func(_ *testing.T, c *copySource) { c.Read(smallPiece) },
		"by pipes": func(t *testing.T, c *copySource) {
			c.limit.N = 5
			require.Equal(t, 5, c.Receive())
			require.Zero(t, c.limit.N)
			c.limit.N = 1 << 30
		},
		"by reads behind which there is no more": func(t *testing.T, c *copySource) {
			c.Read(4 << 10)
			require.Zero(t, c.Receive())
		},
	}
	for name, littleComes := range littleComes {
		t.Run(name, func(t *testing.T) {
			c := bulkSource(t)
			if name == "by pipes" {
				c.arrives(t, strings.Repeat("piece", 15))
			}
			for range 7 {
				littleComes(t, c)
				require.True(t, c.Splices())
			}
			c.Read(largePiece)
			for range 7 {
				littleComes(t, c)
				require.True(t, c.Splices(), "there was bulk meanwhile")
			}
			littleComes(t, c)
			require.False(t, c.Splices())
			c.isBulk(t)
		})
	}
}

// TestCopyCountsAReadAndItsRestOnce takes a read with a pipe behind it for one piece of input.
func TestCopyCountsAReadAndItsRestOnce(t *testing.T) {
	c := bulkSource(t)
	for range 4 {
		c.arrives(t, "small")
		c.Read(4 << 10)
		require.Equal(t, 5, c.Receive())
		require.Zero(t, c.Receive())
	}
	require.True(t, c.Splices())
}

// TestCopyWithoutPipesReadsLargePieces does not ask for a pipe again and again, nor never again.
func TestCopyWithoutPipesReadsLargePieces(t *testing.T) {
	c := bulkSource(t)
	c.arrives(t, "something")
	withoutPipes(t)
	require.Zero(t, c.Receive())
	require.False(t, c.Splices())
	require.Equal(t, 64<<10, c.Room())
	c.isBulk(t)
}

// TestCopyToTLSReadsLargePieces tries a pipe once.
func TestCopyToTLSReadsLargePieces(t *testing.T) {
	c := bulkSource(t)
	to, _ := pair(t, c.s.Loop(), "tls1.3", nil)
	c.arrives(t, "something")
	n, err := c.Move(to)
	require.NoError(t, err)
	require.Zero(t, n)
	for range 10 {
		require.False(t, c.Splices())
		c.Read(largePiece)
	}
	expect(t, c.s.NetConn(), "something")
}

// TestCopyTriesOnceWhereNothingIs asks the kernel no second time before the loop has told of input.
func TestCopyTriesOnceWhereNothingIs(t *testing.T) {
	c := newCopySource(t)
	c.isFull(t)
	require.Zero(t, c.Receive())
	require.False(t, iostream.KnowsOfInput(c.s))
}

// isFull has a read fill its buffer: there may be more, and nothing is.
func (c *copySource) isFull(t *testing.T) {
	t.Helper()
	send(t, c.peer, "full")
	_, err := c.s.ReadAtLeast(patient(t), make([]byte, 4), 4)
	require.NoError(t, err)
	require.True(t, iostream.KnowsOfInput(c.s))
}

// TestCopyTellsOfAReset loses no error to the pipe: the kernel tells it once, and then what was
// cut off would look whole.
func TestCopyTellsOfAReset(t *testing.T) {
	c := newCopySource(t)
	c.arrives(t, "x")
	release := holdLoop(t, c.s.Loop())
	reset(t, c.peer)
	for c.Receive() > 0 {
	}
	_, err := c.s.ReadAtLeast(patient(t), make([]byte, 10), 1)
	requireIs(t, err, syscall.ECONNRESET)
	release()
	require.NoError(t, c.s.WaitClosed(patient(t)))
	require.ErrorIs(t, c.s.Err(), syscall.ECONNRESET)
}

// keepMemory has no memory collected until the test ends, and with it no pipe that nobody
// has given back.
func keepMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector a pool drops some of what it is given, and pipes with it")
	}
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

// requirePipe fails if the process has no pipe to use.
func requirePipe(t *testing.T) {
	pipe := socket.GetPipe()
	require.NotNil(t, pipe)
	pipe.Put()
}

// TestPipesAreGivenBack has copies need no more pipes than are in use at once, of which a process
// has few, whenever memory is collected.
func TestPipesAreGivenBack(t *testing.T) {
	uses := map[string]func(t *testing.T) func(){
		"behind a write": func(t *testing.T) func() {
			c := newCopySource(t)
			to, _ := pair(t, c.s.Loop(), "tcp", &iostream.Config{HighWaterMark: 32 << 20, WriteLimit: 64 << 20})
			_, err := to.Write(make([]byte, 16<<20)) // more than the kernel takes
			require.NoError(t, err)
			return func() {
				c.arrives(t, "x")
				n, err := iostream.PassPipe(to, c.limit)
				require.NoError(t, err)
				require.Equal(t, 1, n)
			}
		},
		"to nobody": func(t *testing.T) func() {
			c := newCopySource(t)
			to, _ := pair(t, c.s.Loop(), "tcp", nil)
			require.NoError(t, to.CloseWrite())
			return func() {
				c.arrives(t, "x")
				_, err := iostream.PassPipe(to, c.limit)
				require.ErrorIs(t, err, net.ErrClosed)
			}
		},
		"in vain": func(t *testing.T) func() {
			c := newCopySource(t)
			return func() {
				c.isFull(t)
				require.Zero(t, c.Receive())
			}
		},
		"sent": func(t *testing.T) func() {
			c := newCopySource(t)
			to, peer := pair(t, c.s.Loop(), "tcp", nil)
			quiet(t, to.Loop())
			return func() {
				c.arrives(t, "x")
				n, err := iostream.PassPipe(to, c.limit)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				expect(t, peer, "x")
			}
		},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			again := use(t)
			keepMemory(t)
			for range 40 {
				again()
			}
			requirePipe(t)
		})
	}
}

// TestEndCopiedByAGoroutineClosesTheStream is TestEndReadByAGoroutineClosesTheStream for a pipe.
func TestEndCopiedByAGoroutineClosesTheStream(t *testing.T) {
	endReadByAGoroutine(t, func(t *testing.T, s *iostream.Stream) {
		c := iostream.StepsOfCopy(s.IO(patient(t)))
		require.Equal(t, 1, c.Receive())
		require.Zero(t, c.Receive())
	})
}
