package main

import (
	"net"

	"github.com/eddyloop/eddy/bench/internal/connecho"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// netConn is the server of package net on a stream.
func netConn(srv *tcp.Server) {
	serve := ofMode(map[string]func(net.Conn, int){"raw": connecho.Raw, "line": connecho.Line, "sink": connecho.Sink})
	srv.Callback = func(s *iostream.Stream) {
		go func() {
			defer s.Close()
			serve(s.NetConn(), *size)
		}()
	}
}
