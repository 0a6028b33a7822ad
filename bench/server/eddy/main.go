// Command eddy is an echo server on Eddy, with one loop, in each of the styles
// that a program can be written in.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"

	"github.com/eddyloop/eddy/bench/internal/connecho"
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

var (
	style = flag.String("style", "callback", "callback, task, goroutine or netconn")
	loops = flag.Int("loops", 1, "loops")
	size  = flag.Int("buf", 4096, "bytes of the buffers of style netconn")
)

func main() {
	peer.Parse("raw", "line", "sink", "broadcast")
	if *peer.Mode == "broadcast" && *style != "callback" {
		peer.Skip("broadcast is written with callbacks only: it is the same writes in each style")
	}
	if *peer.Mode == "sink" && *style != "netconn" {
		peer.Skip("sink is for net.Conns only")
	}
	srv := &tcp.Server{Loops: *loops, Logger: slog.New(slog.DiscardHandler)}
	if *peer.TLS {
		useTLS(srv)
	}
	switch *style {
	case "callback":
		srv.Callback = map[string]func(*iostream.Stream){"raw": raw, "line": line, "broadcast": broadcast}[*peer.Mode]
	case "task":
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error { return echo(t, s) }
	case "goroutine":
		srv.Callback = func(s *iostream.Stream) {
			go func() {
				defer s.Close()
				_ = echo(context.Background(), s)
			}()
		}
	case "netconn":
		srv.Callback = netConn
	default:
		peer.Skip("no style " + *style)
	}
	addr, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(addr)
	peer.Check(srv.Serve(context.Background()))
}

// write is the whole of each callback: the stream holds reading back while too
// much waits to be sent.
func write(s *iostream.Stream) func([]byte, error) bool {
	return func(p []byte, err error) bool {
		if err == nil {
			_, err = s.Write(p)
		}
		return err == nil
	}
}

func raw(s *iostream.Stream) { _ = s.Handle(iostream.Some(0), write(s)) }

func line(s *iostream.Stream) { _ = s.Handle(iostream.Until("\n"), write(s)) }

// echo is the same for a task and for a goroutine: ctx tells which.
func echo(ctx context.Context, s *iostream.Stream) error {
	for {
		var p []byte
		var err error
		if *peer.Mode == "line" {
			p, err = s.Read(ctx, iostream.Until("\n"))
		} else {
			p, err = s.Read(ctx, iostream.Some(0))
		}
		if err != nil {
			return err
		}
		if _, err := s.Write(p); err != nil {
			return err
		}
		if err := s.Room(ctx); err != nil {
			return err
		}
	}
}

// everybody is touched on the loop only.
var everybody = map[*iostream.Stream]bool{}

func broadcast(s *iostream.Stream) {
	everybody[s] = true
	s.OnClosed(func(error) { delete(everybody, s) })
	_, _ = s.Write([]byte("\n"))
	_ = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err != nil {
			return false
		}
		for s := range everybody {
			_, _ = s.Write(line)
		}
		return true
	})
}

// netConn is the server of package net on a stream.
func netConn(s *iostream.Stream) {
	serve := map[string]func(net.Conn, int){"raw": connecho.Raw, "line": connecho.Line, "sink": connecho.Sink}[*peer.Mode]
	go func() {
		defer s.Close()
		serve(s.NetConn(), *size)
	}()
}
