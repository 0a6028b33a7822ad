package nettest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"golang.org/x/net/nettest"
)

func TestConn(t *testing.T) {
	if os.Getenv(Enabled) == "" {
		t.Skip("run by cmd/report")
	}
	t.Run("net", func(t *testing.T) { nettest.TestConn(t, netPipe) })
	t.Run("netpoll", func(t *testing.T) { nettest.TestConn(t, netpollPipe) })
	t.Run("eddy", func(t *testing.T) { nettest.TestConn(t, eddyPipe) })
}

func netPipe() (a, b net.Conn, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, nil, err
	}
	b, err = l.Accept()
	return a, b, func() { a.Close(); b.Close() }, err
}

func netpollPipe() (a, b net.Conn, stop func(), err error) {
	_ = netpoll.Configure(netpoll.Config{LoggerOutput: io.Discard})
	l, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	defer l.Close()
	if a, err = netpoll.DialConnection("tcp", l.Addr().String(), 30*time.Second); err != nil {
		return nil, nil, nil, err
	}
	for b == nil && err == nil { // Accept does not block
		b, err = l.Accept()
	}
	return a, b, func() { a.Close(); b.Close() }, err
}

func eddyPipe() (a, b net.Conn, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		return nil, nil, cancel, err
	}
	go func() { _ = loop.Run(ctx) }()
	accepted := make(chan *iostream.Stream, 1)
	srv := &tcp.Server{
		Callback: func(s *iostream.Stream) { accepted <- s },
		Loops:    1,
		Logger:   slog.New(slog.DiscardHandler),
	}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, cancel, err
	}
	go func() { _ = srv.Serve(ctx) }()
	s, err := tcp.Dial(ctx, loop, "tcp", addr.String())
	if err != nil {
		return nil, nil, cancel, err
	}
	a, b = s.NetConn(), (<-accepted).NetConn()
	return a, b, func() { a.Close(); b.Close(); cancel(); loop.Close() }, nil
}
