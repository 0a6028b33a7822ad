//go:build unix || windows

package tcp_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// A thousand connections at a time echo a hundred thousand messages, of all lengths,
// of which every byte is looked at.
func TestManyConnectionsEcho(t *testing.T) {
	conns, messages := 1000, 100
	if testing.Short() {
		conns /= 10
	}
	addr, _ := local(t, &tcp.Server{Handler: lines, Loops: 2})
	var all sync.WaitGroup
	open := make(chan struct{}) // when all are connected
	for i := range conns {
		conn, err := net.Dial("tcp", addr.String())
		require.NoError(t, err)
		all.Go(func() {
			defer conn.Close()
			<-open
			_ = conn.SetDeadline(time.Now().Add(4 * patience))
			for n := range messages {
				message := fmt.Sprintf("%d %d %0*d\n", i, n, 1+(i*messages+n)%300, n)
				got := make([]byte, len(message))
				if _, err := io.WriteString(conn, message); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != message {
					t.Errorf("connection %d: %q came back as %q, %v", i, message, got, err)
					return
				}
			}
		})
	}
	close(open)
	all.Wait()
}
