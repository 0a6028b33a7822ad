// Command net shows how package net behaves in trouble.
package main

import (
	"io"
	"net"
	"slices"
	"time"

	"github.com/eddyloop/eddy/bench/internal/peer"
)

func main() {
	peer.Parse("late", "big", "writev", "dial")
	if *peer.Mode == "dial" {
		_, err := net.Dial("tcp", *peer.DialTo)
		peer.Dialled(err)
	}
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(l.Addr())
	for {
		c, err := l.Accept()
		peer.Check(err)
		go serve(c)
	}
}

func serve(c net.Conn) {
	defer c.Close()
	_, _ = c.Read(make([]byte, 1))
	switch *peer.Mode {
	case "late":
		_, _ = io.Copy(io.Discard, c)
		time.Sleep(peer.LateDelay)
		_, _ = c.Write(peer.LateReply)
	case "big":
		_, _ = c.Write(peer.Big)
	case "writev":
		bufs := net.Buffers(slices.Clone(peer.Slices))
		_, _ = bufs.WriteTo(c)
	}
}
