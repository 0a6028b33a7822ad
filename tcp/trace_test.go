//go:build unix || windows

package tcp_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// traceLog notes what a ClientTrace is told.
type traceLog struct {
	mu     sync.Mutex
	events []string
}

func (l *traceLog) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf(format, args...))
}

func (l *traceLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

func (l *traceLog) context() context.Context {
	return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		DNSStart:     func(info httptrace.DNSStartInfo) { l.note("look up %s", info.Host) },
		DNSDone:      func(info httptrace.DNSDoneInfo) { l.note("looked up: %v", info.Err == nil) },
		ConnectStart: func(network, addr string) { l.note("%s %s", network, addr) },
		ConnectDone:  func(network, addr string, err error) { l.note("%s %s: %v", network, addr, err == nil) },
	})
}

// TestTrace: what is told of a name and its connects is what package net tells.
func TestTrace(t *testing.T) {
	addr, _ := local(t, &tcp.Server{Loops: 1, Handler: lines})
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	var log traceLog
	s, err := tcp.Dial(log.context(), newLoop(t), "tcp4", net.JoinHostPort("localhost", port))
	require.NoError(t, err)
	s.Abort(nil)
	require.Equal(t, []string{"look up localhost", "looked up: true", "tcp " + addr.String(), "tcp " + addr.String() + ": true"}, log.events)
}

// TestTraceWithoutTheResolver: the connects of the resolver are not the client's.
func TestTraceWithoutTheResolver(t *testing.T) {
	nobody := closedport.Address(t)
	var dialed atomic.Bool
	d := &tcp.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialed.Store(true)
		return new(net.Dialer).DialContext(ctx, "tcp", nobody)
	}}}
	var log traceLog
	ctx, cancel := context.WithTimeout(log.context(), patience)
	defer cancel()
	_, err := d.Dial(ctx, newLoop(t), "tcp", "name.invalid:80")
	require.Error(t, err)
	require.True(t, dialed.Load())
	require.Equal(t, []string{"look up name.invalid", "looked up: false"}, log.events)
}

// TestTraceOfAnAttemptThatIsGivenUp is done with.
func TestTraceOfAnAttemptThatIsGivenUp(t *testing.T) {
	var log traceLog
	l := newLoop(t)
	addr, _ := full(t, &net.UnixAddr{Name: socketPath(t), Net: "unix"})
	ctx, cancel := context.WithCancel(log.context())
	defer cancel()
	go func() {
		eventually(t, func() bool { return log.len() == 1 }) // it has begun
		cancel()
	}()
	_, err := tcp.Dial(ctx, l, "unix", addr.String())
	require.ErrorIs(t, err, context.Canceled)
	on(t, l, func() {}) // the loop has given up
	require.Equal(t, []string{"unix " + addr.String(), "unix " + addr.String() + ": false"}, log.events)
}
