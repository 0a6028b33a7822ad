// Command net is an echo server on package net: one goroutine for each
// connection, reading with bufio.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"net"
	"sync"

	"github.com/eddyloop/eddy/bench/internal/connecho"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

var size = flag.Int("buf", 4096, "bytes of the read and write buffers")

func main() {
	peer.Parse("raw", "line", "sink", "broadcast", "wait")
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	peer.Listening(l.Addr())
	if *peer.TLS {
		l = tls.NewListener(l, peer.TLSConfig())
	}
	serve := map[string]func(net.Conn){"raw": raw, "line": line, "sink": sink, "broadcast": broadcast, "wait": wait}[*peer.Mode]
	for {
		c, err := l.Accept()
		if err != nil {
			continue // out of descriptors: try again
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func raw(c net.Conn) { connecho.Raw(c, *size) }

func line(c net.Conn) { connecho.Line(c, *size) }

func wait(c net.Conn) { connecho.Wait(c, *size, *peer.Wait) }

func sink(c net.Conn) { connecho.Sink(c, *size) }

var everybody = struct {
	sync.RWMutex
	conns map[net.Conn]bool
}{conns: map[net.Conn]bool{}}

func broadcast(c net.Conn) {
	everybody.Lock()
	everybody.conns[c] = true
	everybody.Unlock()
	defer func() {
		everybody.Lock()
		delete(everybody.conns, c)
		everybody.Unlock()
	}()
	_, _ = c.Write([]byte("\n"))
	for r := bufio.NewReaderSize(c, *size); ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		everybody.RLock()
		for c := range everybody.conns {
			_, _ = c.Write(line)
		}
		everybody.RUnlock()
	}
}
