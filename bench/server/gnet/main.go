// Command gnet is an echo server on gnet, with one event loop.
package main

import (
	"net"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type server struct {
	gnet.BuiltinEventEngine
	addr  net.Addr
	conns map[gnet.Conn]bool
}

func main() {
	peer.Parse("raw", "line", "broadcast")
	if *peer.TLS {
		peer.Skip("gnet has no TLS")
	}
	s := &server{addr: peer.FreeAddr(), conns: map[gnet.Conn]bool{}}
	peer.Check(gnet.Run(s, "tcp://"+s.addr.String(), gnet.WithNumEventLoop(1), gnet.WithLogLevel(logging.FatalLevel)))
}

func (s *server) OnBoot(gnet.Engine) gnet.Action {
	peer.Listening(s.addr)
	return gnet.None
}

func (s *server) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	if *peer.Mode != "broadcast" {
		return nil, gnet.None
	}
	s.conns[c] = true
	return []byte("\n"), gnet.None
}

func (s *server) OnClose(c gnet.Conn, _ error) gnet.Action {
	delete(s.conns, c)
	return gnet.None
}

func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	if *peer.Mode == "raw" {
		buf, _ := c.Next(-1)
		_, _ = c.Write(buf)
		return gnet.None
	}
	in, _ := c.Next(-1)
	end := peer.WholeLines(in, 0)
	out, rest := in[:end], in[end:]
	begun, _ := c.Context().(*[]byte) // the beginning of a line
	if end > 0 {
		if begun != nil {
			out = append(*begun, out...)
			*begun = out[:0]
		}
		s.send(c, out)
	}
	if len(rest) > 0 {
		if begun == nil {
			begun = new([]byte)
			c.SetContext(begun)
		}
		*begun = append(*begun, rest...)
	}
	return gnet.None
}

func (s *server) send(c gnet.Conn, lines []byte) {
	if *peer.Mode == "line" {
		_, _ = c.Write(lines)
		return
	}
	for c := range s.conns {
		_, _ = c.Write(lines)
	}
}
