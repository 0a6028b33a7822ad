//go:build unix

package iostream_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iosync"
	"github.com/stretchr/testify/require"
)

// Messages whose functions wait stay as they are, however many there are and whatever
// comes for others meanwhile.
func TestMessagesStayWhileOthersReceive(t *testing.T) {
	const streams = 8 // more than may wait with a buffer of their own
	for _, budget := range []bool{false, true} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			config := new(iostream.Config)
			if budget {
				var err error
				config.Budget, err = iostream.NewBudget(1 << 30)
				require.NoError(t, err)
			}
			l := startLoop(t, ioloop.Config{})
			waiting := make(chan struct{}, 3*streams)
			var all iosync.Event
			peers := make([]net.Conn, streams)
			for i := range peers {
				var s *iostream.Stream
				s, peers[i] = pair(t, l, "tcp", config)
				require.NoError(t, s.HandleTask(iostream.Until("\n"), func(tk *ioloop.Task, s *iostream.Stream, msg []byte) error {
					waiting <- struct{}{}
					if err := all.Wait(tk); err != nil {
						return err
					}
					_, err := s.Write(msg)
					return err
				}))
			}
			lines := make([]string, streams)
			for round := range 3 {
				all.Clear()
				for i, peer := range peers {
					line := strings.Repeat(string(rune('a'+i)), 10*(i+1)+round) + "\n"
					lines[i] = strings.Repeat(line, round+1)
					_, err := io.WriteString(peer, lines[i])
					require.NoError(t, err)
					receive(t, waiting)
				}
				all.Set()
				for i, peer := range peers {
					require.Equal(t, lines[i], readText(t, peer, len(lines[i])))
					for range round {
						receive(t, waiting) // further lines do not wait
					}
				}
			}
		})
	}
}
