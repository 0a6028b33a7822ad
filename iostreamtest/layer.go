package iostreamtest

import (
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

// layer stands between a stream and the wire as TLS does.
type layer struct {
	recordSize int
	hidden     []byte   // came in a record and did not fit into the reader's buffer
	records    []record // on their way out
	owed       bool     // an answer is among them: nothing is read before it is out
	shaking    bool     // the handshake is not done
	greeted    bool     // the peer has said hello
}

// layered is a Wire with a layer as its stream sees it.
type layered struct{ *transport }

var _ iostream.Layer = (*layered)(nil)

func (t *layered) Flush() (err error) {
	w, done := t.use("Flush")
	defer done()
	w.counts.Flushes++
	if held := w.layer.held(); held > 0 {
		defer func() { w.trace("Flush of %d: %d left, %v", held, w.layer.held(), err) }()
	}
	return w.layer.flush(w)
}

func (t *layered) Unsent() int {
	w, done := t.use("Unsent")
	defer done()
	return w.layer.unsent()
}

func (t *layered) Buffered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.layer.hidden) > 0
}

// Incomplete: a record comes as a whole.
func (t *layered) Incomplete() bool { return false }

func (t *layered) Want() (read, write poller.Interest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.layer.want()
}

// record is bytes of the stream, or none in a message of the layer's own.
type record struct {
	plain []byte
	left  int  // bytes that are not on the wire, with those of the record's own
	owed  bool // an answer
}

const (
	overhead   = 5 // bytes of a record's own
	maxRecords = 4 // that the layer holds of what the stream writes
)

func newLayer(o Options) *layer {
	l := &layer{recordSize: o.RecordSize, greeted: true}
	if o.Handshake {
		l.shaking, l.greeted = true, false
		l.records = []record{{left: overhead}}
	}
	return l
}

// shake does what it can of the handshake, and reports whether it is done.
func (l *layer) shake() bool {
	if l.shaking && l.greeted && len(l.records) == 0 {
		l.shaking = false
	}
	return !l.shaking
}

// mustWrite reports whether a read has to wait until something is out.
func (l *layer) mustWrite() bool { return l.owed || l.shaking && len(l.records) > 0 }

// helloWaits reports whether the peer's hello was not received yet.
func (l *layer) helloWaits() bool { return l.shaking && l.greeted }

func (l *layer) canRead(w *Wire) bool {
	switch {
	case len(l.hidden) > 0:
		return true
	case l.mustWrite():
		return w.outErr != nil
	case l.shaking && !l.greeted:
		return false
	}
	return len(w.in) > 0 || w.inErr != nil
}

func (l *layer) canWrite() bool {
	return !l.shaking || len(l.records) > 0 || l.greeted
}

func (l *layer) read(w *Wire, p []byte) (int, error) {
	if len(l.hidden) == 0 {
		switch {
		case l.mustWrite() && w.outErr != nil:
			return 0, w.outErr
		case l.mustWrite() || !l.shake():
			return 0, iostream.ErrWouldBlock
		}
		n := min(len(w.in), l.recordSize)
		l.hidden, w.in = w.in[:n:n], w.in[n:]
		if n > 0 && w.counts.FINs == 0 && w.outErr == nil {
			l.records = append(l.records, record{left: overhead, owed: true})
			l.owed = true
		}
	}
	return w.take(&l.hidden, p)
}

// write makes records of what the stream writes.
func (l *layer) write(bufs [][]byte) (n int, err error) {
	if !l.shake() {
		return 0, iostream.ErrWouldBlock
	}
	for _, b := range bufs {
		for len(b) > 0 {
			if len(l.records) >= maxRecords {
				return n, iostream.ErrWouldBlock
			}
			k := min(len(b), l.recordSize)
			plain := append([]byte(nil), b[:k]...)
			l.records = append(l.records, record{plain: plain, left: k + overhead})
			b = b[k:]
			n += k
		}
	}
	return n, nil
}

// flush moves records to the wire.
func (l *layer) flush(w *Wire) error {
	for len(l.records) > 0 {
		if w.outErr != nil {
			w.counts.WriteErr = w.outErr
			return w.outErr
		}
		r := &l.records[0]
		k := min(r.left, max(0, w.window))
		if k > 0 {
			k = w.cut(k, w.options.WriteSize)
		}
		w.window -= k
		r.left -= k
		if r.left > 0 {
			return iostream.ErrWouldBlock
		}
		if r.owed {
			l.owed = false
		}
		if w.peer != nil {
			w.addWindow(overhead) // the reader makes room for the rest
		}
		w.deliver(r.plain)
		l.records = l.records[1:]
	}
	l.shake()
	return nil
}

// unsent counts bytes of the stream in records that are not out.
func (l *layer) unsent() (n int) {
	for _, r := range l.records {
		n += len(r.plain)
	}
	return n
}

func (l *layer) held() int { return l.unsent() + len(l.records) }

func (l *layer) want() (read, write poller.Interest) {
	read, write = poller.Readable, poller.Writable
	switch {
	case l.mustWrite():
		read = poller.Writable
	case l.shaking:
		write = poller.Readable
	}
	return read, write
}

// finish ends the writing direction. Answers are not sent any more.
func (l *layer) finish(w *Wire) {
	if l.unsent() > 0 {
		w.misuse("CloseWrite before what was written is out")
	}
	l.records, l.owed = nil, false
}
