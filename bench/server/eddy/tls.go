package main

import (
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/tcp"
)

// useTLS has srv serve TLS with peer.TLSConfig.
func useTLS(*tcp.Server) { peer.Skip("Eddy has no TLS yet") }
