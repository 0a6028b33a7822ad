//go:build linux

// Command echoload keeps an echo server busy and tells what a message costs
// it: messages a second, and the server's CPU time for each from the
// kernel's accounting. Every echo is verified byte for byte.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"golang.org/x/sys/unix"
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

// load keeps depth messages in flight on each connection. It is bare epoll and
// not the library, so as to be cheaper than any server it drives: a server that
// waits for its load spends CPU on going to sleep.
type load struct {
	epoll  int
	events []unix.EpollEvent
	batch  []byte
	buffer []byte
	echoed []int // bytes of the present batch that are back, by descriptor
	echoes int
}

func run() error {
	message := strings.Repeat("x", *size-1) + "\n"
	l := &load{
		events: make([]unix.EpollEvent, 512),
		batch:  []byte(strings.Repeat(message, *depth)),
		buffer: make([]byte, socket.MaxBytes),
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for range *conns {
		if err := l.connect(); err != nil {
			return err
		}
	}
	if err := l.run(*warmup); err != nil {
		return err
	}
	l.echoes = 0
	cpu, start := cpuTime(*pid), time.Now()
	if err := l.run(*duration); err != nil {
		return err
	}
	used, took := cpuTime(*pid)-cpu, time.Since(start)
	fmt.Printf("%.0f msg/s  %.3f us CPU/msg  %.2f CPUs\n", float64(l.echoes)/took.Seconds(),
		float64(used.Nanoseconds())/1e3/float64(max(l.echoes, 1)), used.Seconds()/took.Seconds())
	return nil
}

func (l *load) connect() error {
	addr, err := net.ResolveTCPAddr("tcp", *address)
	if err != nil {
		return err
	}
	fd, err := socket.Stream(unix.AF_INET)
	if err != nil {
		return err
	}
	sa, _, err := socket.Sockaddr(addr)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	_ = socket.SetNoDelay(fd, true)
	for len(l.echoed) <= fd {
		l.echoed = append(l.echoed, 0)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	return l.send(fd)
}

func (l *load) send(fd int) error {
	n, err := socket.Send(fd, l.batch)
	if err == nil && n < len(l.batch) {
		err = io.ErrShortWrite
	}
	return err
}

func (l *load) run(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := unix.EpollWait(l.epoll, l.events, 100)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, event := range l.events[:max(n, 0)] {
			if err := l.receive(int(event.Fd)); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive verifies what has come back, and sends a new batch when all of one has.
func (l *load) receive(fd int) error {
	n, err := socket.Read(fd, l.buffer)
	if n == 0 {
		return fmt.Errorf("connection ended: %w", err)
	}
	from := l.echoed[fd]
	if from+n > len(l.batch) || !bytes.Equal(l.buffer[:n], l.batch[from:from+n]) {
		return fmt.Errorf("wrong echo: %q", l.buffer[:n])
	}
	l.echoed[fd] = from + n
	if from+n < len(l.batch) {
		return nil
	}
	l.echoed[fd] = 0
	l.echoes += *depth
	return l.send(fd)
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
