package iostream

import (
	"io"
	"net"
	"os"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// NewSocket makes a stream on l of fd, a connected stream socket, TCP or Unix,
// and makes fd non-blocking. The descriptor becomes the stream's, unless an
// error is returned: ErrInvalid, ioloop.ErrClosed, the errno that tells why fd
// is no such socket, or errors.ErrUnsupported where there is no backend.
func NewSocket(l *ioloop.Loop, fd int, config *Config) (*Stream, error) {
	return newSocket(l, fd, socket.PeerAddress(fd), config)
}

func newSocket(l *ioloop.Loop, fd int, peer socket.Address, config *Config) (*Stream, error) {
	if err := socket.Adopt(fd); err != nil {
		return nil, opError("new", err)
	}
	s := newSocketStream(fd)
	var t Transport = &s.socket.socketTransport
	if !s.keepPeer(peer) {
		t = &addressedSocket{s.socket.socketTransport, peer}
	}
	return s.onSocket(l, t, config)
}

// newPrepared is NewSocket without the system calls that look at a socket and set
// it up.
func newPrepared(l *ioloop.Loop, fd int, peer socket.Address, config *Config) (*Stream, error) {
	s := newSocketStream(fd)
	var t Transport = &s.socket
	if !s.keepPeer(peer) {
		t = &addressedPrompt{s.socket, peer}
	}
	return s.onSocket(l, t, config)
}

func newSocketStream(fd int) *Stream {
	s := new(Stream)
	s.socket.registration = ioloop.Unregistered(fd)
	s.set(cameFull) // clients often speak first: the first read looks for itself
	return s
}

// keepPeer notes the peer's address if it is short enough.
func (s *Stream) keepPeer(peer socket.Address) (ok bool) {
	s.peer, ok = peer.Short()
	return ok
}

func (s *Stream) onSocket(l *ioloop.Loop, t Transport, config *Config) (*Stream, error) {
	if l == nil {
		return nil, opError("new", ErrInvalid)
	}
	if err := s.open(l, t, config); err != nil {
		return nil, err
	}
	return s, nil
}

// socketTransport is a stream socket as it is.
type socketTransport struct {
	registration ioloop.Registration // it has the descriptor from the start
}

func (t *socketTransport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error {
	registration, err := l.Handle(t.FD(), interest, h)
	if err == nil {
		t.registration = registration
	}
	return err
}

func (t *socketTransport) Arm(l *ioloop.Loop, interest poller.Interest) error {
	return l.Update(t.registration, interest)
}

func (t *socketTransport) Read(p []byte) (int, error) {
	return readOutcome(socket.Read(t.FD(), p))
}

func (t *socketTransport) Write(bufs [][]byte) (int, error) {
	if len(bufs) == 1 { // nearly always
		n, err := socket.Send(t.FD(), bufs[0])
		return writeOutcome(n, min(len(bufs[0]), socket.MaxBytes), err)
	}
	n, err := socket.SendVector(t.FD(), bufs)
	return writeOutcome(n, socket.Attempt(bufs), err)
}

func (t *socketTransport) Probe() error {
	err := peekOutcome(socket.Peek(t.FD()))
	if err == io.EOF { // Linux says so too if the connection has broken behind the end
		if broken := socket.TakeError(t.FD()); broken != nil {
			return os.NewSyscallError("getsockopt", broken)
		}
	}
	return err
}

func (t *socketTransport) CloseWrite() error {
	return os.NewSyscallError("shutdown", socket.CloseWrite(t.FD()))
}

func (t *socketTransport) Close(l *ioloop.Loop) error {
	t.unregister(l)
	return os.NewSyscallError("close", socket.Close(t.FD()))
}

func (t *socketTransport) unregister(l *ioloop.Loop) {
	if t.registration.Registered() {
		_ = l.Remove(t.registration)
	}
}

// ResetOnClose has no effect on Unix sockets.
func (t *socketTransport) ResetOnClose() { socket.ResetOnClose(t.FD()) }

func (t *socketTransport) Queued() int { return socket.Queued(t.FD()) }

func (t *socketTransport) hasUnread() bool {
	n, err := socket.Peek(t.FD())
	return err == nil && n > 0
}

func (t *socketTransport) FD() int             { return t.registration.FD() }
func (t *socketTransport) LocalAddr() net.Addr { return socket.LocalAddr(t.FD()) }

// RemoteAddr is called where Stream.peer has no address: nobody knows it.
func (t *socketTransport) RemoteAddr() net.Addr { return nil }

// promptTransport is a socketTransport that nobody can have given SO_LINGER:
// closing it does not block.
type promptTransport struct{ socketTransport }

// addressedSocket and addressedPrompt have a peer whose address is too long for
// Stream.peer.
type (
	addressedSocket struct {
		socketTransport
		peer socket.Address
	}
	addressedPrompt struct {
		promptTransport
		peer socket.Address
	}
)

func (t *addressedSocket) RemoteAddr() net.Addr { return t.peer.Addr() }
func (t *addressedPrompt) RemoteAddr() net.Addr { return t.peer.Addr() }

// mayLinger is called when somebody gets the descriptor, who may set that.
func (s *Stream) mayLinger() {
	at := &s.transport
	if secured, ok := s.transport.(*tlsTransport); ok {
		at = &secured.lower
	}
	switch t := (*at).(type) {
	case *promptTransport:
		*at = &t.socketTransport
	case *addressedPrompt:
		*at = &addressedSocket{t.socketTransport, t.peer}
	}
}

func (t *promptTransport) Close(l *ioloop.Loop) error {
	t.unregister(l)
	return os.NewSyscallError("close", socket.ClosePromptly(t.FD()))
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
