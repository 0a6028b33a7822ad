package main

import (
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// message is a task for each message that comes.
func message(srv *tcp.Server) {
	srv.Frame = ofMode(frames)
	srv.Message = func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := s.Write(msg)
		return err
	}
}
