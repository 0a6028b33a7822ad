package iostreamtest

import (
	"io"
	"net"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

// transport is a Wire as its stream sees it.
type transport Wire

// use locks the wire for a call of its stream.
func (t *transport) use(call string) (w *Wire, done func()) {
	w = (*Wire)(t)
	w.mu.Lock()
	if w.counts.Closes > 0 {
		w.misuse(call + " after Close")
	}
	return w, w.mu.Unlock
}

func (t *transport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error {
	w, done := t.use("Attach")
	defer done()
	w.trace("Attach(%s)", interestNames(interest))
	if w.counts.Attached {
		w.misuse("second Attach")
	}
	if err := w.options.check(); err != nil {
		return err
	}
	if w.fails.attach != nil {
		return w.fails.attach
	}
	w.loop, w.handler, w.counts.Attached = l, h, true
	w.registration, _ = l.Handle(noFD, 0, h)
	w.counts.Armed = interest
	w.announce()
	return nil
}

func (t *transport) Arm(_ *ioloop.Loop, interest poller.Interest) error {
	w, done := t.use("Arm")
	defer done()
	w.trace("Arm(%s)", interestNames(interest))
	if w.fails.arm != nil {
		return w.fails.arm
	}
	w.counts.Armed = interest
	w.counts.Arms++
	w.watched = false
	w.announce()
	return nil
}

// announce has the loop look whether something that is armed is ready.
func (w *Wire) announce() {
	if w.handler != nil && !w.queued && w.counts.Closes == 0 {
		w.queued = true
		_ = w.loop.Kit().Schedule((*readiness)(w))
	}
}

// readiness is a Wire as the loop sees it.
type readiness Wire

// Run reports readiness: level-triggered, but the close watch once for each
// arming and change.
func (r *readiness) Run() {
	w := (*Wire)(r)
	w.mu.Lock()
	w.queued = false
	ready := w.ready() & w.counts.Armed
	switch {
	case ready != 0 && w.chance(4):
		w.announce() // late
		ready = 0
	case ready&^poller.PeerClosed != 0:
		w.announce()
	case w.chance(8):
		ready |= w.counts.Armed &^ poller.PeerClosed // for nothing
	}
	if ready&poller.PeerClosed != 0 {
		w.watched = true
	}
	handler, closed := w.handler, w.counts.Closes > 0
	var hints poller.Hint
	if w.inErr != nil && w.inErr != io.EOF {
		hints = poller.Failed
	}
	w.mu.Unlock()
	if ready != 0 && !closed {
		w.trace("ready: %s", interestNames(ready))
		handler.HandleEvent(ready, hints)
	}
}

// Fail tells the stream of a callback that has failed, as the loop would tell
// the handler of a descriptor.
func (r *readiness) Fail(err error) {
	if f, ok := r.handler.(ioloop.Failer); ok {
		f.Fail(err)
	}
}

func (w *Wire) ready() (ready poller.Interest) {
	if len(w.in) > 0 || w.inErr != nil || w.layer != nil && w.layer.helloWaits() {
		ready |= poller.Readable
	}
	if w.inErr != nil && !w.watched {
		ready |= poller.PeerClosed
	}
	if w.window > 0 || w.outErr != nil {
		ready |= poller.Writable
	}
	return ready
}

func (t *transport) Read(p []byte) (n int, err error) {
	w, done := t.use("Read")
	defer done()
	w.counts.Reads++
	switch {
	case len(p) == 0:
		w.misuse("empty Read")
		err = iostream.ErrWouldBlock
	case w.counts.ReadErr != nil && len(w.in) == 0:
		w.misuse("Read after the end")
		err = w.counts.ReadErr
	case w.chance(6):
		err = iostream.ErrWouldBlock
	case w.layer != nil:
		n, err = w.layer.read(w, p)
	default:
		n, err = w.take(&w.in, p)
	}
	if err != nil && err != iostream.ErrWouldBlock {
		w.counts.ReadErr = err
	}
	w.counts.Received += n
	w.trace("Read(%d): %d, %v", len(p), n, err)
	return n, err
}

// take moves bytes to p, or tells that and why there are none.
func (w *Wire) take(source *[]byte, p []byte) (int, error) {
	if len(*source) == 0 {
		if w.inErr != nil {
			return 0, w.inErr
		}
		return 0, iostream.ErrWouldBlock
	}
	n := copy(p[:w.cut(len(p), w.options.ReadSize)], *source)
	*source = (*source)[n:]
	if w.peer != nil {
		w.peer.addWindow(n)
		w.peer.announce()
	}
	return n, nil
}

func (t *transport) Write(bufs [][]byte) (n int, err error) {
	w, done := t.use("Write")
	defer done()
	w.counts.Writes++
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	switch {
	case total == 0:
		w.misuse("empty Write")
	case w.counts.FINs > 0:
		w.misuse("Write after CloseWrite")
	}
	switch {
	case w.outErr != nil:
		err = w.outErr
		w.counts.WriteErr = err
	case w.chance(6):
		err = iostream.ErrWouldBlock
	default:
		n, err = w.write(bufs)
	}
	w.trace("Write(%d): %d, %v", total, n, err)
	return n, err
}

func (w *Wire) write(bufs [][]byte) (n int, err error) {
	if w.layer != nil {
		return w.layer.write(bufs)
	}
	room := max(0, w.window)
	if w.options.WriteSize > 0 {
		room = min(room, w.options.WriteSize)
	}
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		k := min(len(b), room)
		if k > 0 && w.chance(4) {
			return n + w.send(b[:w.cut(k, 0)]), nil // cut short, though more would fit
		}
		k = w.send(b[:k])
		room -= k
		n += k
		if k < len(b) {
			return n, iostream.ErrWouldBlock
		}
	}
	return n, nil
}

func (t *transport) Probe() error {
	w, done := t.use("Probe")
	defer done()
	w.counts.Probes++
	if w.fails.probe != nil {
		return w.fails.probe
	}
	if len(w.in) > 0 || w.layer != nil && len(w.layer.hidden) > 0 {
		w.trace("Probe: nil")
		return nil
	}
	if w.inErr != nil {
		w.counts.ReadErr = w.inErr
	}
	w.trace("Probe: %v", w.inErr)
	return w.inErr
}

func (t *transport) CloseWrite() error {
	w, done := t.use("CloseWrite")
	defer done()
	w.trace("CloseWrite()")
	if w.counts.WriteErr != nil {
		w.misuse("CloseWrite after a failed write")
	}
	if w.counts.FINs++; w.counts.FINs == 1 {
		w.counts.AtFIN.Received, w.counts.AtFIN.Arrived = w.counts.Received, len(w.in)
	}
	if w.layer != nil {
		w.layer.finish(w)
	}
	w.end()
	return nil
}

func (t *transport) Close(*ioloop.Loop) error {
	w, done := t.use("Close")
	defer done()
	if w.loop != nil {
		_ = w.loop.Remove(w.registration)
	}
	w.trace("Close()")
	w.counts.Closes++
	w.counts.Armed = 0
	if w.peer != nil {
		w.peer.outErr = io.ErrClosedPipe
		w.end()
		w.peer.announce()
	}
	return nil
}

var (
	exampleLocal  = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	exampleRemote = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1024}
)

func (t *transport) LocalAddr() net.Addr {
	if t.options.LocalAddr != nil {
		return t.options.LocalAddr
	}
	return exampleLocal
}

func (t *transport) RemoteAddr() net.Addr {
	if t.options.RemoteAddr != nil {
		return t.options.RemoteAddr
	}
	return exampleRemote
}

// interestNames is for traces: R, W and C for the close watch.
func interestNames(i poller.Interest) string {
	names := ""
	if i&poller.Readable != 0 {
		names += "R"
	}
	if i&poller.Writable != 0 {
		names += "W"
	}
	if i&poller.PeerClosed != 0 {
		names += "C"
	}
	return names
}
