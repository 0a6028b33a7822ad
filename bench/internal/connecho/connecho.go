// Package connecho echoes on any net.Conn, one goroutine for each, the way that
// programs on package net are written.
package connecho

import (
	"bufio"
	"net"
	"time"
)

// Raw echoes bytes, size at most at a time.
func Raw(c net.Conn, size int) {
	buf := make([]byte, size)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Line echoes lines through buffers of size bytes. It flushes when no further
// line is buffered, so that pipelined lines leave in one write.
func Line(c net.Conn, size int) {
	r, w := bufio.NewReaderSize(c, size), bufio.NewWriterSize(c, size)
	var long []byte // a line that exceeds the buffer
	for {
		part, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = append(long, part...)
			continue
		}
		if err != nil {
			return
		}
		if long != nil {
			_, _ = w.Write(long) // w remembers an error
			long = nil
		}
		if _, err := w.Write(part); err != nil {
			return
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// Wait echoes lines of at most size bytes, each after a wait.
func Wait(c net.Conn, size int, wait time.Duration) {
	for r := bufio.NewReaderSize(c, size); ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		time.Sleep(wait)
		if _, err := c.Write(line); err != nil {
			return
		}
	}
}

// Sink reads size bytes at most at a time, and answers each mebibyte with one
// byte.
func Sink(c net.Conn, size int) {
	buf := make([]byte, size)
	for got := 0; ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if got += n; got >= 1<<20 {
			got -= 1 << 20
			if _, err := c.Write(buf[:1]); err != nil {
				return
			}
		}
	}
}
