// Command http is net/http, on package net or on Eddy's listener.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/tcp"
)

var on = flag.String("on", "net", "what it listens with: net or eddy")

func main() {
	peer.Parse("http")
	srv := &http.Server{Handler: handler(), Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	l := listen()
	peer.Listening(l.Addr())
	if *peer.TLS {
		srv.TLSConfig = peer.TLSConfig()
		peer.Check(srv.ServeTLS(l, "", ""))
	}
	peer.Check(srv.Serve(l))
}

func listen() net.Listener {
	if *on == "net" {
		l, err := net.Listen("tcp", *peer.Listen)
		peer.Check(err)
		return l
	}
	srv := &tcp.Server{Loops: 1, Logger: slog.New(slog.DiscardHandler)}
	_, err := srv.Listen("tcp", *peer.Listen)
	peer.Check(err)
	l, err := srv.NetListener()
	peer.Check(err)
	go func() { peer.Check(srv.Serve(context.Background())) }()
	return l
}

func handler() http.Handler {
	hello, large := []byte("hello, world"), make([]byte, 1<<20)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(hello) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		_, _ = w.Write(large)
	})
	mux.HandleFunc("/pieces", func(w http.ResponseWriter, _ *http.Request) { // as io.Copy has them
		w.Header().Set("Content-Length", "1048576")
		for range 32 {
			_, _ = w.Write(large[:32<<10])
		}
	})
	mux.HandleFunc("/up", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = w.Write(hello)
		}
	})
	return mux
}
