package main

import (
	"context"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// frames are what is read in each mode.
var frames = map[string]iostream.Frame{"raw": iostream.Some(0), "line": iostream.Until("\n"), "wait": iostream.Until("\n")}

func task(srv *tcp.Server) {
	frame := ofMode(frames)
	if *peer.Mode == "wait" {
		srv.Handler = echoLater
		return
	}
	srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error { return echo(t, s, frame) }
}

func goroutine(srv *tcp.Server) {
	frame := ofMode(frames)
	if *peer.Mode == "wait" {
		peer.Skip("style goroutine has no mode wait")
	}
	srv.Callback = func(s *iostream.Stream) {
		go func() {
			defer s.Close()
			_ = echo(context.Background(), s, frame)
		}()
	}
}

// echo is the same for a task and for a goroutine: ctx tells which.
func echo(ctx context.Context, s *iostream.Stream, frame iostream.Frame) error {
	for {
		p, err := s.Read(ctx, frame)
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
