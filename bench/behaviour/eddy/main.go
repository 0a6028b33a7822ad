// Command eddy shows how Eddy behaves in trouble.
package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	peer.Parse("late", "big", "writev", "dial")
	if *peer.Mode == "dial" {
		peer.Dialled(dial())
	}
	srv := &tcp.Server{
		Handler: serve,
		Loops:   1,
		Logger:  slog.New(slog.DiscardHandler),
		Stream:  iostream.Config{WriteLimit: 2 * len(peer.Big)},
	}
	addr, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(addr)
	peer.Check(srv.Serve(context.Background()))
}

func serve(t *ioloop.Task, s *iostream.Stream) (err error) {
	if _, err := s.Read(t, iostream.Bytes(1)); err != nil {
		return err
	}
	switch *peer.Mode {
	case "late":
		if _, err := s.Read(t, iostream.UntilClose()); err != nil {
			return err
		}
		_, _ = ioloop.Await(t, func() (int, error) { time.Sleep(peer.LateDelay); return 0, nil })
		_, err = s.Write(peer.LateReply)
	case "big":
		_, err = s.Write(peer.Big)
	case "writev": // which is what one turn's writes leave as
		for _, p := range peer.Slices {
			if _, err := s.Write(p); err != nil {
				return err
			}
		}
	}
	return err
}

func dial() error {
	loop, err := ioloop.New(ioloop.Config{})
	peer.Check(err)
	go func() { _ = loop.Run(context.Background()) }()
	_, err = tcp.Dial(context.Background(), loop, "tcp", *peer.DialTo)
	return err
}
