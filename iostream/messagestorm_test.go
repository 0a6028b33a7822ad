//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// lineStorm is a stream whose lines a function handles that waits, or reads on, at random.
// Whoever has a line compares it with what was sent, also after a wait.
type lineStorm struct {
	lines []string
	next  int // that the function or its reads get
	chaos *rand.Rand
}

func newLineStorm(seed uint64, lines int) *lineStorm {
	s := &lineStorm{chaos: rand.New(rand.NewPCG(seed, 1))}
	r := rand.New(rand.NewPCG(seed, 2))
	for range lines {
		n := r.IntN(60)
		switch r.IntN(40) {
		case 0:
			n = r.IntN(8_000)
		case 1:
			n = r.IntN(80_000) // more than one read brings
		}
		b := make([]byte, n, n+1)
		for i := range b {
			b[i] = 'a' + byte(r.IntN(26))
		}
		s.lines = append(s.lines, string(append(b, '\n')))
	}
	return s
}

func (c *lineStorm) handle(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
	first, held := c.next, [][]byte{}
	hold := func(b []byte) { held = append(held, b) }
	hold(msg)
	c.next++
	over := false
	for left := 1 + c.chaos.IntN(2); left > 0 && !over; left-- {
		var err error
		if over, err = c.step(t, s, hold); err != nil {
			return err
		}
		c.next = first + len(held)
		for i, line := range held {
			if want := c.lines[first+i]; string(line) != want {
				return fmt.Errorf("line %d of %d: %.40q is %.40q", i, first, want, line)
			}
		}
	}
	_, err := s.Write(bytes.Join(held, nil))
	return err
}

func (c *lineStorm) step(t *ioloop.Task, s *iostream.Stream, hold func([]byte)) (over bool, err error) {
	n := c.chaos.IntN(16)
	if c.next >= len(c.lines) {
		n %= 12
	}
	switch n {
	default:
		return false, nil
	case 6, 7:
		return false, t.Yield()
	case 8:
		return false, t.Sleep(time.Duration(c.chaos.IntN(50)) * time.Microsecond)
	case 9:
		_, err = ioloop.Await(t, func() (int, error) { return 0, nil })
		return false, err
	case 10:
		return false, s.Flush(t)
	case 11: // after that the function's own reads are refused
		return true, s.HandleTask(iostream.Until("\n"), c.handle)
	case 12:
		line, err := s.Read(t, iostream.Until("\n"))
		hold(bytes.Clone(line))
		return false, err
	case 13:
		p := make([]byte, len(c.lines[c.next]))
		_, err := s.ReadAtLeast(t, p, len(p))
		hold(p)
		return false, err
	case 14: // a goroutine reads for the function
		line, err := ioloop.Await(t, func() ([]byte, error) {
			return s.Read(context.Background(), iostream.Until("\n"))
		})
		hold(bytes.Clone(line))
		return false, err
	case 15:
		line, err := s.Read(t, iostream.Bytes(len(c.lines[c.next])))
		if err == nil {
			err = t.Yield()
		}
		hold(bytes.Clone(line))
		return false, err
	}
}

// play sends the lines, cut at random, and compares what comes back.
func (c *lineStorm) play(peer net.Conn, seed uint64) error {
	all := strings.Join(c.lines, "")
	sent := make(chan error, 1)
	go func() {
		r := rand.New(rand.NewPCG(seed, 3))
		for rest := all; rest != ""; {
			n := min(len(rest), 1+r.IntN(200))
			if r.IntN(10) == 0 {
				n = min(len(rest), 1+r.IntN(100_000))
			}
			if _, err := io.WriteString(peer, rest[:n]); err != nil {
				sent <- err
				return
			}
			rest = rest[n:]
		}
		sent <- nil
	}()
	_ = peer.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(all))
	n, err := io.ReadFull(peer, got)
	if err == nil {
		err = <-sent
	}
	if string(got[:n]) != all[:n] {
		return fmt.Errorf("not what was sent, before %d of %d bytes; %w", n, len(all), err)
	}
	return err
}

// Whatever the functions of many streams wait for, each gets its own bytes.
func TestMessageStorm(t *testing.T) {
	streams, lines := 12, 300
	if testing.Short() || raceEnabled {
		lines = 60
	}
	for _, network := range networks {
		for _, budget := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", network, budget), func(t *testing.T) {
				config := new(iostream.Config)
				if budget {
					var err error
					config.Budget, err = iostream.NewBudget(1 << 30)
					require.NoError(t, err)
				}
				l := startLoop(t, ioloop.Config{})
				ended := make(chan error, streams)
				for i := range streams {
					s, peer := pair(t, l, network, config)
					seed := uint64(i)
					storm := newLineStorm(seed, lines)
					require.NoError(t, s.HandleTask(iostream.Until("\n"), storm.handle))
					go func() {
						err := storm.play(peer, seed)
						if err != nil {
							why, cancel := context.WithTimeout(context.Background(), time.Second)
							defer cancel()
							_ = s.WaitClosed(why)
							err = fmt.Errorf("stream %d: %w (%v)", i, err, s.Err())
						}
						ended <- err
					}()
				}
				for range streams {
					require.NoError(t, receive(t, ended))
				}
				eventually(t, func() bool { return l.Stats().Tasks == 0 })
				require.Zero(t, l.Stats().Failures)
			})
		}
	}
}
