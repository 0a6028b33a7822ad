package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// echo serves every connection with callbacks, which cost no memory while a
// client is quiet.
type echo struct {
	*options
	log   *slog.Logger
	loops map[*ioloop.Loop]*traffic
}

// traffic counts what the connections of one loop do. Only that loop writes it.
type traffic struct {
	messages, received, sent atomic.Uint64
}

func newServer(o *options, group *ioloop.Group, logger *slog.Logger) (*tcp.Server, *echo, error) {
	e := &echo{options: o, log: logger, loops: map[*ioloop.Loop]*traffic{}}
	for _, l := range group.Loops() {
		e.loops[l] = new(traffic)
	}
	srv := &tcp.Server{
		Callback:    e.begin,
		Group:       group,
		ReusePort:   o.reusePort,
		MaxConns:    o.maxConns,
		IdleTimeout: o.idleTimeout,
		Logger:      logger,
		Stream: iostream.Config{
			MessageTimeout: off(o.messageTimeout),
			SendTimeout:    off(o.sendTimeout),
			ReadLimit:      int(o.maxMessage),
			// The echo is held back above the high-water mark, so no more than one message
			// comes on top of it.
			WriteLimit: iostream.DefaultHighWaterMark + int(o.maxMessage),
		},
	}
	var err error
	if srv.TLS, err = o.tls(); err != nil {
		return nil, nil, err
	}
	if o.budget > 0 {
		if srv.Stream.Budget, err = iostream.NewBudget(int64(o.budget)); err != nil {
			return nil, nil, err
		}
	}
	if o.proxyFrom.any() {
		srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: func(peer net.Addr) bool { return o.proxyFrom.contain(peer) }}
	}
	return srv, e, nil
}

// begin sets up a new connection. Repeating reads hold back while too much of
// the echo waits to be fetched, so a client that does not read cannot make the
// daemon grow.
func (e *echo) begin(s *iostream.Stream) {
	if e.verbose {
		client := clientOf(s)
		e.log.Debug("connected", client)
		_ = s.WaitClosedFunc(func(err error) { e.log.Debug("closed", client, slog.Any("reason", err)) })
	}
	count := e.loops[s.Loop()]
	frame, handle := iostream.Until(e.delim), e.sendBack
	switch e.mode {
	case "line":
		frame = iostream.Until("\n")
	case "raw":
		frame = iostream.Some(0)
	case "discard":
		frame, handle = iostream.Some(0), discard
	case "chargen":
		frame, handle = iostream.Some(0), discard
		(&generator{stream: s, count: count}).more(nil)
	}
	err := s.Handle(frame, func(message []byte, err error) bool {
		if err != nil {
			e.failed(s, err)
			return false
		}
		count.messages.Add(1)
		count.received.Add(uint64(len(message)))
		return handle(s, count, message)
	})
	if err != nil {
		s.Abort(err)
	}
}

// sendBack echoes a message. It reports whether to go on.
func (e *echo) sendBack(s *iostream.Stream, count *traffic, message []byte) bool {
	if e.mode == "delim" && len(message) == len(e.delim) {
		return false // the stream is closed once the echo is out
	}
	if _, err := s.Write(message); err != nil {
		s.Abort(err)
		return false
	}
	count.sent.Add(uint64(len(message)))
	return true
}

func discard(*iostream.Stream, *traffic, []byte) bool { return true }

// failed is told why a connection ends. The usual end of one is not worth a line.
func (e *echo) failed(s *iostream.Stream, err error) {
	if errors.Is(err, iostream.ErrTooLong) {
		e.log.Warn("message is too long", clientOf(s), slog.Int("limit", int(e.maxMessage)))
	} else if !errors.Is(err, io.EOF) {
		e.log.Debug("connection failed", clientOf(s), slog.Any("err", err))
	}
}

func clientOf(s *iostream.Stream) slog.Attr { return slog.String("client", fmt.Sprint(s.RemoteAddr())) }

// generator sends the lines of RFC 864 for as long as the client takes them.
type generator struct {
	stream *iostream.Stream
	count  *traffic
	line   int
}

const (
	printable  = 95 // characters, from the space on
	lineLength = 72
	portion    = 64 << 10
)

// more sends a portion and asks to be called when there is room for the next.
func (g *generator) more(err error) {
	if err != nil {
		return // the stream has ended
	}
	lines := make([]byte, 0, portion)
	for len(lines)+lineLength+2 <= portion {
		for i := range lineLength {
			lines = append(lines, byte(' '+(g.line+i)%printable))
		}
		lines = append(lines, '\r', '\n')
		g.line = (g.line + 1) % printable
	}
	if _, err := g.stream.Write(lines); err != nil {
		return
	}
	g.count.messages.Add(1)
	g.count.sent.Add(uint64(len(lines)))
	_ = g.stream.WaitSentFunc(g.stream.Mark(), g.more)
}
