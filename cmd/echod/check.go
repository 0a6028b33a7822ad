package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// checker sends messages to an echo server and verifies every byte that comes back.
type checker struct {
	*options
	dialer *tcp.Dialer
	until  time.Time
	end    string // of a message

	messages  atomic.Uint64
	latencies histogram
}

var errEcho = errors.New("what came back is not what was sent")

// check runs the connections, reports, and returns what failed.
func check(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	c := &checker{options: o, dialer: o.client.dialer(), until: time.Now().Add(o.client.duration)}
	switch o.mode {
	case "delim":
		c.end = o.delim
	case "line":
		c.end = "\n"
	case "discard", "chargen":
		return fmt.Errorf("-check is for servers that echo, not for -mode %s", o.mode)
	}
	if int(o.client.size) <= len(c.end) {
		return fmt.Errorf("-size must be above %d, what ends a message takes so many bytes", len(c.end))
	}
	group, err := ioloop.NewGroup(o.loops, ioloop.Config{Logger: o.logger(stderr)})
	if err != nil {
		return err
	}
	defer group.Close()
	go group.Run(context.Background())
	began := time.Now()
	stop := c.showProgress(stderr, began)
	err = c.run(ctx, group)
	stop()
	c.report(stdout, time.Since(began))
	return err
}

// run returns when all connections have ended, with the first thing that failed.
func (c *checker) run(ctx context.Context, group *ioloop.Group) error {
	var wait sync.WaitGroup
	var once sync.Once
	var failed error
	loops := group.Loops()
	for i := range c.client.conns {
		wait.Add(1)
		err := loops[i%len(loops)].Go(func(t *ioloop.Task) {
			defer wait.Done()
			stop := context.AfterFunc(ctx, t.Cancel)
			defer stop()
			if err := c.converse(t, i); err != nil && ctx.Err() == nil {
				once.Do(func() { failed = fmt.Errorf("connection %d: %w", i, err) })
			}
		})
		if err != nil {
			wait.Done()
			return err
		}
	}
	wait.Wait()
	return failed
}

// converse is one connection: -pipeline messages are under way until the time is over.
func (c *checker) converse(t *ioloop.Task, number int) error {
	network, address := splitAddress(c.client.connect)
	s, err := c.dialer.Dial(t, t.Loop(), network, address)
	if err != nil {
		return err
	}
	defer s.Close()
	var began []time.Time // of the messages under way
	sent, received := 0, 0
	for {
		for len(began) < c.client.pipeline && time.Now().Before(c.until) {
			began = append(began, time.Now())
			if _, err := s.Write(c.message(number, sent)); err != nil {
				return err
			}
			sent++
		}
		if len(began) == 0 {
			return nil
		}
		want := c.message(number, received)
		got, err := s.Read(t, iostream.Bytes(len(want)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("message %d: %w: %.80q", received, errEcho, got)
		}
		received++
		c.messages.Add(1)
		c.latencies.add(time.Since(began[0]))
		began = began[1:]
	}
}

// message returns a message that differs from all others in every part of it.
func (c *checker) message(conn, number int) []byte {
	message := make([]byte, 0, int(c.client.size)+32)
	for body := int(c.client.size) - len(c.end); len(message) < body; {
		message = fmt.Appendf(message, "%d.%d.%d ", conn, number, len(message))
		message = message[:min(len(message), body)]
	}
	return append(message, c.end...)
}

// showProgress keeps a line up to date until the returned function is called.
func (c *checker) showProgress(w io.Writer, began time.Time) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		before := uint64(0)
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			now := c.messages.Load()
			share := min(1, time.Since(began).Seconds()/c.client.duration.Seconds())
			fmt.Fprintf(w, "\r[%-30s] %3.0f s  %d messages/s   ", strings.Repeat("=", int(30*share)), time.Since(began).Seconds(), now-before)
			before = now
		}
	}()
	return func() {
		close(done)
		<-ended
		fmt.Fprint(w, "\r\033[K")
	}
}

func (c *checker) report(w io.Writer, took time.Duration) {
	n := c.messages.Load()
	fmt.Fprintf(w, "%d messages of %d bytes verified on %d connections in %.1f s: %.0f messages/s, %.1f MiB/s each way\n",
		n, c.client.size, c.client.conns, took.Seconds(), float64(n)/took.Seconds(),
		float64(n)*float64(c.client.size)/took.Seconds()/(1<<20))
	fmt.Fprintf(w, "latency: 50 %% %v, 90 %% %v, 99 %% %v, 99.9 %% %v, most %v\n",
		c.latencies.quantile(0.5), c.latencies.quantile(0.9), c.latencies.quantile(0.99), c.latencies.quantile(0.999), c.latencies.quantile(1))
}

// histogram counts durations in buckets that are at most a 32nd of their value wide.
type histogram struct {
	counts [64 << 5]atomic.Uint64
}

func (h *histogram) add(d time.Duration) { h.counts[bucket(uint64(max(d, 0)))].Add(1) }

func bucket(v uint64) int {
	shift := max(0, bits.Len64(v)-6)
	return shift<<5 + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) time.Duration {
	if i < 64 {
		return time.Duration(i)
	}
	shift := i>>5 - 1
	return time.Duration(uint64(i&31+32+1)<<shift - 1)
}

// quantile returns what a share of the durations does not exceed, to three digits.
func (h *histogram) quantile(share float64) time.Duration {
	total := uint64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	rank, passed := uint64(share*float64(total)+0.5), uint64(0)
	for i := range h.counts {
		if passed += h.counts[i].Load(); passed >= max(rank, 1) {
			return round(upper(i))
		}
	}
	return 0
}

func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
