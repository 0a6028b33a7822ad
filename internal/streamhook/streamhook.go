// Package streamhook is what package tcp does with streams that is of no use to
// anybody else. Package iostream sets the variables when it is initialized. Streams
// and configs are pointers to iostream's Stream and Config; naming them here would
// be a cycle of imports.
package streamhook

import (
	"net"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
)

var (
	// CheckConfig returns what New would say of a config.
	CheckConfig func(config any) error

	// NewPrepared makes a stream of a connected socket that this module has made:
	// non-blocking, closed on exec, without SO_LINGER, in need of no further look.
	// Peer is whom it is connected to.
	// The descriptor becomes the stream's, unless an error is returned.
	NewPrepared func(l *ioloop.Loop, fd int, peer socket.Address, config any) (stream any, err error)

	// NewAccepted is NewPrepared for a socket that a listener of somebody else's has
	// accepted, which may have given it SO_LINGER.
	NewAccepted func(l *ioloop.Loop, fd int, peer socket.Address, config any) (stream any, err error)

	// Simulate has a server of package tcp serve a connection over a transport, on a
	// loop that the caller runs. Package tcp sets it.
	Simulate func(server any, l *ioloop.Loop, transport any) (stream any, err error)

	// SetRemoteAddr makes RemoteAddr return another address: the client's, as a proxy has
	// named it.
	SetRemoteAddr func(stream any, addr net.Addr)

	// ReadClosed reports whether the end of the stream's input is known of. It is for tests.
	ReadClosed func(stream any) bool

	// HasConfig reports whether a stream was made with a config.
	HasConfig func(stream, config any) bool

	// Serve tells that a handler has a stream until Close or Abort is called: the
	// end of a callback's reading does not close it, nor is it idle while it does
	// not read.
	Serve func(stream any)

	// Unserve ends that before. It reports whether Close and Abort were not called,
	// and the stream has not ended otherwise.
	Unserve func(stream any) (open bool)

	// OnTasks has t told of the tasks that handle messages of a config's streams.
	OnTasks func(config any, t *Tasks)

	// CheckFrame returns what HandleTask would say of a frame.
	CheckFrame func(config, frame any) error

	// Handling reports whether a task handles a message of the stream.
	Handling func(stream any) bool

	// Relieve aborts the streams that have to leave a full Budget, whatever their loops do.
	Relieve func(budget any)

	// WhenRoom has tell called once a Budget is no longer full, on any goroutine and with
	// locks held: it must not wait. WhenRoom returns false if the Budget is not full now.
	WhenRoom func(budget any, tell func()) bool

	// Close is the method of that name, with a reason that Err then returns.
	Close func(stream any, reason error)

	// CloseWhenIdle closes a stream in good order as soon as nothing is under way: a
	// read waits for a message of which nothing has come, all that was written is
	// out, and nobody holds the stream.
	CloseWhenIdle func(stream any)
)

// Tasks is told of the tasks that handle the messages of streams, on their loop. One
// task may handle several messages.
type Tasks struct {
	// Label, if not nil, is called first, and end last. The stream is locked.
	Label func() (end func())
	// Waits tells that a task waits for the first time, or may. The stream is locked.
	Waits func(stream any)
	// End tells of the end of a task of which Waits has told, or with which the stream has
	// closed, or that ends the stream for err, which else is nil.
	End func(stream any, waited, closed bool, err error)
}
