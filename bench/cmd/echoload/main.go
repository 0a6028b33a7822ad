// Command echoload keeps an echo server busy and tells what a message costs
// it: messages a second, and the server's CPU time for each from the
// kernel's accounting. Every echo is verified byte for byte.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

var (
	address  = flag.String("addr", "127.0.0.1:8000", "the echo server")
	conns    = flag.Int("conns", 100, "connections")
	size     = flag.Int("size", 64, "bytes of a message, newline included")
	depth    = flag.Int("depth", 1, "messages in flight on a connection")
	duration = flag.Duration("duration", 3*time.Second, "how long to measure")
	warmup   = flag.Duration("warmup", 500*time.Millisecond, "how long to run before")
	pid      = flag.Int("pid", 0, "process id of the server, for its CPU time")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "echoload:", err)
		os.Exit(1)
	}
}

// load counts echoes; it belongs to the loop.
type load struct {
	loop   *ioloop.Loop
	batch  []byte
	echoes int
	failed error
}

func run() error {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	message := strings.Repeat("x", *size-1) + "\n"
	l := &load{loop: loop, batch: []byte(strings.Repeat(message, *depth))}
	if err := loop.Go(l.main); err != nil {
		return err
	}
	if err := loop.Run(context.Background()); err != nil {
		return err
	}
	return l.failed
}

func (l *load) main(t *ioloop.Task) {
	defer l.loop.Stop()
	for range *conns {
		s, err := tcp.Dial(t, l.loop, "tcp", *address)
		if err != nil {
			l.failed = err
			return
		}
		l.start(s)
	}
	if l.failed = t.Sleep(*warmup); l.failed != nil {
		return
	}
	echoes, cpu, start := l.echoes, cpuTime(*pid), time.Now()
	if err := t.Sleep(*duration); err != nil {
		l.failed = err
		return
	}
	n, used, took := l.echoes-echoes, cpuTime(*pid)-cpu, time.Since(start)
	fmt.Printf("%.0f msg/s  %.3f us CPU/msg  %.2f CPUs\n", float64(n)/took.Seconds(),
		float64(used.Nanoseconds())/1e3/float64(max(n, 1)), used.Seconds()/took.Seconds())
}

// start keeps depth messages in flight on s: a new batch when one is back.
func (l *load) start(s *iostream.Stream) {
	err := s.HandleBytes(len(l.batch), func(b []byte, err error) bool {
		if err == nil && string(b) != string(l.batch) {
			err = fmt.Errorf("wrong echo: %q", b)
		}
		if err == nil {
			l.echoes += *depth
			_, err = s.Write(l.batch)
		}
		if err != nil {
			l.fail(err)
		}
		return err == nil
	})
	if err == nil {
		_, err = s.Write(l.batch)
	}
	if err != nil {
		l.fail(err)
	}
}

func (l *load) fail(err error) {
	l.failed = err
	l.loop.Stop()
}

// cpuTime returns the CPU time that a process has used, from Linux's
// scheduler, 0 if that does not tell.
func cpuTime(pid int) (total time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64); err == nil {
			total += time.Duration(ns)
		}
	}
	return total
}
