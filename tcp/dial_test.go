//go:build unix || windows

package tcp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// echoLine sends a line and reads its echo.
func echoLine(ctx context.Context, s *iostream.Stream, line string) error {
	if _, err := s.Write([]byte(line)); err != nil {
		return err
	}
	got, err := s.Read(ctx, iostream.Until("\n"))
	if err == nil && string(got) != line {
		err = errors.New("wrong echo: " + string(got))
	}
	return err
}

// both calls fn on a goroutine and in a task of l.
func both(t *testing.T, l *ioloop.Loop, fn func(t *testing.T, ctx context.Context)) {
	t.Helper()
	t.Run("goroutine", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		fn(t, ctx)
	})
	t.Run("task", func(t *testing.T) {
		done := make(chan struct{})
		require.NoError(t, l.Go(func(task *ioloop.Task) {
			defer close(done)
			fn(t, task)
		}))
		receive(t, done)
	})
}

func TestDial(t *testing.T) {
	for network, address := range map[string]string{
		"tcp":  "127.0.0.1:0",
		"tcp4": "127.0.0.1:0",
		"unix": "",
	} {
		t.Run(network, func(t *testing.T) {
			if network == "unix" {
				address = socketPath(t)
			}
			addr, _ := listenOn(t, &tcp.Server{Handler: lines}, network, address)
			l := newLoop(t)
			both(t, l, func(t *testing.T, ctx context.Context) {
				s, err := tcp.Dial(ctx, l, network, addr.String())
				require.NoError(t, err)
				defer s.Close()
				require.Equal(t, l, s.Loop())
				require.Equal(t, addr.String(), s.RemoteAddr().String())
				require.NoError(t, echoLine(ctx, s, "hello\n"))
			})
		})
	}
}

func TestDialIPv6(t *testing.T) {
	requireIPv6(t)
	addr, _ := listenOn(t, &tcp.Server{Handler: lines}, "tcp6", "[::1]:0")
	l := newLoop(t)
	for _, network := range []string{"tcp", "tcp6"} {
		s, err := tcp.Dial(context.Background(), l, network, addr.String())
		require.NoError(t, err)
		require.NoError(t, echoLine(context.Background(), s, "hello\n"))
		require.NoError(t, s.Close())
	}
	_, err := tcp.Dial(context.Background(), l, "tcp4", addr.String())
	requireOpError(t, err, "dial")
}

func TestDialFails(t *testing.T) {
	l := newLoop(t)
	closed := closedAddress(t)
	for _, test := range []struct {
		network, address string
		cause            error
	}{
		{"tcp", closed, syscall.ECONNREFUSED},
		{"unix", "nothing is here", syscall.ENOENT},
		{"unix", "", syscall.EINVAL},
		{"udp", closed, nil},
		{"tcp", "no port", nil},
		{"tcp", "127.0.0.1:70000", nil},
		{"tcp6", closed, nil},
		{"tcp", "[::1", nil},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			if test.cause == syscall.ENOENT {
				test.address = socketPath(t)
			}
			both(t, l, func(t *testing.T, ctx context.Context) {
				s, err := tcp.Dial(ctx, l, test.network, test.address)
				require.Nil(t, s)
				require.IsType(t, (*net.OpError)(nil), err)
				requireOpError(t, err, "dial")
				if test.cause != nil {
					require.ErrorIs(t, err, test.cause)
				}
			})
		})
	}
	_, err := tcp.Dial(context.Background(), nil, "tcp", closed)
	require.ErrorIs(t, err, fs.ErrInvalid)
	invalid := &tcp.Dialer{Stream: iostream.Config{ReadLimit: -1}}
	_, err = invalid.Dial(context.Background(), l, "tcp", closed)
	require.ErrorIs(t, err, fs.ErrInvalid)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = tcp.Dial(ctx, l, "tcp", closed)
	requireOpError(t, err, "dial")
	require.ErrorIs(t, err, context.Canceled)
}

// A context that is derived from a task is refused.
func TestDialTaskContext(t *testing.T) {
	l := newLoop(t)
	result := make(chan error, 1)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		ctx, cancel := context.WithCancel(task)
		defer cancel()
		_, err := tcp.Dial(ctx, l, "tcp", "127.0.0.1:1")
		result <- err
	}))
	require.ErrorIs(t, receive(t, result), ioloop.ErrTaskContext)
}

// closedAddress returns an address that nobody listens on.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// full returns a listener whose backlog is full, so that connecting hangs, and
// its descriptor.
func full(t *testing.T, addr net.Addr) (net.Addr, int) {
	t.Helper()
	requireFullBacklog(t)
	fd, err := socket.Listen(addr, 0, nil)
	require.NoError(t, err)
	addr = socket.LocalAddr(fd)
	var fds []int
	for range 16 {
		conn, err := socket.New(addr)
		require.NoError(t, err)
		fds = append(fds, conn)
		if _, err := socket.Connect(conn, addr); err != nil {
			break
		}
	}
	t.Cleanup(func() {
		for _, conn := range append(fds, fd) {
			_ = socket.Close(conn)
		}
		socket.RemoveFile(addr, socket.File(addr))
	})
	return addr, fd
}

func eachFull(t *testing.T, fn func(t *testing.T, addr net.Addr, fd int)) {
	for name, addr := range map[string]net.Addr{
		"tcp":  &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)},
		"unix": nil,
	} {
		t.Run(name, func(t *testing.T) {
			if addr == nil {
				addr = &net.UnixAddr{Name: socketPath(t), Net: "unix"}
			}
			leaktest.Check(t)
			addr, fd := full(t, addr)
			fn(t, addr, fd)
		})
	}
}

func TestDialCancelled(t *testing.T) {
	eachFull(t, func(t *testing.T, addr net.Addr, _ int) {
		l := newLoop(t)
		t.Run("goroutine", func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			result := goDial(l, ctx, addr)
			for range 20 {
				on(t, l, func() {}) // it has begun
			}
			require.Empty(t, result)
			cancel()
			err := receive(t, result)
			requireOpError(t, err, "dial")
			require.ErrorIs(t, err, context.Canceled)
			eventually(t, func() bool { return l.Stats().Handlers == 0 })
		})
		t.Run("task", func(t *testing.T) {
			result := make(chan error, 1)
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				ctx, cancel := task.WithTimeout(10 * time.Millisecond)
				defer cancel()
				_, err := tcp.Dial(ctx, l, addr.Network(), addr.String())
				result <- err
			}))
			err := receive(t, result)
			requireOpError(t, err, "dial")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			eventually(t, func() bool { return l.Stats().Handlers == 0 })
		})
	})
}

// A connection that is made at the moment of the cancellation is closed.
func TestDialCancelledTooLate(t *testing.T) {
	testtime.WholeTurns(t)
	addr, _ := local(t, &tcp.Server{Handler: lines})
	l := newLoop(t)
	release := hold(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	result := goDial(l, ctx, addr)
	eventually(t, func() bool { return l.Stats().Queue == 1 })
	began, resume := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { // right behind the start of the attempt
		close(began)
		<-resume
	}))
	release()
	receive(t, began)
	cancel()
	require.ErrorIs(t, receive(t, result), context.Canceled)
	close(resume)
	eventually(t, func() bool { return l.Stats().Handlers == 0 })
}

func goDial(l *ioloop.Loop, ctx context.Context, addr net.Addr) <-chan error {
	result := make(chan error, 1)
	go func() {
		s, err := tcp.Dial(ctx, l, addr.Network(), addr.String())
		if err == nil {
			s.Close()
		}
		result <- err
	}()
	return result
}

// The backlog of a Unix listener that is full is tried again until it is not.
func TestDialUnixBacklog(t *testing.T) {
	leaktest.Check(t)
	addr, fd := full(t, &net.UnixAddr{Name: socketPath(t), Net: "unix"})
	l := newLoop(t)
	result := goDial(l, context.Background(), addr)
	for range 20 {
		on(t, l, func() {})
	}
	require.Empty(t, result)
	for len(result) == 0 {
		if conn, _, err := socket.Accept(fd); err == nil {
			require.NoError(t, socket.Close(conn))
		}
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, receive(t, result))
}

// What dials on a loop that stops or closes is told, and no socket is left.
func TestDialLoopEnds(t *testing.T) {
	eachFull(t, func(t *testing.T, addr net.Addr, _ int) {
		t.Run("task stopped", func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{Logger: quiet()})
			require.NoError(t, err)
			var result error
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				_ = task.Loop().Post(func() { _ = l.Post(l.Stop) })
				_, result = tcp.Dial(task, l, addr.Network(), addr.String())
			}))
			require.NoError(t, l.Run(context.Background()))
			require.ErrorIs(t, result, ioloop.ErrTaskStopped)
			requireOpError(t, result, "dial")
			require.NoError(t, l.Close())
		})
		t.Run("task unwound", func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{Logger: quiet()})
			require.NoError(t, err)
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				_ = task.Loop().Post(func() { _ = l.Post(l.Stop) })
				for {
					_, _ = tcp.Dial(task, l, addr.Network(), addr.String())
				}
			}))
			require.NoError(t, l.Run(context.Background()))
			require.NoError(t, l.Close())
		})
		t.Run("loop closed", func(t *testing.T) {
			l := newLoop(t)
			result := goDial(l, context.Background(), addr)
			for range 20 {
				on(t, l, func() {})
			}
			require.NoError(t, l.Close())
			err := receive(t, result)
			requireOpError(t, err, "dial")
			require.ErrorIs(t, err, ioloop.ErrClosed)
			require.ErrorIs(t, receive(t, goDial(l, context.Background(), addr)), ioloop.ErrClosed)
		})
	})
}

// fakeDNS answers every question for IPv4 with addresses.
func fakeDNS(addresses ...string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(far, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(far, query); err != nil {
					return
				}
				answer := dnsAnswer(query, addresses)
				if _, err := far.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
		return near, nil
	}}
}

func dnsAnswer(query []byte, addresses []string) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	if binary.BigEndian.Uint16(query[end+1:]) != typeA {
		addresses = nil
	}
	answer := append([]byte{}, query[:2]...)
	answer = append(answer, 0x81, 0x80, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0)
	answer = append(answer, query[header:end+5]...)
	for _, a := range addresses {
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4)
		answer = append(answer, net.ParseIP(a).To4()...)
	}
	return answer
}

// requireFullBacklog skips where connecting to a listener with a full backlog does
// not hang.
func requireFullBacklog(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("a full backlog refuses, or takes connections all the same")
	}
}

// requireSecondAddress skips where only 127.0.0.1 is the machine's own: the
// others do not refuse there, they do not answer.
func requireSecondAddress(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("needs 127.0.0.2: ", err)
	}
	l.Close()
}

func TestDialName(t *testing.T) {
	requireSecondAddress(t)
	addr, _ := local(t, &tcp.Server{Handler: lines})
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	l := newLoop(t)
	d := &tcp.Dialer{Resolver: fakeDNS("127.0.0.2", "127.0.0.1", "127.0.0.3")}
	both(t, l, func(t *testing.T, ctx context.Context) {
		s, err := d.Dial(ctx, l, "tcp", "several.test.:"+port)
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, echoLine(ctx, s, "hello\n"))
	})
	both(t, l, func(t *testing.T, ctx context.Context) {
		s, err := tcp.Dial(ctx, l, "tcp4", "localhost:"+port)
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, echoLine(ctx, s, "hello\n"))
	})
}

// A name whose first address hangs is raced against its second, on the loop's
// clock, and neither leaves a socket behind.
func TestDialRace(t *testing.T) {
	requireSecondAddress(t)
	requireFullBacklog(t)
	leaktest.Check(t)
	srv := &tcp.Server{Handler: lines, Logger: quiet()}
	hangs := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	for { // until the port is free at both addresses
		good, err := srv.Listen("tcp", "127.0.0.2:0")
		require.NoError(t, err)
		hangs.Port = good.(*net.TCPAddr).Port
		if fd, err := socket.Listen(hangs, 0, nil); err == nil {
			require.NoError(t, socket.Close(fd))
			break
		}
	}
	full(t, hangs)
	serve(t, srv)
	clock := new(ioloop.ManualClock)
	l := newGroup(t, 1, ioloop.Config{Clock: clock}).Loops()[0]
	address := net.JoinHostPort("two.test.", strconv.Itoa(hangs.Port))
	result := make(chan error, 1)
	dial := func(ctx context.Context, d *tcp.Dialer) {
		d.Resolver = fakeDNS("127.0.0.1", "127.0.0.2")
		go func() {
			s, err := d.Dial(ctx, l, "tcp", address)
			if err == nil {
				err = echoLine(ctx, s, s.RemoteAddr().(*net.TCPAddr).IP.String()+"\n")
				s.Close()
			}
			result <- err
		}()
		eventually(t, func() bool { return l.Stats().Handlers == 1 })
	}

	dial(context.Background(), &tcp.Dialer{})
	clock.Advance(tcp.DefaultFallbackDelay - 1)
	on(t, l, func() {})
	require.Empty(t, result)
	require.Equal(t, 1, l.Stats().Handlers)
	clock.Advance(1)
	require.NoError(t, receive(t, result))
	eventually(t, func() bool { return l.Stats().Handlers == 0 })
	require.Equal(t, uint64(1), srv.Stats().Accepted)

	ctx, cancel := context.WithCancel(context.Background())
	dial(ctx, &tcp.Dialer{FallbackDelay: -1})
	clock.Advance(time.Hour)
	on(t, l, func() {})
	require.Empty(t, result)
	cancel()
	require.ErrorIs(t, receive(t, result), context.Canceled)
	eventually(t, func() bool { return l.Stats().Handlers == 0 })
}

// Cancelling gives up all attempts at once and tells what had failed before.
func TestDialRaceCancelled(t *testing.T) {
	leaktest.Check(t)
	hangs := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	addr, _ := full(t, hangs)
	clock := new(ioloop.ManualClock)
	l := newGroup(t, 1, ioloop.Config{Clock: clock}).Loops()[0]
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	both(t, l, func(t *testing.T, ctx context.Context) {
		if task, ok := ctx.(*ioloop.Task); ok {
			require.NoError(t, l.Post(func() {}))
			timeout, stop := task.WithTimeout(time.Hour)
			defer stop()
			go func() {
				for l.Stats().Handlers < 2 {
					clock.Advance(tcp.DefaultFallbackDelay / 10)
					time.Sleep(100 * time.Microsecond)
				}
				clock.Advance(time.Hour)
			}()
			ctx = timeout
		} else {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			defer cancel()
			go func() {
				for l.Stats().Handlers < 2 { // both that hang are in progress
					clock.Advance(tcp.DefaultFallbackDelay)
					time.Sleep(100 * time.Microsecond)
				}
				cancel()
			}()
		}
		// The first address refuses, the others hang.
		d := &tcp.Dialer{Resolver: fakeDNS("127.0.0.2", "127.0.0.1", "127.0.0.1")}
		_, err := d.Dial(ctx, l, "tcp", "three.test.:"+port)
		requireOpError(t, err, "dial")
		require.ErrorIs(t, err, ctx.Err())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
	eventually(t, func() bool { return l.Stats().Handlers == 0 })
}

func TestDialLocalAddr(t *testing.T) {
	l := newLoop(t)
	ctx := context.Background()
	addr, _ := local(t, &tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		_, err := s.Write([]byte(s.RemoteAddr().String() + "\n"))
		if err == nil {
			_, err = s.Read(t, iostream.Bytes(1)) // until the client goes
		}
		return err
	}})
	other := net.IPv4(127, 0, 0, 3)
	if l, err := net.Listen("tcp", "127.0.0.3:0"); err == nil {
		l.Close()
	} else {
		other = net.IPv4(127, 0, 0, 1) // the only one
	}
	for _, from := range []net.Addr{
		&net.TCPAddr{IP: other},
		&net.TCPAddr{},
	} {
		d := &tcp.Dialer{LocalAddr: from}
		s, err := d.Dial(ctx, l, "tcp", addr.String())
		require.NoError(t, err)
		line, err := s.Read(ctx, iostream.Until("\n"))
		require.NoError(t, err)
		require.Equal(t, s.LocalAddr().String()+"\n", string(line))
		if ip := from.(*net.TCPAddr).IP; ip != nil {
			require.True(t, ip.Equal(s.LocalAddr().(*net.TCPAddr).IP))
		}
		require.NoError(t, s.Close())
	}
	path := socketPath(t)
	unixAddr, _ := listenOn(t, &tcp.Server{Handler: lines}, "unix", path)
	d := &tcp.Dialer{LocalAddr: &net.UnixAddr{Name: path + ".client", Net: "unix"}}
	s, err := d.Dial(ctx, l, "unix", unixAddr.String())
	require.NoError(t, err)
	require.Equal(t, d.LocalAddr, s.LocalAddr())
	require.NoError(t, s.Close())
	for _, test := range []struct {
		from    net.Addr
		network string
		address string
		cause   error
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, "tcp", addr.String(), syscall.EADDRNOTAVAIL},
		{&net.TCPAddr{IP: net.IPv6loopback}, "tcp", addr.String(), nil}, // no address fits
		{&net.UnixAddr{Name: "x"}, "tcp", addr.String(), fs.ErrInvalid},
		{&net.TCPAddr{}, "unix", path, fs.ErrInvalid},
		{&net.UDPAddr{}, "tcp", addr.String(), fs.ErrInvalid},
		{(*net.TCPAddr)(nil), "tcp", addr.String(), fs.ErrInvalid},
		{(*net.UnixAddr)(nil), "unix", path, fs.ErrInvalid},
	} {
		_, err := (&tcp.Dialer{LocalAddr: test.from}).Dial(ctx, l, test.network, test.address)
		requireOpError(t, err, "dial")
		if test.cause != nil {
			require.ErrorIs(t, err, test.cause)
		}
	}
}

// The errors of all addresses are told.
func TestDialNameFails(t *testing.T) {
	requireSecondAddress(t)
	l := newLoop(t)
	_, port, err := net.SplitHostPort(closedAddress(t))
	require.NoError(t, err)
	d := &tcp.Dialer{Resolver: fakeDNS("127.0.0.1", "127.0.0.2")}
	both(t, l, func(t *testing.T, ctx context.Context) {
		_, err := d.Dial(ctx, l, "tcp", "several.test.:"+port)
		requireOpError(t, err, "dial")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.ErrorContains(t, err, "127.0.0.1:")
		require.ErrorContains(t, err, "127.0.0.2:")
	})
	d = &tcp.Dialer{Resolver: fakeDNS()}
	both(t, l, func(t *testing.T, ctx context.Context) {
		_, err := d.Dial(ctx, l, "tcp", "none.test.:"+port)
		requireOpError(t, err, "dial")
		var dnsError *net.DNSError
		require.ErrorAs(t, err, &dnsError)
		require.True(t, dnsError.IsNotFound)
	})
}
