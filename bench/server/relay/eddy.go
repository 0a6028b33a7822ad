package main

import (
	"context"
	"log/slog"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// serveEddy is the relay by hand: a task for each direction.
func serveEddy(to string) {
	srv := &tcp.Server{Loops: 1, Logger: slog.New(slog.DiscardHandler)}
	srv.Handler = func(t *ioloop.Task, client *iostream.Stream) error {
		server, err := tcp.Dial(t, client.Loop(), "tcp", to)
		if err != nil {
			return err
		}
		defer server.Close()
		if err := client.Loop().Go(func(t *ioloop.Task) { _ = copyTo(t, client, server) }); err != nil {
			return err
		}
		return copyTo(t, server, client)
	}
	addr, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(addr)
	peer.Check(srv.Serve(context.Background()))
}

// copyTo sends on what comes in as soon as there is room for it.
func copyTo(t *ioloop.Task, to, from *iostream.Stream) error {
	for {
		p, err := from.Read(t, iostream.Some(0))
		if err != nil {
			_ = to.CloseWrite()
			return err
		}
		if _, err := to.Write(p); err != nil {
			return err
		}
		if err := to.Room(t); err != nil {
			return err
		}
	}
}
