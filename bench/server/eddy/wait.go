package main

import (
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// What is here waits before each answer, as a handler does that asks somebody else.

func answerLater(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
	if err := t.Sleep(*peer.Wait); err != nil {
		return err
	}
	_, err := s.Write(msg)
	return err
}

func echoLater(t *ioloop.Task, s *iostream.Stream) error {
	for {
		line, err := s.Read(t, iostream.Until("\n"))
		if err != nil {
			return err
		}
		if err := answerLater(t, s, line); err != nil {
			return err
		}
	}
}

// answerByTimer reads no further until the answer is given.
func answerByTimer(s *iostream.Stream) {
	var line []byte
	var next func([]byte, error)
	answer := func() {
		if _, err := s.Write(line); err == nil {
			_ = s.ReadFunc(iostream.Until("\n"), next)
		}
	}
	next = func(p []byte, err error) {
		if err == nil {
			line = append(line[:0], p...)
			s.Loop().AfterFunc(*peer.Wait, answer)
		}
	}
	_ = s.ReadFunc(iostream.Until("\n"), next)
}
