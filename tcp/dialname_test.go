//go:build unix || windows

package tcp_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

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
		on(t, l, func() {}) // the clock has been asked too
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

// The errors of all addresses are told.
func TestDialNameFails(t *testing.T) {
	requireSecondAddress(t)
	l := newLoop(t)
	_, port, err := net.SplitHostPort(closedport.Address(t))
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
