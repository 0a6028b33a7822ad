//go:build unix || windows

package iostream

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// Bytes that a task reads from a socket, or writes to it, by itself are work of the turn too.
func TestBytesThatATaskMovesAreWorkOfTheTurn(t *testing.T) {
	const size, times = corkLimit + 4<<10, 15
	for name, move := range map[string]func(c *IO) (int, error){
		"read":  func(c *IO) (int, error) { return c.Read(make([]byte, size)) },
		"write": func(c *IO) (int, error) { return c.Write(make([]byte, size)) },
	} {
		t.Run(name, func(t *testing.T) {
			testtime.WholeTurns(t)
			clock := new(ioloop.ManualClock)
			l, err := ioloop.New(ioloop.Config{Clock: clock})
			require.NoError(t, err)
			defer l.Close()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer listener.Close()
			conn, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			peer, err := listener.Accept()
			require.NoError(t, err)
			defer peer.Close()
			require.NoError(t, peer.SetWriteDeadline(time.Now().Add(time.Second)))
			_, _ = peer.Write(make([]byte, times*size)) // as much as the kernel takes
			s, err := Adopt(l, conn, nil)
			require.NoError(t, err)
			go func() { _, _ = io.Copy(io.Discard, peer) }()
			most, moved := 0, 0
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				inTurn, turn := 0, uint64(0)
				_ = task.Yield() // the stream is attached then
				for range times {
					if name == "read" && !KnowsOfInput(s) {
						break
					}
					if _, err := move(s.IO(task)); err != nil {
						break
					}
					moved++
					clock.Advance(time.Millisecond)
					if now := l.Stats().Turns; now != turn {
						inTurn, turn = 0, now
					}
					inTurn++
					most = max(most, inTurn)
				}
				l.Stop()
			}))
			require.NoError(t, l.Run(t.Context()))
			require.Greater(t, moved, 8, "else it shows nothing")
			require.LessOrEqual(t, most, 8)
		})
	}
}
