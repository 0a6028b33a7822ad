// Package wsconn serves WebSockets (RFC 6455) on streams, with the frames of
// github.com/gobwas/ws. A quiet connection has no goroutine, no task, and no buffer.
//
// Server.Request is the Message of a tcp.Server whose Frame is Request: it answers the
// handshake and has the frames that follow handled as messages.
package wsconn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// MaxMessage is how many bytes a client's message may have, and a frame of one. The
// ReadLimit of the streams must be more by 14 bytes or more.
const MaxMessage = 64 << 10

// Request is the head of a HTTP request, with which a WebSocket begins.
var Request = iostream.Until("\r\n\r\n").Limit(4 << 10)

// Server is what is done with WebSockets.
type Server struct {
	// Page is what is answered to a request that asks for no WebSocket.
	Page []byte

	// Open is called for a WebSocket that is open, on its loop. Nil is nothing.
	Open func(t *ioloop.Task, c *Conn, r *http.Request) error

	// Message is called for each message, one after another. An error ends the
	// connection. text is lent until it returns.
	Message func(t *ioloop.Task, c *Conn, text []byte) error
}

// Conn is a WebSocket. Its methods may be called from any goroutine, and do not wait.
type Conn struct {
	*iostream.Stream

	server   *Server
	kind     ws.OpCode // of the message whose fragments are being received; 0: none is
	received []byte    // fragments
}

var conns iostream.Value[Conn]

// Of returns the WebSocket on a stream, on the stream's loop, and nil if it has none.
func Of(s *iostream.Stream) *Conn {
	return conns.Get(s)
}

// Request answers the head of a request.
func (srv *Server) Request(t *ioloop.Task, s *iostream.Stream, head []byte) error {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		_, _ = s.WriteString("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return err
	}
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprintf(s, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(srv.Page))
		if r.Method != http.MethodHead {
			_, _ = s.Write(srv.Page)
		}
		return s.Close()
	}
	_, err = ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), s})
	if err != nil {
		return err // the client was told
	}
	c := conns.Of(s)
	c.Stream, c.server = s, srv
	if err := s.HandleTask(iostream.Split(splitFrame), c.frame); err != nil {
		return err
	}
	if srv.Open == nil {
		return nil
	}
	return srv.Open(t, c, r)
}

// Text returns a message as it is on the wire, to be written to any number of streams.
func Text(text []byte) []byte { return ws.MustCompileFrame(ws.NewTextFrame(text)) }

// Send sends a message.
func (c *Conn) Send(text []byte) error {
	_, err := c.Write(Text(text))
	return err
}

// Shut ends the connection in good order, and tells the client why.
func (c *Conn) Shut(code ws.StatusCode, reason string) error {
	_, _ = c.Write(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason))))
	return c.Close()
}

// PingAll has each loop ping the WebSockets on it once in a period. Clients answer, so that an
// IdleTimeout of more than the period finds the dead ones.
func PingAll(loops []*ioloop.Loop, period time.Duration) error {
	for _, l := range loops {
		_, err := l.Every(period, func() {
			for s := range iostream.Streams(l) {
				if Of(s) != nil {
					_, _ = s.Write(ws.CompiledPing)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
