//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/closedport"
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
	closed := closedport.Address(t)
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
