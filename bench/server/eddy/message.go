package main

import (
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// message is a task for each message that comes.
func message(srv *tcp.Server) {
	srv.Frame = ofMode(frames)
	if *peer.Mode == "wait" {
		srv.Message = answerLater
		return
	}
	srv.Message = func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := s.Write(msg)
		return err
	}
}
