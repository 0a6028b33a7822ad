// Package hostile is clients that mean no good, for tests and measurements of what they
// cost a server that reads lines.
package hostile

import (
	"io"
	"net"
	"strings"
	"time"
)

// Kind is a way to be hostile.
type Kind struct {
	Name string

	// Act does it on a connection. What it sends is sent when it returns; the connection
	// then is as it stays, until somebody closes it.
	Act func(c *net.TCPConn)

	// Again is whether the connection is of no more use then, and another is to be made.
	Again bool

	// Goes is whether the server is to end it by itself, without a clock.
	Goes bool
}

// sendTime is how long a client waits for the server to take more of what it sends. A slow
// machine takes long for all of it.
const sendTime = 3 * time.Second

func send(c *net.TCPConn, texts ...string) {
	for _, text := range texts {
		for len(text) > 0 {
			piece := text[:min(len(text), 64<<10)]
			_ = c.SetWriteDeadline(time.Now().Add(sendTime))
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			text = text[len(piece):]
		}
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Line is a line of 1 KiB.
var Line = strings.Repeat("x", 1023) + "\n"

// hello is how a TLS client begins: the headers of a record and of a message of 512 bytes.
const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

// Kinds are all that there are.
var Kinds = []Kind{
	{Name: "never sends", Act: func(*net.TCPConn) {}},
	{Name: "drips a line", Act: func(c *net.TCPConn) { // a byte a second
		send(c, "x")
		go func() {
			for {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
	}},
	{Name: "line without end", Act: func(c *net.TCPConn) { send(c, strings.Repeat("x", 1<<20-1)) }},
	{Name: "line too long", Act: func(c *net.TCPConn) { send(c, strings.Repeat("x", 2<<20)) }, Goes: true},
	{Name: "never reads", Act: func(c *net.TCPConn) {
		_ = c.SetReadBuffer(4 << 10)
		go func() { _, _ = io.WriteString(c, strings.Repeat(Line, 16<<10)) }() // which never ends
	}},
	{Name: "half-closes", Act: func(c *net.TCPConn) {
		send(c, "half a line")
		_ = c.CloseWrite()
	}, Goes: true},
	{Name: "resets", Act: func(c *net.TCPConn) {
		send(c, "hello\nhalf a l")
		reset(c)
	}, Again: true, Goes: true},
	{Name: "half a TLS handshake", Act: func(c *net.TCPConn) { send(c, hello) }},
	{Name: "half a PROXY header", Act: func(c *net.TCPConn) { send(c, "PROXY TCP4 1.2.3") }},
	{Name: "pipelines without end", Act: func(c *net.TCPConn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		go func() {
			many := strings.Repeat(Line, 16)
			for {
				if _, err := io.WriteString(c, many); err != nil {
					return
				}
				time.Sleep(time.Second) // or the clients would need the processors that are measured
			}
		}()
	}},
	{Name: "announces 4 GiB", Act: func(c *net.TCPConn) { send(c, "\xff\xff\xff\xff") }, Goes: true},
	{Name: "connects and leaves", Act: func(c *net.TCPConn) { _ = c.Close() }, Again: true, Goes: true},
}

// Find returns the kind of a name.
func Find(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}
