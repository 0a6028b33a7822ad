// Command netpoll shows how cloudwego/netpoll behaves in trouble.
package main

import (
	"context"
	"io"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

func main() {
	peer.Parse("late", "big", "writev", "dial")
	peer.Check(netpoll.Configure(netpoll.Config{PollerNum: 1, LoggerOutput: io.Discard}))
	if *peer.Mode == "dial" {
		_, err := netpoll.DialConnection("tcp", *peer.DialTo, 2*time.Second)
		peer.Dialled(err)
	}
	l, err := netpoll.CreateListener("tcp", *peer.Listen)
	peer.Check(err)
	loop, err := netpoll.NewEventLoop(serve)
	peer.Check(err)
	peer.Listening(l.Addr())
	peer.Check(loop.Serve(l))
}

func serve(_ context.Context, c netpoll.Connection) error {
	_ = c.Reader().Skip(1)
	w := c.Writer()
	switch *peer.Mode {
	case "late":
		time.Sleep(peer.LateDelay) // a handler has a goroutine of its own
		_, _ = w.WriteBinary(peer.LateReply)
	case "big":
		_, _ = w.WriteBinary(peer.Big)
	case "writev": // which is what Flush makes of many writes
		for _, p := range peer.Slices {
			_, _ = w.WriteBinary(p)
		}
	}
	_ = w.Flush()
	return c.Close()
}
