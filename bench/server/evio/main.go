// Command evio is an echo server on evio, with one loop.
package main

import (
	"bytes"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/tidwall/evio"
)

func main() {
	peer.Parse("raw", "line")
	if *peer.TLS {
		peer.Skip("evio has no TLS")
	}
	events := evio.Events{NumLoops: 1}
	events.Serving = func(s evio.Server) evio.Action {
		peer.Listening(s.Addrs[0])
		return evio.None
	}
	events.Data = func(_ evio.Conn, in []byte) ([]byte, evio.Action) {
		return in, evio.None
	}
	if *peer.Mode == "line" {
		events.Opened = func(c evio.Conn) ([]byte, evio.Options, evio.Action) {
			c.SetContext(&evio.InputStream{})
			return nil, evio.Options{}, evio.None
		}
		events.Data = line
	}
	peer.Check(evio.Serve(events, "tcp://"+*peer.Listen))
}

func line(c evio.Conn, in []byte) ([]byte, evio.Action) {
	input := c.Context().(*evio.InputStream)
	data := input.Begin(in)
	end := peer.WholeLines(data, len(data)-len(in)) // what was there before has no end of a line
	out := data[:end]
	if end > 0 && end < len(data) {
		out = bytes.Clone(out) // End moves the rest over it
	}
	input.End(data[end:])
	return out, evio.None
}
