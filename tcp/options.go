package tcp

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"runtime/pprof"
	"runtime/trace"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// Overload says what happens to a connection for which there is no room.
type Overload int

const (
	// OverloadQueue leaves it in the kernel's backlog until there is room. Its
	// client only notices the wait.
	OverloadQueue Overload = iota

	// OverloadRefuse accepts it and closes it at once.
	OverloadRefuse
)

// SocketOptions are options of sockets. Zero fields leave the system's values,
// except for keep-alive. A Server sets the options on its listening sockets (on
// Linux accepted sockets inherit them), a Dialer on each socket. A negative
// UserTimeout or buffer size is ErrInvalid.
type SocketOptions struct {
	// KeepAlive says how the kernel probes a silent TCP peer, as in package
	// net. A field of 0 is DefaultKeepAliveIdle (15 s),
	// DefaultKeepAliveInterval (15 s) or DefaultKeepAliveCount (9); a field
	// below 0 leaves the system's value. Its field Enable is ignored:
	// NoKeepAlive turns probing off.
	KeepAlive   net.KeepAliveConfig
	NoKeepAlive bool

	// UserTimeout is how long sent data may stay unacknowledged before the
	// kernel ends the connection (TCP_USER_TIMEOUT, RFC 5482), in whole
	// milliseconds. It works for TCP on Linux; elsewhere it is
	// errors.ErrUnsupported.
	UserTimeout time.Duration

	// ReadBuffer and WriteBuffer are the sizes of the kernel's buffers in bytes
	// (SO_RCVBUF, SO_SNDBUF). Setting one turns the kernel's own adjustment of
	// it off.
	ReadBuffer, WriteBuffer int

	// Control, if set, is called with the descriptor of each socket before it
	// is bound or connected, to set options that have no field here. It must
	// not close or keep the descriptor. Listen, or the attempt to connect,
	// fails with its error.
	Control func(network, address string, fd uintptr) error
}

// The zero fields of SocketOptions.KeepAlive stand for these, as in package net.
const (
	DefaultKeepAliveIdle     = 15 * time.Second
	DefaultKeepAliveInterval = 15 * time.Second
	DefaultKeepAliveCount    = 9
)

// control calls Control.
func (o *SocketOptions) control(fd int, addr net.Addr) error {
	if o.Control == nil {
		return nil
	}
	return o.Control(addr.Network(), addr.String(), uintptr(fd))
}

func (o *SocketOptions) check() error {
	if o.UserTimeout < 0 || o.ReadBuffer < 0 || o.WriteBuffer < 0 {
		return fmt.Errorf("%w: negative SocketOptions", ErrInvalid)
	}
	return nil
}

// set sets the options of a socket that will be, or is, connected.
func (o *SocketOptions) set(fd int, addr net.Addr) error {
	_, isTCP := addr.(*net.TCPAddr)
	return o.options().Set(fd, isTCP)
}

// setListening sets those of one that listens.
func (o *SocketOptions) setListening(fd int, addr net.Addr) error {
	_, isTCP := addr.(*net.TCPAddr)
	return o.options().SetListening(fd, isTCP)
}

func (o *SocketOptions) options() *socket.Options {
	return &socket.Options{
		KeepAlive:   !o.NoKeepAlive,
		Idle:        cmp.Or(o.KeepAlive.Idle, DefaultKeepAliveIdle),
		Interval:    cmp.Or(o.KeepAlive.Interval, DefaultKeepAliveInterval),
		Count:       cmp.Or(o.KeepAlive.Count, DefaultKeepAliveCount),
		UserTimeout: o.UserTimeout,
		ReadBuffer:  o.ReadBuffer,
		WriteBuffer: o.WriteBuffer,
	}
}

// setAccepted sets what a socket does not have of its listener already.
// On Linux that is at most the buffers of a Unix socket.
func (o *SocketOptions) setAccepted(fd int, peer *socket.Address) {
	if !socket.Inherits || o.ReadBuffer > 0 || o.WriteBuffer > 0 {
		_ = o.options().Set(fd, peer.IsIP()) // the peer may have gone
	}
}

// Hooks are called for events that metrics count. Nil ones cost nothing. For
// the end of a connection see iostream.Config.OnClosed; for sums see Stats. A
// hook that panics closes the connection that it was called for, and has no
// other effect; a panic of Started is one of Serve.
type Hooks struct {
	// Started is called by Serve, on its goroutine, when the server's loops
	// exist and before any connection is accepted, for instance to set timers
	// (ioloop.Loop.Every). With Server.Group the loops are the Group's;
	// otherwise they run once Started has returned. Started may post to them
	// and must not wait for what it has posted.
	Started func(loops []*ioloop.Loop)

	// Accepted is called on the stream's loop for each connection, before
	// anything is read.
	Accepted func(s *iostream.Stream)

	// Refused is called for a connection that was closed unserved, with its
	// local address and the reason: ErrMaxConns, ErrMaxHandshakes,
	// iostream.ErrBudget, or the error of its PROXY header. It is called on a
	// loop and must not block.
	Refused func(local net.Addr, reason error)

	// Failed is called on the stream's loop before the stream is closed, with
	// the error that a Handler or Message has returned, ErrHandler for a
	// Handler that has panicked or called runtime.Goexit, a *ioloop.PanicError
	// or ioloop.ErrGoexit for such a Message, or the error of a PROXY header.
	Failed func(s *iostream.Stream, err error)

	// Paused is called on the listener's loop each time that accepting fails
	// for lack of descriptors or memory and is put off: until the Budget has room
	// if cause is iostream.ErrBudget, else for 5 ms to 1 s.
	Paused func(listener net.Addr, cause error)
}

// profile marks the goroutine of a handler for profiles and traces until the
// returned function is called.
func profile(name string) (end func()) {
	ctx := pprof.WithLabels(context.Background(), pprof.Labels("server", name))
	pprof.SetGoroutineLabels(ctx)
	region := trace.StartRegion(ctx, name)
	return func() {
		region.End()
		pprof.SetGoroutineLabels(context.Background())
	}
}
