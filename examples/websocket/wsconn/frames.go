package wsconn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// splitFrame is a bufio.SplitFunc: a frame as it is on the wire. Of one that is too long, or
// none, there is only the header, which is the last that is read.
func splitFrame(b []byte, _ bool) (int, []byte, error) {
	h, size, err := header(b)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return 0, nil, nil
	case err != nil || h.Length > MaxMessage:
		return size, b[:size], bufio.ErrFinalToken
	}
	if size += int(h.Length); size > len(b) {
		return 0, nil, nil
	}
	return size, b[:size], nil
}

// header reads a frame's header, and returns its size too.
func header(b []byte) (ws.Header, int, error) {
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	return h, len(b) - r.Len(), err
}

// frame handles a frame.
func (c *Conn) frame(t *ioloop.Task, _ *iostream.Stream, frame []byte) error {
	h, size, err := header(frame)
	state := ws.StateServerSide
	if c.kind != 0 {
		state = state.Set(ws.StateFragmented)
	}
	if err == nil {
		err = ws.CheckHeader(h, state)
	}
	if err != nil {
		return c.fail(ws.StatusProtocolError, err.Error())
	}
	if h.Length > MaxMessage || len(c.received)+int(h.Length) > MaxMessage {
		return c.fail(ws.StatusMessageTooBig, "message is too big")
	}
	payload := frame[size:]
	ws.Cipher(payload, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPong:
		return nil
	case ws.OpPing:
		_, err := c.Write(ws.MustCompileFrame(ws.NewPongFrame(payload)))
		return err
	case ws.OpClose:
		return c.closedByPeer(payload)
	}
	return c.data(t, h, payload)
}

// data handles a message, or a fragment of one.
func (c *Conn) data(t *ioloop.Task, h ws.Header, payload []byte) error {
	if c.kind == 0 {
		c.kind = h.OpCode
	}
	if !h.Fin || len(c.received) > 0 {
		c.received = append(c.received, payload...)
		payload = c.received
	}
	if !h.Fin {
		return nil
	}
	kind := c.kind
	c.kind, c.received = 0, nil
	if kind == ws.OpText && !utf8.Valid(payload) {
		return c.fail(ws.StatusInvalidFramePayloadData, "text is not UTF-8")
	}
	return c.server.Message(t, c, payload)
}

func (c *Conn) closedByPeer(payload []byte) error {
	if len(payload) == 0 {
		_, _ = c.Write(ws.CompiledClose)
		return c.Close()
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil || len(payload) == 1 {
		return c.fail(ws.StatusProtocolError, "bad close frame")
	}
	return c.Shut(code, "")
}

// fail closes for what the client has done wrong.
func (c *Conn) fail(code ws.StatusCode, reason string) error {
	_ = c.Shut(code, reason)
	return fmt.Errorf("wsconn: %s", reason)
}
