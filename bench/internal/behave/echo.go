package behave

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
)

// emfile has more clients than the server may have descriptors.
func emfile(s Subject) (string, error) {
	p, err := field.Start([]string{"sh", "-c", `ulimit -n 24; exec "$0" "$@"`}, append(s.Command, "-mode", "raw")...)
	if err != nil {
		return "", err
	}
	defer p.Stop()
	var clients []net.Conn
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	for range 50 {
		c, err := net.DialTimeout("tcp", p.Addr, patience)
		if err != nil {
			break // the server may be gone
		}
		clients = append(clients, c)
		if len(clients) == 1 && !echoes(c) {
			return "", fmt.Errorf("no echo to the first client")
		}
	}
	time.Sleep(500 * time.Millisecond)
	if !p.Running() {
		return "the server has ended", nil
	}
	outcome := "old ones not served"
	if echoes(clients[0]) {
		outcome = "old ones served"
	}
	for len(clients) > 10 {
		clients[len(clients)-1].Close()
		clients = clients[:len(clients)-1]
	}
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", p.Addr, patience); err == nil {
			defer c.Close()
			if echoes(c) {
				return outcome + ", new ones too when there is room", nil
			}
		}
	}
	return outcome + ", no new ones within 5 s", nil
}

func echoes(c net.Conn) bool {
	if c.SetDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	if _, err := c.Write([]byte("ping\n")); err != nil {
		return false
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(c, got)
	return err == nil && strings.HasPrefix(string(got), "ping")
}

// slowReader sends and never reads, until the server stops reading for 700 ms
// or has swallowed 200 MiB.
func slowReader(s Subject) (string, error) {
	p, err := field.Start(s.Command, "-mode", "raw")
	if err != nil {
		return "", err
	}
	defer p.Stop()
	before, err := p.RSS()
	if err != nil {
		return "", err
	}
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	const limit = 200 << 20
	block, sent := make([]byte, 64<<10), 0
	verb := "stops at"
	for verb == "stops at" {
		_ = c.SetWriteDeadline(time.Now().Add(700 * time.Millisecond))
		n, err := c.Write(block)
		if sent += n; err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return "closes: " + end(err), nil
			}
			break
		}
		if sent >= limit {
			verb = "swallows all"
		}
	}
	after, err := p.RSS()
	return fmt.Sprintf("%s %.1f MiB, holds %.1f MiB", verb, mib(int64(sent)), mib(max(after-before, 0))), err
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
