// Command gaio shows how gaio behaves in trouble.
package main

import (
	"io"
	"net"
	"time"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/xtaci/gaio"
)

func main() {
	peer.Parse("late", "big")
	w, err := gaio.NewWatcher()
	peer.Check(err)
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(l.Addr())
	go complete(w)
	for {
		c, err := l.Accept()
		peer.Check(err)
		peer.Check(w.Read(nil, c, nil))
	}
}

func complete(w *gaio.Watcher) {
	for {
		results, err := w.WaitIO()
		peer.Check(err)
		for _, r := range results {
			switch {
			case r.Error == io.EOF: // the client has finished writing
				time.AfterFunc(peer.LateDelay, func() { _ = w.Write(nil, r.Conn, peer.LateReply) })
			case r.Error != nil || r.Operation == gaio.OpWrite:
				_ = w.Free(r.Conn)
			case *peer.Mode == "big":
				_ = w.Write(nil, r.Conn, peer.Big)
			default:
				_ = w.Read(nil, r.Conn, nil)
			}
		}
	}
}
