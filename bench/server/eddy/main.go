// Command eddy is an echo server on Eddy, in each of the styles that a program
// can be written in: a file for each, and a line in styles.
package main

import (
	"context"
	"flag"
	"log/slog"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/tcp"
)

// styles are how a server is written. Each sets up srv for *peer.Mode, or tells
// by peer.Skip that it has no such mode.
var styles = map[string]func(srv *tcp.Server){
	"callback":  callback,
	"message":   message,
	"task":      task,
	"goroutine": goroutine,
	"netconn":   netConn,
}

var (
	style = flag.String("style", "callback", "callback, message, task, goroutine or netconn")
	loops = flag.Int("loops", 1, "loops")
	size  = flag.Int("buf", 4096, "bytes of the buffers of style netconn")
)

func main() {
	peer.Parse("raw", "line", "sink", "broadcast", "wait")
	srv := &tcp.Server{Loops: *loops, Logger: slog.New(slog.DiscardHandler)}
	if *peer.TLS {
		useTLS(srv)
	}
	setUp := styles[*style]
	if setUp == nil {
		peer.Skip("no style " + *style)
	}
	setUp(srv)
	addr, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(addr)
	peer.Check(srv.Serve(context.Background()))
}

// ofMode returns what a style does in the mode that is asked for.
func ofMode[F any](modes map[string]F) F {
	does, ok := modes[*peer.Mode]
	if !ok {
		peer.Skip("style " + *style + " has no mode " + *peer.Mode)
	}
	return does
}
