package tcp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMaxConns(t *testing.T) {
	srv := &tcp.Server{Handler: lines, MaxConns: 2}
	addr, _ := local(t, srv)
	a, b := dial(t, addr), dial(t, addr)
	a.echo("a\n")
	b.echo("b\n")
	waiting := dial(t, addr) // in the backlog
	waiting.send("c\n")
	a.echo("a again\n")
	require.Equal(t, tcp.Stats{Conns: 2, Accepted: 2}, srv.Stats())
	require.NoError(t, b.Close())
	waiting.expect("c\n")
	require.Equal(t, tcp.Stats{Conns: 2, Accepted: 3}, srv.Stats())
}

// The limit holds with several listeners on several loops.
func TestMaxConnsIsNeverExceeded(t *testing.T) {
	const limit, clients = 3, 200
	var open atomic.Int64
	srv := &tcp.Server{MaxConns: limit, Loops: 4, Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		if n := open.Add(1); n > limit {
			s.Write([]byte("too many\n"))
		}
		defer open.Add(-1)
		line, err := s.ReadUntil(t, "\n", 0)
		if err == nil {
			_, err = s.Write(line)
		}
		return err
	}}
	first, _ := local(t, srv)
	addrs := []net.Addr{first}
	for range 3 {
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addrs = append(addrs, addr)
	}
	var all []*client
	for i := range clients {
		c := dial(t, addrs[i%len(addrs)])
		c.send("hello\n")
		all = append(all, c)
	}
	for _, c := range all {
		go func() {
			_, _ = io.Copy(&check{c: c}, c)
			c.Close()
		}()
	}
	eventually(t, func() bool { return srv.Stats() == tcp.Stats{Accepted: clients} })
}

// check closes a connection as soon as it has been answered.
type check struct{ c *client }

func (w *check) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "too many") {
		w.c.t.Error("too many connections at once")
	}
	w.c.Close()
	return len(p), nil
}

// Connections that are gone before they are accepted do no harm.
func TestResetBeforeAccept(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, _ := local(t, srv)
	release := hold(t, group.Loops()[0])
	defer release()
	for range 10 {
		dial(t, addr).reset()
	}
	release()
	dial(t, addr).echo("hello\n")
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	require.Zero(t, srv.Stats().AcceptPauses)
}

// Many clients come and go, most of them rudely.
func TestChurn(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines, Loops: 2},
		"callback": {Callback: lineCallback, Loops: 2, MaxConns: 8},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := local(t, srv)
			const clients, each = 8, 50
			done := make(chan struct{})
			for i := range clients {
				go func() {
					defer func() { done <- struct{}{} }()
					for j := range each {
						c := dial(t, addr)
						switch (i + j) % 4 {
						case 0:
							c.Close()
						case 1:
							c.reset()
						case 2:
							c.send("hello\nbye\n")
							c.expect("hello\n")
							c.expectEOF()
							c.Close()
						default:
							c.echo("hello\n")
							c.reset()
						}
					}
				}()
			}
			for range clients {
				receive(t, done)
			}
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
		})
	}
}

// TestOutOfDescriptors runs a server that may open 20 more files against 50
// clients.
func TestOutOfDescriptors(t *testing.T) {
	leaktest.Check(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "EDDY_TCP_CHILD=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	killer := time.AfterFunc(2*patience, func() { child.Process.Kill() })
	defer killer.Stop()
	answers := bufio.NewScanner(out)
	ask := func(question string) string {
		_, err := fmt.Fprintln(in, question)
		require.NoError(t, err)
		require.True(t, answers.Scan(), "the server has died")
		return answers.Text()
	}
	addr, err := net.ResolveTCPAddr("tcp", ask("address"))
	require.NoError(t, err)

	const clients, served = 50, 15
	var all []*client
	for i := range clients {
		c := dial(t, addr)
		c.send("hello\n")
		if i < served {
			c.expect("hello\n")
		}
		all = append(all, c)
	}
	eventually(t, func() bool { return ask("pauses") != "0" })
	var busy time.Duration
	_, err = fmt.Sscan(ask("idle"), &busy)
	require.NoError(t, err)
	require.Less(t, busy, 300*time.Millisecond, "of a second")
	for _, c := range all[:served] {
		c.echo("still there\n")
	}
	for _, c := range all[:clients/2] {
		c.Close()
	}
	for _, c := range all[clients/2 : clients/2+served] {
		c.expect("hello\n")
		c.Close()
	}
	for _, c := range all[clients/2+served:] {
		c.expect("hello\n")
	}
	require.Equal(t, "50", ask("accepted"))
	in.Close()
	require.NoError(t, child.Wait())
}

// runChild is the server of TestOutOfDescriptors. It reports whether this
// process is that.
func runChild() bool {
	if os.Getenv("EDDY_TCP_CHILD") == "" {
		return false
	}
	srv := &tcp.Server{Handler: lines, Loops: 2, Logger: quiet()}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() { done <- srv.Serve(context.Background()) }()
	if c, err := net.Dial("tcp", addr.String()); err == nil { // until it serves, it has not opened all of its own
		_, _ = io.WriteString(c, "bye\n")
		_, _ = io.ReadAll(c)
		c.Close()
	}
	for srv.Stats().Conns > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := leaveFiles(20); err != nil {
		panic(err)
	}
	base := srv.Stats()
	for questions := bufio.NewScanner(os.Stdin); questions.Scan(); {
		switch questions.Text() {
		case "address":
			fmt.Println(addr)
		case "pauses":
			fmt.Println(srv.Stats().AcceptPauses)
		case "accepted":
			fmt.Println(srv.Stats().Accepted - base.Accepted)
		case "idle":
			before := processorTime()
			time.Sleep(time.Second)
			fmt.Println(int64(processorTime() - before))
		}
	}
	srv.Close()
	<-done
	return true
}

// leaveFiles lowers the limit so that the process may open n more files.
func leaveFiles(n int) error {
	highest := 0
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			highest = fd
		}
	}
	free := 0 // below the highest
	for fd := range highest {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			free++
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	set(&limit.Cur, highest+1+n-free)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// set stores n where the systems differ in the type.
func set[T int64 | uint64](p *T, n int) { *p = T(n) }

func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
