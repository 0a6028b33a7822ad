// Command gaio is an echo server on gaio: one watcher, and one goroutine that
// takes its completions.
package main

import (
	"bytes"
	"net"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/xtaci/gaio"
)

// conn is the context of a connection's reads. Its buffer holds what is being
// written and, in line mode, the beginning of a line behind it.
type conn struct {
	buf     []byte
	pending int // bytes of buf that are a line's beginning
}

func main() {
	peer.Parse("raw", "line", "broadcast")
	if *peer.TLS {
		peer.Skip("gaio has no TLS")
	}
	w, err := gaio.NewWatcherSize(1 << 20) // of one of 64 KiB, 100 reads of 4 KiB have to wait for each other
	peer.Check(err)
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(l.Addr())
	go complete(w)
	for {
		c, err := l.Accept()
		if err != nil {
			continue // out of descriptors: try again
		}
		if *peer.Mode == "broadcast" {
			peer.Check(w.Write(&conn{}, c, []byte("\n")))
			continue
		}
		peer.Check(w.Read(&conn{}, c, nil)) // into a buffer of the watcher's
	}
}

func complete(w *gaio.Watcher) {
	everybody := map[net.Conn]bool{}
	for {
		results, err := w.WaitIO()
		peer.Check(err)
		for _, r := range results {
			c, _ := r.Context.(*conn)
			switch {
			case r.Error != nil || r.Operation == gaio.OpRead && r.Size == 0:
				delete(everybody, r.Conn)
				_ = w.Free(r.Conn)
				_ = r.Conn.Close() // which the watcher does not own if it had no descriptor for it
			case r.Operation == gaio.OpRead:
				if out := c.received(r.Buffer[:r.Size]); len(out) == 0 {
					_ = w.Read(c, r.Conn, nil)
				} else if *peer.Mode == "broadcast" {
					message := bytes.Clone(out)
					for to := range everybody {
						_ = w.Write(nil, to, message)
					}
					c.buf = append(c.buf[:0], c.buf[len(message):]...)
					_ = w.Read(c, r.Conn, nil)
				} else {
					_ = w.Write(c, r.Conn, out)
				}
			case c != nil: // written: read on
				if *peer.Mode == "broadcast" {
					everybody[r.Conn] = true
				} else {
					c.buf = c.buf[:copy(c.buf, c.buf[len(c.buf)-c.pending:])]
				}
				if len(c.buf) == 0 {
					c.buf = nil // a quiet connection holds no buffer
				}
				_ = w.Read(c, r.Conn, nil)
			}
		}
	}
}

// received returns what to send: everything, or all whole lines.
func (c *conn) received(in []byte) []byte {
	c.buf = append(c.buf, in...)
	if *peer.Mode == "raw" {
		return c.buf
	}
	end := peer.WholeLines(c.buf, c.pending)
	c.pending = len(c.buf) - end
	return c.buf[:end]
}
