package measure

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
)

// MeasureIdle opens conns connections to a line server, has each echo one
// line, and tells what each then holds.
func MeasureIdle(s field.Server, conns int) (*Idle, error) {
	p, err := s.Start("-mode", "line")
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	if err := dial(&open, p.Addr, 1); err != nil { // what the first costs is not counted
		return nil, err
	}
	before, err := memoryOf(s, p)
	if err != nil {
		return nil, err
	}
	if err := dial(&open, p.Addr, conns); err != nil {
		return nil, err
	}
	after, err := memoryOf(s, p)
	return growth(before, after, conns), err
}

// growth returns what each of some connections has added.
func growth(before, after Idle, conns int) *Idle {
	n := float64(conns)
	return &Idle{
		Conns:  conns,
		RSS:    (after.RSS - before.RSS) / n,
		Heap:   (after.Heap - before.Heap) / n,
		Stack:  (after.Stack - before.Stack) / n,
		Kernel: (after.Kernel - before.Kernel) / n,
	}
}

func dial(open *[]net.Conn, addr string, n int) error {
	line := append(bytes.Repeat([]byte("x"), 63), '\n')
	for range n {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			return err
		}
		*open = append(*open, c)
		if _, err := c.Write(line); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, len(line))); err != nil {
			return err
		}
	}
	return nil
}

func memoryOf(s field.Server, p *field.Process) (m Idle, err error) {
	if s.Family == field.Go || s.Family == field.Eddy {
		heap, stack, err := p.Memory()
		if err != nil {
			return m, err
		}
		m.Heap, m.Stack = float64(heap), float64(stack)
	}
	rss, err := p.RSS()
	m.RSS, m.Kernel = float64(rss), slab()
	return m, err
}

// slab returns the bytes that the kernel holds in objects such as sockets, of
// the whole machine.
func slab() float64 {
	data, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := bytes.Cut(data, []byte("\nSlab:"))
	var kilobytes float64
	_, _ = fmt.Sscan(string(rest), &kilobytes)
	return kilobytes * 1024
}
