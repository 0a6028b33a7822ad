// Command websocket is a gateway for browsers: what one client says, all get. Open
// http://127.0.0.1:8000/ in two windows. It shows a protocol that changes on the way (the head
// of a HTTP request, then frames) in messages, broadcast without a registry or a lock, and
// what quiet connections cost: there may be tens of thousands.
//
//	go run ./websocket
package main

import (
	"context"
	_ "embed"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/gobwas/ws"

	"github.com/eddyloop/eddy/examples/websocket/wsconn"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

//go:embed page.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "serve on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string) error {
	group, err := ioloop.NewGroup(0, ioloop.Config{})
	if err != nil {
		return err
	}
	defer group.Close()
	if err := wsconn.PingAll(group.Loops(), 30*time.Second); err != nil {
		return err
	}
	go group.Run(context.Background())
	return newServer(group).ListenAndServe(ctx, "tcp", address)
}

func newServer(group *ioloop.Group) *tcp.Server {
	gateway := &wsconn.Server{
		Page: page,
		Message: func(_ *ioloop.Task, _ *wsconn.Conn, text []byte) error {
			broadcast(group, wsconn.Text(text))
			return nil
		},
	}
	return &tcp.Server{
		Group:        group,
		Frame:        wsconn.Request,
		Message:      gateway.Request,
		IdleTimeout:  time.Minute, // pings are answered
		DrainTimeout: 10 * time.Second,
		Stream:       iostream.Config{ReadLimit: wsconn.MaxMessage + ws.MaxHeaderSize},
	}
}

// broadcast has each loop write to the WebSockets that are on it. Who is far behind misses
// it no more: the connection is ended.
func broadcast(group *ioloop.Group, frame []byte) {
	for _, l := range group.Loops() {
		_ = l.Post(func() {
			for s := range iostream.Streams(l) {
				c := wsconn.Of(s)
				switch {
				case c == nil:
				case c.Backlog() > 1<<20:
					_ = c.Shut(ws.StatusPolicyViolation, "you read too slowly")
				default:
					_, _ = c.Write(frame)
				}
			}
		})
	}
}
