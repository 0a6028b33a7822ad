//go:build unix

package iostream_test

import (
	"net"
	"runtime"
	"testing"
	"unsafe"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// Packages such as net/http start a goroutine for a read or a write. If its stack has to
// grow for that, the growth costs more than the call: it happened to each answer over
// HTTP/2. So a write needs no more stack than one on package net, and a read that waits
// some frames more at most.
func TestNetConnNeedsLittleStack(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's build has larger frames")
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the sizes of frames are those of other architectures")
	}
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	conn, p, larger := s.NetConn(), make([]byte, 64), make([]byte, 100)
	written := func(write, read net.Conn, depth int) bool {
		moved := make(chan bool, 1)
		go func() { moved <- movesStack(depth, func() { _, _ = write.Write(p) }) }()
		_, _ = read.Read(make([]byte, 64))
		return receive(t, moved)
	}
	received := func(write, read net.Conn, depth int) bool {
		moved := make(chan bool, 1)
		go func() { moved <- movesStack(depth, func() { _, _ = read.Read(larger) }) }()
		if read == conn {
			awaitRead(t, s)
		}
		_, _ = write.Write(make([]byte, 64))
		return receive(t, moved)
	}
	frames := func(write, read net.Conn, moves func(write, read net.Conn, depth int) bool) (depth int) {
		for left := 5; left > 0; left-- { // a pool may be empty, and to allocate takes stack
			if !moves(write, read, depth) {
				depth, left = depth+1, 5
			}
		}
		return depth
	}
	readByLoop(t, s, peer) // which listens from now on, and is not woken by a read
	const more = 7         // frames of movesStack, some 50 bytes each
	require.GreaterOrEqual(t, frames(peer, conn, received)+more, frames(conn, peer, received), "read")
	require.GreaterOrEqual(t, frames(conn, peer, written), frames(peer, conn, written), "write")
}

// movesStack makes the call some frames deep, and reports whether the stack was another
// afterwards.
//
//go:noinline
func movesStack(depth int, call func()) bool {
	if depth > 0 {
		return movesStack(depth-1, call)
	}
	var here byte
	before := uintptr(unsafe.Pointer(&here))
	call()
	return uintptr(unsafe.Pointer(&here)) != before
}
