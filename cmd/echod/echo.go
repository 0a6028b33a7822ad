package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// echo serves every connection with callbacks, which cost no memory while a
// client is quiet.
type echo struct {
	*options
	log *slog.Logger
}

func newServer(o *options, logger *slog.Logger) *tcp.Server {
	e := &echo{options: o, log: logger}
	return &tcp.Server{
		Callback:    e.begin,
		Loops:       o.loops,
		MaxConns:    o.maxConns,
		IdleTimeout: o.idleTimeout,
		Logger:      logger,
		Stream: iostream.Config{
			ReadLimit: o.maxMessage,
			// The echo is held back above the high-water mark, so no more than one message
			// comes on top of it.
			WriteLimit: iostream.DefaultHighWaterMark + o.maxMessage,
		},
	}
}

// begin sets up a new connection. Repeating reads hold back while too much of
// the echo waits to be fetched, so a client that does not read cannot make the
// daemon grow.
func (e *echo) begin(s *iostream.Stream) {
	log := e.log
	if e.verbose {
		log = log.With(clientOf(s))
		log.Debug("connected")
		_ = s.WaitClosedFunc(func(err error) { log.Debug("closed", slog.Any("reason", err)) })
	}
	back := func(message []byte, err error) bool { return e.echo(s, message, err) }
	var err error
	switch e.mode {
	case "raw":
		err = s.Handle(iostream.Some(0), back)
	case "line":
		err = s.Handle(iostream.Until("\n"), back)
	default:
		err = s.Handle(iostream.Until(e.delim), back)
	}
	if err != nil {
		s.Abort(err)
	}
}

// echo sends one message back. It reports whether to go on.
func (e *echo) echo(s *iostream.Stream, message []byte, err error) bool {
	if err != nil {
		e.failed(s, err)
		return false
	}
	if e.mode == "delim" && len(message) == len(e.delim) {
		_ = s.Close()
		return false
	}
	if _, err := s.Write(message); err != nil {
		e.failed(s, err)
		return false
	}
	return true
}

// failed ends a connection that cannot go on. The usual end of one is not
// worth a line.
func (e *echo) failed(s *iostream.Stream, err error) {
	switch {
	case s.Closed() || errors.Is(err, io.EOF):
	case errors.Is(err, iostream.ErrTooLong):
		e.log.Warn("message is too long", clientOf(s), slog.Int("limit", e.maxMessage))
	}
	_ = s.Close() // what was echoed before shall arrive
}

func clientOf(s *iostream.Stream) slog.Attr { return slog.String("client", fmt.Sprint(s.RemoteAddr())) }
