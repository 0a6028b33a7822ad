// Command relay connects each client with a server, on package net or on Eddy.
package main

import (
	"flag"
	"io"
	"net"

	"github.com/eddyloop/eddy/bench/internal/peer"
)

var on = flag.String("on", "net", "what it is written on: net or eddy")

func main() {
	peer.Parse("raw")
	if *on == "eddy" {
		serveEddy(*peer.DialTo)
		return
	}
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(l.Addr())
	for {
		c, err := l.Accept()
		peer.Check(err)
		go relay(c.(*net.TCPConn), *peer.DialTo)
	}
}

// relay is what everybody writes: io.Copy both ways, which splices.
func relay(client *net.TCPConn, to string) {
	defer client.Close()
	c, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(client, server)
	_ = client.CloseWrite()
	<-done
}
