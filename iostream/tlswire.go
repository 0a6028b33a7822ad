package iostream

import (
	"net"
	"time"
)

// wire is a tlsTransport as crypto/tls sees it: a connection whose Read takes
// from what has been received and whose Write adds to what is to be sent.
// Neither calls the kernel.
//
// What makes this work with an unchanged crypto/tls: an error of Read that is a
// temporary net.Error, which is how an exceeded read deadline looks, leaves a
// tls.Conn usable, with what it has of a record. Everything that Write returns
// an error for is final, so it takes all. A handshake cannot be resumed that
// way, so it runs as a coroutine that Read suspends.
type wire tlsTransport

// Read never returns 0 and nil, on which a bytes.Buffer would spin.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.rx) == 0 {
		switch {
		case w.rxErr != nil:
			return 0, w.rxErr
		case w.ready:
			return 0, errNotYet
		case !w.hs.yield(struct{}{}):
			return 0, net.ErrClosed
		}
	}
	n := w.frame.take(p, w.rx)
	w.rx = w.rx[n:]
	return n, nil
}

// Write is also called from within tls.Conn.Read: with alerts, and answers to
// key updates. After our close_notify nothing may follow.
func (w *wire) Write(p []byte) (int, error) {
	if w.notified {
		return len(p), nil
	}
	w.tx = extend(w.tx, p)
	return len(p), nil
}

// Close does nothing, nor do deadlines: the stream sees to both.
func (w *wire) Close() error { return nil }

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// While a handshake runs on a goroutine of its own, the stream and its
// descriptor may be closed. So the addresses were asked for before. One on the loop
// asks the kernel for its own, which hardly anybody wants to know.

func (w *wire) LocalAddr() net.Addr {
	if w.hs != nil && w.hs.local != nil {
		return addressOr(w.hs.local)
	}
	return addressOr((*tlsTransport)(w).LocalAddr())
}

func (w *wire) RemoteAddr() net.Addr {
	if w.hs != nil {
		return addressOr(w.hs.remote)
	}
	return addressOr((*tlsTransport)(w).RemoteAddr())
}

// addressOr stands in for an address that is not known: crypto/tls calls
// methods of it without looking.
func addressOr(a net.Addr) net.Addr {
	if a == nil {
		return noAddress{}
	}
	return a
}

type noAddress struct{}

func (noAddress) Network() string { return "stream" }
func (noAddress) String() string  { return "stream" }

// errNotYet is the temporary error with which a tls.Conn stays usable. It comes
// out of it as it is.
var errNotYet error = notYet{}

type notYet struct{}

func (notYet) Error() string   { return ErrWouldBlock.Error() }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// recordFrame follows the records of TLS, each a header of five bytes whose
// last two tell the length of the rest (RFC 8446, section 5.1).
type recordFrame struct {
	header uint8  // bytes of the header that have passed
	left   uint16 // bytes of the rest that have not, once the header has
}

const recordHeader = 5

// take copies bytes from src to p, but none beyond the present record. If it
// did, crypto/tls would keep them in a buffer that never shrinks again, and
// whole records could wait there without anybody knowing.
func (f *recordFrame) take(p, src []byte) (n int) {
	for n < len(p) && n < len(src) && f.header < recordHeader {
		p[n] = src[n]
		f.left = f.left<<8 | uint16(src[n])
		f.header++
		n++
	}
	if f.header == recordHeader {
		k := copy(p[n:], src[n:min(len(src), n+int(f.left))])
		f.left -= uint16(k)
		n += k
		if f.left == 0 {
			f.header = 0
		}
	}
	return n
}

var _ net.Conn = (*wire)(nil)
