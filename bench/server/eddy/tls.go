package main

import (
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/tcp"
)

// useTLS has srv serve TLS with peer.TLSConfig.
func useTLS(srv *tcp.Server) { srv.TLS = peer.TLSConfig() }
