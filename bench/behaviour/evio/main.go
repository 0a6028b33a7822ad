// Command evio shows how evio behaves in trouble.
package main

import (
	"time"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/tidwall/evio"
)

func main() {
	peer.Parse("late", "big")
	events := evio.Events{NumLoops: 1}
	events.Serving = func(s evio.Server) evio.Action {
		peer.Listening(s.Addrs[0])
		return evio.None
	}
	events.Data = func(c evio.Conn, in []byte) ([]byte, evio.Action) {
		if *peer.Mode == "big" {
			return peer.Big, evio.Close
		}
		if len(in) == 0 { // woken
			return peer.LateReply, evio.Close
		}
		time.AfterFunc(peer.LateDelay, c.Wake)
		return nil, evio.None
	}
	peer.Check(evio.Serve(events, "tcp://"+*peer.Listen))
}
