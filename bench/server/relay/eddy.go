package main

import (
	"context"
	"log/slog"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// serveEddy is the library's own relay.
func serveEddy(to string) {
	srv := &tcp.Server{Loops: 1, Logger: slog.New(slog.DiscardHandler)}
	srv.Handler = func(t *ioloop.Task, client *iostream.Stream) error {
		server, err := tcp.Dial(t, client.Loop(), "tcp", to)
		if err != nil {
			return err
		}
		_, err = iostream.Relay(t, client, server)
		return err
	}
	addr, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(addr)
	peer.Check(srv.Serve(context.Background()))
}
