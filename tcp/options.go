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

// Overload is what becomes of a connection for which there is no room.
type Overload int

const (
	// OverloadQueue leaves it in the kernel's backlog until there is room, unnoticed by
	// its client but for the wait.
	OverloadQueue Overload = iota

	// OverloadRefuse accepts it and closes it at once.
	OverloadRefuse
)

// SocketOptions are options of sockets. Zero fields leave what the system does.
// A Server sets them when it begins to listen (on Linux, where accepted
// sockets inherit them, they cost a connection nothing), a Dialer on each
// socket.
type SocketOptions struct {
	// KeepAlive has the kernel probe a silent TCP peer, as package net does: after
	// 15 s of silence, every 15 s, up to 9 times, where its fields are 0; fields below
	// 0 leave the system's value. Its field Enable does not matter: NoKeepAlive turns
	// probing off.
	KeepAlive   net.KeepAliveConfig
	NoKeepAlive bool

	// UserTimeout is how long sent data may stay unacknowledged before the kernel
	// gives the connection up (TCP_USER_TIMEOUT, RFC 5482), to the millisecond. Of
	// TCP on Linux alone; elsewhere it is errors.ErrUnsupported.
	UserTimeout time.Duration

	// ReadBuffer and WriteBuffer are the kernel's buffers in bytes (SO_RCVBUF,
	// SO_SNDBUF). Setting one ends the kernel's own adjusting of it.
	ReadBuffer, WriteBuffer int

	// Control, if set, is called with the descriptor of each socket that is made,
	// before it is bound or connected, for what has no field here. It must neither
	// close nor keep it. Its error is that of Listen or of the attempt to connect.
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

// Hooks are called when something happens that metrics count. Nil ones cost
// nothing. For the end of connections, with its reason, there is
// iostream.Config.OnClosed, and Stats has the sums. One that panics closes the
// connection that it was called for, and changes nothing else; Started is part of Serve.
type Hooks struct {
	// Started is called by Serve, on its goroutine, once the server's loops are there
	// and before any connection is accepted: for timers and broadcasts (see
	// ioloop.Loop.Every and iostream.Streams). The loops run when it has returned; it
	// may post to them, and must not wait for what it has posted. They are those of
	// Server.Group if that is set.
	Started func(loops []*ioloop.Loop)

	// Accepted is called on the stream's loop for each connection, before
	// anything is read.
	Accepted func(s *iostream.Stream)

	// Refused is called for a connection that was closed unserved, with the
	// address that it came to and ErrMaxConns, ErrMaxHandshakes,
	// iostream.ErrBudget, or what was wrong with its PROXY header. It is called on a loop and must not block.
	Refused func(local net.Addr, reason error)

	// Failed is called on the stream's loop when a Handler has returned an
	// error, has panicked or has called runtime.Goexit (ErrHandler), when a Message
	// has (a *ioloop.PanicError, ioloop.ErrGoexit), and for a bad PROXY header. What was written is not out yet.
	Failed func(s *iostream.Stream, err error)

	// Paused is called on the listener's loop when accepting is put off for
	// want of descriptors or memory, each time that it is tried in vain.
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
