package main

import (
	"net"
	"os"

	"github.com/eddyloop/eddy/bench/internal/peer"
)

// listenAddr returns the address of a listening descriptor, which it closes.
func listenAddr(fd int) net.Addr {
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	peer.Check(err)
	defer l.Close()
	return l.Addr()
}
