//go:build unix

package tcp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() {
	if os.Getenv("EDDY_TCP_CHILD") == "descriptors" {
		limitedServer()
		os.Exit(0)
	}
}

// requireDescriptorList skips where nothing lists the descriptors of a process.
// Who has something open meanwhile calls it before that.
func requireDescriptorList(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the descriptors of a process cannot be listed here")
	}
}

// socketsOf returns the descriptors of this process that are sockets bound to
// addr.
func socketsOf(t *testing.T, addr net.Addr) []int {
	t.Helper()
	requireDescriptorList(t)
	var fds []int
	for fd := range 1000 {
		sa, err := unix.Getsockname(fd)
		if err != nil {
			continue
		}
		if in, ok := sa.(*unix.SockaddrInet4); ok && in.Port == addr.(*net.TCPAddr).Port {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestDescriptorFlags(t *testing.T) {
	addr, _ := local(t, &tcp.Server{Handler: lines})
	dial(t, addr).echo("hello\n")
	fds := socketsOf(t, addr)
	require.Len(t, fds, 2) // listening and accepted
	noDelay := 0
	for _, fd := range fds {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.FD_CLOEXEC)
		flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.O_NONBLOCK)
		if _, err := unix.Getpeername(fd); err != nil {
			continue
		}
		noDelay, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		require.NoError(t, err)
	}
	require.NotZero(t, noDelay)
}

// TestOutOfDescriptors runs a server that may open 20 more files against 50
// clients.
func TestOutOfDescriptors(t *testing.T) {
	leaktest.Check(t)
	child := selfexec.Command("EDDY_TCP_CHILD=descriptors")
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

// limitedServer is the child process of TestOutOfDescriptors.
func limitedServer() {
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
