package iostream

import (
	"io"
	"net"
	"os"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// NewSocket makes a stream of a connected stream socket, TCP or Unix, on l. The
// descriptor becomes the stream's, which makes it non-blocking, unless an error
// is returned. It returns ErrInvalid, ioloop.ErrClosed, the errno that tells why
// fd is not such a socket, or errors.ErrUnsupported where there is no backend.
func NewSocket(l *ioloop.Loop, fd int, config *Config) (*Stream, error) {
	if err := socket.Adopt(fd); err != nil {
		return nil, opError("new", err)
	}
	both := newSocketStream(fd)
	return both.begin(l, &both.socketTransport, config)
}

// newPrepared is NewSocket without the system calls that look at a socket and set
// it up.
func newPrepared(l *ioloop.Loop, fd int, config *Config) (*Stream, error) {
	both := newSocketStream(fd)
	return both.begin(l, &both.promptTransport, config)
}

// socketStream is a stream and its transport, in one allocation.
type socketStream struct {
	Stream
	promptTransport
}

func newSocketStream(fd int) *socketStream {
	both := new(socketStream)
	both.fd = int32(fd)
	both.set(cameFull) // clients often speak first: the first read looks for itself
	return both
}

func (both *socketStream) begin(l *ioloop.Loop, t Transport, config *Config) (*Stream, error) {
	if err := both.Stream.open(l, t, config); err != nil {
		return nil, err
	}
	return &both.Stream, nil
}

// socketTransport is a stream socket as it is.
type socketTransport struct {
	fd           int32
	registration ioloop.Registration // zero: not attached
}

func (t *socketTransport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) (err error) {
	t.registration, err = l.Handle(int(t.fd), interest, h)
	return err
}

func (t *socketTransport) Arm(l *ioloop.Loop, interest poller.Interest) error {
	return l.Update(t.registration, interest)
}

func (t *socketTransport) Read(p []byte) (int, error) {
	return readOutcome(socket.Read(int(t.fd), p))
}

func (t *socketTransport) Write(bufs [][]byte) (int, error) {
	if len(bufs) == 1 { // nearly always
		n, err := socket.Send(int(t.fd), bufs[0])
		return writeOutcome(n, min(len(bufs[0]), socket.MaxBytes), err)
	}
	n, err := socket.SendVector(int(t.fd), bufs)
	return writeOutcome(n, socket.Attempt(bufs), err)
}

func (t *socketTransport) Probe() error {
	err := peekOutcome(socket.Peek(int(t.fd)))
	if err == io.EOF { // Linux says so too if the connection has broken behind the end
		if broken := socket.TakeError(int(t.fd)); broken != nil {
			return os.NewSyscallError("getsockopt", broken)
		}
	}
	return err
}

func (t *socketTransport) CloseWrite() error {
	return os.NewSyscallError("shutdown", socket.CloseWrite(int(t.fd)))
}

func (t *socketTransport) Close(l *ioloop.Loop) error {
	t.unregister(l)
	return os.NewSyscallError("close", socket.Close(int(t.fd)))
}

func (t *socketTransport) unregister(l *ioloop.Loop) {
	if t.registration != (ioloop.Registration{}) {
		_ = l.Remove(t.registration)
	}
}

// ResetOnClose has no effect on Unix sockets.
func (t *socketTransport) ResetOnClose() { socket.ResetOnClose(int(t.fd)) }

func (t *socketTransport) Queued() int { return socket.Queued(int(t.fd)) }

func (t *socketTransport) FD() int                  { return int(t.fd) }
func (t *socketTransport) LocalAddr() net.Addr      { return socket.LocalAddr(int(t.fd)) }
func (t *socketTransport) RemoteAddr() net.Addr     { return socket.PeerAddr(int(t.fd)) }
func (t *socketTransport) SetNoDelay(on bool) error { return socket.SetNoDelay(int(t.fd), on) }

// promptTransport is a socketTransport that nobody can have given SO_LINGER:
// closing it does not block.
type promptTransport struct{ socketTransport }

// mayLinger is called when somebody gets the descriptor, who may set that.
func (s *Stream) mayLinger() {
	at := &s.transport
	if secured, ok := s.transport.(*tlsTransport); ok {
		at = &secured.lower
	}
	if t, ok := (*at).(*promptTransport); ok {
		*at = &t.socketTransport
	}
}

func (t *promptTransport) Close(l *ioloop.Loop) error {
	t.unregister(l)
	return os.NewSyscallError("close", socket.ClosePromptly(int(t.fd)))
}

// readOutcome, writeOutcome and peekOutcome are what a system call came to as a
// Transport has it.
func readOutcome(n int, err error) (int, error) {
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		return 0, io.EOF
	}
	return 0, callError("read", err)
}

// writeOutcome is told how many bytes were tried.
func writeOutcome(n, tried int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, callError("write", err)
	case n < tried:
		return n, ErrWouldBlock // a further call would only say so
	}
	return n, nil
}

func peekOutcome(n int, err error) error {
	switch {
	case err != nil && socket.WouldBlock(err):
		return nil
	case err != nil:
		return callError("recv", err)
	case n == 0:
		return io.EOF
	}
	return nil
}

func callError(call string, err error) error {
	if socket.WouldBlock(err) {
		return ErrWouldBlock
	}
	return os.NewSyscallError(call, err)
}
