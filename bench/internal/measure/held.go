package measure

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// Holding is something that connections do to a server while its memory is
// measured.
type Holding struct {
	Name, What string
	Role       workload.Role
	Serve      []string // flags of the server
	Conns      int
	Limit      float64 // the most heap and stack over that on package net
	begin      func(c *net.TCPConn) error
}

// Holdings are all, in the order of tables.
var Holdings = []Holding{
	{"http-idle", "4,000 idle keep-alive connections, after one request each", workload.HTTP, httpMode, 4000, 1.00, askOnce},
	{"http-slow", "600 clients that ask for 8 answers of 1 MiB, which are written 32 KiB at a time, and read nothing, through a window of 16 KiB", workload.HTTP, httpMode, 600, 1.05, askSlowly},
	{"waits", "10,000 connections whose handlers wait before they answer", workload.Waits, []string{"-mode", "wait", "-wait", "10m"}, 10_000, 1.00, sendLine},
}

var httpMode = []string{"-mode", "http"}

// Measure tells what each of the connections adds.
func (h Holding) Measure(s field.Server) (*Idle, error) {
	p, err := s.Start(h.Serve...)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	first, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	if err := h.first(first.(*net.TCPConn)); err != nil { // what the first costs is not counted
		return nil, err
	}
	before, err := memoryOf(s, p)
	if err != nil {
		return nil, err
	}
	for range h.Conns {
		c, err := net.DialTimeout("tcp", p.Addr, 5*time.Second)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if err := h.begin(c.(*net.TCPConn)); err != nil {
			return nil, err
		}
	}
	if err := stands(p); err != nil {
		return nil, err
	}
	after, err := memoryOf(s, p)
	return growth(before, after, h.Conns), err
}

// first is what the connection does whose cost is not counted.
func (h Holding) first(c *net.TCPConn) error {
	if h.Role == workload.HTTP {
		return askOnce(c)
	}
	return h.begin(c)
}

// stands waits until the server does nothing any more.
func stands(p *field.Process) error {
	last := p.CPU()
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		now := p.CPU()
		if now-last < 0.002 {
			return nil
		}
		last = now
	}
	return errors.New("the server does not come to rest")
}

func askOnce(c *net.TCPConn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// askSlowly asks for more than a socket takes: one answer can be in the kernel
// as a whole.
func askSlowly(c *net.TCPConn) error {
	if err := c.SetReadBuffer(16 << 10); err != nil {
		return err
	}
	_, err := c.Write(bytes.Repeat([]byte("GET /pieces HTTP/1.1\r\nHost: localhost\r\n\r\n"), 8))
	return err
}

func sendLine(c *net.TCPConn) error {
	_, err := c.Write([]byte(strings.Repeat("x", 63) + "\n"))
	return err
}

// Over returns the ratio of heap and stack to another's.
func (m *Idle) Over(other *Idle) float64 {
	if m == nil || other == nil || other.Heap+other.Stack <= 0 {
		return math.NaN()
	}
	return (m.Heap + m.Stack) / (other.Heap + other.Stack)
}
