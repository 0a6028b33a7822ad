package iostream

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// tlsTransport is TLS over another transport. A quiet one holds a tls.Conn and
// no buffers of its own.
//
// While the handshake runs, its coroutine has the fields up to tx to itself;
// everything else is under the stream's lock as in any transport.
type tlsTransport struct {
	lower Transport
	conn  *tls.Conn
	hs    *handshake // nil once its outcome was told
	ready bool       // the handshake has succeeded
	begun bool       // something of the handshake has come

	// failed: TLS is over, and the peer was told why. What still comes is thrown away.
	failed bool

	rx       []byte // received, and not taken by conn
	rxErr    error  // comes behind rx
	frame    recordFrame
	notified bool   // close_notify was sent
	tx       []byte // ciphertext, or plaintext from before

	rxBuffer []byte // what rx is part of
	txDone   int    // bytes of tx that are out
	plain    int    // bytes at the beginning of tx that are plaintext
	marks    [4]txMark
	marked   int8
	held     bool                // conn may hold plaintext that was too much for the last Read
	peeked   bool                // peek was read by Probe
	peek     byte                // the first byte of what Read returns
	peer     socket.ShortAddress // as Stream.peer
	alert    bool                // tx ends in an alert that the peer should get
	answers  int                 // bytes of tx that Read has caused
	end      error               // what Read returns from now on
	vector   [1][]byte
}

// txMark says that so many bytes of plaintext are out when tx is up to end.
type txMark struct{ end, plain int }

const (
	maxPlaintext = 16 << 10 // of one record
	maxBatch     = 48 << 10 // ciphertext that is gathered for one write

	// maxAnswers is how much a peer can have us answer, by requests to update
	// keys, without reading it. Then it is not read from either.
	maxAnswers = 16 << 10
)

func (t *tlsTransport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error {
	return t.lower.Attach(l, h, interest)
}

func (t *tlsTransport) Arm(l *ioloop.Loop, interest poller.Interest) error {
	return t.lower.Arm(l, interest)
}

// Want: during the handshake nothing is read or written for the stream, so
// both wait for what the handshake waits for.
func (t *tlsTransport) Want() (read, write poller.Interest) {
	read, write = poller.Readable, poller.Writable
	switch {
	case t.failed:
	case t.ready && t.answers > maxAnswers:
		return write, write
	case t.ready:
	case t.hs.running:
		return 0, 0
	case len(t.tx) == 0:
		return read, read
	}
	return read, write
}

// Read receives at most once, so that a record which comes in pieces costs no
// further call for each.
func (t *tlsTransport) Read(p []byte) (n int, err error) { return t.read(p, false) }

func (t *tlsTransport) read(p []byte, persist bool) (n int, err error) {
	switch {
	case t.failed:
		return t.lower.Read(p)
	case !t.ready || t.answers > maxAnswers:
		return 0, ErrWouldBlock
	case t.peeked:
		t.peeked = false
		p[0] = t.peek
		if len(p) > 1 && t.end == nil {
			n, _ = t.decryptSome(p[1:], false) // why there is no more is told by the next Read
		}
		return 1 + n, nil
	case t.end != nil:
		return 0, t.end
	}
	return t.decryptSome(p, persist)
}

// decryptSome is decrypt, with what comes of it.
func (t *tlsTransport) decryptSome(p []byte, persist bool) (n int, err error) {
	before := len(t.tx)
	n, err = t.decrypt(p, persist)
	t.answers += len(t.tx) - before
	t.releaseInput()
	return n, err
}

// decrypt reads plaintext as long as ciphertext is there; if there is none, it
// receives some.
func (t *tlsTransport) decrypt(p []byte, persist bool) (n int, err error) {
	for received := false; n < len(p); {
		if len(t.rx) == 0 && !t.held {
			if n > 0 || received && !persist {
				break
			}
			if err := t.receive(); err != nil {
				return 0, err
			}
			received = true
		}
		k, err := t.conn.Read(p[n:])
		t.held = k == len(p)-n
		n += k // also with an error
		if err != nil && err != errNotYet {
			t.end = t.readEnd(err)
			break
		}
	}
	switch {
	case n > 0:
		return n, nil
	case t.end != nil:
		return 0, t.end
	}
	return 0, ErrWouldBlock
}

// receive fills rx, which is empty. It returns ErrWouldBlock, or nil if there
// is something for the wire: bytes, the end, what failed.
func (t *tlsTransport) receive() error {
	if t.rxErr != nil {
		return nil
	}
	t.releaseInput() // it may be a small one that came early
	b := getBuffer(maxRead)
	t.rxBuffer = b[:cap(b)]
	n, err := t.lower.Read(t.rxBuffer)
	if n == 0 {
		t.releaseInput()
		if err == ErrWouldBlock {
			return err
		}
		t.rxErr = err
		return nil
	}
	t.rx = t.rxBuffer[:n]
	t.begun = true
	if !t.ready {
		t.hs.received += n
	}
	return nil
}

func (t *tlsTransport) releaseInput() {
	if len(t.rx) == 0 && t.rxBuffer != nil {
		putBuffer(t.rxBuffer)
		t.rx, t.rxBuffer = nil, nil
	}
}

// readEnd returns why nothing more can be read, given what conn says.
func (t *tlsTransport) readEnd(err error) error {
	switch {
	case t.rxErr != nil:
		return unexpected(t.rxErr) // cut off: conn does not tell where
	case err != io.EOF:
		t.alert = true
	}
	return err
}

// Write encrypts into tx and sends that. It begins with an empty tx, so that
// the little there is to know of it stays little.
func (t *tlsTransport) Write(bufs [][]byte) (n int, err error) {
	if !t.ready {
		return 0, ErrWouldBlock
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	for _, b := range bufs {
		for len(b) > 0 {
			if len(t.tx) >= maxBatch {
				if err := t.Flush(); err != nil {
					return n, err
				}
			}
			k, err := t.encrypt(b[:min(len(b), maxPlaintext)])
			n += k
			b = b[k:]
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (t *tlsTransport) encrypt(piece []byte) (int, error) {
	const overhead = 64 // of one record, at least
	if cap(t.tx) == 0 {
		t.tx = getBuffer(len(piece) + overhead)
	}
	n, err := t.conn.Write(piece)
	t.mark(len(t.tx), n)
	return n, err
}

// mark notes what tx is made of. When there is no room the last mark takes more
// in, which at worst says "not sent" for longer.
func (t *tlsTransport) mark(end, plain int) {
	if int(t.marked) < len(t.marks) {
		t.marked++
	} else {
		plain += t.marks[t.marked-1].plain
	}
	t.marks[t.marked-1] = txMark{end, plain}
}

// Flush sends tx.
func (t *tlsTransport) Flush() error {
	if t.hs != nil && t.hs.running {
		return ErrWouldBlock // the handshake's end has the loop flush
	}
	for t.txDone < len(t.tx) {
		t.vector[0] = t.tx[t.txDone:]
		n, err := t.lower.Write(t.vector[:])
		t.txDone += n
		if err != nil && t.txDone < len(t.tx) {
			return err
		}
	}
	t.releaseOutput()
	return nil
}

func (t *tlsTransport) releaseOutput() {
	if t.tx != nil {
		putBuffer(t.tx)
		t.tx, t.vector[0] = nil, nil
	}
	t.txDone, t.plain, t.marked, t.answers = 0, 0, 0, 0
}

// Unsent counts whole writes of at most 16 KiB: what is out of one that is not
// out as a whole counts as unsent.
func (t *tlsTransport) Unsent() int {
	n := max(0, t.plain-t.txDone)
	for _, m := range t.marks[:t.marked] {
		if m.end > t.txDone {
			n += m.plain
		}
	}
	return n
}

func (t *tlsTransport) Buffered() bool {
	return t.ready && !t.failed && t.answers <= maxAnswers && (t.held || t.peeked || len(t.rx) > 0 || t.end != nil)
}

// Incomplete: a record that has come in part is in conn's hands, whose frame knows.
func (t *tlsTransport) Incomplete() bool {
	return t.ready && !t.failed && (t.frame.header > 0 || t.Buffered())
}

// Probe reads what lies before the end, up to the first byte of plaintext: it
// may be nothing but messages of the protocol, and the peer's close_notify.
func (t *tlsTransport) Probe() error {
	if t.failed {
		return t.lower.Probe()
	}
	if !t.ready || t.Buffered() && t.end == nil {
		return nil
	}
	if t.end != nil { // which the connection has outlived; it may have broken since
		if err := t.lower.Probe(); err != nil && err != io.EOF {
			return err
		}
		return t.end
	}
	var one [1]byte
	switch n, err := t.read(one[:], true); {
	case n > 0:
		t.peek, t.peeked = one[0], true
	case err != ErrWouldBlock:
		return err
	}
	return nil
}

// CloseWrite sends close_notify, and what else there is, before it ends the
// direction.
func (t *tlsTransport) CloseWrite() error {
	t.notify()
	if err := t.Flush(); err != nil {
		return err
	}
	return t.lower.CloseWrite()
}

// notify adds close_notify to tx. Where conn has failed, it cannot any more.
func (t *tlsTransport) notify() {
	if t.ready && !t.notified {
		_ = t.conn.CloseWrite()
		t.notified = true
	}
}

// Close makes one attempt to tell the peer why.
func (t *tlsTransport) Close(l *ioloop.Loop) error {
	if t.alert {
		_ = t.Flush()
	}
	if t.hs != nil {
		t.hs.end()
	}
	if t.hs == nil || !t.hs.running {
		t.rx = nil
		t.releaseInput()
		t.releaseOutput()
	}
	return t.lower.Close(l)
}

// takeEarly moves what the stream has received to where TLS reads, and returns how much. The
// pump, which begins the handshake, releases the buffer.
func (t *tlsTransport) takeEarly(in *input) (n int) {
	if n = in.len(); n > 0 {
		t.rxBuffer = append(getBuffer(n), in.take(n)...)
		t.rx = t.rxBuffer
		t.begun = true
	}
	return n
}

// takeBacklog moves what the stream has written, and not sent, ahead of what
// TLS writes.
func (t *tlsTransport) takeBacklog(out *output) {
	if out.size == 0 {
		return
	}
	t.tx = getBuffer(out.size)
	for _, b := range out.slices(nil) {
		t.tx = append(t.tx, b...)
	}
	t.plain = len(t.tx)
	out.drop()
	out.unsent = t.Unsent()
}

func (t *tlsTransport) ResetOnClose() {
	if r, ok := t.lower.(Resetter); ok {
		r.ResetOnClose()
	}
}

func (t *tlsTransport) Queued() int { return kernelQueue(t.lower) }

func (t *tlsTransport) hasUnread() bool { return hasUnread(t.lower) }

func (t *tlsTransport) LocalAddr() net.Addr {
	if a, ok := t.lower.(Addresser); ok {
		return a.LocalAddr()
	}
	return nil
}

func (t *tlsTransport) RemoteAddr() net.Addr {
	if peer := t.peer.Addr(); peer != nil {
		return peer
	}
	if a, ok := t.lower.(Addresser); ok {
		return a.RemoteAddr()
	}
	return nil
}
