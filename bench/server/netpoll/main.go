// Command netpoll is an echo server on cloudwego/netpoll, with one poller.
package main

import (
	"context"
	"io"
	"sync"

	"github.com/cloudwego/netpoll"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

func main() {
	peer.Parse("raw", "line", "broadcast")
	if *peer.TLS {
		peer.Skip("netpoll has no TLS")
	}
	peer.Check(netpoll.Configure(netpoll.Config{PollerNum: 1, LoggerOutput: io.Discard}))
	l, err := netpoll.CreateListener("tcp", *peer.Listen)
	peer.Check(err)
	serve := map[string]netpoll.OnRequest{"raw": raw, "line": line, "broadcast": broadcast}[*peer.Mode]
	var options []netpoll.Option
	if *peer.Mode == "broadcast" {
		options = append(options, netpoll.WithOnConnect(join))
	}
	loop, err := netpoll.NewEventLoop(serve, options...)
	peer.Check(err)
	peer.Listening(l.Addr())
	peer.Check(loop.Serve(l))
}

func raw(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	buf, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(buf); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}

func line(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	for {
		line, err := r.Until('\n')
		if err != nil {
			return err
		}
		if _, err := w.WriteBinary(line); err != nil {
			return err
		}
		if r.Len() == 0 {
			break
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}

// everybody's lock is held while writing too: a connection's Writer is for one
// goroutine at a time.
var everybody = struct {
	sync.Mutex
	conns map[netpoll.Connection]bool
}{conns: map[netpoll.Connection]bool{}}

func join(ctx context.Context, c netpoll.Connection) context.Context {
	everybody.Lock()
	defer everybody.Unlock()
	everybody.conns[c] = true
	_ = c.AddCloseCallback(func(c netpoll.Connection) error {
		everybody.Lock()
		defer everybody.Unlock()
		delete(everybody.conns, c)
		return nil
	})
	send(c, []byte("\n"))
	return ctx
}

func send(c netpoll.Connection, p []byte) {
	if _, err := c.Writer().WriteBinary(p); err == nil {
		_ = c.Writer().Flush()
	}
}

func broadcast(_ context.Context, c netpoll.Connection) error {
	line, err := c.Reader().Until('\n')
	if err != nil {
		return err
	}
	everybody.Lock()
	for c := range everybody.conns {
		send(c, line)
	}
	everybody.Unlock()
	return c.Reader().Release()
}
